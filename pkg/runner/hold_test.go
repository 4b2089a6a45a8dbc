package runner_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackctl/stackctl/pkg/runner"
	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/engine/enginetest"
	"github.com/stackctl/stackctl/pkg/runner/event"
)

// gate stops a verb at its first call of one method until it is opened.
type gate struct {
	once    sync.Once
	reached chan struct{}
	open    chan struct{}
}

func newGate(e *enginetest.Engine, method string) *gate {
	g := &gate{reached: make(chan struct{}), open: make(chan struct{})}
	e.FailWith(func(c enginetest.Call) error {
		if c.Method == method {
			g.once.Do(func() {
				close(g.reached)
				<-g.open
			})
		}
		return nil
	})
	return g
}

// teller tells of the first event that says something.
type teller struct {
	recorder
	once sync.Once
	text string
	told chan struct{}
}

func newTeller(text string) *teller { return &teller{text: text, told: make(chan struct{})} }

func (r *teller) Emit(e event.Event) {
	r.recorder.Emit(e)
	if strings.Contains(e.Message, r.text) {
		r.once.Do(func() { close(r.told) })
	}
}

// holding begins an up that stops in the middle, and gives what lets it go on. It is
// at an end when that returns.
func holding(t *testing.T, e *enginetest.Engine, cache, text string) (finish func()) {
	t.Helper()
	g, p := newGate(e, "CreateContainer"), project(t, text)
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := runner.New(e, runner.WithCache(cache)).Up(context.Background(), p, runner.UpOptions{}); err != nil {
			t.Error(err)
		}
	})
	<-g.reached
	finish = sync.OnceFunc(func() {
		close(g.open)
		wg.Wait()
	})
	t.Cleanup(finish)
	return finish
}

const one = "name: shop\nservices: {web: {image: web}}\n"

// Of two ups at the same moment one works and the other waits, says for whom, and
// then finds nothing to do.
func TestSecondUpWaits(t *testing.T) {
	e, cache := newEngine(), t.TempDir()
	finish := holding(t, e, cache, one)
	events := newTeller("waiting")
	report := make(chan *runner.Report)
	go func() {
		r, err := runner.New(e, runner.WithCache(cache), runner.WithEvents(events)).Up(context.Background(), project(t, one), runner.UpOptions{})
		if err != nil {
			t.Error(err)
		}
		report <- r
	}()
	<-events.told
	finish()
	if r := <-report; r == nil || !r.Plan.Empty() {
		t.Errorf("the second had something to do: %v", r)
	}
	want := fmt.Sprintf("waiting for process %d (up, since ", os.Getpid())
	if len(events.lines) != 1 || !strings.Contains(events.lines[0], want) || !strings.HasSuffix(events.lines[0], "which is at work on project shop") {
		t.Errorf("events %q", events.lines)
	}
	if left, err := os.ReadDir(filepath.Join(cache, "locks")); err != nil || len(left) > 0 {
		t.Errorf("left in the folder: %v, %v", left, err)
	}
}

// Every verb that changes something waits, before it looks at the engine; those
// that do not, do not. Without that the verbs of this test would go on.
func TestWhoWaits(t *testing.T) {
	e, cache := newEngine(), t.TempDir()
	finish := holding(t, e, cache, one)
	r := runner.New(e, runner.WithCache(cache), runner.WithLockWait(time.Nanosecond))
	p, ctx := project(t, one), t.Context()
	for verb, run := range map[string]func() error{
		"up":      func() error { _, err := r.Up(ctx, p, runner.UpOptions{}); return err },
		"down":    func() error { _, err := r.Down(ctx, "shop", runner.DownOptions{}); return err },
		"start":   func() error { _, err := r.Start(ctx, "shop", runner.StartOptions{}); return err },
		"stop":    func() error { _, err := r.Stop(ctx, "shop", runner.StopOptions{}); return err },
		"restart": func() error { _, err := r.Restart(ctx, "shop", runner.RestartOptions{}); return err },
		"run":     func() error { _, err := r.Run(ctx, p, "web", runner.RunOptions{}); return err },
	} {
		e.ForgetCalls()
		err := run()
		var locked *runner.LockedError
		if !errors.As(err, &locked) || locked.Project != "shop" || locked.Holder.PID != os.Getpid() || locked.Holder.Verb != "up" {
			t.Errorf("%s: got %v", verb, err)
		}
		if diff := cmp.Diff([]enginetest.Call{{Method: "Info"}}, e.AllCalls()); diff != "" {
			t.Errorf("%s asked before it had the project (-want +got):\n%s", verb, diff)
		}
	}
	for verb, run := range map[string]func() error{
		"plan":             func() error { _, err := r.Plan(ctx, p, runner.UpOptions{}); return err },
		"plan down":        func() error { _, err := r.PlanDown(ctx, "shop", runner.DownOptions{}); return err },
		"plan stop":        func() error { _, err := r.PlanStop(ctx, "shop", runner.StopOptions{}); return err },
		"status":           func() error { _, err := r.Status(ctx, p, runner.StatusOptions{}); return err },
		"another project":  func() error { _, err := r.Down(ctx, "other", runner.DownOptions{}); return err },
		"without a folder": func() error { _, err := runner.New(e).Stop(ctx, "shop", runner.StopOptions{}); return err },
	} {
		if err := run(); err != nil {
			t.Errorf("%s: %v", verb, err)
		}
	}
	// Another engine has a project of the same name.
	there := newEngine()
	there.SetInfo(engine.Info{Endpoint: "tcp://other.example:2376", APIVersion: "1.45"})
	if _, err := runner.New(there, runner.WithCache(cache), runner.WithLockWait(time.Nanosecond)).Up(ctx, p, runner.UpOptions{}); err != nil {
		t.Errorf("another engine: %v", err)
	}
	finish()
	if _, err := r.Up(ctx, p, runner.UpOptions{}); err != nil {
		t.Errorf("after the first has ended: %v", err)
	}
}

// The end of the context ends the wait, with its cause.
func TestWaitIsInterrupted(t *testing.T) {
	e, cache := newEngine(), t.TempDir()
	holding(t, e, cache, one)
	ctx, cancel := context.WithCancelCause(t.Context())
	events, cause := newTeller("waiting"), errors.New("ctrl-c")
	go func() {
		<-events.told
		cancel(cause)
	}()
	_, err := runner.New(e, runner.WithCache(cache), runner.WithEvents(events)).Down(ctx, "shop", runner.DownOptions{})
	if !errors.Is(err, cause) {
		t.Errorf("got %v", err)
	}
}

// Two paths that lead to one socket are one engine.
func TestOneEngineByTwoPaths(t *testing.T) {
	dir, cache := t.TempDir(), t.TempDir()
	socket, link := filepath.Join(dir, "engine.sock"), filepath.Join(dir, "link.sock")
	if err := os.WriteFile(socket, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(socket, link); err != nil {
		t.Fatal(err)
	}
	e := newEngine()
	e.SetInfo(engine.Info{Endpoint: "unix://" + socket, APIVersion: "1.45"})
	holding(t, e, cache, one)
	e.SetInfo(engine.Info{Endpoint: "unix://" + link, APIVersion: "1.45"})
	_, err := runner.New(e, runner.WithCache(cache), runner.WithLockWait(time.Nanosecond)).Down(t.Context(), "shop", runner.DownOptions{})
	if locked := (*runner.LockedError)(nil); !errors.As(err, &locked) {
		t.Errorf("got %v", err)
	}
}

// Nobody comes between the making of a container for one command and its start.
func TestRunHoldsUntilTheStart(t *testing.T) {
	e, cache := newEngine(), t.TempDir()
	r := runner.New(e, runner.WithCache(cache), runner.WithLockWait(time.Nanosecond))
	e.FailWith(func(c enginetest.Call) error {
		if c.Method == "StartAttached" {
			_, err := r.Stop(t.Context(), "shop", runner.StopOptions{})
			if locked := (*runner.LockedError)(nil); !errors.As(err, &locked) {
				t.Errorf("stop before the start: %v", err)
			}
		}
		return nil
	})
	if _, err := r.Run(t.Context(), project(t, one), "web", runner.RunOptions{}); err != nil {
		t.Error(err)
	}
}

// A container that runs for one command keeps nobody from the project.
func TestRunLetsOthersIn(t *testing.T) {
	e, cache := newEngine(), t.TempDir()
	p := project(t, one)
	r := runner.New(e, runner.WithCache(cache), runner.WithLockWait(time.Nanosecond))
	e.Behave("web", enginetest.Behaviour{Program: func(context.Context, enginetest.Process) int {
		if _, err := r.Stop(t.Context(), "shop", runner.StopOptions{Services: []string{"db"}}); err != nil {
			t.Errorf("stop beside it: %v", err)
		}
		return 3
	}})
	result, err := r.Run(t.Context(), p, "web", runner.RunOptions{Streams: engine.Streams{Out: io.Discard}})
	if err != nil || result.ExitCode != 3 {
		t.Errorf("got %+v, %v", result, err)
	}
}

// Where nothing can be locked, the verb warns and works.
func TestNoPlaceForLocks(t *testing.T) {
	taken := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(taken, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	e, events := newEngine(), &recorder{}
	if _, err := runner.New(e, runner.WithCache(taken), runner.WithEvents(events)).Up(t.Context(), project(t, one), runner.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	const want = "warning   two commands on project shop at the same time would not be noticed: "
	if len(events.lines) == 0 || !strings.HasPrefix(events.lines[0], want) {
		t.Errorf("events %q", events.lines)
	}
}
