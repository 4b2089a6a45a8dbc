package runner

import (
	"context"
	"fmt"

	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/event"
	"github.com/stackctl/stackctl/pkg/runner/internal/observer"
	"github.com/stackctl/stackctl/pkg/runner/plan"
)

// rollBack brings the containers back whose replacement a failed run did not
// finish, and names them.
func (r *Runner) rollBack(ctx context.Context, report *Report, info engine.Info, o UpOptions) ([]string, error) {
	failed := unfinished(report)
	if len(failed) == 0 {
		return nil, nil
	}
	observed, err := observer.Observe(ctx, r.engine, observer.Want{Project: report.Plan.Project})
	if err != nil {
		return nil, fmt.Errorf("roll back: %w", err)
	}
	todo := plan.Rollback(failed, observed)
	for _, warning := range todo.Warnings {
		r.sink.Emit(event.Event{Time: r.now(), Kind: event.Warning, Message: warning})
	}
	back := &Report{}
	if err := r.execute(ctx, back, todo, observed, info, o); err != nil {
		return nil, fmt.Errorf("roll back: %w", err)
	}
	var names []string
	for _, op := range failed {
		// One whose turn had not come is as it was, which is no rollback.
		if !plan.Rollback([]plan.ReplaceContainer{op}, observed).Empty() {
			names = append(names, op.New.Name)
		}
	}
	return names, nil
}

// unfinished gives the replacements whose new container has not become ready.
func unfinished(report *Report) []plan.ReplaceContainer {
	ready := map[string]bool{}
	for _, out := range report.Outcomes {
		switch op := out.Node.Op.(type) {
		case plan.StartContainer:
			name := op.Container.Name
			if _, known := ready[name]; !known {
				ready[name] = true
			}
			ready[name] = ready[name] && out.Status == Done
		case plan.WaitReady:
			ready[op.Container.Name] = ready[op.Container.Name] && out.Status == Done
		}
	}
	var out []plan.ReplaceContainer
	for _, n := range report.Plan.Nodes {
		if op, replace := n.Op.(plan.ReplaceContainer); replace && !ready[op.New.Name] {
			out = append(out, op)
		}
	}
	return out
}
