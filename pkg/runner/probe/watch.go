package probe

import (
	"context"
	"sync"

	"github.com/stackctl/stackctl/pkg/runner/engine"
)

// Watch passes the events of one stream on to everyone who waits for a
// container. It is opened once for a run, before the first start, so that no
// event is missed. Its methods are safe for many goroutines.
type Watch struct {
	mu      sync.Mutex
	waiters map[*waiter]struct{}
	ended   error // why the stream ended; nil while it is open
	done    chan struct{}
}

type waiter struct {
	container string // the id
	events    chan engine.Event
}

// NewWatch opens the project's event stream. It ends with ctx; Done tells when
// it has.
func NewWatch(ctx context.Context, e engine.Streamer, project string) (*Watch, error) {
	stream, err := e.Events(ctx, project)
	if err != nil {
		return nil, err
	}
	w := &Watch{waiters: map[*waiter]struct{}{}, done: make(chan struct{})}
	go func() {
		defer close(w.done)
		ended := errStreamEnded
		for event := range stream {
			if event.Err != nil {
				ended = event.Err
				continue
			}
			w.pass(event)
		}
		w.end(ended)
	}()
	return w, nil
}

// Done is closed when the stream has ended and its goroutine with it.
func (w *Watch) Done() <-chan struct{} { return w.done }

// subscribe gives the events of one container from now on. The channel is
// closed when the stream ends: then polling has to do.
func (w *Watch) subscribe(container string) (<-chan engine.Event, func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	// A waiter reads all the time, so few events queue; when it cannot keep up it
	// looks at the container itself, and what was dropped does not matter.
	s := &waiter{container: container, events: make(chan engine.Event, 64)}
	if w.ended != nil {
		close(s.events)
		return s.events, func() {}
	}
	w.waiters[s] = struct{}{}
	return s.events, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.waiters, s)
	}
}

func (w *Watch) pass(e engine.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for s := range w.waiters {
		if s.container == e.ID {
			select {
			case s.events <- e:
			default:
			}
		}
	}
}

func (w *Watch) end(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = err
	for s := range w.waiters {
		close(s.events)
	}
	w.waiters = nil
}
