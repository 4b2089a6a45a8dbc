//go:build e2e

package docker

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/stackctl/stackctl/pkg/runner/engine"
)

// noLeaks checks, after all other clean-up, that no goroutine of ours is left.
func noLeaks(t *testing.T) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
}

func TestEventsOfARun(t *testing.T) {
	noLeaks(t)
	s := newStand(t)
	ctx, cancel := context.WithCancel(s.ctx())
	defer cancel()
	spec := s.spec("job", "exit 3")
	// What happened before the call must not come.
	before := s.create(s.spec("earlier", "true"))
	events, err := s.Events(ctx, s.project)
	s.must(err)
	id := s.run(spec)
	var got []string
	for e := range events {
		if e.Err != nil {
			t.Fatal(e.Err)
		}
		if e.ID == before {
			t.Errorf("an event of before the call: %+v", e)
		}
		if e.ID != id || e.Name != spec.Name || e.Service != "job" || e.Time.IsZero() {
			t.Errorf("event %+v", e)
		}
		if strings.HasPrefix(e.Action, "network") {
			continue
		}
		got = append(got, e.Action)
		if e.Action == "die" {
			if e.ExitCode != 3 {
				t.Errorf("event %+v", e)
			}
			cancel()
			break
		}
	}
	if diff := cmp.Diff([]string{"create", "start", "die"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for range events {
	}
}

// What happens right after Events returns is seen, however the engine's
// goroutines are scheduled.
func TestEventsMissNothing(t *testing.T) {
	noLeaks(t)
	s := newStand(t)
	id := s.create(s.spec("web", "true"))
	for range 20 {
		ctx, cancel := context.WithCancel(s.ctx())
		events, err := s.Events(ctx, s.project)
		s.must(err)
		s.must(s.RenameContainer(ctx, id, s.project+"-a"))
		s.must(s.RenameContainer(ctx, id, s.project+"-b"))
		var seen []string
		for e := range events {
			if e.Err != nil {
				t.Fatal(e.Err)
			}
			if seen = append(seen, e.Action+" "+e.Name); len(seen) == 2 {
				break
			}
		}
		want := []string{"rename " + s.project + "-a", "rename " + s.project + "-b"}
		if diff := cmp.Diff(want, seen); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		cancel()
		for range events {
		}
	}
}

func TestExec(t *testing.T) {
	noLeaks(t)
	s := newStand(t)
	id := s.run(s.spec("web", "while :; do sleep 0.1; done"))
	for _, test := range []struct {
		name, script string
		want         engine.ExecResult
	}{
		{"both streams", "echo out; echo err >&2", engine.ExecResult{Output: "out\nerr\n"}},
		{"exit code", "echo no; exit 9", engine.ExecResult{ExitCode: 9, Output: "no\n"}},
		{"much output", "head -c 1000000 /dev/zero | tr '\\0' x", engine.ExecResult{Output: strings.Repeat("x", outputLimit)}},
		{"no such program", "exec /no/such/program 2>/dev/null", engine.ExecResult{ExitCode: 127}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := s.Exec(s.ctx(), id, engine.Command{Args: []string{"sh", "-c", test.script}})
			s.must(err)
			if test.name == "both streams" && got.Output == "err\nout\n" {
				got.Output = test.want.Output // the order of the two is the engine's
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	t.Run("cancelled", func(t *testing.T) {
		cause := errors.New("enough")
		ctx, cancel := context.WithCancelCause(s.ctx())
		go cancel(cause)
		_, err := s.Exec(ctx, id, engine.Command{Args: []string{"sleep", "600"}})
		if !errors.Is(err, cause) {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("stopped container", func(t *testing.T) {
		s.must(s.StopContainer(s.ctx(), id, new(time.Duration)))
		if _, err := s.Exec(s.ctx(), id, engine.Command{Args: []string{"true"}}); err == nil {
			t.Error("no error")
		}
	})
}

func TestLogs(t *testing.T) {
	noLeaks(t)
	s := newStand(t)
	long := strings.Repeat("x", 100_000)
	id := s.run(s.spec("web", `echo one; echo two >&2; echo; head -c 100000 /dev/zero | tr '\0' x; echo; printf 'no end'`))
	s.ended(id)
	read := func(o engine.LogOptions) (out, err []string, times []time.Time) {
		s.must(s.Logs(s.ctx(), id, o, func(l engine.LogLine) {
			if l.Stderr {
				err = append(err, l.Text)
			} else {
				out = append(out, l.Text)
			}
			times = append(times, l.Time)
		}))
		return out, err, times
	}
	out, stderr, times := read(engine.LogOptions{})
	if diff := cmp.Diff([]string{"one", "", long, "no end"}, out); diff != "" {
		t.Errorf("stdout (-want +got):\n%.300s", diff)
	}
	if diff := cmp.Diff([]string{"two"}, stderr); diff != "" {
		t.Errorf("stderr (-want +got):\n%s", diff)
	}
	for _, at := range times {
		if at.IsZero() {
			t.Error("a line has no time")
		}
	}
	tail := 1
	if out, stderr, _ := read(engine.LogOptions{Tail: &tail}); len(out)+len(stderr) != 1 || out[0] != "no end" {
		t.Errorf("tail: %.100q %q", out, stderr)
	}
	if out, stderr, _ := read(engine.LogOptions{Since: times[len(times)-1].Add(time.Second)}); len(out)+len(stderr) != 0 {
		t.Errorf("since: %.100q %q", out, stderr)
	}
	if out, _, _ := read(engine.LogOptions{Follow: true}); len(out) != 4 {
		t.Errorf("follow to the end: %d lines", len(out))
	}
}

func TestLogsOfATTY(t *testing.T) {
	s := newStand(t)
	id := s.run(s.spec("web", `echo one; echo two >&2; echo; printf 'no end'`, func(c *types.ServiceConfig) { c.Tty = true }))
	s.ended(id)
	if got, want := s.output(id), "one\ntwo\n\nno end\n"; got != want {
		t.Errorf("output %q, want %q", got, want)
	}
}

func TestFollowedLogEndsWithItsContext(t *testing.T) {
	noLeaks(t)
	s := newStand(t)
	id := s.run(s.spec("web", "echo ready; while :; do sleep 0.1; done"))
	ctx, cancel := context.WithCancelCause(s.ctx())
	cause := errors.New("enough")
	var once sync.Once
	err := s.Logs(ctx, id, engine.LogOptions{Follow: true}, func(engine.LogLine) { once.Do(func() { cancel(cause) }) })
	if !errors.Is(err, cause) {
		t.Errorf("error is %v", err)
	}
}
