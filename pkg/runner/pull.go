package runner

import (
	"context"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stackctl/stackctl/pkg/runner/internal/executor"
	"github.com/stackctl/stackctl/pkg/runner/plan"
)

// PullOptions change what Pull fetches. The zero value fetches the image of every
// service whose own pull policy does not forbid it, and ends with the first that
// cannot be had.
type PullOptions struct {
	// Services limits the pull to these.
	Services []string
	// Dependencies pulls for what they depend on, too.
	Dependencies bool
	// Policy overrides every service's own; a service without one is pulled always.
	Policy PullPolicy
	// IgnoreBuildable leaves out what can be built.
	IgnoreBuildable bool
	// IgnoreFailures pulls what can be had and warns of the rest.
	IgnoreFailures bool
}

// Pull fetches the project's images, each once and all at a time. It makes and
// replaces nothing: the next Up runs them. An image that can be built does not
// keep the others from being pulled when it cannot be had.
func (r *Runner) Pull(ctx context.Context, p *types.Project, o PullOptions) (*Report, error) {
	began := r.now()
	if _, err := r.engine.Info(ctx); err != nil {
		return nil, err
	}
	todo, err := r.PlanPull(ctx, p, o)
	if err != nil {
		return nil, err
	}
	builder := map[string]string{}          // image -> a service that builds it
	for _, name := range p.ServiceNames() { // sorted
		if s := p.Services[name]; s.Build != nil && builder[s.Image] == "" {
			builder[s.Image] = name
		}
	}
	x := &executor.Executor{
		Engine: r.engine, Sink: r.sink, Now: r.now,
		KeepGoing: func(n plan.Node) bool { return o.IgnoreFailures || builder[n.Op.Ref().Name] != "" },
	}
	report := &Report{Plan: todo, Outcomes: x.Run(ctx, todo)}
	report.Elapsed = r.now().Sub(began)
	if ctx.Err() != nil {
		return report, context.Cause(ctx) // what was fetched by then stays
	}
	for _, out := range report.Outcomes {
		service := builder[out.Node.Op.Ref().Name]
		switch {
		case out.Status != Failed:
		case o.IgnoreFailures:
			r.warn("left out: %v", out.Err)
		case service != "":
			r.warn("image %s can be built instead: `stackctl build %s`", out.Node.Op.Ref().Name, service)
		}
	}
	if o.IgnoreFailures {
		return report, nil
	}
	return report, fail(report.Outcomes)
}

// PlanPull says what Pull would do, and changes nothing.
func (r *Runner) PlanPull(ctx context.Context, p *types.Project, o PullOptions) (*plan.Plan, error) {
	desired, observed, err := r.observe(ctx, p)
	if err != nil {
		return nil, err
	}
	return plan.Pull(desired, observed, plan.PullOptions{
		Services: o.Services, Dependencies: o.Dependencies, Policy: o.Policy, IgnoreBuildable: o.IgnoreBuildable,
	})
}

// Pulled names the images that a report's run has fetched, sorted.
func (r *Report) Pulled() []string {
	var out []string
	for _, o := range r.Outcomes {
		if pull, ok := o.Node.Op.(plan.PullImage); ok && o.Status == Done {
			out = append(out, pull.Image)
		}
	}
	slices.Sort(out)
	return out
}
