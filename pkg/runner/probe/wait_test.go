package probe_test

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
	"github.com/stackctl/stackctl/pkg/runner/engine/enginetest"
	"github.com/stackctl/stackctl/pkg/runner/probe"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fixture is one created container of service db and a waiter for it.
type fixture struct {
	engine *enginetest.Engine
	id     string
	waiter *probe.Waiter
}

type service struct {
	restart       string
	healthcheck   bool
	startInterval time.Duration
	startPeriod   time.Duration
}

func setUp(t *testing.T, s service, b enginetest.Behaviour) fixture {
	t.Helper()
	e := enginetest.New()
	e.AddImage("postgres", "sha256:1")
	e.Behave("db", b)
	config := types.ServiceConfig{Name: "db", Restart: s.restart}
	if s.healthcheck {
		duration := func(d time.Duration) *types.Duration {
			if d == 0 {
				return nil
			}
			out := types.Duration(d)
			return &out
		}
		config.HealthCheck = &types.HealthCheckConfig{
			Test: []string{"CMD", "pg_isready"}, StartInterval: duration(s.startInterval), StartPeriod: duration(s.startPeriod),
		}
	}
	id, err := e.CreateContainer(t.Context(), engine.CreateContainer{Spec: state.ContainerSpec{
		Name: "shop-db-1", Image: "postgres", Config: config,
		Labels: map[string]string{state.LabelProject: "shop", state.LabelService: "db", state.LabelNumber: "1"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	watch := probe.NewWatch(ctx, e, "shop")
	if err := probe.Open(watch, ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		<-watch.Done()
	})
	return fixture{e, id, &probe.Waiter{Engine: e, Watch: watch, Timeout: time.Minute}}
}

func (f fixture) start(t *testing.T) {
	t.Helper()
	if err := f.engine.StartContainer(t.Context(), f.id); err != nil {
		t.Fatal(err)
	}
}

// count gives how often a method was called.
func (f fixture) count(method string) int {
	n := 0
	for _, c := range f.engine.AllCalls() {
		if c.Method == method {
			n++
		}
	}
	return n
}

func TestWait(t *testing.T) {
	fast := service{healthcheck: true, startInterval: time.Millisecond}
	for _, test := range []struct {
		name      string
		service   service
		behaviour enginetest.Behaviour
		condition state.Condition
		want      probe.Result
		err       string
	}{
		{
			name: "running is enough without a healthcheck", condition: state.Running,
		},
		{
			name: "healthy without any healthcheck is running", condition: state.Healthy,
		},
		{
			name: "our own probes tell before the engine looks", condition: state.Healthy, service: fast,
			behaviour: enginetest.Behaviour{FailingProbes: 3},
			want:      probe.Result{Health: "healthy", Probes: 4},
		},
		{
			name: "the engine's word ends the wait", condition: state.Healthy,
			service:   service{healthcheck: true, startInterval: time.Hour},
			behaviour: enginetest.Behaviour{FailingProbes: -1, EngineHealth: []string{"unhealthy", "healthy"}},
			want:      probe.Result{Health: "healthy"},
		},
		{
			name: "a job that ends well has completed", condition: state.Completed,
			behaviour: enginetest.Behaviour{Exits: true}, want: probe.Result{Completed: true},
		},
		{
			name: "a job that fails has not", condition: state.Completed,
			behaviour: enginetest.Behaviour{Exits: true, ExitCode: 3},
			err:       "container shop-db-1 is not completed: it exited with code 3",
		},
		{
			name: "a service that ends is never healthy", condition: state.Healthy, service: fast,
			behaviour: enginetest.Behaviour{Exits: true, ExitCode: 1},
			err:       "container shop-db-1 is not healthy: it exited with code 1",
		},
		{
			name: "one crash is forgiven where a restart policy mends it", condition: state.Healthy,
			service:   service{healthcheck: true, startInterval: time.Millisecond, restart: "unless-stopped"},
			behaviour: enginetest.Behaviour{Exits: true, ExitCode: 1, Runs: 1, FailingProbes: 1},
			want:      probe.Result{Health: "healthy", Probes: 2},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := setUp(t, test.service, test.behaviour)
			f.start(t)
			got, err := f.waiter.Wait(t.Context(), f.id, test.condition)
			text := ""
			if err != nil {
				text = err.Error()
			}
			if text != test.err {
				t.Errorf("error %q, want %q", text, test.err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
		})
	}
}

// A container that its restart policy brings back again and again is broken.
func TestWaitCrashLoop(t *testing.T) {
	f := setUp(t, service{healthcheck: true, restart: "always", startInterval: time.Hour},
		enginetest.Behaviour{FailingProbes: -1})
	// The ends come when the wait has begun, so it sees each as an event.
	inspected := make(chan struct{})
	seen := false
	f.engine.FailWith(func(c enginetest.Call) error {
		if c.Method == "Exec" && !seen {
			seen = true
			close(inspected)
		}
		return nil
	})
	f.start(t)
	done := make(chan error, 1)
	go func() {
		_, err := f.waiter.Wait(t.Context(), f.id, state.Healthy)
		done <- err
	}()
	<-inspected
	for range 3 {
		if err := f.engine.Kill("shop-db-1", 7); err != nil {
			t.Error(err)
		}
	}
	var notReady *probe.NotReadyError
	if err := <-done; !errors.As(err, &notReady) || !notReady.Exited || notReady.ExitCode != 7 ||
		!strings.Contains(err.Error(), "it keeps ending, 3 times so far, last with exit code 7") {
		t.Errorf("got %v", err)
	}
}

// A container that runs is one that runs for a moment, and a stable one does for a
// while: its end in between fails the wait, though it has been seen running.
func TestWaitForWhatEndsSoon(t *testing.T) {
	for _, condition := range []state.Condition{state.Running, state.Stable} {
		t.Run(string(condition), func(t *testing.T) { endsSoon(t, condition) })
	}
}

func endsSoon(t *testing.T, condition state.Condition) {
	f := setUp(t, service{}, enginetest.Behaviour{})
	f.waiter.Settle = time.Millisecond
	f.start(t)
	if _, err := f.waiter.Wait(t.Context(), f.id, condition); err != nil {
		t.Error(err)
	}
	if looks := f.count("Inspect"); condition == state.Running && looks != 1 {
		t.Errorf("%d looks at a container without any event, want 1", looks)
	}

	f.waiter.Settle = time.Hour
	looked := make(chan struct{})
	var once sync.Once
	f.engine.FailWith(func(c enginetest.Call) error {
		if c.Method == "Inspect" {
			once.Do(func() { close(looked) })
		}
		return nil
	})
	done := make(chan error, 1)
	go func() {
		_, err := f.waiter.Wait(t.Context(), f.id, condition)
		done <- err
	}()
	<-looked
	if err := f.engine.Kill("shop-db-1", 3); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err == nil || err.Error() != "container shop-db-1 is not "+string(condition)+": it exited with code 3" {
		t.Errorf("got %v", err)
	}
}

// A loop is told though each run is seen running, and the time for it to end is
// over in between.
func TestWaitForALoopWithoutAHealthcheck(t *testing.T) {
	f := setUp(t, service{restart: "always"}, enginetest.Behaviour{})
	f.waiter.Settle = time.Hour
	looked := make(chan struct{})
	var once sync.Once
	f.engine.FailWith(func(c enginetest.Call) error {
		if c.Method == "Inspect" {
			once.Do(func() { close(looked) })
		}
		return nil
	})
	f.start(t)
	done := make(chan error, 1)
	go func() {
		_, err := f.waiter.Wait(t.Context(), f.id, state.Running)
		done <- err
	}()
	<-looked
	for range 3 {
		if err := f.engine.Kill("shop-db-1", 7); err != nil {
			t.Error(err)
		}
	}
	if err := <-done; err == nil || !strings.Contains(err.Error(), "it keeps ending, 3 times so far, last with exit code 7") {
		t.Errorf("got %v", err)
	}
}

// The deadline's error says how the container stood and what the last probe said.
func TestWaitDeadline(t *testing.T) {
	f := setUp(t, service{healthcheck: true, startInterval: time.Millisecond},
		enginetest.Behaviour{FailingProbes: -1, ProbeOutput: "no response\n", EngineHealth: []string{"unhealthy"}})
	f.waiter.Timeout = 50 * time.Millisecond
	f.start(t)
	_, err := f.waiter.Wait(t.Context(), f.id, state.Healthy)
	var notReady *probe.NotReadyError
	if !errors.As(err, &notReady) || !notReady.TimedOut {
		t.Fatalf("got %v", err)
	}
	const want = "container shop-db-1 is not healthy: still unhealthy after 50ms; last probe (exit code 1): no response"
	if err.Error() != want {
		t.Errorf("error %q, want %q", err, want)
	}
}

// Where the engine probes, its last probe is looked up when the time is up.
func TestWaitDeadlineOfAnEngineThatProbes(t *testing.T) {
	f := setUp(t, service{healthcheck: true, startInterval: time.Millisecond, startPeriod: time.Second}, enginetest.Behaviour{})
	f.waiter.Timeout = 50 * time.Millisecond
	f.waiter.KnowsStartInterval = true
	f.start(t)
	looks := 0
	f.engine.FailWith(func(c enginetest.Call) error {
		if c.Method == "Inspect" {
			if looks++; looks == 2 { // the one after the deadline
				return f.engine.SetProbe("shop-db-1", engine.ProbeResult{ExitCode: 2, Output: "no route"})
			}
		}
		return nil
	})
	_, err := f.waiter.Wait(t.Context(), f.id, state.Healthy)
	const want = "container shop-db-1 is not healthy: still starting after 50ms; last probe (exit code 2): no route"
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %q", err, want)
	}
}

// A container that got ready behind our back, with the event lost, is ready.
func TestWaitDeadlineFindsAHealthyContainer(t *testing.T) {
	f := setUp(t, service{healthcheck: true, startInterval: time.Millisecond, startPeriod: time.Second}, enginetest.Behaviour{})
	f.waiter.Timeout = 50 * time.Millisecond
	f.waiter.KnowsStartInterval = true
	f.start(t)
	looks := 0
	f.engine.FailWith(func(c enginetest.Call) error {
		if c.Method == "Inspect" {
			if looks++; looks == 2 { // the one after the deadline
				return f.engine.SetHealth("shop-db-1", "healthy")
			}
		}
		return nil
	})
	if got, err := f.waiter.Wait(t.Context(), f.id, state.Healthy); err != nil || got.Health != "healthy" {
		t.Errorf("got %+v, %v", got, err)
	}
}

// A cancelled wait gives the cause, not "context canceled".
func TestWaitCancelled(t *testing.T) {
	f := setUp(t, service{healthcheck: true, startInterval: time.Millisecond}, enginetest.Behaviour{FailingProbes: -1})
	f.start(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	f.engine.FailWith(func(c enginetest.Call) error {
		if c.Method == "Exec" {
			cancel(enough)
		}
		return nil
	})
	if _, err := f.waiter.Wait(ctx, f.id, state.Healthy); !errors.Is(err, enough) {
		t.Errorf("got %v, want %v", err, enough)
	}
}

// Where the engine probes at start_interval by itself, probing is left to it.
func TestWaitLeavesProbingToTheEngine(t *testing.T) {
	f := setUp(t, service{healthcheck: true, startInterval: time.Millisecond, startPeriod: time.Second},
		enginetest.Behaviour{FailingProbes: -1, EngineHealth: []string{"healthy"}})
	f.waiter.KnowsStartInterval = true
	f.start(t)
	if _, err := f.waiter.Wait(t.Context(), f.id, state.Healthy); err != nil {
		t.Fatal(err)
	}
	if n := f.count("Exec"); n != 0 {
		t.Errorf("%d probes of our own", n)
	}
}

// When the event stream breaks, the wait goes on by looking.
func TestWaitWithoutEvents(t *testing.T) {
	f := setUp(t, service{}, enginetest.Behaviour{})
	f.start(t)
	f.engine.EndEvents(errors.New("the engine is going down"))
	<-f.waiter.Watch.Done()
	done := make(chan error, 1)
	go func() {
		_, err := f.waiter.Wait(t.Context(), f.id, state.Completed)
		done <- err
	}()
	if err := f.engine.Kill("shop-db-1", 0); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A container that somebody removes ends the wait.
func TestWaitRemoved(t *testing.T) {
	f := setUp(t, service{healthcheck: true, startInterval: time.Millisecond}, enginetest.Behaviour{FailingProbes: -1})
	f.start(t)
	removed := false
	f.engine.FailWith(func(c enginetest.Call) error {
		if c.Method == "Exec" && !removed {
			removed = true
			if err := f.engine.StopContainer(t.Context(), f.id, nil); err != nil {
				return err
			}
			return f.engine.RemoveContainer(t.Context(), f.id, false)
		}
		return nil
	})
	_, err := f.waiter.Wait(t.Context(), f.id, state.Healthy)
	var notReady *probe.NotReadyError
	if !errors.As(err, &notReady) {
		t.Errorf("got %v", err)
	}
}

// What starts at once is found at once, what takes long is not probed more often
// than its interval says, and probing never takes more than half of the time.
func TestPauses(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		failed         int
		cost, interval time.Duration
		want           time.Duration
	}{
		{1, 70 * ms, 0, 70 * ms},
		{2, 70 * ms, 0, 140 * ms},
		{9, 70 * ms, 0, 250 * ms},
		{9, 70 * ms, 100 * ms, 100 * ms},
		{9, 400 * ms, 100 * ms, 400 * ms},
		{1, ms, 0, 50 * ms},
		{1, ms, 10 * ms, 10 * ms},
	} {
		if got := probe.PauseAfter(c.failed, c.cost, &engine.Healthcheck{StartInterval: c.interval}); got != c.want {
			t.Errorf("after %d probes of %s, interval %s: a pause of %s, want %s", c.failed, c.cost, c.interval, got, c.want)
		}
	}
}
