package proxy

import "fmt"

// Fault is what becomes of one call.
type Fault string

// The faults. An engine that is sane gives none of them.
const (
	// None passes the call on.
	None Fault = ""
	// Error500 answers with the status 500; the engine does not see the call.
	Error500 Fault = "500"
	// Error409 answers with the status 409; the engine does not see the call.
	Error409 Fault = "409"
	// CutBefore ends the connection; the engine does not see the call.
	CutBefore Fault = "cut-before"
	// CutAfter ends the connection when the engine has done the work, without the
	// answer.
	CutAfter Fault = "cut-after"
	// HalfBody ends the connection in the middle of the engine's answer.
	HalfBody Fault = "half-body"
	// Delay passes the call on late.
	Delay Fault = "delay"
	// Stall takes the call and never answers; the engine does not see it.
	Stall Fault = "stall"
)

// Faults are all of them.
var Faults = []Fault{Error500, Error409, CutBefore, CutAfter, HalfBody, Delay, Stall}

// Parse finds a fault by its name.
func Parse(name string) (Fault, error) {
	for _, f := range Faults {
		if string(f) == name {
			return f, nil
		}
	}
	return None, fmt.Errorf("no fault is called %q; there are %v", name, Faults)
}
