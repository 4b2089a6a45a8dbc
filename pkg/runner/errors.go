package runner

import (
	"fmt"
	"strings"

	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/plan"
	"github.com/stackctl/stackctl/pkg/runner/probe"
)

// NotReadyError says that a container did not become ready; a [FailedError]
// holds it.
type NotReadyError = probe.NotReadyError

// ErrUnknownService is in the error for a service that the stack does not have.
var ErrUnknownService = plan.ErrUnknownService

// ErrNoContainer is in the error for a project or a service without a container
// that could be started.
var ErrNoContainer = plan.ErrNoContainer

// Failure is one node of a plan that failed.
type Failure struct {
	Node plan.Node
	Err  error
	// Service is the service whose container failed; empty for other resources.
	Service string
	// Log holds the last lines that the failed container wrote.
	Log []engine.LogLine
}

// FailedError says that a plan could not be carried out.
type FailedError struct {
	// Failures has at least one entry, in the plan's order.
	Failures []Failure
	// Skipped counts the nodes that did not run because of them.
	Skipped int
	// RolledBack names the containers that are as they were before, sorted by their
	// place in the plan.
	RolledBack []string
	// Rollback is why that could not be done for the others; nil when it was, or
	// was not asked for.
	Rollback error
	// Engine is why the engine cannot be asked any more, or was gone for a moment: it
	// was stopped or restarted meanwhile. Nil when it was there all the time.
	Engine error
}

func (e *FailedError) Error() string {
	var lines []string
	for _, f := range e.Failures {
		lines = append(lines, f.Err.Error())
	}
	if e.Rollback != nil {
		lines = append(lines, e.Rollback.Error())
	}
	if e.Engine != nil {
		lines = append(lines, e.Engine.Error())
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives the errors of all failures.
func (e *FailedError) Unwrap() []error {
	var errs []error
	for _, f := range e.Failures {
		errs = append(errs, f.Err)
	}
	if e.Engine != nil {
		errs = append(errs, e.Engine)
	}
	return errs
}

// InterruptedError says that the context ended before the plan did.
type InterruptedError struct {
	// Cause is the context's cause.
	Cause error
	// Running names the project's containers that still run, sorted.
	Running []string
	// Unknown is why Running could not be looked up; nil when it was.
	Unknown error
}

func (e *InterruptedError) Error() string {
	return fmt.Sprintf("interrupted: %v", e.Cause)
}

// Unwrap gives the cause.
func (e *InterruptedError) Unwrap() error { return e.Cause }

// PortsError says that host ports which the stack wants are taken. Nothing was
// changed.
type PortsError struct{ Conflicts []PortConflict }

// PortConflict is one port that is taken.
type PortConflict struct {
	Service string
	// Address is the address and port on the host: "127.0.0.1:5432", or "5003"
	// for all addresses.
	Address string
	// Protocol is tcp or udp.
	Protocol string
	// Holder says who has it, as far as can be seen: "container other-db-1",
	// "process postgres (pid 812)".
	Holder string
}

func (e *PortsError) Error() string {
	var lines []string
	for _, c := range e.Conflicts {
		lines = append(lines, fmt.Sprintf("service %s: port %s/%s is taken by %s", c.Service, c.Address, c.Protocol, c.Holder))
	}
	return strings.Join(lines, "\n")
}

// fail makes the error of a run from its outcomes; nil when all are done.
func fail(outcomes []Outcome) error {
	e := &FailedError{}
	for _, out := range outcomes {
		switch out.Status {
		case Failed:
			if out.Node.Optional {
				continue
			}
			f := Failure{Node: out.Node, Err: out.Err} // which says what failed on what
			f.Service = plan.ServiceOf(out.Node.Op)
			e.Failures = append(e.Failures, f)
		case Skipped:
			if !out.Node.Optional {
				e.Skipped++
			}
		case Done:
		}
	}
	if len(e.Failures) == 0 {
		return nil
	}
	return e
}
