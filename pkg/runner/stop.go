package runner

import (
	"context"
	"errors"

	"github.com/stackctl/stackctl/pkg/runner/internal/executor"
	"github.com/stackctl/stackctl/pkg/runner/internal/observer"
	"github.com/stackctl/stackctl/pkg/runner/plan"
)

// StopOptions change what Stop stops. The zero value stops all.
type StopOptions = plan.StopOptions

// Stop stops the project's containers, each after those that depend on it, and
// removes nothing: Up starts them again.
func (r *Runner) Stop(ctx context.Context, project string, o StopOptions) (*Report, error) {
	began := r.now()
	if project == "" {
		return nil, errors.New("stop: no project named")
	}
	if _, err := r.engine.Info(ctx); err != nil {
		return nil, err
	}
	observed, err := observer.Observe(ctx, r.engine, observer.Want{Project: project})
	if err != nil {
		return nil, err
	}
	todo := plan.Stop(observed, o)
	x := &executor.Executor{Engine: r.engine, Sink: r.sink, Now: r.now}
	report := &Report{Plan: todo, Outcomes: x.Run(ctx, todo)}
	report.Elapsed = r.now().Sub(began)
	return report, r.explain(ctx, project, fail(report.Outcomes))
}
