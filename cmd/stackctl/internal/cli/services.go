package cli

import (
	"context"
	"slices"

	"github.com/stackctl/stackctl/cmd/stackctl/internal/display"
	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/plan"
)

// withContainers gives the services among names that have a container in the
// project. One that neither a container nor the stack has is an error: a command
// that works from labels takes either.
func (s *source) withContainers(ctx context.Context, e engine.Engine, names []string) ([]string, error) {
	if len(names) == 0 {
		return nil, nil
	}
	containers, err := e.Containers(ctx, s.name)
	if err != nil {
		return nil, err
	}
	there := map[string]bool{}
	for _, c := range containers {
		there[c.Service] = true
	}
	var out []string
	for _, name := range names {
		switch {
		case there[name]:
			out = append(out, name)
		case !slices.Contains(s.services(), name):
			return nil, s.unknown(name)
		}
	}
	return out, nil
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
