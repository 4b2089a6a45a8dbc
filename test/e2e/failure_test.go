//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackctl/stackctl/pkg/runner"
	"github.com/stackctl/stackctl/pkg/runner/state"
	"github.com/stackctl/stackctl/pkg/spec"
)

// A dependency that ends fails up with its exit code and its last words, and
// what needs it does not start.
func TestDependencyThatEnds(t *testing.T) {
	s := newStage(t)
	db := shell("db", "echo loading; echo broken config >&2; exit 3")
	db.Healthcheck = probe("false")
	web := shell("web", "sleep 600")
	web.DependsOn = []spec.Dependency{spec.Healthy(db)}
	_, err := s.up(spec.New("x", db, web), runner.UpOptions{})

	var failed *runner.FailedError
	var notReady *runner.NotReadyError
	if !errors.As(err, &failed) || !errors.As(err, &notReady) {
		t.Fatalf("got %v", err)
	}
	if !notReady.Exited || notReady.ExitCode != 3 || failed.Failures[0].Service != "db" {
		t.Errorf("got %+v of %q", notReady, failed.Failures[0].Service)
	}
	if log := logText(failed.Failures[0].Log); !strings.Contains(log, "loading") || !strings.Contains(log, "broken config") {
		t.Errorf("log %q", log)
	}
	if c, made := s.containers()["web"]; made && c.State != "created" {
		t.Errorf("web is %s", c.State)
	}
}

// A dependency that is unhealthy for a while and recovers is fine.
func TestDependencyThatRecovers(t *testing.T) {
	s := newStage(t)
	db := shell("db", "sleep 2; touch /tmp/ready; sleep 600")
	db.Healthcheck = &spec.Healthcheck{
		Test: spec.ShellTest("test -e /tmp/ready"), Interval: 200 * time.Millisecond, Timeout: 5 * time.Second, Retries: 1,
	}
	web := shell("web", "sleep 600")
	web.DependsOn = []spec.Dependency{spec.Healthy(db)}
	if _, err := s.up(spec.New("x", db, web), runner.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	if c := s.containers()["web"]; c.State != "running" {
		t.Errorf("web is %s", c.State)
	}
}

// One that never gets ready ends with the deadline, and its last probe's words.
func TestDependencyThatNeverGetsReady(t *testing.T) {
	s := newStage(t)
	db := shell("db", "sleep 600")
	db.Healthcheck = probe("echo no route to disk; exit 1")
	web := shell("web", "sleep 600")
	web.DependsOn = []spec.Dependency{spec.Healthy(db)}
	_, err := s.up(spec.New("x", db, web), runner.UpOptions{WaitTimeout: 2 * time.Second})
	var notReady *runner.NotReadyError
	if !errors.As(err, &notReady) || !notReady.TimedOut {
		t.Fatalf("got %v", err)
	}
	if notReady.LastProbe == nil || notReady.LastProbe.ExitCode != 1 || !strings.Contains(notReady.LastProbe.Output, "no route to disk") {
		t.Errorf("last probe %+v", notReady.LastProbe)
	}
}

// A container that its restart policy brings back again and again is told of
// long before the deadline.
func TestCrashLoop(t *testing.T) {
	s := newStage(t)
	db := shell("db", "exit 7")
	db.Restart = spec.RestartAlways
	db.Healthcheck = probe("false")
	_, err := s.up(spec.New("x", db), runner.UpOptions{WaitTimeout: patience})
	var notReady *runner.NotReadyError
	if !errors.As(err, &notReady) || notReady.TimedOut || notReady.ExitCode != 7 {
		t.Fatalf("got %v", err)
	}
}

// A job runs before what waits for it, and is done when up runs again.
func TestJob(t *testing.T) {
	s := newStage(t)
	data := &spec.Volume{Name: "data"}
	job := shell("job", "echo ran >>/data/runs")
	job.Mounts = []spec.Mount{spec.Mounted(data, "/data")}
	web := shell("web", "cat /data/runs; sleep 600")
	web.Mounts = []spec.Mount{spec.Mounted(data, "/data")}
	web.DependsOn = []spec.Dependency{spec.Completed(job)}
	stack := spec.New("x", job, web, data)
	for range 2 {
		if _, err := s.up(stack, runner.UpOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	var lines []string
	err := s.runner.Logs(t.Context(), s.project, runner.LogOptions{Services: []string{"web"}}, func(l runner.LogLine) { lines = append(lines, l.Text) })
	if diff := cmp.Diff([]string{"ran"}, lines); err != nil || diff != "" {
		t.Errorf("log of web: %v (-want +got):\n%s", err, diff)
	}
}

// Two replicas are both waited for, and one of them goes when one is wanted.
func TestScale(t *testing.T) {
	s := newStage(t)
	web := shell("web", "sleep 600")
	web.Replicas = 2
	web.Healthcheck = probe("true")
	if _, err := s.up(spec.New("x", web), runner.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	web.Replicas = 1
	if _, err := s.up(spec.New("x", web), runner.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	if c := s.containers()["web"]; c.Name != s.project+"-web-1" {
		t.Errorf("kept %s", c.Name)
	}
}

// What an image keeps in a volume without a name moves to the new container.
func TestReplacementKeepsAnonymousVolumes(t *testing.T) {
	s := newStage(t)
	cache := &spec.Service{
		Name: "cache", Image: "redis:7-alpine", Command: []spec.Value{"redis-server", "--appendonly", "yes"},
		Healthcheck: spec.NewHealthcheck(spec.CmdTest("redis-cli", "-e", "ping")),
	}
	stack := spec.New("x", cache)
	if _, err := s.up(stack, runner.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	first := s.containers()["cache"]
	if _, err := s.engine.Exec(t.Context(), first.ID, []string{"redis-cli", "set", "k", "canary"}); err != nil {
		t.Fatal(err)
	}
	cache.Environment = spec.Env{"CHANGED": "1"}
	if _, err := s.up(stack, runner.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	second := s.containers()["cache"]
	if first.ID == second.ID || second.Name != s.project+"-cache-1" {
		t.Errorf("the container is %s, and was %s", second.ID, first.ID)
	}
	got, err := s.engine.Exec(t.Context(), second.ID, []string{"redis-cli", "get", "k"})
	if err != nil || strings.TrimSpace(got.Output) != "canary" {
		t.Errorf("value after the replacement: %q, %v", got.Output, err)
	}

	// It goes with the project's other volumes, though it has been named since.
	if _, err := s.runner.Down(t.Context(), s.project, runner.DownOptions{Volumes: true}); err != nil {
		t.Fatal(err)
	}
	volumes, err := s.engine.Volumes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range second.Mounts {
		if slices.ContainsFunc(volumes, func(v state.Volume) bool { return v.Name == m.Name }) {
			t.Errorf("down left volume %s", m.Name)
		}
	}
}

// A host port that a process or another container has is told of, with the
// holder, before anything is made.
func TestPortTaken(t *testing.T) {
	s := newStage(t)
	listener, err := net.Listen("tcp", "127.0.0.1:"+s.web)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	got := s.run(1, "up")
	if !strings.Contains(got.stderr, fmt.Sprintf("service webapp: port %s/tcp is taken by process e2e.test", s.web)) {
		t.Error("the error does not name the process")
	}
	if !strings.Contains(got.stderr, "hint: stop what holds the port, or choose another one: `WEBAPP_PORT=") {
		t.Error("the error does not say what to do")
	}
	if made := s.resources(); len(made) > 0 {
		t.Errorf("made all the same: %v", made)
	}
	listener.Close()

	holder := newSibling(s)
	other := shell("other", "sleep 600")
	other.Ports = []spec.Port{spec.Publish(spec.Literal(s.web), 80)}
	if _, err := holder.up(spec.New("x", other), runner.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	got = s.run(1, "up")
	if !strings.Contains(got.stderr, "is taken by container "+holder.project+"-other-1") {
		t.Error("the error does not name the container")
	}
}

// newSibling is a second project of the same test.
func newSibling(s *stage) *stage {
	s.t.Helper()
	other := *s
	other.project += "-sibling"
	s.t.Cleanup(func() {
		grace := time.Duration(0)
		if _, err := other.runner.Down(withoutCancel(s.t), other.project, runner.DownOptions{Volumes: true, Grace: &grace}); err != nil {
			s.t.Errorf("clean up: %v", err)
		}
	})
	return &other
}

// An image that is nowhere to be had changes nothing.
func TestImageThatIsNowhere(t *testing.T) {
	s := newStage(t)
	web := shell("web", "sleep 600")
	gone := shell("gone", "sleep 600")
	gone.Image = "localhost:1/no/such:image"
	_, err := s.up(spec.New("x", web, gone), runner.UpOptions{})
	if err == nil || !strings.Contains(err.Error(), `pull image "localhost:1/no/such:image"`) {
		t.Errorf("got %v", err)
	}
	_, err = s.up(spec.New("x", web, gone), runner.UpOptions{Pull: runner.PullNever})
	if err == nil || !strings.Contains(err.Error(), "image localhost:1/no/such:image is not on the engine and may not be pulled") {
		t.Errorf("got %v", err)
	}
	if made := s.resources(); len(made) > 0 {
		t.Errorf("made all the same: %v", made)
	}
}

// An up that is interrupted, or killed, is finished by the next one.
func TestInterruptedUp(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		signal syscall.Signal
		code   int
	}{
		{syscall.SIGINT, 130},
		{syscall.SIGTERM, 143},
		{syscall.SIGKILL, -1},
	} {
		t.Run(test.signal.String(), func(t *testing.T) {
			s := newStage(t)
			up := s.start("--progress", "json", "up")
			s.eventually("the database starts", func() bool {
				return s.containers()["database"].State == "running"
			})
			got := up.end(test.signal)
			if got.code != test.code {
				t.Errorf("exit code %d, want %d", got.code, test.code)
			}
			if test.signal != syscall.SIGKILL && !strings.Contains(got.stderr, s.project+"-database-1") {
				t.Error("it does not say what is left running")
			}
			s.run(0, "up")
			s.run(0, "status", "--exit-code")
		})
	}
}

// down stops dependents first.
func TestDownStopsDependentsFirst(t *testing.T) {
	s := newStage(t)
	db := shell("db", "sleep 600")
	web := shell("web", "sleep 600")
	web.DependsOn = []spec.Dependency{spec.Started(db)}
	if _, err := s.up(spec.New("x", db, web), runner.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	events, err := s.engine.Events(t.Context(), s.project)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.runner.Down(t.Context(), s.project, runner.DownOptions{}); err != nil {
		t.Fatal(err)
	}
	var ended []string
	for len(ended) < 2 {
		e := <-events
		if e.Err != nil {
			t.Fatal(e.Err)
		}
		if e.Action == "die" {
			ended = append(ended, e.Service)
		}
	}
	if diff := cmp.Diff([]string{"web", "db"}, ended); diff != "" {
		t.Errorf("ended (-want +got):\n%s", diff)
	}
}

// Nothing but the project's own is removed: not what another project has under
// the same names, nor what belongs to none.
func TestDownLeavesLookAlikesAlone(t *testing.T) {
	s := newStage(t)
	data := &spec.Volume{Name: "data"}
	mine := shell("web", "sleep 600")
	mine.Mounts = []spec.Mount{spec.Mounted(data, "/data")}
	stack := spec.New("x", mine, data)
	if _, err := s.up(stack, runner.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	sibling := newSibling(s) // its name begins with the project's
	if _, err := sibling.up(stack, runner.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	before := sibling.resources()
	s.run(0, "down", "-v", "--remove-orphans", "--rmi", "local")
	if left := s.resources(); len(left) > 0 {
		t.Errorf("left %v", left)
	}
	if diff := cmp.Diff(before, sibling.resources()); diff != "" {
		t.Errorf("the other project (-before +after):\n%s", diff)
	}
	if c := sibling.containers()["web"]; c.State != "running" {
		t.Errorf("the other project's container is %s", c.State)
	}
}

// Containers of services that the stack does not have stay, and are told of,
// until --remove-orphans.
func TestOrphans(t *testing.T) {
	s := newStage(t)
	if _, err := s.up(spec.New("x", shell("stray", "sleep 600")), runner.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	got := s.run(0, "down")
	if !strings.Contains(got.stderr, s.project+"-stray-1; --remove-orphans removes them") {
		t.Error("down does not tell of the orphan")
	}
	if c := s.containers()["stray"]; c.State != "running" {
		t.Errorf("the orphan is %q", c.State)
	}
	s.run(0, "down", "--remove-orphans")
	if left := s.resources(); slices.Contains(left, "container "+s.project+"-stray-1") {
		t.Errorf("left %v", left)
	}
}
