package runner

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/plan"
	"github.com/stackctl/stackctl/pkg/runner/state"
	"github.com/stackctl/stackctl/pkg/runner/support"
)

// UnsupportedError names every field that a project uses and that cannot be done
// on one engine, each with the reason.
type UnsupportedError = support.Error

// FieldWarning names a field that means nothing on one engine, with the reason.
type FieldWarning = support.Warning

// decide makes the plan of Up, after a look at every field of the project. What is
// ignored becomes a warning of the plan.
func (r *Runner) decide(ctx context.Context, p *types.Project, info engine.Info, o UpOptions) (state.Desired, state.Observed, *plan.Plan, error) {
	var (
		warnings    []FieldWarning
		unsupported error
		check       sync.WaitGroup
	)
	// Beside the look at the engine, which waits more than it works.
	check.Go(func() { warnings, unsupported = support.Check(p, info.APIVersion) })
	desired, observed, opts, err := r.prepare(ctx, p, o)
	check.Wait()
	if err = cmp.Or(unsupported, err); err != nil {
		return desired, observed, nil, err
	}
	todo, err := plan.Reconcile(desired, observed, opts)
	if err != nil {
		return desired, observed, nil, err
	}
	more, err := checkBuilds(todo, info)
	if err != nil {
		return desired, observed, nil, err
	}
	todo.Warnings = slices.Concat(texts(warnings), texts(more), todo.Warnings)
	return desired, observed, todo, nil
}

// CheckFields looks at every field of a project, those of builds too, without an
// engine: it is what Up says before it changes anything, less what depends on the
// engine's release. The error is an *UnsupportedError; the warnings name what is
// ignored.
func CheckFields(p *types.Project) (warnings []FieldWarning, err error) {
	all := &UnsupportedError{}
	warnings, err = support.Check(p, "")
	if err := all.Add(err); err != nil {
		return warnings, err
	}
	for _, name := range slices.Sorted(maps.Keys(p.Services)) {
		more, err := support.CheckBuild(p.Services[name], "")
		warnings = append(warnings, more...)
		if err := all.Add(err); err != nil {
			return warnings, err
		}
	}
	return warnings, all.OrNil()
}

// texts spells warnings out for a plan.
func texts(warnings []FieldWarning) []string {
	var out []string
	for _, w := range warnings {
		out = append(out, w.String())
	}
	return out
}

// checkBuilds looks at the fields of what a plan builds.
func checkBuilds(todo *plan.Plan, info engine.Info) (warnings []FieldWarning, err error) {
	all := &UnsupportedError{}
	for _, n := range todo.Nodes {
		if build, ok := n.Op.(plan.BuildImage); ok {
			more, err := support.CheckBuild(build.Service.Config, info.APIVersion)
			warnings = append(warnings, more...)
			if err := all.Add(err); err != nil {
				return warnings, err
			}
		}
	}
	return warnings, all.OrNil()
}
