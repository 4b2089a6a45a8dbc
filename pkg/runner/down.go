package runner

import (
	"context"

	"github.com/stackctl/stackctl/pkg/runner/event"
	"github.com/stackctl/stackctl/pkg/runner/internal/executor"
	"github.com/stackctl/stackctl/pkg/runner/plan"
)

// DownOptions change what Down removes. The zero value removes containers and
// networks and keeps volumes and images.
type DownOptions = plan.DownOptions

// Which images Down removes.
const (
	RemoveNoImages    = plan.RemoveNoImages
	RemoveLocalImages = plan.RemoveLocalImages
	RemoveAllImages   = plan.RemoveAllImages
)

// Down stops and removes what has the project's label. It needs no compose file:
// labels say what belongs to the project and in which order it stops.
func (r *Runner) Down(ctx context.Context, project string, o DownOptions) (*Report, error) {
	began := r.now()
	if _, err := r.engine.Info(ctx); err != nil {
		return nil, err
	}
	todo, err := r.PlanDown(ctx, project, o)
	if err != nil {
		return nil, err
	}
	for _, warning := range todo.Warnings {
		r.sink.Emit(event.Event{Time: r.now(), Kind: event.Warning, Message: warning})
	}
	x := &executor.Executor{Engine: r.engine, Sink: r.sink, Now: r.now}
	report := &Report{Plan: todo, Outcomes: x.Run(ctx, todo)}
	report.Elapsed = r.now().Sub(began)
	return report, r.explain(ctx, project, fail(report.Outcomes))
}
