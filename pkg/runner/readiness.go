package runner

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/stackctl/stackctl/pkg/internal/memory"
	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// defaultInterval is the engine's own when a healthcheck names none.
const defaultInterval = 30 * time.Second

// readyFile remembers when probes of ours have found containers ready.
func (r *Runner) readyFile() memory.File { return memory.In(r.cache, "ready") }

// recall takes containers for healthy which the engine has not looked at yet, since
// its first look comes a whole interval after the start, and which a probe of ours
// has found ready no longer ago than the engine's own last look may be: one
// interval. So a run after another does not probe once more.
func (r *Runner) recall(ctx context.Context, o *state.Observed) {
	isUnknown := func(c state.Container) bool { return c.State == "running" && c.Health == "starting" }
	if !slices.ContainsFunc(o.Containers, isUnknown) {
		return
	}
	known := r.readyFile().Lines()
	var wg sync.WaitGroup
	for i := range o.Containers {
		c := &o.Containers[i]
		if !isUnknown(*c) || !slices.ContainsFunc(known, func(line string) bool { return strings.HasPrefix(line, c.ID+" ") }) {
			continue
		}
		wg.Go(func() {
			look, err := r.engine.Inspect(ctx, c.ID)
			if err != nil || look.Healthcheck == nil || look.State != "running" {
				return // the wait for it tells more
			}
			at := lastReady(known, look)
			age := r.now().Sub(at) // below zero when the clock was set back
			if !at.IsZero() && age >= 0 && age <= cmp.Or(look.Healthcheck.Interval, defaultInterval) {
				c.Health = "healthy"
			}
		})
	}
	wg.Wait()
}

// foundReady remembers that a probe of ours has succeeded.
func (r *Runner) foundReady(look engine.Inspection) {
	r.readyFile().Add(readyLine(look) + strconv.FormatInt(r.now().UnixNano(), 10))
}

// lastReady gives when a container was last found ready since it was started; the
// zero time when it was not.
func lastReady(lines []string, look engine.Inspection) time.Time {
	for _, line := range slices.Backward(lines) {
		if text, found := strings.CutPrefix(line, readyLine(look)); found {
			if at, err := strconv.ParseInt(text, 10, 64); err == nil {
				return time.Unix(0, at)
			}
		}
	}
	return time.Time{}
}

// readyLine is what a line begins with: a container, and which of its starts.
func readyLine(look engine.Inspection) string {
	return look.ID + " " + strconv.FormatInt(look.StartedAt.UnixNano(), 10) + " "
}
