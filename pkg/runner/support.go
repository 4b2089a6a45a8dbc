package runner

import (
	"context"
	"errors"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/plan"
	"github.com/stackctl/stackctl/pkg/runner/state"
	"github.com/stackctl/stackctl/pkg/runner/support"
)

// UnsupportedError names every field that a project uses and that cannot be done
// on one engine, each with the reason.
type UnsupportedError = support.Error

// decide makes the plan of Up, after a look at every field of the project. What is
// ignored becomes a warning of the plan.
func (r *Runner) decide(ctx context.Context, p *types.Project, info engine.Info, o UpOptions) (state.Desired, state.Observed, *plan.Plan, error) {
	warnings, err := support.Check(p, info.APIVersion)
	if err != nil {
		return state.Desired{}, state.Observed{}, nil, err
	}
	desired, observed, err := r.observe(ctx, p, o.SkipDefinitions)
	if err != nil {
		return desired, observed, nil, err
	}
	todo, err := plan.Reconcile(desired, observed, o.reconcile(r.now()))
	if err != nil {
		return desired, observed, nil, err
	}
	more, err := checkBuilds(todo, info)
	if err != nil {
		return desired, observed, nil, err
	}
	todo.Warnings = slices.Concat(warnings, more, todo.Warnings)
	return desired, observed, todo, nil
}

// checkBuilds looks at the fields of what a plan builds.
func checkBuilds(todo *plan.Plan, info engine.Info) (warnings []string, err error) {
	all := &UnsupportedError{}
	for _, n := range todo.Nodes {
		build, ok := n.Op.(plan.BuildImage)
		if !ok {
			continue
		}
		more, err := support.CheckBuild(build.Service.Config, info.APIVersion)
		warnings = append(warnings, more...)
		var refused *UnsupportedError
		switch {
		case errors.As(err, &refused):
			all.Problems = append(all.Problems, refused.Problems...)
		case err != nil:
			return warnings, err
		}
	}
	if len(all.Problems) > 0 {
		return warnings, all
	}
	return warnings, nil
}
