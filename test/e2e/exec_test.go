//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackctl/stackctl/pkg/runner"
	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/state"
	"github.com/stackctl/stackctl/pkg/spec"
)

// upSleeper brings up a service web that does nothing.
func (s *stage) upSleeper() {
	s.t.Helper()
	if _, err := s.up(&spec.Stack{Name: "sleeper", Services: []*spec.Service{shell("web", "sleep 100000")}}, runner.UpOptions{}); err != nil {
		s.t.Fatal(err)
	}
}

// oneOffs gives the project's containers of `run`, by name.
func (s *stage) oneOffs() []state.Container {
	s.t.Helper()
	all, err := s.engine.Containers(s.t.Context(), s.project)
	if err != nil {
		s.t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(c state.Container) bool { return !c.OneOff })
}

// noise is what no two bytes of which can change places unnoticed.
func noise(n int) []byte {
	out := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(out)
	return out
}

// A command without a terminal is as one in a pipe: its input ends, ten megabytes
// go through it and back, its two outputs are two, and its exit code is told.
func TestExec(t *testing.T) {
	s := newStage(t)
	s.upSleeper()
	sent := noise(10 << 20)
	cmd := s.command(binary, "-p", s.project, "exec", "web", "sh", "-c", "cat; echo oh >&2; exit 7")
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(sent), &stdout, &stderr
	_ = cmd.Run() // the exit code says it
	if cmd.ProcessState.ExitCode() != 7 || stderr.String() != "oh\n" || sha256.Sum256(stdout.Bytes()) != sha256.Sum256(sent) {
		t.Errorf("exit code %d, %d bytes, %q", cmd.ProcessState.ExitCode(), stdout.Len(), stderr.String())
	}

	r := s.run(0, "exec", "-e", "A=b c", "-u", "65534", "-w", "/tmp", "web", "sh", "-c", "echo $A; id -u; pwd")
	if r.stdout != "b c\n65534\n/tmp\n" || r.stderr != "" {
		t.Errorf("output %q, %q", r.stdout, r.stderr)
	}
	s.run(0, "exec", "-d", "web", "sh", "-c", "touch /detached; sleep 100000")
	s.eventually("the detached command has run", func() bool {
		return s.exec(binary, "-p", s.project, "exec", "web", "test", "-e", "/detached").code == 0
	})
	// A command that is not there is the engine's to tell, with the shell's codes.
	if r := s.exec(binary, "-p", s.project, "exec", "web", "nope"); r.code != 126 && r.code != 127 {
		t.Errorf("exit code %d", r.code)
	}
	// One that reads none of its input ends all the same.
	input, endless, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd = s.command(binary, "-p", s.project, "exec", "web", "sh", "-c", "echo done; exit 3")
	stdout.Reset()
	cmd.Stdin, cmd.Stdout = input, &stdout
	written := make(chan struct{})
	go func() {
		defer close(written)
		defer endless.Close()
		for _, err := endless.WriteString("more\n"); err == nil; _, err = endless.WriteString("more\n") {
		}
	}()
	_ = cmd.Run()
	input.Close()
	<-written
	if cmd.ProcessState.ExitCode() != 3 || stdout.String() != "done\n" {
		t.Errorf("exit code %d, %q", cmd.ProcessState.ExitCode(), stdout.String())
	}

	// Without a terminal, Ctrl-C ends stackctl.
	b := s.start("exec", "web", "sh", "-c", "echo here; sleep 100000")
	s.eventually("the command runs", func() bool { return b.stdout.contains("here\n") })
	if r := b.end(syscall.SIGINT); r.code != 130 || r.stderr != "" {
		t.Errorf("exit code %d, %q", r.code, r.stderr)
	}

	if err := s.engine.StopContainer(t.Context(), s.containers()["web"].ID, nil); err != nil {
		t.Fatal(err)
	}
	r = s.run(1, "exec", "web", "true")
	want := fmt.Sprintf("error: service web does not run: container %s-web-1 is exited\nhint: `stackctl -p %s up web` starts it\n", s.project, s.project)
	if diff := cmp.Diff(want, r.stderr); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A container of its own is made as those of the service are, and as Docker
// Compose makes it; what it is asked for is added; and `down` takes it along.
func TestRun(t *testing.T) {
	s := newStage(t)
	r := s.run(0, "run", "--entrypoint", "sh", "cache", "-c", "echo out; echo err >&2")
	if r.stdout != "out\n" || !strings.HasSuffix(r.stderr, "\nerr\n") {
		t.Errorf("output %q, %q", r.stdout, r.stderr)
	}
	made := s.oneOffs()
	if len(made) != 1 || made[0].State != "exited" || len(made[0].Ports) != 0 {
		t.Fatalf("containers %+v", made)
	}
	if !regexp.MustCompile(`^` + s.project + `-cache-run-[0-9a-f]{12}$`).MatchString(made[0].Name) {
		t.Errorf("name %s", made[0].Name)
	}
	var look struct {
		Config struct {
			Labels                                 map[string]string
			AttachStdin, OpenStdin, StdinOnce, Tty bool
		}
		HostConfig struct {
			AutoRemove    bool
			RestartPolicy struct{ Name string }
		}
	}
	s.ask(http.MethodGet, "/containers/"+made[0].ID+"/json", nil, &look)
	if l := look.Config.Labels; l["com.docker.compose.oneoff"] != "True" || !strings.HasPrefix(l["com.docker.compose.slug"], strings.TrimPrefix(made[0].Name, s.project+"-cache-run-")) {
		t.Errorf("labels %v", l)
	}
	if c := look.Config; !c.AttachStdin || !c.OpenStdin || !c.StdinOnce || c.Tty {
		t.Errorf("streams %+v", c)
	}
	if h := look.HostConfig; h.AutoRemove || h.RestartPolicy.Name != "" && h.RestartPolicy.Name != "no" {
		t.Errorf("settings %+v", h)
	}

	// Input, a folder of this machine, variables, the exit code, and nothing left.
	if err := os.WriteFile(filepath.Join(s.dir, "note"), []byte("from here\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	sent := noise(10 << 20)
	cmd := s.command(binary, "-p", s.project, "run", "--rm", "--no-deps", "-v", "./note:/note:ro", "-e", "A=b", "--entrypoint", "sh", "cache", "-c", "cat /note >&2; echo $A >&2; cat; exit 9")
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(sent), &stdout, &stderr
	_ = cmd.Run() // the exit code says it
	if cmd.ProcessState.ExitCode() != 9 || !strings.HasSuffix(stderr.String(), "from here\nb\n") || sha256.Sum256(stdout.Bytes()) != sha256.Sum256(sent) {
		t.Errorf("exit code %d, %d bytes, %q", cmd.ProcessState.ExitCode(), stdout.Len(), stderr.String())
	}
	if left := s.oneOffs(); len(left) != 1 {
		t.Errorf("left: %+v", left)
	}

	// Published ports: the service's, and others.
	other := freePorts(t, 1)[0]
	id := strings.TrimSpace(s.run(0, "run", "-d", "--rm", "-P", "-p", other+":6379", "cache").stdout)
	var ports []int
	for _, c := range s.oneOffs() {
		if c.ID == id {
			for _, p := range c.Ports {
				ports = append(ports, p.HostPort)
			}
		}
	}
	for _, want := range []string{other, strings.TrimPrefix(s.env[2], "REDIS_PORT=")} {
		if !slices.ContainsFunc(ports, func(p int) bool { return fmt.Sprint(p) == want }) {
			t.Errorf("port %s is not among %v", want, ports)
		}
	}

	s.run(0, "down", "-v")
	if left := s.resources(); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// Ctrl-C goes to the command; the container ends by it, and goes if it is to.
func TestRunInterrupted(t *testing.T) {
	s := newStage(t)
	script := `trap 'echo bye; exit 42' INT TERM; echo here; while :; do sleep 0.1; done`
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		b := s.start("run", "--rm", "--no-deps", "--entrypoint", "sh", "cache", "-c", script)
		s.eventually("the command runs", func() bool { return b.stdout.contains("here\n") })
		r := b.end(signal)
		if r.code != 42 || r.stdout != "here\nbye\n" {
			t.Errorf("%s: exit code %d, %q", signal, r.code, r.stdout)
		}
		if left := s.oneOffs(); len(left) > 0 {
			t.Errorf("%s: left: %+v", signal, left)
		}
	}
	// The second one does not wait for a command that takes no notice.
	b := s.start("run", "--rm", "--no-deps", "--entrypoint", "sh", "cache", "-c", "trap '' INT; echo here; sleep 100000")
	s.eventually("the command runs", func() bool { return b.stdout.contains("here\n") })
	if err := b.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	s.eventually("the signal is sent", func() bool { return b.stderr.contains("sent SIGINT") })
	if r := b.end(syscall.SIGINT); r.code != 130 {
		t.Errorf("exit code %d", r.code)
	}
	if left := s.oneOffs(); len(left) != 1 || left[0].State != "running" {
		t.Errorf("left: %+v", left)
	}
}

// Nobody reads the output any more: the container does not stay behind.
func TestRunIntoAPipeThatCloses(t *testing.T) {
	s := newStage(t)
	cmd := s.command(binary, "-p", s.project, "run", "--no-deps", "--entrypoint", "sh", "cache", "-c", "trap 'exit 0' TERM; while :; do echo more; done")
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(pipe, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	pipe.Close()
	_ = cmd.Wait() // the exit code says it
	if code := cmd.ProcessState.ExitCode(); code != 128+int(syscall.SIGPIPE) {
		t.Errorf("exit code %d", code)
	}
	s.waitState("cache", "exited")
}

// What a service waits for is waited for, whatever the condition, and a service
// that runs already is left as it is.
func TestRunDependencies(t *testing.T) {
	s := newStage(t)
	data := &spec.Volume{Name: "data"}
	job := shell("job", "sleep 1; echo done > /data/job")
	job.Mounts = []spec.Mount{spec.Mounted(data, "/data")}
	db := shell("db", "sleep 1; touch /ready; sleep 100000")
	db.Healthcheck = probe("test -e /ready")
	web := shell("web", "sleep 100000")
	web.Mounts = job.Mounts
	web.DependsOn = []spec.Dependency{spec.Completed(job), spec.Healthy(db)}
	stack := &spec.Stack{Name: "deps", Services: []*spec.Service{job, db, web}, Volumes: []*spec.Volume{data}}
	p, err := stack.Project(t.Context(), spec.WithName(s.project), spec.WithWorkingDir(s.dir))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	var health string
	look := func(string) { health = s.containers()["db"].Health }
	result, err := s.runner.Run(t.Context(), p, "web", runner.RunOptions{
		Args: []string{"cat", "/data/job"}, Remove: true, Streams: engine.Streams{Out: &out}, Created: look,
	})
	if err != nil || result.ExitCode != 0 || out.String() != "done\n" {
		t.Fatalf("%+v %v %q", result, err, out.String())
	}
	if health != "healthy" && health != "starting" { // the engine itself may look later
		t.Errorf("db is %q", health)
	}
	if _, err := s.runner.Up(t.Context(), p, runner.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	before := s.runs()
	if _, err := s.runner.Run(t.Context(), p, "web", runner.RunOptions{Args: []string{"true"}, Remove: true, ServicePorts: true}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, s.runs()); diff != "" {
		t.Errorf("what ran before (-want +got):\n%s", diff)
	}

	// A dependency that fails lets nothing begin, and nothing is left of it.
	p.Services["job"].Command[2] = "exit 3"
	_, err = s.runner.Run(t.Context(), p, "web", runner.RunOptions{Args: []string{"true"}})
	var notReady *runner.NotReadyError
	if !errors.As(err, &notReady) {
		t.Errorf("error is %v", err)
	}
	if left := s.oneOffs(); len(left) > 0 {
		t.Errorf("left: %+v", left)
	}
	// The end of the context does not wait for what takes no notice of a signal.
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("enough")
	_, err = s.runner.Run(ctx, p, "web", runner.RunOptions{
		NoDeps: true, Remove: true, Args: []string{"sh", "-c", "echo here; sleep 100000"},
		Streams: engine.Streams{Out: cancelling{cancel, cause}},
	})
	if !errors.Is(err, cause) {
		t.Errorf("error is %v", err)
	}
	if left := s.oneOffs(); len(left) > 0 {
		t.Errorf("left: %+v", left)
	}
}

// cancelling ends a context with the first that is written.
type cancelling struct {
	cancel context.CancelCauseFunc
	cause  error
}

func (c cancelling) Write(p []byte) (int, error) {
	c.cancel(c.cause)
	return len(p), nil
}
