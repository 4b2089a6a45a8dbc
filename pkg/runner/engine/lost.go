package engine

import (
	"fmt"
	"time"
)

// NoSpaceError says that the engine's disk is full.
type NoSpaceError struct {
	// Err is what the engine said.
	Err error
}

func (e *NoSpaceError) Error() string { return e.Err.Error() }

func (e *NoSpaceError) Unwrap() error { return e.Err }

// LostError says that an engine which had answered was gone in the middle of a
// call or a stream: it was stopped or restarted, or the network between was cut.
// Whether the call was carried out is not known.
type LostError struct {
	// Call is the one that has no whole answer: "POST /containers/create". It is not
	// known whether that was carried out. Empty where that is not a matter of one call.
	Call string
	// Err is what the connection ended with.
	Err error
}

func (e *LostError) Error() string {
	if e.Call != "" {
		return "the connection to the engine was lost before it had answered " + e.Call + ": " + e.Err.Error()
	}
	return "the connection to the engine was lost: " + e.Err.Error()
}

func (e *LostError) Unwrap() error { return e.Err }

// UnansweredError says that an engine which is there is silent on a call. It is not
// known whether that was carried out; every method may be called again.
type UnansweredError struct {
	// Call is the method and path: "POST /containers/create".
	Call string
	// After is how long the engine was silent.
	After time.Duration
}

func (e *UnansweredError) Error() string {
	return fmt.Sprintf("the engine has not answered %s for %s", e.Call, e.After)
}
