package runner

import (
	"context"
	"errors"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stackctl/stackctl/pkg/runner/internal/observer"
	"github.com/stackctl/stackctl/pkg/runner/plan"
)

// Hooks are the commands of a service around its starts and stops; see [HooksOf].
type Hooks = plan.Hooks

// HooksOf collects the hooks of a project by service, for verbs that work from
// labels and do not load it.
func HooksOf(p *types.Project) map[string]Hooks { return plan.HooksOf(p) }

// StopOptions change what Stop stops. The zero value stops all.
type StopOptions = plan.StopOptions

// Stop stops the project's containers, each after those that depend on it, and
// removes nothing: Up starts them again.
func (r *Runner) Stop(ctx context.Context, project string, o StopOptions) (*Report, error) {
	return r.runContainers(ctx, "stop", project, 0, func() (*plan.Plan, error) { return r.PlanStop(ctx, project, o) })
}

// PlanStop says what Stop would do, and changes nothing.
func (r *Runner) PlanStop(ctx context.Context, project string, o StopOptions) (*plan.Plan, error) {
	if project == "" {
		return nil, errors.New("stop: no project named")
	}
	observed, err := observer.Observe(ctx, r.engine, observer.Want{Project: project})
	if err != nil {
		return nil, err
	}
	return plan.Stop(observed, o), nil
}
