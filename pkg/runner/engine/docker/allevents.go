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
	ended := err == nil || errors.Is(err, io.EOF)
	if ended {
		err = io.ErrUnexpectedEOF
	}
	err = e.gone(ctx, err)
	var lost *engine.LostError
	if ended && !o.Until.IsZero() && errors.As(err, &lost) {
		return nil
	}
	return fmt.Errorf("watch events: %w", err)
}

// timeParam writes a time as the API takes it: seconds and nanoseconds.
func timeParam(t time.Time) string { return fmt.Sprintf("%d.%09d", t.Unix(), t.Nanosecond()) }
