package runner

import (
	"context"
	"time"

	"github.com/stackctl/stackctl/pkg/runner/plan"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// RestartOptions change what Restart restarts. The zero value restarts all.
type RestartOptions struct {
	// Services limits the restart to these, and those that restart with them.
	Services []string
	// NoDeps leaves out the services that ask, with `restart: true` in depends_on,
	// to be restarted with one that they depend on.
	NoDeps bool
	// Grace is the time between stop signal and kill; nil for each container's own.
	Grace *time.Duration
	// Hooks are those of each service; nil runs none.
	Hooks map[string]Hooks
}

// Restart stops the project's containers, each after those that depend on it, and
// starts them again, each when what it depends on is as its condition wants it.
// The error is [ErrNoContainer] where there is nothing to restart, wraps
// [plan.ErrIncomplete] where a container may lack configs or secrets, and is otherwise
// as Up's.
func (r *Runner) Restart(ctx context.Context, project string, o RestartOptions) (*Report, error) {
	return r.runContainers(ctx, "restart", project, 0, func() (*plan.Plan, error) { return r.PlanRestart(ctx, project, o) })
}

// PlanRestart says what Restart would do, and changes nothing.
func (r *Runner) PlanRestart(ctx context.Context, project string, o RestartOptions) (*plan.Plan, error) {
	return r.planContainers(ctx, "restart", project, func(observed state.Observed, details map[string]plan.Detail) (*plan.Plan, error) {
		return plan.Restart(observed, plan.RestartOptions{Services: o.Services, NoDeps: o.NoDeps, Grace: o.Grace, Details: details, Hooks: o.Hooks})
	})
}
