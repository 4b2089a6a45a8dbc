package runner

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// Readiness remembers when our own probes last found containers ready, for the
// time in which the engine has not looked yet: its first look can be a whole
// interval away. Its methods are safe for many goroutines.
type Readiness interface {
	// Ready gives when a container that was started at that time was last found
	// ready; the zero time when it was not.
	Ready(container string, started time.Time) time.Time
	// SetReady remembers that it was.
	SetReady(container string, started, at time.Time)
}

// WithReadiness spares containers that a run before this one has found ready a
// second probe. By default every run probes what the engine does not know yet.
func WithReadiness(known Readiness) Option { return func(r *Runner) { r.readiness = known } }

// defaultInterval is the engine's own when a healthcheck names none.
const defaultInterval = 30 * time.Second

// recall takes containers for healthy which the engine has not looked at yet and a
// probe of ours has found ready no longer ago than the engine's own last look may
// be: one interval.
func (r *Runner) recall(ctx context.Context, o *state.Observed) {
	if r.readiness == nil {
		return
	}
	var wg sync.WaitGroup
	for i := range o.Containers {
		c := &o.Containers[i]
		if c.State != "running" || c.Health != "starting" {
			continue
		}
		wg.Go(func() {
			look, err := r.engine.Inspect(ctx, c.ID)
			if err != nil || look.Healthcheck == nil || look.State != "running" {
				return // the wait for it tells more
			}
			at := r.readiness.Ready(c.ID, look.StartedAt)
			if !at.IsZero() && r.now().Sub(at) <= cmp.Or(look.Healthcheck.Interval, defaultInterval) {
				c.Health = "healthy"
			}
		})
	}
	wg.Wait()
}

// foundReady remembers that a probe of ours has succeeded.
func (r *Runner) foundReady(look engine.Inspection) {
	if r.readiness != nil {
		r.readiness.SetReady(look.ID, look.StartedAt, r.now())
	}
}
