//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackctl/stackctl/pkg/runner"
	"github.com/stackctl/stackctl/pkg/runner/engine"
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
	web := shell("web", "test -s /data/runs && sleep 600")
	web.Mounts = []spec.Mount{spec.Mounted(data, "/data")}
	web.DependsOn = []spec.Dependency{spec.Completed(job)}
	stack := spec.New("x", job, web, data)
	for range 2 {
		if _, err := s.up(stack, runner.UpOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	read, err := s.engine.Exec(t.Context(), s.containers()["web"].ID, engine.Command{Args: []string{"cat", "/data/runs"}})
	if err != nil || read.Output != "ran\n" {
		t.Errorf("what the job left: %q, %v", read.Output, err)
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
	if _, err := s.engine.Exec(t.Context(), first.ID, engine.Command{Args: []string{"redis-cli", "set", "k", "canary"}}); err != nil {
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
	got, err := s.engine.Exec(t.Context(), second.ID, engine.Command{Args: []string{"redis-cli", "get", "k"}})
	if err != nil || strings.TrimSpace(got.Output) != "canary" {
		t.Errorf("value after the replacement: %q, %v", got.Output, err)
	}

	// It goes with the project's other volumes, though it has been named since.
	if _, err := s.runner.Down(t.Context(), s.project, runner.DownOptions{Volumes: true}); err != nil {
		t.Fatal(err)
	}
	all, err := s.raw.names(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range append(first.Mounts, second.Mounts...) {
		if m.Name == "" || slices.Contains(all, "volume "+m.Name) {
			t.Errorf("down -v left volume %q of %s", m.Name, m.Target)
		}
	}
}

// A volume that the definition drops is not mounted any more, and stays.
func TestVolumeTakenOut(t *testing.T) {
	s := newStage(t)
	data := &spec.Volume{Name: "data"}
	web := shell("web", "sleep 600")
	web.Mounts = []spec.Mount{spec.Mounted(data, "/data")}
	if _, err := s.up(spec.New("x", web, data), runner.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	web.Mounts = nil
	if _, err := s.up(spec.New("x", web), runner.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	if mounts := s.containers()["web"].Mounts; len(mounts) > 0 {
		t.Errorf("mounted still: %v", mounts)
	}
	if !slices.Contains(s.resources(), "volume "+s.project+"_data") {
		t.Error("the volume is gone")
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
	if made := s.resources(); len(made) > 0 {
		t.Errorf("made all the same: %v", made)
	}
	if c := holder.containers()["other"]; c.State != "running" {
		t.Errorf("the holder is %s", c.State)
	}
}

// newSibling is a second project of the same test.
func newSibling(s *stage) *stage {
	s.t.Helper()
	other := *s
	other.project += "-sibling"
	s.t.Cleanup(other.clean)
	return &other
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
			up := s.start("up")
			s.eventually("the database starts", func() bool {
				return s.containers()["database"].State == "running"
			})
			got := up.end(test.signal)
			if got.code != test.code {
				t.Errorf("exit code %d, want %d", got.code, test.code)
			}
			lines := strings.Split(strings.TrimSpace(got.stderr), "\n")
			last := regexp.MustCompile(`^interrupted: .*-database-1 left running \(.stackctl -p \S+ up. goes on, .stackctl -p \S+ down. removes\)$`)
			if test.signal != syscall.SIGKILL && !last.MatchString(lines[len(lines)-1]) {
				t.Errorf("its last line does not say what is left running: %q", lines[len(lines)-1])
			}
			if c := s.containers()["database"]; c.State != "running" {
				t.Errorf("the database is %s", c.State)
			}
			before := s.runs()
			s.run(0, "up")
			s.run(0, "status", "--exit-code")
			if after := s.runs(); after["database"] != before["database"] {
				t.Errorf("the next up began anew with the database: %v, %v", before, after)
			}
			if code, _ := s.get("/health"); code != http.StatusOK {
				t.Errorf("GET /health: %d", code)
			}
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
// names that begin alike, nor what has such a name and no label.
func TestDownLeavesLookAlikesAlone(t *testing.T) {
	s := newStage(t)
	data, shared := &spec.Volume{Name: "data"}, &spec.Volume{Name: "shared"}
	mine := shell("web", "sleep 600")
	mine.Mounts = []spec.Mount{spec.Mounted(data, "/data"), spec.Mounted(shared, "/shared")}
	stack := spec.New("x", mine, data, shared)
	sibling := newSibling(s) // its name begins with the project's
	if _, err := sibling.up(stack, runner.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	other := s.lookAlikes()
	if _, err := s.up(stack, runner.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	mounts := s.containers()["web"].Mounts
	if !slices.ContainsFunc(mounts, func(m state.Mount) bool { return m.Name == s.project+"_shared" }) {
		t.Errorf("the volume that was there is not used: %v", mounts)
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
	all, err := s.raw.names(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range other {
		if !slices.Contains(all, name) {
			t.Errorf("%s is gone", name)
		}
	}
}

// lookAlikes makes a container, a network, a volume and an image that have names
// as the project's have, and no label.
func (s *stage) lookAlikes() []string {
	s.t.Helper()
	container, network, volume, image := s.project+"-web-2", s.project+"_default2", s.project+"_shared", s.project+"-old"
	s.t.Cleanup(func() {
		for _, path := range []string{
			"/containers/" + container + "?force=true", "/networks/" + network, "/volumes/" + volume, "/images/" + image,
		} {
			if err := s.raw.do(withoutCancel(s.t), http.MethodDelete, path, nil, nil); err != nil {
				s.t.Errorf("clean up: %v", err)
			}
		}
	})
	s.ask(http.MethodPost, "/networks/create", map[string]any{"Name": network}, nil)
	s.ask(http.MethodPost, "/volumes/create", map[string]any{"Name": volume}, nil)
	s.ask(http.MethodPost, "/images/alpine/tag?tag=latest&repo="+image, nil, nil)
	s.ask(http.MethodPost, "/containers/create?name="+container, map[string]any{"Image": "alpine", "Cmd": []string{"true"}}, nil)
	return []string{"container " + container, "network " + network, "volume " + volume, "image " + image + ":latest"}
}

// Containers of services that the stack does not have stay, and are told of,
// until --remove-orphans.
func TestOrphans(t *testing.T) {
	s := newStage(t)
	if _, err := s.up(spec.New("x", shell("stray", "sleep 600")), runner.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	// Without --builtin any project may be meant, of which nothing is an orphan.
	got := s.run(0, "--builtin", "down")
	if !strings.Contains(got.stderr, s.project+"-stray-1; --remove-orphans removes them") {
		t.Error("down does not tell of the orphan")
	}
	if c := s.containers()["stray"]; c.State != "running" {
		t.Errorf("the orphan is %q", c.State)
	}
	s.run(0, "--builtin", "down", "--remove-orphans")
	if left := s.resources(); slices.Contains(left, "container "+s.project+"-stray-1") {
		t.Errorf("left %v", left)
	}
}

// A volume that belongs to somebody else stays, though its name is one that the
// engine has made up.
func TestExternalVolumeWithoutAName(t *testing.T) {
	s := newStage(t)
	var made struct{ Name string }
	s.ask(http.MethodPost, "/volumes/create", map[string]any{}, &made)
	t.Cleanup(func() {
		s.clean()
		if err := s.raw.do(withoutCancel(t), http.MethodDelete, "/volumes/"+made.Name, nil, nil); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
	data := &spec.Volume{Name: "data", External: true, EngineName: spec.Literal(made.Name)}
	web := shell("web", "sleep 600")
	web.Mounts = []spec.Mount{spec.Mounted(data, "/data")}
	if _, err := s.up(spec.New("x", web, data), runner.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.runner.Down(t.Context(), s.project, runner.DownOptions{Volumes: true}); err != nil {
		t.Fatal(err)
	}
	all, err := s.raw.names(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(all, "volume "+made.Name) {
		t.Error("down -v removed it")
	}
}

// A host port goes from one service to another in one up: from an orphan to the
// service that takes its place, and between two that swap.
func TestHostPortsChangeHands(t *testing.T) {
	s := newStage(t)
	ports := freePorts(t, 2)
	serve := func(name, port string) *spec.Service {
		service := shell(name, "sleep 600")
		service.Ports = []spec.Port{spec.PublishLocally(spec.Literal(port), 80)}
		return service
	}
	if _, err := s.up(spec.New("x", serve("old", ports[0]), serve("b", ports[1])), runner.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.up(spec.New("x", serve("a", ports[0]), serve("b", ports[1])), runner.UpOptions{RemoveOrphans: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.up(spec.New("x", serve("a", ports[1]), serve("b", ports[0])), runner.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for service, c := range s.containers() {
		for _, p := range c.Ports {
			got[service] = fmt.Sprint(p.HostPort)
		}
	}
	if diff := cmp.Diff(map[string]string{"a": ports[1], "b": ports[0]}, got); diff != "" {
		t.Errorf("host ports (-want +got):\n%s", diff)
	}
}
