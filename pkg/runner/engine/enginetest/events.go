package enginetest

import (
	"context"
	"maps"
	"time"

	"github.com/stackctl/stackctl/pkg/runner/engine"
)

// past is an event that the engine remembers.
type past struct {
	project string
	event   engine.Event
}

// attributes gives what a real engine tells of a container with each event.
func (c *container) attributes() map[string]string {
	out := map[string]string{}
	maps.Copy(out, c.labels)
	out["name"], out["image"] = c.Name, c.Image
	return out
}

// Advance sets the engine's clock forward.
func (e *Engine) Advance(d time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.clock = e.clock.Add(d)
}

// AllEvents implements engine.Streamer. All events are remembered. A stream with
// an end that has passed by the engine's own clock ends after those.
func (e *Engine) AllEvents(ctx context.Context, o engine.EventOptions, each func(engine.Event)) error {
	if err := e.begin(ctx, "AllEvents", o.Project); err != nil {
		return err
	}
	s := &stream{project: o.Project, queue: make(chan engine.Event, 10000)}
	for _, p := range e.past {
		if !o.Since.IsZero() && !p.event.Time.Before(o.Since) && (o.Project == "" || p.project == o.Project) {
			s.queue <- p.event
		}
	}
	over := !o.Until.IsZero() && !o.Until.After(e.clock)
	if over {
		close(s.queue)
	} else {
		e.streams[s] = struct{}{}
	}
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.streams, s)
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case event, open := <-s.queue:
			switch {
			case !open, !o.Until.IsZero() && event.Time.After(o.Until):
				return nil
			case event.Err != nil:
				return event.Err
			}
			each(event)
		}
	}
}
