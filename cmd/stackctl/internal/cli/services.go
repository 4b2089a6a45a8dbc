package cli

import (
	"context"
	"slices"

	"github.com/stackctl/stackctl/cmd/stackctl/internal/display"
	"github.com/stackctl/stackctl/pkg/runner/engine"
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

// showPlan prints what a command would do: its --dry-run.
func (g *globalOptions) showPlan(todo *plan.Plan, err error) error {
	if err != nil {
		return err
	}
	for _, warning := range todo.Warnings {
		g.warn(warning)
	}
	return display.Plan(g.app.Out, todo, g.outColor())
}
