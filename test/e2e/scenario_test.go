//go:build e2e

// Package e2e holds scenarios on a real engine: the one that DOCKER_HOST names.
// Each has a project, a folder and ports of its own and leaves nothing behind.
package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stackctl/stackctl/pkg/runner"
	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/engine/docker"
	"github.com/stackctl/stackctl/pkg/runner/state"
	"github.com/stackctl/stackctl/pkg/spec"
)

// patience bounds each wait for a state. Reaching it is a failure.
const patience = time.Minute

// prefix begins the name of everything that this run makes on the engine. Another
// run at the same time has another.
var prefix = "e2e-" + strings.ToLower(rand.Text()[:6]) + "-"

// binary is the command under test, built by TestMain.
var binary string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "stackctl-e2e-*")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "stackctl")
	build := exec.Command("go", "build", "-race", "-o", binary, "github.com/stackctl/stackctl/cmd/stackctl")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build stackctl: %v\n%s", err, out)
		return 1
	}
	code := m.Run()
	left, err := leftovers()
	if err != nil || len(left) > 0 {
		fmt.Fprintf(os.Stderr, "the tests left behind: %v %v\n", left, err)
		code = max(code, 1)
	}
	return code
}

// leftovers lists what is on the engine of this run.
func leftovers() ([]string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	e, err := docker.New(docker.Options{LookupEnv: os.LookupEnv})
	if err != nil {
		return nil, err
	}
	defer e.Close()
	raw, err := rawEngineOf(ctx, e)
	if err != nil {
		return nil, err
	}
	all, err := raw.names(ctx)
	return slices.DeleteFunc(all, func(name string) bool { return !strings.Contains(name, prefix) }), err
}

// rawEngineOf gives the engine that another connection leads to.
func rawEngineOf(ctx context.Context, e *docker.Engine) (*rawEngine, error) {
	info, err := e.Info(ctx)
	if err != nil {
		return nil, err
	}
	return newRawEngine(info.Endpoint)
}

// stage is one test's project on the engine.
type stage struct {
	t       *testing.T
	project string
	dir     string
	web     string // the app's port
	env     []string
	engine  *docker.Engine
	raw     *rawEngine
	runner  *runner.Runner
}

// bare is the environment of this process without the variables that would
// change a scenario.
func bare() []string {
	return slices.DeleteFunc(os.Environ(), func(setting string) bool {
		for _, start := range []string{"WEBAPP_", "POSTGRES_", "REDIS_", "COMPOSE_", "STACKCTL_", "DOCKER_CONTEXT=", "NO_COLOR="} {
			if strings.HasPrefix(setting, start) {
				return true
			}
		}
		return false
	})
}

func newStage(t *testing.T) *stage {
	t.Helper()
	t.Parallel()
	e, err := docker.New(docker.Options{LookupEnv: os.LookupEnv})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := rawEngineOf(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	ports := freePorts(t, 3)
	s := &stage{
		t: t, project: prefix + strings.ToLower(rand.Text()[:6]), dir: t.TempDir(), web: ports[0],
		engine: e, raw: raw, runner: runner.New(e),
		env: []string{"WEBAPP_PORT=" + ports[0], "POSTGRES_PORT=" + ports[1], "REDIS_PORT=" + ports[2]},
	}
	t.Cleanup(func() {
		s.clean()
		e.Close()
	})
	return s
}

// clean removes all of the project, and the image of the app though a down before
// has removed its container.
func (s *stage) clean() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(withoutCancel(s.t), patience)
	defer cancel()
	grace := time.Duration(0)
	_, err := runner.New(s.engine).Down(ctx, s.project, runner.DownOptions{
		Services: []string{"webapp"}, RemoveOrphans: true,
		Volumes: true, Images: runner.RemoveLocalImages, Grace: &grace,
	})
	if err != nil {
		s.t.Errorf("clean up: %v", err)
	}
}

// nextPort counts the ports that tests of this process have been given. They lie
// below those that the system and engines give out by themselves, and begin
// somewhere else in each process.
var nextPort atomic.Int32

// freePorts gives ports that were free a moment ago, each to one test only.
func freePorts(t *testing.T, n int) []string {
	t.Helper()
	nextPort.CompareAndSwap(0, int32(10000+os.Getpid()%200*100))
	var out []string
	for len(out) < n {
		port := nextPort.Add(1)
		l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		out = append(out, strconv.Itoa(int(port)))
	}
	return out
}

// result is the end of a command.
type result struct {
	stdout, stderr string
	code           int
}

func (s *stage) command(name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(s.t.Context(), name, args...)
	cmd.Dir = s.dir
	cmd.Env = append(bare(), s.env...)
	return cmd
}

func (s *stage) exec(name string, args ...string) result {
	s.t.Helper()
	cmd := s.command(name, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	r := result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatalf("%s: %v", cmd, err)
	}
	s.t.Logf("%s %s: exit code %d\n%s%s", filepath.Base(name), strings.Join(args, " "), r.code, r.stdout, r.stderr)
	return r
}

// run runs stackctl on the project and wants its exit code.
func (s *stage) run(code int, args ...string) result {
	s.t.Helper()
	r := s.exec(binary, append([]string{"-p", s.project}, args...)...)
	if r.code != code {
		s.t.Fatalf("stackctl %s: exit code %d, want %d", strings.Join(args, " "), r.code, code)
	}
	return r
}

// compose runs Docker Compose on the project and wants success.
func (s *stage) compose(args ...string) result {
	s.t.Helper()
	name := os.Getenv("COMPOSE")
	if name == "" {
		s.t.Fatal("COMPOSE has to name a Docker Compose 2: test/engine/compose.sh gives one")
	}
	r := s.exec(name, append([]string{"-p", s.project}, args...)...)
	if r.code != 0 {
		s.t.Fatalf("docker-compose %s: exit code %d", strings.Join(args, " "), r.code)
	}
	return r
}

// containers gives the project's containers by service.
func (s *stage) containers() map[string]state.Container {
	s.t.Helper()
	all, err := s.engine.Containers(s.t.Context(), s.project)
	if err != nil {
		s.t.Fatal(err)
	}
	out := map[string]state.Container{}
	for _, c := range all {
		if _, twice := out[c.Service]; twice {
			s.t.Fatalf("two containers of service %s", c.Service)
		}
		out[c.Service] = c
	}
	return out
}

// resources lists the project's containers, networks and volumes, sorted.
func (s *stage) resources() []string {
	s.t.Helper()
	out := []string{}
	for _, c := range s.containers() {
		out = append(out, c.Ref().String())
	}
	networks, err := s.engine.Networks(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	for _, n := range networks {
		if n.Project == s.project {
			out = append(out, n.Ref().String())
		}
	}
	volumes, err := s.engine.Volumes(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	for _, v := range volumes {
		if v.Project == s.project {
			out = append(out, v.Ref().String())
		}
	}
	slices.Sort(out)
	return out
}

// run is which container it is, and since when it runs.
type run struct {
	ID        string
	StartedAt time.Time
}

// runs gives the runs of the project's containers by service.
func (s *stage) runs() map[string]run {
	s.t.Helper()
	out := map[string]run{}
	for service, c := range s.containers() {
		look, err := s.engine.Inspect(s.t.Context(), c.ID)
		if err != nil {
			s.t.Fatal(err)
		}
		out[service] = run{look.ID, look.StartedAt}
	}
	return out
}

// waitHealthy waits until the engine itself calls every container healthy, which
// can be a whole interval after `up` has.
func (s *stage) waitHealthy() {
	s.t.Helper()
	s.eventually("the engine calls every container healthy", func() bool {
		for _, c := range s.containers() {
			if c.Health != "healthy" {
				return false
			}
		}
		return true
	})
}

// waitState waits until the engine's list has a service's container in a state.
// It can be a moment behind what a call has done.
func (s *stage) waitState(service, want string) {
	s.t.Helper()
	s.eventually(service+" is "+want, func() bool { return s.containers()[service].State == want })
}

// eventually looks again and again until a state is reached.
func (s *stage) eventually(what string, reached func() bool) {
	s.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !reached() {
		select {
		case <-tick.C:
		case <-deadline.C:
			s.t.Fatalf("it never happened that %s", what)
		}
	}
}

// url is an address of the app.
func (s *stage) url(path string) string { return "http://127.0.0.1:" + s.web + path }

// get asks the app and wants an answer in JSON.
func (s *stage) get(path string) (int, map[string]any) {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url(path), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.answer(request)
}

func (s *stage) addUser(name string) {
	s.t.Helper()
	body := fmt.Sprintf(`{"name":%q,"email":"%s@example.org"}`, name, name)
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.url("/users"), strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if code, answer := s.answer(request); code != http.StatusCreated {
		s.t.Fatalf("POST /users: %d %v", code, answer)
	}
}

func (s *stage) answer(request *http.Request) (int, map[string]any) {
	s.t.Helper()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	var answer map[string]any
	if err := json.Unmarshal(text, &answer); err != nil {
		s.t.Fatalf("%s: %v in %s", request.URL, err, text)
	}
	return response.StatusCode, answer
}

// users gives the names of the app's users.
func (s *stage) users() []string {
	s.t.Helper()
	code, answer := s.get("/users")
	if code != http.StatusOK {
		s.t.Fatalf("GET /users: %d %v", code, answer)
	}
	names := []string{}
	for _, user := range answer["users"].([]any) {
		names = append(names, user.(map[string]any)["name"].(string))
	}
	return names
}

// ask sends a request to the engine and wants success.
func (s *stage) ask(method, path string, body, into any) {
	s.t.Helper()
	if err := s.raw.do(s.t.Context(), method, path, body, into); err != nil {
		s.t.Fatal(err)
	}
}

// up brings a stack of the test's own up, through the library.
func (s *stage) up(stack *spec.Stack, o runner.UpOptions) (*runner.Report, error) {
	s.t.Helper()
	p, err := stack.Project(s.t.Context(), spec.WithName(s.project), spec.WithWorkingDir(s.dir))
	if err != nil {
		s.t.Fatal(err)
	}
	return s.runner.Up(s.t.Context(), p, o)
}

// load loads compose text under the test's project.
func (s *stage) load(text string) *types.Project {
	s.t.Helper()
	p, err := spec.Load(s.t.Context(), spec.LoadOptions{
		Content: []byte(text), WorkingDir: s.dir, Name: s.project, Env: map[string]string{"TOKEN": "from the environment"},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

// write writes a file into the test's folder.
func (s *stage) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// shell is a service that runs a script in the small image.
func shell(name, script string) *spec.Service {
	return &spec.Service{
		Name: name, Image: "alpine", Command: []spec.Value{"sh", "-c", spec.Literal(script)}, StopSignal: "SIGKILL",
	}
}

// probe is a healthcheck that runs a script every 100 ms.
func probe(script string) *spec.Healthcheck {
	return &spec.Healthcheck{
		Test: spec.ShellTest(spec.Literal(script)), Interval: time.Second, Timeout: 5 * time.Second, Retries: 1,
		StartPeriod: time.Second, StartInterval: 100 * time.Millisecond,
	}
}

// logText joins the lines of a failure's log.
func logText(lines []engine.LogLine) string {
	var out []string
	for _, l := range lines {
		out = append(out, l.Text)
	}
	return strings.Join(out, "\n")
}

// background is a command that goes on while the test does something else.
type background struct {
	s      *stage
	cmd    *exec.Cmd
	stderr *output
	stdout *output
}

func (s *stage) start(args ...string) *background {
	s.t.Helper()
	b := &background{s: s, cmd: s.command(binary, append([]string{"-p", s.project}, args...)...), stderr: newOutput(), stdout: newOutput()}
	b.cmd.Stdout, b.cmd.Stderr = b.stdout, b.stderr
	if err := b.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	return b
}

// end sends a signal and gives the exit code.
func (b *background) end(signal syscall.Signal) result {
	b.s.t.Helper()
	if err := b.cmd.Process.Signal(signal); err != nil {
		b.s.t.Fatal(err)
	}
	_ = b.cmd.Wait() // the exit code says it
	r := result{b.stdout.String(), b.stderr.String(), b.cmd.ProcessState.ExitCode()}
	b.s.t.Logf("%s, after %s: exit code %d\n%s%s", b.cmd, signal, r.code, r.stdout, r.stderr)
	return r
}

// wait waits until the command ends by itself, and gives how it ended.
func (b *background) wait() result {
	b.s.t.Helper()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = b.cmd.Wait() // the exit code says it
	}()
	b.s.eventually("the command ends: "+strings.Join(b.cmd.Args, " "), func() bool {
		select {
		case <-ended:
			return true
		default:
			return false
		}
	})
	r := result{b.stdout.String(), b.stderr.String(), b.cmd.ProcessState.ExitCode()}
	b.s.t.Logf("%s: exit code %d\n%s%s", b.cmd, r.code, r.stdout, r.stderr)
	return r
}

// withoutCancel is a context for cleaning up after a test.
func withoutCancel(t *testing.T) context.Context {
	t.Helper()
	return context.WithoutCancel(t.Context())
}
