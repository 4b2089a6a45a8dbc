package runner

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/event"
	"github.com/stackctl/stackctl/pkg/runner/internal/observer"
	"github.com/stackctl/stackctl/pkg/runner/plan"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// rollBack brings the containers back whose replacement a run did not finish, each
// for itself, and names those that are as before. The error says why others are
// not.
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
	var errs []error
	lost := map[string]bool{} // services
	for _, out := range back.Outcomes {
		switch out.Status {
		case Failed:
			errs = append(errs, out.Err)
		case Skipped:
		case Done:
			continue
		}
		lost[plan.ServiceOf(out.Node.Op)] = true
	}
	var names []string
	for _, op := range failed {
		there := slices.ContainsFunc(observed.Containers, func(c state.Container) bool { return c.ID == op.Old.ID })
		// One whose turn had not come is as it was, which is no rollback.
		touched := !plan.Rollback([]plan.ReplaceContainer{op}, observed).Empty()
		if there && touched && !lost[op.New.Service] {
			names = append(names, op.Old.Name)
		}
	}
	if ctx.Err() != nil {
		errs = append(errs, context.Cause(ctx))
	}
	if err := errors.Join(errs...); err != nil {
		return names, fmt.Errorf("roll back: %w", err)
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
