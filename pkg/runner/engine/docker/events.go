package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"

	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

const (
	// eventBuffer is what may wait for a slow reader. The engine gives each
	// listener 100 ms to take an event and drops it then, so the stream must be
	// read even while nobody takes from the channel.
	eventBuffer = 1024
	// replayLimit is how many past events an engine keeps.
	replayLimit = 256
)

// Events opens the stream of container events.
//
// All engines from 20.10 to 28 write the header of the answer at once, within a
// millisecond, and subscribe *after* it: an answer does not mean that the stream
// is open. So the stream is asked to start at a moment before that, by the
// engine's own clock, which it gives to the nanosecond in /info (about 10 ms);
// the Date of a response has whole seconds, which would replay events of before
// the call. What happens between the two is replayed from the engine's memory.
func (e *Engine) Events(ctx context.Context, project string) (<-chan engine.Event, error) {
	info, err := e.api.Info(ctx)
	if err != nil {
		return nil, failed("watch", "events of", e.endpoint.host, err)
	}
	filter := filters.NewArgs(filters.Arg("type", string(events.ContainerEventType)))
	if project != "" {
		filter.Add("label", state.LabelProject+"="+project)
	}
	since, err := sinceParam(info.SystemTime)
	if err != nil {
		return nil, failed("watch", "events of", e.endpoint.host, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	messages, errs := e.api.Events(ctx, events.ListOptions{Since: since, Filters: filter})
	out := make(chan engine.Event, eventBuffer)
	go func() {
		defer cancel()
		defer close(out)
		e.forward(ctx, messages, errs, out)
	}()
	return out, nil
}

// sinceParam writes the engine's time as the API takes it: seconds and
// nanoseconds.
func sinceParam(systemTime string) (string, error) {
	t, err := time.Parse(time.RFC3339Nano, systemTime)
	if err != nil {
		return "", fmt.Errorf("the engine's time: %w", err)
	}
	return timeParam(t), nil
}

// forward passes events on until the stream ends.
func (e *Engine) forward(ctx context.Context, messages <-chan events.Message, errs <-chan error, out chan<- engine.Event) {
	send := func(event engine.Event) bool {
		select {
		case out <- event:
			return true
		case <-ctx.Done():
			return false
		}
	}
	// An engine notes an event before it tells its listeners, so one that falls
	// between the two comes from memory and live.
	type key struct {
		time       int64
		id, action string
	}
	replayed := map[key]bool{}
	for {
		select {
		case m := <-messages:
			k := key{m.TimeNano, m.Actor.ID, string(m.Action)}
			if replayed[k] {
				continue
			}
			if len(replayed) < replayLimit {
				replayed[k] = true
			}
			event, ok := eventFrom(m)
			if ok && !strings.HasPrefix(event.Action, "exec_") && !send(event) {
				return
			}
		case err := <-errs:
			if ctx.Err() != nil {
				return
			}
			if err == nil || errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			send(engine.Event{Time: time.Now(), Err: e.gone(ctx, err)})
			return
		}
	}
}

// gone says why a stream has ended that the engine was not asked to end: it
// answers no more, or it does so again after a restart.
func (e *Engine) gone(ctx context.Context, err error) error {
	if away := e.takesConnections(ctx); away != nil {
		return away
	}
	return lost(err)
}

// eventFrom puts an event in our words; false for one that is left out.
func eventFrom(m events.Message) (engine.Event, bool) {
	action, detail, _ := strings.Cut(string(m.Action), ": ")
	if m.Type != events.ContainerEventType {
		return engine.Event{}, false
	}
	event := engine.Event{
		Time:    time.Unix(0, m.TimeNano),
		ID:      m.Actor.ID,
		Name:    m.Actor.Attributes["name"],
		Service: m.Actor.Attributes[state.LabelService],
		Action:  action,
		Detail:  detail,
	}
	switch action {
	case "health_status":
		event.Health = detail
	case string(events.ActionDie):
		event.ExitCode, _ = strconv.Atoi(m.Actor.Attributes["exitCode"])
	}
	return event, true
}
