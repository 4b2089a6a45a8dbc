package event_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stackctl/stackctl/pkg/runner/event"
)

// Every subscriber gets every event in order, however slowly it reads, and
// Close lets it read what is left.
func TestHubDeliversAllInOrder(t *testing.T) {
	var hub event.Hub
	subs := []*event.Subscription{hub.Subscribe(), hub.Subscribe()}
	const n = 1000
	for i := range n { // nobody reads yet: Emit must not block
		hub.Emit(event.Event{Node: i})
	}
	hub.Close()
	var wg sync.WaitGroup
	for _, s := range subs {
		wg.Go(func() {
			for i := range n {
				e, ok := s.Next()
				if !ok || e.Node != i {
					t.Errorf("event %d: got %d, %v", i, e.Node, ok)
					return
				}
			}
			if e, ok := s.Next(); ok {
				t.Errorf("after the end: got %v", e)
			}
		})
	}
	wg.Wait()
}

// A reader that waits is woken by Close of the hub and by Close of its own
// subscription.
func TestSubscriptionEnds(t *testing.T) {
	for _, end := range []string{"hub", "subscription"} {
		t.Run(end, func(t *testing.T) {
			var hub event.Hub
			s := hub.Subscribe()
			done := make(chan error)
			go func() {
				if e, ok := s.Next(); ok {
					done <- fmt.Errorf("got %v", e)
				}
				close(done)
			}()
			if end == "hub" {
				hub.Close()
			} else {
				s.Close()
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		})
	}
}

// After Close nothing is delivered, and a late subscriber is told at once.
func TestHubAfterClose(t *testing.T) {
	var hub event.Hub
	hub.Close()
	hub.Emit(event.Event{Node: 1})
	if e, ok := hub.Subscribe().Next(); ok {
		t.Fatalf("got %v", e)
	}
}
