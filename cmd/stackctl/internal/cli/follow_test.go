package cli_test

import (
	"context"
	"io"
	"strings"
	"syscall"
	"testing"

	"github.com/stackctl/stackctl/cmd/stackctl/internal/cli"
	"github.com/stackctl/stackctl/pkg/runner/engine/enginetest"
)

// interrupt is Ctrl-C.
var interrupt = &cli.SignalError{Signal: syscall.SIGINT}

func TestAttachStopsWhatItFollows(t *testing.T) {
	t.Parallel()
	s := newSession(t)
	s.Behave("webapp", enginetest.Behaviour{Log: []string{"listening"}})
	ctx, cancel := context.WithCancelCause(t.Context())
	out := &output{wrote: func(all string) {
		if strings.Contains(all, "webapp-1    | listening") {
			cancel(interrupt)
		}
	}}
	var messages output
	if code := s.run(ctx, out, &messages, "up", "--attach"); code != 130 {
		t.Fatalf("exit code %d\n%s", code, messages.String())
	}
	for _, want := range []string{
		"container multi-service-app-cache-1 exited", "container multi-service-app-database-1 exited", "container multi-service-app-webapp-1 exited",
	} {
		if !strings.Contains(s.Dump(), want) {
			t.Errorf("%q is not in\n%s", want, s.Dump())
		}
	}
	if !strings.Contains(out.String(), "http://localhost:5003") {
		t.Errorf("no address in\n%s", out.String())
	}
	// What depends on others stops before them.
	var stops []string
	for _, c := range s.Calls() {
		if c.Method == "StopContainer" {
			stops = append(stops, c.Name)
		}
	}
	if len(stops) != 3 || stops[0] != "multi-service-app-webapp-1" {
		t.Errorf("stopped in the order %v", stops)
	}
}

func TestAttachStopsWhatAnInterruptedStartLeft(t *testing.T) {
	t.Parallel()
	s := newSession(t)
	s.Behave("database", enginetest.Behaviour{FailingProbes: -1})
	ctx, cancel := context.WithCancelCause(t.Context())
	s.FailWith(func(c enginetest.Call) error {
		if c.Method == "Exec" && strings.Contains(c.Name, "database") {
			cancel(interrupt)
		}
		return nil
	})
	var messages output
	if code := s.run(ctx, io.Discard, &messages, "up", "--attach"); code != 130 {
		t.Fatalf("exit code %d\n%s", code, messages.String())
	}
	if strings.Contains(s.Dump(), "running") {
		t.Errorf("something runs still:\n%s", s.Dump())
	}
}

func TestLogsFollow(t *testing.T) {
	t.Parallel()
	s := newSession(t)
	s.Behave("cache", enginetest.Behaviour{Log: []string{"one", "two"}})
	if code := s.run(t.Context(), io.Discard, io.Discard, "up"); code != 0 {
		t.Fatalf("up: exit code %d", code)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	out := &output{wrote: func(all string) {
		if strings.Contains(all, "two") {
			cancel(interrupt)
		}
	}}
	var messages output
	if code := s.run(ctx, out, &messages, "logs", "-f", "cache"); code != 130 {
		t.Errorf("exit code %d", code)
	}
	if got, want := out.String(), "cache-1  | one\ncache-1  | two\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if messages.String() != "" {
		t.Errorf("said %q", messages.String())
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, syscall.EPIPE }

// `logs -f | head` ends when head does.
func TestLogsFollowEndsWithItsReader(t *testing.T) {
	t.Parallel()
	s := newSession(t)
	s.Behave("cache", enginetest.Behaviour{Log: []string{"one"}})
	if code := s.run(t.Context(), io.Discard, io.Discard, "up"); code != 0 {
		t.Fatalf("up: exit code %d", code)
	}
	var messages output
	if code := s.run(t.Context(), brokenPipe{}, &messages, "logs", "-f"); code != 141 || messages.String() != "" {
		t.Errorf("exit code %d, said %q", code, messages.String())
	}
}

// A change on the engine, and nothing else, brings a new table.
func TestStatusWatch(t *testing.T) {
	t.Parallel()
	s := newSession(t)
	if code := s.run(t.Context(), io.Discard, io.Discard, "up"); code != 0 {
		t.Fatalf("up: exit code %d", code)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	killed := false
	out := &output{wrote: func(all string) {
		switch tables := strings.Count(all, "SERVICE"); {
		case tables == 1 && !killed:
			killed = true
			if err := s.Kill("multi-service-app-cache-1", 137); err != nil {
				t.Error(err)
			}
		case strings.Contains(all, "cache-1     restarting"):
			cancel(interrupt)
		}
	}}
	var messages output
	if code := s.run(ctx, out, &messages, "status", "-w"); code != 130 || messages.String() != "stack multi-service-app, built in\n" {
		t.Errorf("exit code %d, said %q", code, messages.String())
	}
	if tables := strings.Count(out.String(), "SERVICE"); tables != 2 {
		t.Errorf("%d tables:\n%s", tables, out.String())
	}
}
