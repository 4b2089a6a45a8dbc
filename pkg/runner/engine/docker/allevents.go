package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"

	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// AllEvents reads the event stream to its end.
func (e *Engine) AllEvents(ctx context.Context, o engine.EventOptions, each func(engine.Event)) error {
	options := events.ListOptions{Filters: filters.NewArgs(filters.Arg("type", string(events.ContainerEventType)))}
	if o.Project != "" {
		options.Filters.Add("label", state.LabelProject+"="+o.Project)
	}
	if !o.Since.IsZero() {
		options.Since = timeParam(o.Since)
	}
	if !o.Until.IsZero() {
		options.Until = timeParam(o.Until)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	messages, errs := e.api.Events(ctx, options)
	for {
		select {
		case m := <-messages:
			if event, ok := eventFrom(m); ok {
				event.Attributes = m.Actor.Attributes
				each(event)
			}
		case err := <-errs:
			if ended := e.endOfEvents(ctx, err, o); ctx.Err() == nil {
				return ended
			}
			return nil
		}
	}
}

// endOfEvents tells whether the engine ended its stream at the time that was asked
// for. One that stops ends it in the same way, but answers no more.
func (e *Engine) endOfEvents(ctx context.Context, err error, o engine.EventOptions) error {
	if _, pingErr := e.api.Ping(ctx); pingErr != nil {
		return e.unreachable(ctx, pingErr)
	}
	if err == nil || errors.Is(err, io.EOF) {
		if !o.Until.IsZero() {
			return nil
		}
		err = fmt.Errorf("the engine ended the stream: %w", io.ErrUnexpectedEOF)
	}
	return failed("watch", "events of", e.endpoint.host, err)
}

// timeParam writes a time as the API takes it: seconds and nanoseconds.
func timeParam(t time.Time) string { return fmt.Sprintf("%d.%09d", t.Unix(), t.Nanosecond()) }
