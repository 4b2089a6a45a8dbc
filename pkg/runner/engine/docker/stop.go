package docker

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/stackctl/stackctl/pkg/runner/engine"
)

// engineGrace is the time between stop signal and kill that an engine takes where
// neither the call nor the container says one.
const engineGrace = 10 * time.Second

// awaitStop asks for the stop of a container and waits for its end, which comes
// when the grace period is over at the latest. An engine that is silent for longer
// has not answered, unless the container has ended and only the answer is missing.
func (e *Engine) awaitStop(ctx context.Context, name string, options container.StopOptions) error {
	stopping, cancel := context.WithCancelCause(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		e.watchStop(stopping, name, options.Timeout, cancel)
	}()
	err := e.api.ContainerStop(stopping, name, options)
	cancel(nil)
	<-watched
	var silent *engine.UnansweredError
	if err == nil || ctx.Err() != nil || !errors.As(context.Cause(stopping), &silent) {
		return err
	}
	there, inspectErr := e.api.ContainerInspect(ctx, name)
	if inspectErr == nil && there.ContainerJSONBase != nil && there.State != nil && !there.State.Running {
		return nil
	}
	return silent
}

// watchStop ends the context of a stop that takes longer than it can. The grace
// period that a container has of its own is asked for only then.
func (e *Engine) watchStop(ctx context.Context, name string, seconds *int, cancel context.CancelCauseFunc) {
	grace := engineGrace
	if seconds != nil {
		grace = time.Duration(*seconds) * time.Second
	}
	if grace < 0 || !pause(ctx, grace+e.answerTimeout) {
		return
	}
	if seconds == nil {
		there, err := e.api.ContainerInspect(ctx, name)
		if err == nil && there.Config != nil && there.Config.StopTimeout != nil {
			own := time.Duration(*there.Config.StopTimeout) * time.Second
			if own < 0 || !pause(ctx, own-grace) {
				return // it has all the time in the world, or has ended
			}
			grace = max(grace, own)
		}
	}
	cancel(&engine.UnansweredError{
		Call: http.MethodPost + " /containers/" + name + "/stop", After: grace + e.answerTimeout,
	})
}

// pause waits; false when the context ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
