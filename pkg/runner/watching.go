package runner

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sync/errgroup"

	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/event"
	"github.com/stackctl/stackctl/pkg/runner/internal/executor"
	"github.com/stackctl/stackctl/pkg/runner/internal/observer"
	"github.com/stackctl/stackctl/pkg/runner/plan"
	"github.com/stackctl/stackctl/pkg/runner/probe"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// waiter gives what carries out the waits of a plan; nil for a plan without any.
// The events are watched from here on until end is called.
func (r *Runner) waiter(ctx context.Context, todo *plan.Plan, info engine.Info, timeout time.Duration) (w *probe.Waiter, end func()) {
	if !slices.ContainsFunc(todo.Nodes, isWait) {
		return nil, func() {}
	}
	streaming, stop := context.WithCancel(ctx)
	watch := probe.NewWatch(streaming, r.engine, todo.Project)
	w = &probe.Waiter{
		Engine: r.engine, Watch: watch, KnowsStartInterval: info.KnowsStartInterval,
		Timeout: cmp.Or(timeout, DefaultWaitTimeout), Found: r.foundReady,
	}
	return w, func() {
		stop()
		<-watch.Done()
	}
}

// planContainers decides on a project's containers. It needs no compose file,
// since labels say what depends on what.
func (r *Runner) planContainers(
	ctx context.Context, verb, project string, decide func(state.Observed, map[string]plan.Detail) (*plan.Plan, error),
) (*plan.Plan, error) {
	if project == "" {
		return nil, fmt.Errorf("%s: no project named", verb)
	}
	observed, err := observer.Observe(ctx, r.engine, observer.Want{Project: project})
	if err != nil {
		return nil, err
	}
	details, err := r.details(ctx, observed.Containers)
	if err != nil {
		return nil, err
	}
	return decide(observed, details)
}

// runContainers makes a plan for a project's containers and carries it out.
func (r *Runner) runContainers(ctx context.Context, verb, project string, timeout time.Duration, decide func() (*plan.Plan, error)) (*Report, error) {
	began := r.now()
	info, err := r.engine.Info(ctx)
	if err != nil {
		return nil, err
	}
	release, err := r.hold(ctx, info, project, verb)
	if err != nil {
		return nil, err
	}
	defer release()
	todo, err := decide()
	if err != nil {
		return nil, err
	}
	r.warnAll(todo)
	report := &Report{Plan: todo}
	wait, end := r.waiter(ctx, todo, info, timeout)
	defer end()
	x := &executor.Executor{Engine: r.engine, Waiter: wait, Sink: r.sink, Now: r.now}
	report.Outcomes = x.Run(ctx, todo)
	report.Elapsed = r.now().Sub(began)
	return report, r.explain(ctx, project, fail(report.Outcomes))
}

func (r *Runner) warnAll(todo *plan.Plan) {
	for _, warning := range todo.Warnings {
		r.warn("%s", warning)
	}
}

func (r *Runner) warn(format string, args ...any) {
	r.sink.Emit(event.Event{Time: r.now(), Kind: event.Warning, Message: fmt.Sprintf(format, args...)})
}

// details looks at containers more closely than a list does, all at once. One
// that has gone meanwhile is left out.
func (r *Runner) details(ctx context.Context, containers []state.Container) (map[string]plan.Detail, error) {
	out := map[string]plan.Detail{}
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	for _, c := range containers {
		g.Go(func() error {
			look, err := r.engine.Inspect(ctx, c.ID)
			switch {
			case errdefs.IsNotFound(err):
				return nil
			case err != nil:
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			out[c.ID] = plan.Detail{Healthcheck: look.Healthcheck != nil, Published: look.Published}
			return nil
		})
	}
	return out, g.Wait()
}
