package probe

import (
	"errors"
	"testing"

	"github.com/stackctl/stackctl/pkg/runner/engine"
)

// A container that runs again has no exit code; the event of its last end had one.
func TestExitCodeOfOneThatRunsAgain(t *testing.T) {
	s := &wait{Waiter: &Waiter{}, exits: maxExits, exitCode: 7}
	var notReady *NotReadyError
	if err := s.looping(engine.Inspection{State: "running"}); !errors.As(err, &notReady) || notReady.ExitCode != 7 {
		t.Errorf("got %v", err)
	}
}
