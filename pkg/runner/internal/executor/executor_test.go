package executor_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/engine/enginetest"
	"github.com/stackctl/stackctl/pkg/runner/event"
	"github.com/stackctl/stackctl/pkg/runner/internal/executor"
	"github.com/stackctl/stackctl/pkg/runner/internal/observer"
	"github.com/stackctl/stackctl/pkg/runner/internal/projecttest"
	"github.com/stackctl/stackctl/pkg/runner/plan"
	"github.com/stackctl/stackctl/pkg/runner/probe"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const chain = `
services:
  a: {image: img}
  b: {image: img, depends_on: [a]}
  c: {image: img, depends_on: [b]}
  z: {image: img}
`

// setUp gives an engine with the image and a plan of the stack for it.
func setUp(t *testing.T, text string) (*enginetest.Engine, *plan.Plan) {
	t.Helper()
	e := enginetest.New()
	e.AddImage("img", "sha256:1")
	return e, planFor(t, e, text, plan.Options{})
}

func planFor(t *testing.T, e *enginetest.Engine, text string, opts plan.Options) *plan.Plan {
	t.Helper()
	p := projecttest.Load(t, t.TempDir(), text, nil)
	d, err := state.Flatten(p)
	if err != nil {
		t.Fatal(err)
	}
	o, err := observer.Observe(t.Context(), e, observer.WantOf(d))
	if err != nil {
		t.Fatal(err)
	}
	todo, err := plan.Reconcile(d, o, opts)
	if err != nil {
		t.Fatal(err)
	}
	return todo
}

// newExecutor gives an executor on the engine that knows the images there.
func newExecutor(t *testing.T, ctx context.Context, e *enginetest.Engine) *executor.Executor {
	t.Helper()
	streaming, stop := context.WithCancel(ctx)
	watch := probe.NewWatch(streaming, e, "shop")
	t.Cleanup(func() {
		stop()
		<-watch.Done()
	})
	image, err := e.Image(t.Context(), "img")
	if err != nil {
		t.Fatal(err)
	}
	return &executor.Executor{
		Engine: e, Sink: event.Discard, Now: time.Now, Images: map[string]state.Image{"img": image},
		Waiter: &probe.Waiter{Engine: e, Watch: watch, Timeout: time.Minute},
	}
}

// summary gives one line for each outcome: "start container a: skipped (#3)".
func summary(outcomes []executor.Outcome) string {
	var b strings.Builder
	for _, o := range outcomes {
		fmt.Fprintf(&b, "[%d] %s %s: %s", o.Node.ID, o.Node.Op.Verb(), o.Node.Op.Ref().Name, o.Status)
		if o.Because != 0 {
			fmt.Fprintf(&b, " because of #%d", o.Because)
		}
		if o.Err != nil {
			fmt.Fprintf(&b, ": %v", o.Err)
		}
		if o.Note != "" {
			fmt.Fprintf(&b, " (%s)", o.Note)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// A failed node never lets what needs it run, however the goroutines fall: the
// outcome is there before anyone can look.
func TestFailureStopsDependents(t *testing.T) {
	for range 200 {
		e, todo := setUp(t, chain)
		x := newExecutor(t, t.Context(), e)
		e.FailWith(func(c enginetest.Call) error {
			if c.Method == "StartContainer" && c.Name == "shop-a-1" {
				return errors.New("no such port")
			}
			return nil
		})
		outcomes := x.Run(t.Context(), todo)
		for _, call := range e.Calls() {
			if call.Method == "StartContainer" && (call.Name == "shop-b-1" || call.Name == "shop-c-1") {
				t.Fatalf("%s was started though what it needs failed:\n%s", call.Name, summary(outcomes))
			}
		}
		for _, o := range outcomes {
			ref := o.Node.Op.Ref().Name
			if o.Node.Op.Verb() == "start" && (ref == "shop-b-1" || ref == "shop-c-1") && (o.Status != executor.Skipped || o.Because == 0) {
				t.Fatalf("start of %s: %s because of #%d", ref, o.Status, o.Because)
			}
		}
	}
}

// Everything runs in an order in which each node comes after what it needs.
func TestRunsInOrder(t *testing.T) {
	e, todo := setUp(t, chain)
	outcomes := newExecutor(t, t.Context(), e).Run(t.Context(), todo)
	for _, o := range outcomes {
		if o.Status != executor.Done {
			t.Fatalf("not all done:\n%s", summary(outcomes))
		}
	}
	at := map[string]int{}
	for i, call := range e.Calls() {
		at[call.String()] = i
	}
	for _, pair := range [][2]string{
		{"CreateNetwork shop_default", "CreateContainer shop-a-1"},
		{"CreateContainer shop-a-1", "StartContainer shop-a-1"},
		{"StartContainer shop-a-1", "StartContainer shop-b-1"},
		{"StartContainer shop-b-1", "StartContainer shop-c-1"},
	} {
		if at[pair[0]] >= at[pair[1]] {
			t.Errorf("%s came after %s", pair[0], pair[1])
		}
	}
	const want = "container shop-a-1 running\ncontainer shop-b-1 running\ncontainer shop-c-1 running\ncontainer shop-z-1 running\nimage img\nnetwork shop_default\n"
	if diff := cmp.Diff(want, e.Dump()); diff != "" {
		t.Errorf("engine (-want +got):\n%s", diff)
	}
}

// Independent containers are made at the same time: each create waits until all
// have begun.
func TestRunsInParallel(t *testing.T) {
	e, todo := setUp(t, `{services: {a: {image: img}, b: {image: img}, c: {image: img}}}`)
	x := newExecutor(t, t.Context(), e)
	var begun sync.WaitGroup
	begun.Add(3)
	e.FailWith(func(c enginetest.Call) error {
		if c.Method == "CreateContainer" {
			begun.Done()
			begun.Wait()
		}
		return nil
	})
	if outcomes := x.Run(t.Context(), todo); strings.Count(summary(outcomes), ": done") != len(outcomes) {
		t.Fatalf("not all done:\n%s", summary(outcomes))
	}
}

// Nothing is changed when an image cannot be pulled.
func TestPullThatFailsChangesNothing(t *testing.T) {
	e, todo := setUp(t, `{services: {a: {image: img}, b: {image: gone, volumes: [data:/data]}}, volumes: {data: {}}}`)
	outcomes := newExecutor(t, t.Context(), e).Run(t.Context(), todo)
	if diff := cmp.Diff([]enginetest.Call{{Method: "Pull", Name: "gone"}}, e.Calls()); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	const want = `[1] create shop_default: skipped because of #3
[2] create shop_data: skipped because of #3
[3] pull gone: failed: pull image "gone": no such image in the registry: gone: not found
[4] create shop-a-1: skipped because of #3
[5] start shop-a-1: skipped because of #3
[6] wait until running shop-a-1: skipped because of #3
[7] create shop-b-1: skipped because of #3
[8] start shop-b-1: skipped because of #3
[9] wait until running shop-b-1: skipped because of #3
`
	if diff := cmp.Diff(want, summary(outcomes)); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
}

// A container starts while the image of another is still on its way.
func TestStartsWhileOthersPull(t *testing.T) {
	e, todo := setUp(t, `{services: {a: {image: img}, b: {image: slow}}}`)
	e.AddRemote("slow", "sha256:2")
	x := newExecutor(t, t.Context(), e)
	started := make(chan struct{})
	x.Engine = &slowPull{Engine: e, until: started}
	e.FailWith(func(c enginetest.Call) error {
		if c == (enginetest.Call{Method: "StartContainer", Name: "shop-a-1"}) {
			close(started)
		}
		return nil
	})
	if outcomes := x.Run(t.Context(), todo); strings.Count(summary(outcomes), ": done") != len(outcomes) {
		t.Fatalf("not all done:\n%s", summary(outcomes))
	}
}

// slowPull ends a pull only after something else has happened.
type slowPull struct {
	*enginetest.Engine
	until <-chan struct{}
}

func (s *slowPull) Pull(ctx context.Context, ref, platform string, each func(engine.Progress)) error {
	each(engine.Progress{ID: "layer", Phase: engine.PhaseDownloading})
	select {
	case <-s.until:
	case <-ctx.Done():
		return ctx.Err()
	}
	return s.Engine.Pull(ctx, ref, platform, each)
}

// A cancelled run lets nothing new begin, ends its waits, and says so.
func TestCancel(t *testing.T) {
	e, todo := setUp(t, `
services:
  a: {image: img, healthcheck: {test: [CMD, "true"]}}
  b: {image: img, depends_on: {a: {condition: service_healthy}}}
`)
	e.Behave("a", enginetest.Behaviour{FailingProbes: -1})
	ctx, cancel := context.WithCancelCause(t.Context())
	x := newExecutor(t, t.Context(), e)
	var probes atomic.Int32
	e.FailWith(func(c enginetest.Call) error {
		if c.Method == "Exec" && probes.Add(1) == 2 {
			cancel(errors.New("enough"))
		}
		return nil
	})
	outcomes := x.Run(ctx, todo)
	const want = `[1] create shop_default: done
[2] create shop-a-1: done
[3] start shop-a-1: done
[4] wait until healthy shop-a-1: skipped
[5] create shop-b-1: done
[6] start shop-b-1: skipped
[7] wait until running shop-b-1: skipped
`
	if diff := cmp.Diff(want, summary(outcomes)); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
}

// A replacement is made beside the old container and takes its name and its
// anonymous volumes; cut at any call, the next run ends in the same state.
func TestReplaceSurvivesACutAtAnyCall(t *testing.T) {
	const before, after = `{services: {a: {image: img}}}`, `{services: {a: {image: img, command: [x]}}}`
	for cut := 0; ; cut++ {
		e, todo := setUp(t, before)
		newExecutor(t, t.Context(), e).Run(t.Context(), todo)
		todo = planFor(t, e, after, plan.Options{})
		e.ForgetCalls()
		x := newExecutor(t, t.Context(), e)
		var calls atomic.Int64
		e.FailWith(func(enginetest.Call) error {
			if calls.Add(1) > int64(cut) {
				return errors.New("the connection was cut")
			}
			return nil
		})
		outcomes := x.Run(t.Context(), todo)
		e.FailWith(nil)
		done := strings.Count(summary(outcomes), ": done") == len(outcomes)

		again := newExecutor(t, t.Context(), e).Run(t.Context(), planFor(t, e, after, plan.Options{}))
		if strings.Count(summary(again), ": done") != len(again) {
			t.Fatalf("cut after %d calls, the next run failed:\n%s", cut, summary(again))
		}
		if diff := cmp.Diff("container shop-a-1 running\nimage img\nnetwork shop_default\n", e.Dump()); diff != "" {
			t.Fatalf("cut after %d calls (-want +got):\n%s", cut, diff)
		}
		if rest := planFor(t, e, after, plan.Options{}); !rest.Empty() {
			t.Fatalf("cut after %d calls, there is still something to do:\n%s", cut, rest)
		}
		if done {
			if cut < 5 {
				t.Fatalf("only %d calls were tried: the test does not cut where it should", cut)
			}
			return
		}
	}
}

// A build that gives the same image keeps the container.
func TestReplaceIfImageChanged(t *testing.T) {
	const text = `{services: {a: {image: img, build: .}}}`
	for _, test := range []struct {
		id   string
		want string
	}{
		{"sha256:1", "unchanged, kept"},
		{"sha256:2", ""},
	} {
		t.Run(test.id, func(t *testing.T) {
			e, todo := setUp(t, text)
			x := newExecutor(t, t.Context(), e)
			x.Run(t.Context(), todo)
			x.Builder = builder(func() { e.AddImage("img", test.id) })
			outcomes := x.Run(t.Context(), planFor(t, e, text, plan.Options{Build: true}))
			if strings.Count(summary(outcomes), ": done") != len(outcomes) {
				t.Fatalf("not all done:\n%s", summary(outcomes))
			}
			if got := outcomes[1].Note; got != test.want {
				t.Errorf("note of the replacement: %q, want %q", got, test.want)
			}
			containers, err := e.Containers(t.Context(), "shop")
			if err != nil || len(containers) != 1 || containers[0].ImageID != test.id {
				t.Errorf("containers %v, %v; want one of image %s", containers, err, test.id)
			}
		})
	}
}

// A job that has done its work does not run again for a build that changed
// nothing.
func TestBuildDoesNotRunADoneJobAgain(t *testing.T) {
	const text = `
services:
  job: {image: img, build: .}
  web: {image: img, depends_on: {job: {condition: service_completed_successfully}}}
`
	e, todo := setUp(t, text)
	e.Behave("job", enginetest.Behaviour{Exits: true})
	x := newExecutor(t, t.Context(), e)
	x.Run(t.Context(), todo)
	e.ForgetCalls()
	x.Builder = builder(func() {})
	outcomes := x.Run(t.Context(), planFor(t, e, text, plan.Options{Build: true}))
	if strings.Count(summary(outcomes), ": done") != len(outcomes) {
		t.Fatalf("not all done:\n%s", summary(outcomes))
	}
	for _, call := range e.Calls() {
		if call.Method == "StartContainer" && call.Name == "shop-job-1" {
			t.Error("the job ran again")
		}
	}
}

type builder func()

func (b builder) Build(context.Context, string, *state.ServiceSpec, func(engine.Progress)) (string, error) {
	b()
	return "", nil
}

// A replacement takes over the volumes that nobody has named, whether the image
// or the definition asks for them, and no named one that the definition has
// dropped. With --renew-anon-volumes it takes over none, and removes none.
func TestReplaceKeepsAnonymousVolumes(t *testing.T) {
	for _, renew := range []bool{false, true} {
		t.Run(fmt.Sprint("renew ", renew), func(t *testing.T) { testAnonymousVolumes(t, renew) })
	}
}

func testAnonymousVolumes(t *testing.T, renew bool) {
	const ofImage, ofDefinition, replaced = "a", "b", "c"
	anonymous := func(letter, target string) state.Mount {
		return state.Mount{Type: "volume", Name: strings.Repeat(letter, 64), Target: target}
	}
	e := enginetest.New()
	e.AddImage("img", "sha256:1")
	e.AddContainer(state.Container{
		ID: "old", Name: "shop-a-1", Project: "shop", Service: "a", Number: 1, State: "running", Hash: "v1:old", ImageID: "sha256:1",
		Mounts: []state.Mount{
			anonymous(ofImage, "/image"), anonymous(ofDefinition, "/definition"), anonymous(replaced, "/named-now"),
			{Type: "volume", Name: "shop_dropped", Target: "/dropped"},
			{Type: "bind", Target: "/bound"},
		},
	})
	todo := planFor(t, e, `
services:
  a: {image: img, volumes: [/definition, "data:/named-now"]}
volumes: {data: {}}
`, plan.Options{RenewVolumes: renew})
	x := newExecutor(t, t.Context(), e)
	if got := summary(x.Run(t.Context(), todo)); !strings.Contains(got, "replace shop-a-1: done") {
		t.Fatal(got)
	}
	now, err := e.Containers(t.Context(), "shop")
	if err != nil {
		t.Fatal(err)
	}
	want := []state.Mount{anonymous(ofImage, "/image"), anonymous(ofDefinition, "/definition")}
	if renew {
		want = nil
	}
	had := slices.DeleteFunc(now[0].Mounts, func(m state.Mount) bool { return m.Name == "" || m.Name == "shop_data" })
	if diff := cmp.Diff(want, had, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("taken over (-want +got):\n%s", diff)
	}
	for _, call := range e.Calls() {
		if call.Method == "RemoveVolume" {
			t.Errorf("%s", call)
		}
	}
}

// patient notes how long a stop may take.
type patient struct {
	*enginetest.Engine
	bound time.Duration
}

func (p *patient) StopContainer(ctx context.Context, ref string, grace *time.Duration) error {
	if end, bounded := ctx.Deadline(); bounded {
		p.bound = time.Until(end)
	}
	return p.Engine.StopContainer(ctx, ref, grace)
}

// A container has all of its own grace period, which only the engine knows: an hour, for
// a database that writes much.
func TestStopTakesAsLongAsItMay(t *testing.T) {
	e := &patient{Engine: enginetest.New()}
	c := state.Container{ID: e.AddContainer(state.Container{Name: "shop-db-1"}), Name: "shop-db-1", State: "running"}
	for _, grace := range []*time.Duration{nil, new(time.Duration)} {
		x := &executor.Executor{Engine: e, Sink: event.Discard, Now: time.Now}
		e.bound = 0
		out := x.Run(t.Context(), &plan.Plan{Project: "shop", Nodes: []plan.Node{{ID: 1, Op: plan.StopContainer{Container: c, Grace: grace}}}})[0]
		if out.Status != executor.Done || (e.bound != 0) != (grace != nil) {
			t.Errorf("grace %v: %s, %v, bound by %s", grace, out.Status, out.Err, e.bound)
		}
	}
}
