package runner

import (
	"context"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stackctl/stackctl/pkg/runner/internal/executor"
	"github.com/stackctl/stackctl/pkg/runner/internal/image"
	"github.com/stackctl/stackctl/pkg/runner/plan"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// BuildOptions change what Build builds. The zero value builds the image of every
// service that has a build section.
type BuildOptions struct {
	// Services limits the build to these.
	Services []string
	// Dependencies builds for what they depend on, too.
	Dependencies bool
	// Builder says what builds; empty is BuilderAuto.
	Builder BuilderMode
	// NoCache runs every step of a Dockerfile anew, and builds Go packages that have
	// not changed.
	NoCache bool
	// Pull looks for newer base images.
	Pull bool
	// Args are set over those of the build sections; one without a value is not
	// sent. The Go toolchain takes none, so a service is built from its Dockerfile
	// when there are any, unless Builder is BuilderGo.
	Args types.MappingWithEquals
}

// Build builds the project's images, each once and all at a time. It makes and
// replaces no container: the next Up runs them.
func (r *Runner) Build(ctx context.Context, p *types.Project, o BuildOptions) (*Report, error) {
	began := r.now()
	todo, err := r.PlanBuild(p, o)
	if err != nil {
		return nil, err
	}
	r.warnAll(todo)
	mode := o.Builder
	if len(o.Args) > 0 && (mode == BuilderAuto || mode == "") {
		mode = BuilderEngine
	}
	platform, err := r.engine.Platform(ctx)
	if err != nil {
		return nil, err
	}
	x := &executor.Executor{
		Engine:  r.engine,
		Builder: &image.Builder{Engine: r.engine, Mode: mode, OS: platform.OS, Arch: platform.Arch, Cache: r.cache},
		Sink:    r.sink, Now: r.now,
	}
	report := &Report{Plan: todo, Outcomes: x.Run(ctx, todo)}
	report.Elapsed = r.now().Sub(began)
	if ctx.Err() != nil {
		return report, context.Cause(ctx) // what was built by then stays
	}
	return report, fail(report.Outcomes)
}

// PlanBuild says what Build would do. It asks no engine.
func (r *Runner) PlanBuild(p *types.Project, o BuildOptions) (*plan.Plan, error) {
	desired, err := state.Flatten(p)
	if err != nil {
		return nil, err
	}
	return plan.Build(desired, plan.BuildOptions{
		Services: o.Services, Dependencies: o.Dependencies, NoCache: o.NoCache, Pull: o.Pull, Args: o.Args,
	})
}
