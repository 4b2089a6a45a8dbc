package runner_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/stackctl/stackctl/pkg/runner"
	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/engine/enginetest"
	"github.com/stackctl/stackctl/pkg/runner/event"
	"github.com/stackctl/stackctl/pkg/runner/internal/projecttest"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const shop = `
services:
  web:
    image: web
    ports: ["8080:80"]
    depends_on: {db: {condition: service_healthy}}
  db:
    image: db
    ports: ["127.0.0.1:5432:5432"]
    volumes: [data:/data]
    healthcheck: {test: [CMD, ready], start_period: 1s, start_interval: 1ms}
volumes: {data: {}}
`

func project(t *testing.T, text string) *types.Project {
	t.Helper()
	return projecttest.Load(t, t.TempDir(), text, nil)
}

func newEngine() *enginetest.Engine {
	e := enginetest.New()
	e.SetInfo(engine.Info{Endpoint: "tcp://docker.example:2376", APIVersion: "1.41"})
	for _, ref := range []string{"web", "db"} {
		e.AddImage(ref, "sha256:"+ref)
	}
	return e
}

// recorder keeps events as text.
type recorder struct {
	mu    sync.Mutex
	lines []string
}

func (r *recorder) Emit(e event.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", e.Kind, e.Action, e.Resource, e.Message)))
}

// Up makes everything, waits, and tells where the services answer; a second one
// finds nothing to change; Down leaves only what holds data.
func TestUpAndDown(t *testing.T) {
	e := newEngine()
	e.Behave("db", enginetest.Behaviour{FailingProbes: 2})
	events := &recorder{}
	r := runner.New(e, runner.WithEvents(events))
	p := project(t, shop)

	report, err := r.Up(t.Context(), p, runner.UpOptions{})
	if err != nil {
		t.Fatal(err)
	}
	wantEndpoints := []runner.Endpoint{
		{Service: "db", Container: "shop-db-1", URL: "postgres://docker.example:5432"},
		{Service: "web", Container: "shop-web-1", URL: "http://docker.example:8080"},
	}
	if diff := cmp.Diff(wantEndpoints, report.Endpoints); diff != "" {
		t.Errorf("endpoints (-want +got):\n%s", diff)
	}
	wantCalls := []string{
		"CreateContainer shop-db-1", "CreateContainer shop-web-1", "CreateNetwork shop_default", "CreateVolume shop_data",
		"StartContainer shop-db-1", "StartContainer shop-web-1",
	}
	if diff := cmp.Diff(wantCalls, sortedCalls(e)); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	for _, want := range []string{
		"started create network shop_default does not exist",
		"done wait until healthy container shop-db-1 by our own probe",
	} {
		if !slices.Contains(events.lines, want) {
			t.Errorf("no event %q in:\n%s", want, strings.Join(events.lines, "\n"))
		}
	}

	e.ForgetCalls()
	if _, err := r.Up(t.Context(), p, runner.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	if calls := e.Calls(); len(calls) != 0 {
		t.Errorf("a second up did %v", calls)
	}

	if _, err := r.Down(t.Context(), "shop", runner.DownOptions{}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("image db\nimage web\nvolume shop_data\n", e.Dump()); diff != "" {
		t.Errorf("after down (-want +got):\n%s", diff)
	}
	if _, err := r.Down(t.Context(), "shop", runner.DownOptions{Volumes: true}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("image db\nimage web\n", e.Dump()); diff != "" {
		t.Errorf("after down --volumes (-want +got):\n%s", diff)
	}
}

// sortedCalls gives the changing calls as text, sorted: what is independent has
// no order.
func sortedCalls(e *enginetest.Engine) []string {
	var out []string
	for _, c := range e.Calls() {
		out = append(out, c.String())
	}
	slices.Sort(out)
	return out
}

// How many calls a command makes does not vary with load: a new one is a choice.
// The cases are those of the benchmark.
func TestCallsOfEachCommand(t *testing.T) {
	shop := strings.Replace(shop, "start_interval: 1ms", "start_interval: 1h", 1) // no second probe
	changed := strings.Replace(shop, "image: web\n", "image: web\n    environment: {CHANGED: 1}\n", 1)
	up := func(text string) func(*testing.T, *runner.Runner) error {
		return func(t *testing.T, r *runner.Runner) error {
			t.Helper()
			_, err := r.Up(t.Context(), project(t, text), runner.UpOptions{})
			return err
		}
	}
	down := func(volumes bool) func(*testing.T, *runner.Runner) error {
		return func(t *testing.T, r *runner.Runner) error {
			t.Helper()
			_, err := r.Down(t.Context(), "shop", runner.DownOptions{Volumes: volumes})
			return err
		}
	}
	e := newEngine()
	r := runner.New(e, runner.WithCache(t.TempDir()))
	for _, step := range []struct {
		name string
		do   func(*testing.T, *runner.Runner) error
		want map[string]int
	}{
		{"cold", up(shop), map[string]int{
			"Info": 1, "Containers": 3, "Networks": 1, "Volumes": 1, "Image": 2, // observe, ports, endpoints
			"Events": 1, "CreateNetwork": 1, "CreateVolume": 1, "CreateContainer": 2, "StartContainer": 2,
			"Inspect": 2, "Exec": 1,
		}},
		// The engine has not looked at db yet, but up has.
		{"status", func(t *testing.T, r *runner.Runner) error {
			t.Helper()
			_, err := r.Status(t.Context(), project(t, shop), runner.StatusOptions{})
			return err
		}, map[string]int{"Containers": 1, "Networks": 1, "Volumes": 1, "Image": 2, "Inspect": 1}},
		{"plan", func(t *testing.T, r *runner.Runner) error {
			t.Helper()
			_, err := r.Plan(t.Context(), project(t, shop), runner.UpOptions{})
			return err
		}, map[string]int{"Info": 1, "Containers": 1, "Networks": 1, "Volumes": 1, "Image": 2, "Inspect": 1}},
		{"no-op", up(shop), map[string]int{"Info": 1, "Containers": 1, "Networks": 1, "Volumes": 1, "Image": 2, "Inspect": 1}},
		{"one change", up(changed), map[string]int{
			"Info": 1, "Containers": 3, "Networks": 1, "Volumes": 1, "Image": 2, "Compare": 1,
			"CreateContainer": 1, "StopContainer": 1, "RenameContainer": 2, "StartContainer": 1, "RemoveContainer": 1,
			"Events": 1, "Inspect": 2,
		}},
		{"down", down(false), map[string]int{
			"Info": 1, "Containers": 1, "Networks": 1, "Volumes": 1,
			"StopContainer": 2, "RemoveContainer": 2, "RemoveNetwork": 1,
		}},
		{"warm", up(changed), map[string]int{
			"Info": 1, "Containers": 3, "Networks": 1, "Volumes": 1, "Image": 2,
			"Events": 1, "CreateNetwork": 1, "CreateContainer": 2, "StartContainer": 2, "Inspect": 2, "Exec": 1,
		}},
		{"down -v", down(true), map[string]int{
			"Info": 1, "Containers": 1, "Networks": 1, "Volumes": 1,
			"StopContainer": 2, "RemoveContainer": 2, "RemoveNetwork": 1, "RemoveVolume": 1,
		}},
	} {
		e.ForgetCalls()
		if err := step.do(t, r); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if diff := cmp.Diff(step.want, callCounts(e)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, diff)
		}
	}
}

// What a run has found ready is not probed again within the healthcheck's interval,
// after which the engine has looked itself, nor after a restart.
func TestReadinessIsRemembered(t *testing.T) {
	p := project(t, strings.Replace(shop, "start_interval: 1ms", "interval: 10s", 1))
	now := time.Now()
	e := newEngine()
	r := runner.New(e, runner.WithCache(t.TempDir()), runner.WithClock(func() time.Time { return now }))
	probes := func() int {
		e.ForgetCalls()
		if _, err := r.Up(t.Context(), p, runner.UpOptions{}); err != nil {
			t.Fatal(err)
		}
		return callCounts(e)["Exec"]
	}
	if got := probes(); got != 1 {
		t.Fatalf("the first up probes %d times", got)
	}
	now = now.Add(10 * time.Second)
	if got := probes(); got != 0 {
		t.Errorf("within the interval it probes %d times", got)
	}
	now = now.Add(-time.Hour)
	if got := probes(); got != 1 {
		t.Errorf("with the clock set back it probes %d times", got)
	}
	now = now.Add(time.Hour + time.Minute)
	if got := probes(); got != 1 {
		t.Errorf("after the interval it probes %d times", got)
	}
	if err := errors.Join(e.StopContainer(t.Context(), "shop-db-1", nil), e.StartContainer(t.Context(), "shop-db-1")); err != nil {
		t.Fatal(err)
	}
	if got := probes(); got != 1 {
		t.Errorf("after a restart it probes %d times", got)
	}
}

// callCounts counts the calls since the last ForgetCalls by method.
func callCounts(e *enginetest.Engine) map[string]int {
	out := map[string]int{}
	for _, c := range e.AllCalls() {
		out[c.Method]++
	}
	return out
}

// The same for the cases with a stack of their own: images that are not there, and
// many services, where a call more for each is what one would feel.
func TestCallsOfOtherStacks(t *testing.T) {
	shop := strings.Replace(shop, "start_interval: 1ms", "start_interval: 1h", 1)
	wide := func(n int) string {
		var text strings.Builder
		text.WriteString("services:\n")
		for i := range n {
			fmt.Fprintf(&text, "  s%d: {image: web}\n", i)
		}
		return text.String()
	}
	layers := func(depth, width int) string {
		var text strings.Builder
		text.WriteString("services:\n")
		for layer := range depth {
			for i := range width {
				fmt.Fprintf(&text, "  l%d-%d:\n    image: web\n    healthcheck: {test: [CMD, ready], start_period: 1s, start_interval: 1h}\n", layer, i)
				for j := range width {
					if layer > 0 && j == 0 {
						text.WriteString("    depends_on:\n")
					}
					if layer > 0 {
						fmt.Fprintf(&text, "      l%d-%d: {condition: service_healthy}\n", layer-1, j)
					}
				}
			}
		}
		return text.String()
	}
	// What an up costs besides n services, of which probed have a healthcheck.
	up := func(n, probed int) map[string]int {
		out := map[string]int{
			"Info": 1, "Containers": 2, "Networks": 1, "Volumes": 1, "Image": 1, "Events": 1, "CreateNetwork": 1,
			"CreateContainer": n, "StartContainer": n, "Inspect": n,
		}
		if probed > 0 {
			out["Exec"] = probed
		}
		return out
	}
	again := func(probed int) map[string]int {
		out := map[string]int{"Info": 1, "Containers": 1, "Networks": 1, "Volumes": 1, "Image": 1}
		if probed > 0 {
			out["Inspect"] = probed
		}
		return out
	}
	pull := map[string]int{
		"Info": 1, "Containers": 3, "Networks": 1, "Volumes": 1, "Image": 4, "Pull": 2, "Events": 1, // each image before and after
		"CreateNetwork": 1, "CreateVolume": 1, "CreateContainer": 2, "StartContainer": 2, "Inspect": 2, "Exec": 1,
	}
	pullAgain := map[string]int{"Info": 1, "Containers": 1, "Networks": 1, "Volumes": 1, "Image": 2, "Inspect": 1}
	for _, test := range []struct {
		name, text string
		remote     bool // the images are at a registry
		up, again  map[string]int
	}{
		{"pull", shop, true, pull, pullAgain},
		{"wide", wide(50), false, up(50, 0), again(0)},
		{"many", wide(200), false, up(200, 0), again(0)},
		{"deep", layers(20, 1), false, up(20, 20), again(20)},
		{"diamond", layers(5, 8), false, up(40, 40), again(40)},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := newEngine()
			if test.remote {
				for _, ref := range []string{"web", "db"} {
					if err := e.RemoveImage(t.Context(), ref); err != nil {
						t.Fatal(err)
					}
					e.AddRemote(ref, "sha256:"+ref)
				}
			}
			r := runner.New(e, runner.WithCache(t.TempDir()))
			for _, want := range []map[string]int{test.up, test.again} {
				e.ForgetCalls()
				if _, err := r.Up(t.Context(), project(t, test.text), runner.UpOptions{}); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, callCounts(e)); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			}
		})
	}
}

// A dependency that ends fails the run with its exit code and its last lines,
// and what needs it does not start.
func TestUpFailure(t *testing.T) {
	e := newEngine()
	e.Behave("db", enginetest.Behaviour{Exits: true, ExitCode: 3, Log: []string{"starting", "no space left"}})
	_, err := runner.New(e).Up(t.Context(), project(t, shop), runner.UpOptions{})
	var failed *runner.FailedError
	if !errors.As(err, &failed) || len(failed.Failures) != 1 {
		t.Fatalf("got %v", err)
	}
	f := failed.Failures[0]
	var lines []string
	for _, l := range f.Log {
		lines = append(lines, l.Text)
	}
	if diff := cmp.Diff([]string{"starting", "no space left"}, lines); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
	if f.Service != "db" || err.Error() != "container shop-db-1 is not healthy: it exited with code 3" {
		t.Errorf("service %q, error %q", f.Service, err)
	}
	if slices.Contains(sortedCalls(e), "StartContainer shop-web-1") {
		t.Errorf("web was started: %v", sortedCalls(e))
	}
}

// An error of the engine reaches the caller as it is, with its node.
func TestUpEngineError(t *testing.T) {
	e := newEngine()
	full := errors.New("create volume shop_data: disk full")
	e.FailWith(func(c enginetest.Call) error {
		if c.Method == "CreateVolume" {
			return full
		}
		return nil
	})
	_, err := runner.New(e).Up(t.Context(), project(t, shop), runner.UpOptions{})
	var failed *runner.FailedError
	if !errors.As(err, &failed) || len(failed.Failures) != 1 || !errors.Is(err, full) || err.Error() != full.Error() {
		t.Fatalf("got %v", err)
	}
	if got := failed.Failures[0].Node.Op.Ref().String(); got != "volume shop_data" {
		t.Errorf("node of %s", got)
	}
}

// An interrupt ends the waits, and the error says what is left running.
func TestUpInterrupted(t *testing.T) {
	e := newEngine()
	e.Behave("db", enginetest.Behaviour{FailingProbes: -1})
	ctx, cancel := context.WithCancelCause(t.Context())
	ctrlC := errors.New("interrupt")
	e.FailWith(func(c enginetest.Call) error {
		if c.Method == "Exec" {
			cancel(ctrlC)
		}
		return nil
	})
	_, err := runner.New(e).Up(ctx, project(t, shop), runner.UpOptions{})
	var interrupted *runner.InterruptedError
	if !errors.As(err, &interrupted) || !errors.Is(err, ctrlC) {
		t.Fatalf("got %v", err)
	}
	if diff := cmp.Diff([]string{"shop-db-1"}, interrupted.Running); diff != "" {
		t.Errorf("left running (-want +got):\n%s", diff)
	}
}

// A port that is taken is told before anything is changed, and by whom.
func TestUpPortTaken(t *testing.T) {
	e := newEngine()
	e.AddContainer(state.Container{
		Name: "other-db-1", Project: "other",
		Ports: []state.Port{{HostIP: "0.0.0.0", HostPort: 5432, ContainerPort: 5432, Protocol: "tcp"}},
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	port := listener.Addr().(*net.TCPAddr).Port
	e.SetInfo(engine.Info{Local: true})

	text := strings.Replace(shop, "8080:80", fmt.Sprintf("127.0.0.1:%d:80", port), 1)
	_, err = runner.New(e).Up(t.Context(), project(t, text), runner.UpOptions{})
	var ports *runner.PortsError
	if !errors.As(err, &ports) {
		t.Fatalf("got %v", err)
	}
	name, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	want := []runner.PortConflict{
		{Service: "db", Address: "127.0.0.1:5432", Protocol: "tcp", Holder: "container other-db-1"},
		{
			Service: "web", Address: fmt.Sprintf("127.0.0.1:%d", port), Protocol: "tcp",
			Holder: fmt.Sprintf("process %s (pid %d)", strings.TrimSpace(string(name)), os.Getpid()),
		},
	}
	if diff := cmp.Diff(want, ports.Conflicts); diff != "" {
		t.Errorf("conflicts (-want +got):\n%s", diff)
	}
	if calls := e.Calls(); len(calls) != 0 {
		t.Errorf("calls before the error: %v", calls)
	}
}

// A running container's own ports are no conflict when it is replaced.
func TestUpReplacesAContainerWithPorts(t *testing.T) {
	e := newEngine()
	r := runner.New(e)
	if _, err := r.Up(t.Context(), project(t, shop), runner.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Up(t.Context(), project(t, shop), runner.UpOptions{ForceRecreate: true}); err != nil {
		t.Fatal(err)
	}
}

func TestStatus(t *testing.T) {
	e := newEngine()
	r := runner.New(e)
	p := project(t, shop)
	if _, err := r.Up(t.Context(), p, runner.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := e.Kill("shop-web-1", 2); err != nil {
		t.Fatal(err)
	}
	e.AddContainer(state.Container{Name: "shop-old-1", Project: "shop", Service: "old", Number: 1})
	got, err := r.Status(t.Context(), p, runner.StatusOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := runner.Status{Project: "shop", Containers: []runner.ContainerStatus{
		{
			Service: "db", Container: "shop-db-1", State: "running", Health: "healthy", Image: "db", Ready: true,
			Uptime: "Up Less than a second",
			Ports:  []state.Port{{HostIP: "127.0.0.1", HostPort: 5432, ContainerPort: 5432, Protocol: "tcp"}},
		},
		{Service: "old", Container: "shop-old-1", State: "running", Ports: []state.Port{}, Orphan: true},
		{
			Service: "web", Container: "shop-web-1", State: "exited", Image: "web", Drift: "is exited",
			Uptime: "Exited (2) Less than a second ago",
			Ports:  []state.Port{},
		},
	}}
	for i := range want.Containers {
		there, err := e.Inspect(t.Context(), want.Containers[i].Container)
		if err != nil || there.ID == "" {
			t.Fatal(there, err)
		}
		want.Containers[i].ID = there.ID
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	if got.Ready() {
		t.Error("ready though web has ended")
	}

	// One container more than is wanted is shown, with what up would do.
	e.AddContainer(state.Container{Name: "shop-web-2", Project: "shop", Service: "web", Number: 2})
	if got, err = r.Status(t.Context(), p, runner.StatusOptions{}); err != nil {
		t.Fatal(err)
	}
	last := got.Containers[len(got.Containers)-1]
	if last.Container != "shop-web-2" || last.Drift != "web is scaled to 1" {
		t.Errorf("the surplus container: %+v", last)
	}
}

// Lines of several containers are merged by time, and Tail counts for each.
func TestLogs(t *testing.T) {
	e := newEngine()
	e.Behave("db", enginetest.Behaviour{Log: []string{"db 1", "db 2"}})
	e.Behave("web", enginetest.Behaviour{Log: []string{"web 1"}})
	r := runner.New(e)
	if _, err := r.Up(t.Context(), project(t, shop), runner.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	read := func(o runner.LogOptions) []string {
		t.Helper()
		var lines []string
		if err := r.Logs(t.Context(), "shop", o, func(l runner.LogLine) { lines = append(lines, l.Container+" "+l.Text) }); err != nil {
			t.Fatal(err)
		}
		return lines
	}
	if diff := cmp.Diff([]string{"shop-db-1 db 1", "shop-db-1 db 2", "shop-web-1 web 1"}, read(runner.LogOptions{})); diff != "" {
		t.Errorf("all (-want +got):\n%s", diff)
	}
	one := 1
	if diff := cmp.Diff([]string{"shop-db-1 db 2"}, read(runner.LogOptions{Tail: &one, Services: []string{"db"}})); diff != "" {
		t.Errorf("tail of one (-want +got):\n%s", diff)
	}
	err := r.Logs(t.Context(), "shop", runner.LogOptions{Services: []string{"dbb"}}, func(runner.LogLine) {})
	if !errors.Is(err, runner.ErrUnknownService) {
		t.Errorf("got %v", err)
	}
}

// A follow takes up a container that starts again, gives no line twice, and ends
// when nothing is left that could write.
func TestLogsFollow(t *testing.T) {
	e := newEngine()
	e.Behave("db", enginetest.Behaviour{Log: []string{"db up"}})
	r := runner.New(e)
	if _, err := r.Up(t.Context(), project(t, shop), runner.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string)
	done := make(chan error)
	go func() {
		done <- r.Logs(t.Context(), "shop", runner.LogOptions{Follow: true}, func(l runner.LogLine) { lines <- l.Text })
	}()
	if got := <-lines; got != "db up" {
		t.Errorf("first line %q", got)
	}
	if err := e.StopContainer(t.Context(), "shop-db-1", nil); err != nil {
		t.Fatal(err)
	}
	if err := e.StartContainer(t.Context(), "shop-db-1"); err != nil {
		t.Fatal(err)
	}
	if got := <-lines; got != "db up" {
		t.Errorf("line of the second run %q", got)
	}
	for _, name := range []string{"shop-web-1", "shop-db-1"} {
		if err := e.StopContainer(t.Context(), name, nil); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case line := <-lines:
		t.Errorf("one line too many: %q", line)
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the follow does not end")
	}
}

// What a container wrote before the engine told of its start is not missed.
func TestLogsFollowANewContainer(t *testing.T) {
	e := newEngine()
	e.Behave("db", enginetest.Behaviour{Log: []string{"db up"}})
	e.Behave("web", enginetest.Behaviour{Log: []string{"web up"}})
	r := runner.New(e)
	if _, err := r.Up(t.Context(), project(t, shop), runner.UpOptions{Services: []string{"db"}}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	lines := make(chan string, 10)
	done := make(chan error)
	go func() {
		done <- r.Logs(ctx, "shop", runner.LogOptions{Follow: true}, func(l runner.LogLine) { lines <- l.Text })
	}()
	got := []string{<-lines}
	if _, err := r.Up(t.Context(), project(t, shop), runner.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	select {
	case line := <-lines:
		got = append(got, line)
	case <-time.After(30 * time.Second):
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"db up", "web up"}, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}
