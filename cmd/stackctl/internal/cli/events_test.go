package cli_test

import (
	"context"
	"io"
	"io/fs"
	"strings"
	"testing"

	"github.com/stackctl/stackctl/pkg/runner/engine"
)

// What happens while it is watched is shown, up to Ctrl-C.
func TestEventsFollow(t *testing.T) {
	t.Parallel()
	s := newSession(t)
	if code := s.run(t.Context(), io.Discard, io.Discard, "up"); code != 0 {
		t.Fatalf("up: exit code %d", code)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	killed := false
	out := &output{wrote: func(all string) {
		switch {
		case !killed: // the stream is open
			killed = true
			if err := s.Kill("multi-service-app-cache-1", 137); err != nil {
				t.Error(err)
			}
		case strings.Contains(all, " container die "):
			cancel(interrupt)
		}
	}}
	var messages output
	if code := s.run(ctx, out, &messages, "events", "--since", "1h", "cache"); code != 130 || messages.String() != "" {
		t.Errorf("exit code %d, said %q", code, messages.String())
	}
}

func TestEventsEndWithTheEngine(t *testing.T) {
	t.Parallel()
	s := newSession(t)
	if code := s.run(t.Context(), io.Discard, io.Discard, "up"); code != 0 {
		t.Fatalf("up: exit code %d", code)
	}
	ended := false
	out := &output{wrote: func(string) {
		if !ended {
			ended = true
			s.EndEvents(&engine.UnreachableError{Endpoint: "unix:///fake.sock", Source: "default", Err: fs.ErrNotExist})
		}
	}}
	var messages output
	if code := s.run(t.Context(), out, &messages, "events", "--json", "--since", "1h"); code != 4 || !strings.Contains(messages.String(), "does not answer") {
		t.Errorf("exit code %d, said %q", code, messages.String())
	}
}

// `events | head` ends when head does.
func TestEventsEndWithTheirReader(t *testing.T) {
	t.Parallel()
	s := newSession(t)
	if code := s.run(t.Context(), io.Discard, io.Discard, "up"); code != 0 {
		t.Fatalf("up: exit code %d", code)
	}
	var messages output
	if code := s.run(t.Context(), brokenPipe{}, &messages, "events", "--since", "1h"); code != 141 || messages.String() != "" {
		t.Errorf("exit code %d, said %q", code, messages.String())
	}
}
