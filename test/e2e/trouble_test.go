//go:build e2e

package e2e

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stackctl/stackctl/pkg/runner"
	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/plan"
	"github.com/stackctl/stackctl/pkg/spec"
)

// Each kind of trouble with a container or with what it is made of: the error says
// what failed and why, with its last words, and the hint what to do.
func TestTrouble(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, file string
		// prepare makes the trouble; nil where the file does.
		prepare func(*stage)
		args    []string
		code    int
		// want are expressions that the messages have to match.
		want []string
	}{
		{
			name: "a container that dies at once, while others are on their way",
			file: `
services:
  web: {image: alpine, command: [sh, -c, "echo no such setting >&2; exit 3"]}
  slow:
    image: alpine
    command: [sh, -c, "sleep 3; touch /tmp/ready; sleep 600"]
    stop_signal: SIGKILL
    healthcheck: {test: [CMD, test, -e, /tmp/ready], interval: 1s}`,
			args: []string{"up"}, code: 6,
			want: []string{`-web-1 \| no such setting`, `error: container \S+-web-1 is not running: .*exit.* code 3`, "hint: `stackctl .*logs web` shows more"},
		},
		{
			name: "a container that restarts for ever",
			file: `
services:
  web:
    image: alpine
    restart: always
    command: [sh, -c, "echo no such setting >&2; exit 3"]
    healthcheck: {test: [CMD, "false"]}`,
			args: []string{"up"}, code: 6,
			want: []string{`-web-1 \| no such setting`, `error: container \S+-web-1 is not healthy: it keeps ending, \d+ times so far, last with exit code 3`},
		},
		{
			name: "a container that needs more memory than it may have",
			file: `
services:
  web:
    image: alpine
    mem_limit: 16m
    memswap_limit: 16m
    command: [sh, -c, "echo filling; tail /dev/zero"]
    healthcheck: {test: [CMD, "false"], interval: 1s}`,
			args: []string{"up"}, code: 6,
			want: []string{`-web-1 \| filling`, `it was killed for using more memory than it may \(exit code 137\)`, "hint: let it have more memory than mem_limit: 16m; "},
		},
		{
			name: "a healthcheck that hangs",
			file: `
services:
  web:
    image: alpine
    stop_signal: SIGKILL
    command: [sh, -c, "echo serving; sleep 600"]
    healthcheck: {test: [CMD, sleep, "600"], interval: 1s, timeout: 1s}`,
			args: []string{"up", "--wait-timeout", "4s"}, code: 6,
			want: []string{
				`-web-1 \| serving`,
				`is not healthy: still (starting|unhealthy) after 4s; last probe: the healthcheck did not end within its timeout of 1s`,
				"--wait-timeout gives it more time",
			},
		},
		{
			name: "an image for another platform",
			file: `
services:
  web:
    image: $IMAGE
    pull_policy: never
    command: [/hello]
    healthcheck: {test: [CMD, /hello], interval: 1s}`,
			prepare: func(s *stage) {
				image := s.project + "-foreign"
				s.env = append(s.env, "IMAGE="+image)
				s.foreignImage(image)
			},
			args: []string{"up"}, code: 6,
			want: []string{
				`it exited with code \d+.*; image \S+-foreign is for linux/s390x, and the engine runs on linux/amd64`,
				"hint: give service web an image for linux/amd64: `platform: linux/amd64`",
			},
		},
		{
			name: "a subnet that another network has",
			file: `
services:
  web: {image: alpine, command: [sleep, "600"], stop_signal: SIGKILL, networks: [back]}
networks:
  back: {ipam: {config: [{subnet: 10.99.77.0/24}]}}`,
			prepare: func(s *stage) {
				other := s.project + "_other"
				s.ask(http.MethodPost, "/networks/create", map[string]any{
					"Name": other, "IPAM": map[string]any{"Config": []map[string]any{{"Subnet": "10.99.76.0/22"}}},
				}, nil)
				s.t.Cleanup(func() {
					if err := s.raw.do(withoutCancel(s.t), http.MethodDelete, "/networks/"+other, nil, nil); err != nil {
						s.t.Errorf("clean up: %v", err)
					}
				})
			},
			args: []string{"up"}, code: 1,
			want: []string{
				`error: create network "\S+_back": its subnet 10\.99\.77\.0/24 overlaps with 10\.99\.76\.0/22 of network \S+_other\n`,
				"hint: choose another subnet, such as `subnet: 10\\.\\d+\\.0\\.0/24`, .*`docker network rm \\S+_other`",
			},
		},
		{
			name: "a program that takes no notice of the stop signal",
			file: `
services:
  web: {image: alpine, stop_grace_period: 1s, command: [sh, -c, "trap '' TERM; while :; do sleep 1; done"]}`,
			prepare: func(s *stage) { s.run(0, "up") },
			args:    []string{"down"}, code: 0,
			want: []string{`warning: container \S+-web-1 did not end within 1s of SIGTERM and was killed; `},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newStage(t)
			s.write("compose.yaml", test.file)
			if test.prepare != nil {
				test.prepare(s)
			}
			got := s.run(test.code, test.args...)
			for _, want := range test.want {
				if !regexp.MustCompile(want).MatchString(got.stderr) {
					t.Errorf("the messages do not match %s", want)
				}
			}
		})
	}
}

// foreignImage loads an image for a machine that nobody has here, with a program
// that none runs.
func (s *stage) foreignImage(ref string) {
	s.t.Helper()
	pack := func(files map[string][]byte) []byte {
		var out bytes.Buffer
		w := tar.NewWriter(&out)
		for name, content := range files {
			err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(content))})
			if err == nil {
				_, err = w.Write(content)
			}
			if err != nil {
				s.t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			s.t.Fatal(err)
		}
		return out.Bytes()
	}
	layer := pack(map[string][]byte{"hello": append([]byte("\x7fELF\x02\x02\x01\x00"), make([]byte, 120)...)})
	config, err := json.Marshal(map[string]any{
		"architecture": "s390x", "os": "linux", "config": map[string]any{},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{fmt.Sprintf("sha256:%x", sha256.Sum256(layer))}},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	manifest, err := json.Marshal([]map[string]any{{"Config": "config.json", "RepoTags": []string{ref + ":latest"}, "Layers": []string{"layer.tar"}}})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		s.clean()
		if err := s.engine.RemoveImage(withoutCancel(s.t), ref); err != nil {
			s.t.Errorf("clean up: %v", err)
		}
	})
	archive := pack(map[string][]byte{"config.json": config, "manifest.json": manifest, "layer.tar": layer})
	if _, err := s.engine.LoadImage(s.t.Context(), bytes.NewReader(archive)); err != nil {
		s.t.Fatal(err)
	}
}

// takingPort is an engine before whose first start somebody takes a port.
type takingPort struct {
	engine.Engine
	take func()
}

func (e takingPort) StartContainer(ctx context.Context, container string) error {
	e.take()
	return e.Engine.StartContainer(ctx, container)
}

// A port that is taken between the check and the start is told of as one that was
// taken before: with who has it.
func TestPortTakenAfterTheCheck(t *testing.T) {
	s := newStage(t)
	web := shell("web", "sleep 600")
	web.Ports = []spec.Port{spec.Publish(spec.Literal(s.web), 80)}
	var listener net.Listener
	s.runner = runner.New(takingPort{s.engine, func() {
		var err error
		if listener, err = net.Listen("tcp", ":"+s.web); err != nil {
			t.Error(err)
		}
	}})
	stack := spec.New("x", web)
	_, err := s.up(stack, runner.UpOptions{})
	if listener != nil {
		listener.Close()
	}
	var failed *runner.FailedError
	var taken *runner.PortsError
	if !errors.As(err, &failed) || !errors.As(err, &taken) {
		t.Fatalf("got %v", err)
	}
	want := fmt.Sprintf("start container %q: service web: port %s/tcp is taken by process ", s.project+"-web-1", s.web)
	if !strings.HasPrefix(err.Error(), want) {
		t.Errorf("error %q, want %q ...", err, want)
	}
	if _, isStart := failed.Failures[0].Node.Op.(plan.StartContainer); !isStart {
		t.Errorf("failed: %s", failed.Failures[0].Node.Op)
	}
	s.runner = runner.New(s.engine)
	if _, err := s.up(stack, runner.UpOptions{}); err != nil {
		t.Errorf("after the port was given up: %v", err)
	}
}

// Health that comes and goes: up ends with the first success, and status tells how
// it is now.
func TestHealthFlaps(t *testing.T) {
	s := newStage(t)
	s.write("compose.yaml", `
services:
  web:
    image: alpine
    stop_signal: SIGKILL
    command: [sh, -c, "touch /tmp/well; sleep 600"]
    healthcheck: {test: [CMD, test, -e, /tmp/well], interval: 1s, retries: 1}`)
	s.run(0, "up")
	watch := s.start("status", "-w")
	s.waitHealthy()
	for _, turn := range []struct {
		command []string
		health  string
		code    int
	}{
		{[]string{"rm", "/tmp/well"}, "unhealthy", 1},
		{[]string{"touch", "/tmp/well"}, "healthy", 0},
		{[]string{"rm", "/tmp/well"}, "unhealthy", 1},
	} {
		before := len(watch.stdout.String())
		if _, err := s.engine.Exec(t.Context(), s.containers()["web"].ID, engine.Command{Args: turn.command}); err != nil {
			t.Fatal(err)
		}
		s.eventually("the engine says "+turn.health, func() bool { return s.containers()["web"].Health == turn.health })
		s.eventually("status -w shows it", func() bool { return strings.Contains(watch.stdout.String()[before:], "  "+turn.health+" ") })
		s.run(turn.code, "status", "--exit-code")
	}
	watch.end(syscall.SIGINT)
}

// A clock that is an hour off changes nothing of what is done and found out.
func TestClockOfTheClient(t *testing.T) {
	t.Parallel()
	for _, skew := range []time.Duration{time.Hour, -time.Hour} {
		t.Run(skew.String(), func(t *testing.T) {
			s := newStage(t)
			s.runner = runner.New(s.engine, runner.WithCache(t.TempDir()), runner.WithClock(func() time.Time { return time.Now().Add(skew) }))
			db := shell("db", "sleep 600")
			db.Healthcheck = &spec.Healthcheck{Test: spec.ShellTest("true"), Interval: time.Minute, Timeout: 5 * time.Second}
			web := shell("web", "sleep 600")
			web.DependsOn = []spec.Dependency{spec.Healthy(db)}
			stack := spec.New("x", db, web)
			report, err := s.up(stack, runner.UpOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if report.Elapsed < 0 || report.Elapsed > patience {
				t.Errorf("up took %s", report.Elapsed)
			}
			for _, out := range report.Outcomes {
				if out.Elapsed < 0 || out.Elapsed > patience {
					t.Errorf("%s took %s", out.Node.Op.Ref(), out.Elapsed)
				}
			}
			before := s.runs()
			// The engine has not looked yet; that a probe of ours has, is remembered.
			if again, err := s.up(stack, runner.UpOptions{}); err != nil || !again.Plan.Empty() {
				t.Errorf("the second up: %v, %v", again.Plan, err)
			}
			p, err := stack.Project(t.Context(), spec.WithName(s.project))
			if err != nil {
				t.Fatal(err)
			}
			status, err := s.runner.Status(t.Context(), p, runner.StatusOptions{})
			if err != nil || !status.Ready() {
				t.Errorf("status %+v, %v", status, err)
			}
			for _, c := range status.Containers {
				if c.Drift != "" {
					t.Errorf("%s differs: %s", c.Container, c.Drift)
				}
			}
			if after := s.runs(); after["db"] != before["db"] || after["web"] != before["web"] {
				t.Errorf("containers were replaced: %v, %v", before, after)
			}
		})
	}
}
