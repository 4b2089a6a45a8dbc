// Package probe waits until a container is ready. It reacts to the engine's
// events, and where the engine would not look soon enough it runs the
// container's own healthcheck itself.
package probe

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// Engine is what waiting needs of an engine.
type Engine interface {
	Inspect(ctx context.Context, container string) (engine.Inspection, error)
	Exec(ctx context.Context, container string, c engine.Command) (engine.ExecResult, error)
}

// defaultInterval is the longest pause between our own probes of a container that
// is not ready, when its healthcheck does not say.
const defaultInterval = 250 * time.Millisecond

// firstPause is the pause after the first probe, unless the probe took longer.
const firstPause = 50 * time.Millisecond

// defaultTimeout is the engine's own when a healthcheck names none.
const defaultTimeout = 30 * time.Second

// maxExits is how often a container that its restart policy brings back may end
// before it counts as broken. The engine waits 100 ms before the first restart
// and twice as long before each next one: a service that needs a second try gets
// one, and a loop is told within a second.
const maxExits = 3

// pollInterval is the pause between looks at a container when there is no event
// stream to react to.
const pollInterval = 500 * time.Millisecond

var errStreamEnded = errors.New("the engine ended the event stream")

// Result is what is known of a container at the end of a wait.
type Result struct {
	// Health is what the engine says, or "healthy" by our own probe.
	Health string
	// Completed says that the container has ended with exit code 0.
	Completed bool
	// Probes counts our own probes.
	Probes int
}

// NotReadyError says that a container did not become what was waited for.
type NotReadyError struct {
	Container string
	Condition state.Condition
	// Reason is what ended the wait: "exited with code 1", "still unhealthy
	// after 2m0s".
	Reason string
	// ExitCode counts when Exited is set.
	Exited   bool
	ExitCode int
	// OOMKilled says that it ended for using more memory than it may.
	OOMKilled bool
	// TimedOut says that the deadline ended the wait.
	TimedOut bool
	// LastProbe is the last probe, ours or the engine's; nil when there was none.
	LastProbe *engine.ProbeResult
}

func (e *NotReadyError) Error() string {
	text := fmt.Sprintf("container %s is not %s: %s", e.Container, e.Condition, e.Reason)
	if e.LastProbe != nil {
		text += "; last probe"
		if e.LastProbe.ExitCode >= 0 { // below zero for one that did not end
			text += fmt.Sprintf(" (exit code %d)", e.LastProbe.ExitCode)
		}
		text += ": " + oneLine(e.LastProbe.Output)
	}
	return text
}

func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if s == "" {
		return "no output"
	}
	return s
}
