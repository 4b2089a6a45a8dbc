package runner

import (
	"context"
	"time"

	"github.com/stackctl/stackctl/pkg/runner/plan"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// StartOptions change what Start starts. The zero value starts all, and waits
// only for what others depend on.
type StartOptions struct {
	// Services limits the start to these and what they depend on.
	Services []string
	// Wait waits until each container runs, or is healthy where it has a
	// healthcheck.
	Wait bool
	// WaitTimeout bounds the wait for each container; zero is DefaultWaitTimeout.
	WaitTimeout time.Duration
	// Hooks are those of each service; nil runs none.
	Hooks map[string]Hooks
}

// Start starts the project's containers that do not run, each when what it
// depends on is as its condition wants it. It makes nothing: the error is
// [ErrNoContainer] where there is nothing to start, wraps [plan.ErrIncomplete] where a
// container may lack configs or secrets, and is otherwise as Up's.
func (r *Runner) Start(ctx context.Context, project string, o StartOptions) (*Report, error) {
	return r.runContainers(ctx, "start", project, o.WaitTimeout, func() (*plan.Plan, error) { return r.PlanStart(ctx, project, o) })
}

// PlanStart says what Start would do, and changes nothing.
func (r *Runner) PlanStart(ctx context.Context, project string, o StartOptions) (*plan.Plan, error) {
	return r.planContainers(ctx, "start", project, func(observed state.Observed, details map[string]plan.Detail) (*plan.Plan, error) {
		return plan.Start(observed, plan.StartOptions{Services: o.Services, Wait: o.Wait, Details: details, Hooks: o.Hooks})
	})
}
