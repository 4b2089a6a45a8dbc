//go:build e2e

package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stackctl/stackctl/pkg/runner"
)

// getsReady is how long the database of the small shop takes to be ready.
const getsReady = 500 * time.Millisecond

// smallShop is a stack whose web waits for a database, which is ready only after
// a while and each time anew, and for a job.
const smallShop = `
services:
  web:
    image: alpine
    command: [sleep, "600"]
    stop_signal: SIGKILL
    depends_on:
      db: {condition: service_healthy, restart: true}
      job: {condition: service_completed_successfully}
  db:
    image: alpine
    command: [sh, -c, "sleep 0.5; touch /run/ready; sleep 600"]
    stop_signal: SIGKILL
    tmpfs: [/run]
    healthcheck: {test: test -e /run/ready, interval: 1s, retries: 60}
  job:
    image: alpine
    command: ["true"]
    depends_on: {db: {condition: service_healthy}}
`

// wantRuns compares the runs of services with those before: changed names those
// that have to have started again, as the same container; all others may not.
func (s *stage) wantRuns(before map[string]run, changed ...string) map[string]run {
	s.t.Helper()
	now := s.runs()
	for service, was := range before {
		is := now[service]
		if again := is.StartedAt.After(was.StartedAt); is.ID != was.ID || again != slices.Contains(changed, service) {
			s.t.Errorf("%s: %v, was %v; started again: %v", service, is, was, again)
		}
	}
	return now
}

// A project that Docker Compose brought up stops, starts and restarts by its
// labels alone, in order, and Docker Compose sees it as its own.
func TestVerbsOnAProjectOfCompose(t *testing.T) {
	s := newStage(t)
	s.write("compose.yaml", smallShop)
	file := filepath.Join(s.dir, "compose.yaml")
	s.compose("-f", file, "up", "-d")
	first := s.runs()

	s.run(0, "stop", "-t", "5")
	s.waitState("web", "exited")
	s.waitState("db", "exited")
	s.run(0, "start")
	second := s.wantRuns(first, "web", "db") // the job is done
	if after := second["web"].StartedAt.Sub(second["db"].StartedAt); after < getsReady {
		t.Errorf("web has started %v after its database, which was not ready", after)
	}

	s.run(0, "restart", "db")
	third := s.wantRuns(second, "web", "db") // web asks for it
	if after := third["web"].StartedAt.Sub(third["db"].StartedAt); after < getsReady {
		t.Errorf("web has started %v after its database, which was not ready", after)
	}
	s.run(0, "restart", "--no-deps", "db")
	fourth := s.wantRuns(third, "db")
	s.run(0, "restart", "web")
	fifth := s.wantRuns(fourth, "web")

	// Turn about: each starts what the other one has stopped.
	s.compose("stop")
	s.run(0, "start", "--wait", "web")
	s.wantRuns(fifth, "web", "db")
	s.run(0, "stop", "web")
	s.compose("start")
	s.waitState("web", "running")
	if ps := s.compose("ps", "--format", "{{.Service}} {{.State}}"); !strings.Contains(ps.stdout, "web running") {
		t.Error("compose ps does not show what it has started")
	}

	s.run(2, "start", "nope")
	s.run(0, "down", "--remove-orphans")
	if got := s.run(1, "start"); !strings.Contains(got.stderr, "hint: `stackctl -p "+s.project+" up`") {
		t.Error("no hint at up")
	}
}

// A job that was cut short runs again, and what waits for it gets its end.
func TestStartRunsAJobThatWasCutShort(t *testing.T) {
	s := newStage(t)
	text := strings.Replace(smallShop, `["true"]`, `[sh, -c, "test -e /done && exit 0; touch /done; exit 3"]`, 1)
	if _, err := s.runner.Up(t.Context(), s.load(text), runner.UpOptions{}); err == nil {
		t.Fatal("the job has failed and up has not")
	}
	before := s.runs()
	s.run(0, "start")
	now := s.wantRuns(before, "job", "web")
	if !now["web"].StartedAt.After(now["job"].StartedAt) {
		t.Errorf("web has started before the job: %v", now)
	}
	s.waitState("web", "running")
}

// What does not get ready ends a start with its own exit code, and the log.
func TestStartOfWhatDoesNotGetReady(t *testing.T) {
	s := newStage(t)
	text := strings.Replace(smallShop, "sleep 0.5; touch", "test -e /broken && echo out of luck && exit 1; touch /broken; touch", 1)
	if _, err := s.runner.Up(t.Context(), s.load(text), runner.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	s.run(0, "stop")
	got := s.run(6, "start")
	for _, want := range []string{"out of luck", "db-1 is not healthy: it exited with code 1", "hint: `stackctl -p " + s.project + " logs db` shows more"} {
		if !strings.Contains(got.stderr, want) {
			t.Errorf("it does not say %q", want)
		}
	}
	s.waitState("web", "exited")
}

// Replicas that share a range of host ports start all.
func TestStartOfAPortRange(t *testing.T) {
	s := newStage(t)
	ports := freePorts(t, 4)
	text := `services: {web: {image: alpine, command: [sleep, "600"], stop_signal: SIGKILL, scale: 3, ports: ["` + ports[0] + "-" + ports[3] + `:80"]}}`
	if _, err := s.runner.Up(t.Context(), s.load(text), runner.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		s.run(0, "restart")
		s.run(0, "stop")
		s.run(0, "start")
	}
	all, err := s.engine.Containers(t.Context(), s.project)
	if err != nil {
		t.Fatal(err)
	}
	taken := map[int]bool{}
	for _, c := range all {
		for _, p := range c.Ports {
			if p.HostPort != 0 && (p.HostIP == "0.0.0.0" || p.HostIP == "") {
				taken[p.HostPort] = true
			}
		}
	}
	if len(taken) != 3 {
		t.Errorf("%d ports of three containers: %v", len(taken), taken)
	}
}

// ls shows the projects of both tools, with the words of Docker Compose.
func TestList(t *testing.T) {
	s := newStage(t)
	type project struct{ Name, Status, ConfigFiles string }
	ours := func(text string) []project {
		t.Helper()
		var all []project
		if err := json.Unmarshal([]byte(text), &all); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		return slices.DeleteFunc(all, func(p project) bool { return p.Name != s.project })
	}
	s.write("compose.yaml", smallShop)
	file := filepath.Join(s.dir, "compose.yaml")
	s.compose("-f", file, "up", "-d")
	for _, args := range [][]string{{"ls", "--format", "json"}, {"ls", "-a", "--format", "json"}, {"ls", "-a", "--format", "json", "--filter", "name=^" + s.project + "$"}} {
		got, want := ours(s.run(0, args...).stdout), ours(s.compose(args...).stdout)
		if diff := cmp.Diff(want, got); diff != "" || len(got) != 1 {
			t.Errorf("%v (-compose +stackctl):\n%s", args, diff)
		}
	}
	if table := s.run(0, "ls").stdout; !strings.Contains(table, s.project+"  running(2)") || !strings.Contains(table, file) {
		t.Error("the table does not show the project")
	}
	s.run(0, "stop")
	if names := s.run(0, "ls", "-q").stdout; strings.Contains(names, s.project) {
		t.Error("it shows what has stopped")
	}
	if names := s.run(0, "ls", "-aq").stdout; !strings.Contains(names, s.project+"\n") {
		t.Error("-a does not show what has stopped")
	}
	// And the other way: Docker Compose shows ours.
	s.run(0, "down", "--remove-orphans")
	if _, err := s.runner.Up(t.Context(), s.load(smallShop), runner.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	got, want := ours(s.run(0, "ls", "--format", "json").stdout), ours(s.compose("ls", "--format", "json").stdout)
	if diff := cmp.Diff(want, got); diff != "" || len(got) != 1 || got[0].Status != "running(2)" {
		t.Errorf("our own (-compose +stackctl):\n%s", diff)
	}
}

// Both tools tell the same of the same events, byte for byte.
func TestEventsAsComposeTellsThem(t *testing.T) {
	s := newStage(t)
	s.write("compose.yaml", smallShop)
	s.compose("-f", filepath.Join(s.dir, "compose.yaml"), "up", "-d")
	ours := s.start("events", "--json", "web")
	theirs := &background{s: s, cmd: s.command(os.Getenv("COMPOSE"), "-p", s.project, "events", "--json", "web"), stdout: newOutput(), stderr: newOutput()}
	theirs.cmd.Stdout, theirs.cmd.Stderr = theirs.stdout, theirs.stderr
	if err := theirs.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	web := s.containers()["web"].ID
	s.eventually("both streams are open", func() bool {
		s.ask(http.MethodPost, "/containers/"+web+"/pause", nil, nil)
		s.ask(http.MethodPost, "/containers/"+web+"/unpause", nil, nil)
		return ours.stdout.contains(`"unpause"`) && theirs.stdout.contains(`"unpause"`)
	})
	s.run(0, "restart", "web")
	s.eventually("both tell of the start", func() bool {
		return ours.stdout.contains(`"action":"start"`) && theirs.stdout.contains(`"action":"start"`)
	})
	// After the pauses, of which each may have seen others. Labels of stackctl are
	// left out by us alone: stand-in images have some.
	labels := regexp.MustCompile(`"io\.stackctl\.[^"]*":"[^"]*",`)
	rest := func(text string) []string {
		var out []string
		for line := range strings.Lines(text) {
			line = labels.ReplaceAllString(line, "")
			if !strings.Contains(line, `pause"`) {
				out = append(out, line)
			}
		}
		return out
	}
	got, want := rest(ours.end(syscall.SIGINT).stdout), rest(theirs.end(syscall.SIGINT).stdout)
	if diff := cmp.Diff(want, got); diff != "" || len(got) < 4 {
		t.Errorf("%d events (-compose +stackctl):\n%s", len(got), diff)
	}
	if code := ours.cmd.ProcessState.ExitCode(); code != 130 {
		t.Errorf("exit code %d after Ctrl-C", code)
	}

	// The same again from the engine's memory, with an end.
	again := rest(s.run(0, "events", "--json", "--since", "1m", "--until", "0s", "web").stdout)
	if len(again) < len(got) || !slices.Equal(again[len(again)-len(got):], got) {
		t.Errorf("from memory: %d events, the last not those seen live:\n%s", len(again), cmp.Diff(got, again))
	}
	if text := s.run(0, "events", "--since", "1m", "--until", "0s", "db").stdout; strings.Contains(text, "-web-1") || !strings.Contains(text, "health_status: healthy") {
		t.Error("it does not tell of the database alone")
	}
}

// One image is pulled once, all at a time, with the bytes of its layers; what
// cannot be had fails the pull, or is left out.
func TestPullVerb(t *testing.T) {
	s := newStage(t)
	r := newRegistry(t)
	ref := r.publish(s, "one")
	t.Cleanup(func() {
		if err := s.raw.do(withoutCancel(t), http.MethodDelete, "/images/"+ref+"?force=true", nil, nil); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
	text := `services: {web: {image: "` + ref + `"}, twin: {image: "` + ref + `"}}`
	events := &kinds{}
	s.runner = runner.New(s.engine, runner.WithEvents(events))
	for _, policy := range []runner.PullPolicy{"", runner.PullMissing, runner.PullAlways} {
		report, err := s.runner.Pull(t.Context(), s.load(text), runner.PullOptions{Policy: policy})
		if err != nil {
			t.Fatal(err)
		}
		want := []string{ref}
		if policy == runner.PullMissing {
			want = nil
		}
		if diff := cmp.Diff(want, report.Pulled()); diff != "" {
			t.Errorf("policy %q (-want +got):\n%s", policy, diff)
		}
	}
	if !events.saw("image " + ref) {
		t.Errorf("no event of the pull: %v", events.seen)
	}
	text = `services: {web: {image: "` + ref + `"}, gone: {image: "` + r.address + `/no/such:image"}}`
	if _, err := s.runner.Pull(t.Context(), s.load(text), runner.PullOptions{}); err == nil || !strings.Contains(err.Error(), "manifest unknown") {
		t.Errorf("an image that is nowhere: %v", err)
	}
	report, err := s.runner.Pull(t.Context(), s.load(text), runner.PullOptions{IgnoreFailures: true})
	if err != nil || len(report.Pulled()) != 1 {
		t.Errorf("what can be had: %v, %v", report.Pulled(), err)
	}
	if made := s.resources(); len(made) > 0 {
		t.Errorf("made %v", made)
	}
	// The command: what is there is left, and no registry knows the built-in app.
	s.run(0, "pull", "--policy", "missing")
	s.run(2, "pull", "nope")
}

// Two Dockerfiles are built at a time, with arguments, and without the cache when
// that is asked for.
func TestBuildVerb(t *testing.T) {
	s := newStage(t)
	images := []string{s.project + "-one", s.project + "-two"}
	t.Cleanup(func() {
		for _, image := range images {
			if err := s.raw.do(withoutCancel(t), http.MethodDelete, "/images/"+image+"?force=true", nil, nil); err != nil {
				t.Errorf("clean up: %v", err)
			}
		}
	})
	dockerfile := `"FROM alpine\nARG WORD=none\nLABEL word=$$WORD\nRUN head -c 8 /dev/urandom > /id\n"`
	text := `services: {one: {build: {context: ., dockerfile_inline: ` + dockerfile + `}}, two: {build: {context: ., args: {WORD: mine}, dockerfile_inline: ` + dockerfile + `}}, db: {image: alpine}}`
	type built struct{ id, word string }
	build := func(o runner.BuildOptions) [2]built {
		t.Helper()
		report, err := s.runner.Build(t.Context(), s.load(text), o)
		if err != nil {
			t.Fatal(err)
		}
		if len(report.Outcomes) != 2 {
			t.Fatalf("%d outcomes", len(report.Outcomes))
		}
		var out [2]built
		for i, name := range images {
			image, err := s.engine.Image(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			out[i] = built{image.ID, image.Labels["word"]}
		}
		return out
	}
	first := build(runner.BuildOptions{})
	if first[0].word != "none" || first[1].word != "mine" {
		t.Errorf("arguments of the stack: %v", first)
	}
	if again := build(runner.BuildOptions{}); again != first {
		t.Errorf("built again without a change: %v, was %v", again, first)
	}
	word := "asked"
	if asked := build(runner.BuildOptions{Args: types.MappingWithEquals{"WORD": &word}}); asked[0].word != word || asked[1].word != word {
		t.Errorf("arguments of the call: %v", asked)
	}
	if anew := build(runner.BuildOptions{NoCache: true}); anew[0].id == first[0].id || anew[1].id == first[1].id {
		t.Errorf("the cache was taken: %v, was %v", anew, first)
	}
	if made := s.resources(); len(made) > 0 {
		t.Errorf("made %v", made)
	}
}

// The command shows BuildKit's steps where progress is plain, and what a step that
// fails has written.
func TestBuildShowsItsSteps(t *testing.T) {
	s := newStage(t)
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("needs the Go toolchain")
	}
	got := s.run(0, "build")
	if !strings.Contains(got.stderr, "webapp            built") {
		t.Errorf("said %s", got.stderr)
	}
	image := s.project + "-webapp"
	t.Cleanup(func() {
		if err := s.raw.do(withoutCancel(t), http.MethodDelete, "/images/"+image+"?force=true", nil, nil); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
	if _, err := s.engine.Image(t.Context(), image); err != nil {
		t.Error(err)
	}
	// The app's own Dockerfile, as far as a base image that is nowhere.
	got = s.run(1, "build", "--builder", "engine", "--build-arg", "GO_IMAGE=127.0.0.1:1/none")
	if !strings.Contains(got.stderr, "   webapp | [internal] load metadata for 127.0.0.1:1/none:latest") || strings.Contains(got.stderr, "sha256:") {
		t.Errorf("no steps, or their digests: %s", got.stderr)
	}
}
