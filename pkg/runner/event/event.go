// Package event is the one stream of everything that a person or a program may
// watch while stackctl works. The library prints nothing: it emits events, and
// whoever shows them decides how.
package event

import "time"

// Kind says what an event means for its resource.
type Kind string

// The kinds. A resource's story is Started, then any number of Progress, then
// one of Done, Failed and Skipped. Warning and Info stand alone.
const (
	Started  Kind = "started"
	Progress Kind = "progress"
	Done     Kind = "done"
	Failed   Kind = "failed"
	Skipped  Kind = "skipped"
	Warning  Kind = "warning"
	Info     Kind = "info"
)

// Event is one thing that happened. It never holds the value of an environment
// variable or a secret.
type Event struct {
	Time time.Time
	Kind Kind
	// Node is the number of the plan's node that it belongs to; 0 for none.
	Node int
	// Resource is what it happened to: "container web-1". Empty for the whole
	// run.
	Resource string
	// Action is what is done, in words: "create", "wait until healthy".
	Action string
	// Message says more: a cause, a reason, a probe's answer. May be empty.
	Message string
	// Current and Total count bytes of a Progress; Total is 0 when unknown.
	Current, Total int64
	// LayersDone and Layers count the layers of an image that is pulled; Total is
	// the sum of those that have begun.
	LayersDone, Layers int
	// Elapsed is how long the action took, in Done and Failed.
	Elapsed time.Duration
	// Err is set in Failed.
	Err error
}

// Sink takes events. Emit must not block and must be safe for many goroutines.
type Sink interface {
	Emit(Event)
}

// Discard is a Sink that keeps nothing.
var Discard Sink = discard{}

type discard struct{}

func (discard) Emit(Event) {}
