package probe

import (
	"context"
	"sync"

	"github.com/stackctl/stackctl/pkg/runner/engine"
)

// Watch passes the events of one stream on to everyone who waits for a
// container. It is opened once for a run, beside the rest of it: whoever waits
// does so for the stream first, and then looks at the container once, so that no
// event is missed. Its methods are safe for many goroutines.
type Watch struct {
	opened chan struct{}
	failed error // why it could not be opened, once that has ended

	mu      sync.Mutex
	waiters map[*waiter]struct{}
	ended   error // why the stream ended; nil while it is open
	done    chan struct{}
}

type waiter struct {
	container string // the id
	events    chan engine.Event
}

// NewWatch begins to open the project's event stream. It ends with ctx; Done tells
// when it has.
func NewWatch(ctx context.Context, e engine.Streamer, project string) *Watch {
	w := &Watch{opened: make(chan struct{}), waiters: map[*waiter]struct{}{}, done: make(chan struct{})}
	go func() {
		defer close(w.done)
		var stream <-chan engine.Event
		stream, w.failed = e.Events(ctx, project)
		close(w.opened)
		if w.failed != nil {
			return
		}
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
	return w
}

// open waits until the stream is open. The error is why it is not.
func (w *Watch) open(ctx context.Context) error {
	select {
	case <-w.opened:
		return w.failed
	case <-ctx.Done():
		return ctx.Err()
	}
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
