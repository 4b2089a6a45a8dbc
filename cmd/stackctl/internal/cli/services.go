package cli

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/stackctl/stackctl/cmd/stackctl/internal/display"
	"github.com/stackctl/stackctl/pkg/runner"
	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/event"
	"github.com/stackctl/stackctl/pkg/runner/plan"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// checkKnown refuses a service that neither a container of the project nor the
// stack has: a command that works from labels takes either.
func (s *source) checkKnown(ctx context.Context, e engine.Engine, names []string) error {
	if len(names) == 0 {
		return nil
	}
	containers, err := e.Containers(ctx, s.name)
	if err != nil {
		return err
	}
	for _, name := range names {
		there := slices.ContainsFunc(containers, func(c state.Container) bool { return c.Service == name })
		if !there && !slices.Contains(s.services(), name) {
			return s.unknown(name)
		}
	}
	return nil
}

// reachContainers gives the source and the engine of a command that works on the
// containers that are there, by their labels.
func (g *globalOptions) reachContainers(ctx context.Context, services []string) (*source, engine.Engine, func(), error) {
	s, err := g.source(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	e, closeEngine, err := g.reach(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	if err := s.checkKnown(ctx, e, services); err != nil {
		closeEngine()
		return nil, nil, nil, err
	}
	return s, e, closeEngine, nil
}

// lockWait is longer than another command on the same stack takes, builds and pulls
// included, unless it hangs.
const lockWait = 10 * time.Minute

// newRunner gives a runner that tells sink what happens.
func (g *globalOptions) newRunner(e engine.Engine, sink event.Sink) *runner.Runner {
	if _, err := g.app.CacheDir(); err != nil {
		sink.Emit(event.Event{
			Time: g.app.Now(), Kind: event.Warning,
			Message: fmt.Sprintf("there is no folder for locks, so another command at work on the same stack would not be noticed: %v", err),
		})
	}
	return runner.New(e, runner.WithEvents(sink), runner.WithClock(g.app.Now), runner.WithCache(g.cache()), runner.WithLockWait(lockWait))
}

// perform carries out a verb of the library and shows what happens meanwhile.
func (g *globalOptions) perform(e engine.Engine, project string, verb func(*runner.Runner) (*runner.Report, error)) (report *runner.Report, err error) {
	err = g.watched(project, func(sink event.Sink) error {
		report, err = verb(g.newRunner(e, sink))
		return err
	})
	return report, err
}

// showPlan prints what a command would do: its --dry-run.
func (g *globalOptions) showPlan(todo *plan.Plan, err error) error {
	if err != nil {
		return err
	}
	g.announce()
	for _, warning := range todo.Warnings {
		g.warn(warning)
	}
	return display.Plan(g.app.Out, todo, g.outColor())
}
