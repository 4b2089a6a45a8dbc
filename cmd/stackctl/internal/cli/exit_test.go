package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"

	"github.com/stackctl/stackctl/pkg/runner"
	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/plan"
	"github.com/stackctl/stackctl/pkg/runner/state"
	"github.com/stackctl/stackctl/pkg/runner/support"
	"github.com/stackctl/stackctl/pkg/spec"
)

// failure makes a failed node of a run.
func failure(op plan.Op, service string, err error) runner.Failure {
	return runner.Failure{Node: plan.Node{ID: 1, Op: op}, Service: service, Err: err}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	interrupted, cancel := context.WithCancelCause(t.Context())
	cancel(&SignalError{syscall.SIGINT})
	terminated, cancel := context.WithCancelCause(t.Context())
	cancel(&SignalError{syscall.SIGTERM})

	web := state.ContainerSpec{Name: "shop-web-1"}
	notReady := &runner.NotReadyError{
		Container: "shop-web-1", Condition: state.Healthy, Reason: "it exited with code 3",
		LastProbe: &engine.ProbeResult{ExitCode: 1, Output: "refused\n"},
	}
	late := &runner.NotReadyError{Container: "shop-web-1", Condition: state.Healthy, Reason: "still starting after 2m0s", TimedOut: true}

	for _, c := range []struct {
		name string
		ctx  context.Context
		err  error
		want verdict
	}{
		{
			name: "anything", err: errors.New("disk full"),
			want: verdict{code: 1, lines: []string{"disk full"}},
		},
		{
			name: "a result in the exit code", err: fmt.Errorf("status: %w", silentError(1)),
			want: verdict{code: 1},
		},
		{
			name: "wrong usage", err: &usageError{text: "unknown flag: --x", command: "stackctl up"},
			want: verdict{code: 2, lines: []string{"unknown flag: --x"}, hint: "`stackctl up --help` shows what there is"},
		},
		{
			name: "wrong usage that can be mended", err: &usageError{text: "both", hint: "keep one of them", command: "stackctl up"},
			want: verdict{code: 2, lines: []string{"both"}, hint: "keep one of them"},
		},
		{
			name: "another at work", err: &runner.LockedError{Project: "shop", Holder: runner.LockHolder{PID: 4242}, Waited: 10 * time.Minute},
			want: verdict{
				code: 1, hint: "look what it waits for, or end it with `kill 4242`; then run this again",
				lines: []string{(&runner.LockedError{Project: "shop", Holder: runner.LockHolder{PID: 4242}, Waited: 10 * time.Minute}).Error()},
			},
		},
		{
			name: "another at work that is not known", err: &runner.LockedError{Project: "shop", Waited: 10 * time.Minute},
			want: verdict{
				code: 1, lines: []string{"project shop: another process is at work on it; waited 10m0s for its end"},
				hint: "look what it waits for, or end it; then run this again",
			},
		},
		{
			name: "no such env file", err: &envFileError{file: "a.env", err: fs.ErrNotExist},
			want: verdict{code: 2, lines: []string{"read variables from a.env: file does not exist"}, hint: "check the path after --env-file"},
		},
		{
			name: "broken env file", err: &envFileError{file: ".env", err: errors.New("line 3: unexpected character")},
			want: verdict{code: 2, lines: []string{"read variables from .env: line 3: unexpected character"}, hint: "it has to be a file with lines NAME=value"},
		},
		{
			name: "unknown service", err: fmt.Errorf("%w: wep", runner.ErrUnknownService),
			want: verdict{code: 2, lines: []string{"no such service: wep"}, hint: "`stackctl status` lists the services"},
		},
		{
			name: "invalid stack", err: fmt.Errorf("load: %w", &spec.ValidationError{Problems: []spec.Problem{
				{Path: "services.a", Message: "has no image", Hint: "set image"}, {Path: "services.b", Message: "is a mess"},
			}}),
			want: verdict{code: 3, lines: []string{"services.a: has no image — set image", "services.b: is a mess"}},
		},
		{
			name: "fields that cannot be done", err: fmt.Errorf("plan: %w", &runner.UnsupportedError{Problems: []support.Problem{
				{Path: "services.a.umask", Why: "because"}, {Path: "services.b.models", Why: "of something else"},
			}}),
			want: verdict{code: 3, lines: []string{
				"services.a.umask is not supported: because", "services.b.models is not supported: of something else",
			}},
		},
		{
			name: "no engine", err: &engine.UnreachableError{Endpoint: "unix:///x", Source: "default", Err: fs.ErrNotExist},
			want: verdict{
				code: 4, lines: []string{"the engine at unix:///x (from default) does not answer: file does not exist"},
				hint: "start Docker (`sudo systemctl start docker`, or Docker Desktop), or name another engine with -H or DOCKER_HOST",
			},
		},
		{
			name: "no access to the engine", err: &engine.UnreachableError{Endpoint: "unix:///x", Source: "default", Err: fs.ErrPermission},
			want: verdict{
				code: 4, lines: []string{"the engine at unix:///x (from default) does not answer: permission denied"},
				hint: "`sudo usermod -aG docker $USER` and a new login give access, or use sudo",
			},
		},
		{
			name: "an engine that is silent", err: fmt.Errorf("list: %w", &engine.UnansweredError{Call: "GET /networks", After: time.Minute}),
			want: verdict{code: 4, lines: []string{"list: the engine has not answered GET /networks for 1m0s"}, hint: silentHint},
		},
		{
			name: "an engine that is silent in the middle of a run", err: &runner.FailedError{Failures: []runner.Failure{
				{Node: plan.Node{Op: plan.CreateContainer{Container: web}}, Err: &engine.UnansweredError{Call: "POST /containers/create", After: time.Minute}},
			}},
			want: verdict{code: 4, lines: []string{"the engine has not answered POST /containers/create for 1m0s"}, hint: silentHint},
		},
		{
			name: "old engine", err: &engine.VersionError{Endpoint: "unix:///x", APIVersion: "1.24", Minimum: "1.41"},
			want: verdict{
				code: 4, lines: []string{"the engine at unix:///x speaks API 1.24; stackctl needs 1.41 (Docker 20.10) or later"},
				hint: "update the engine, or name another one with -H or --context",
			},
		},
		{
			name: "no such context", err: &addressError{errors.New(`context "x": not found`)},
			want: verdict{
				code: 4, lines: []string{`context "x": not found`},
				hint: "check -H, --context, DOCKER_HOST and DOCKER_CONTEXT; `docker context ls` lists contexts",
			},
		},
		{
			name: "refused", err: &refusedError{"it holds data", "say so"},
			want: verdict{code: 5, lines: []string{"it holds data"}, hint: "say so"},
		},
		{
			name: "not ready", err: &runner.FailedError{Failures: []runner.Failure{{
				Node: plan.Node{ID: 1, Op: plan.WaitReady{Container: web, Condition: state.Healthy}}, Service: "web", Err: notReady,
				Log: []engine.LogLine{{Text: "panic: no database"}},
			}}},
			want: verdict{
				code:  6,
				lines: []string{"container shop-web-1 is not healthy: it exited with code 3; last probe (exit code 1): refused"},
				hint:  "`stackctl logs web` shows more",
				log:   []logTail{{"shop-web-1", []engine.LogLine{{Text: "panic: no database"}}}},
			},
		},
		{
			name: "not ready in time", err: &runner.FailedError{Failures: []runner.Failure{
				failure(plan.WaitReady{Container: web, Condition: state.Healthy}, "web", late),
			}},
			want: verdict{
				code: 6, lines: []string{"container shop-web-1 is not healthy: still starting after 2m0s"},
				hint: "`stackctl logs web` shows more; --wait-timeout gives it more time",
			},
		},
		{
			name: "several failures, not all for want of time", err: &runner.FailedError{Failures: []runner.Failure{
				failure(plan.PullImage{Image: "a"}, "", errors.New("pull image a: not found")),
				failure(plan.WaitReady{Container: web, Condition: state.Healthy}, "web", late),
			}},
			want: verdict{
				code:  1,
				lines: []string{"pull image a: not found", "container shop-web-1 is not healthy: still starting after 2m0s"},
				hint:  "check the image's name and the network; `docker load` brings an image in without a registry",
			},
		},
		{
			name: "ports", err: &runner.PortsError{Conflicts: []runner.PortConflict{
				{Service: "webapp", Address: "5003", Protocol: "tcp", Holder: "process python3 (pid 7)"},
				{Service: "database", Address: "127.0.0.1:5432", Protocol: "tcp", Holder: "container old-db-1"},
			}},
			want: verdict{
				code: 1,
				lines: []string{
					"service webapp: port 5003/tcp is taken by process python3 (pid 7)",
					"service database: port 127.0.0.1:5432/tcp is taken by container old-db-1",
				},
				hint: "stop what holds the ports, or choose others: `WEBAPP_PORT=5004 POSTGRES_PORT=5433 stackctl up`",
			},
		},
		{
			name: "a port without a variable", err: &runner.PortsError{Conflicts: []runner.PortConflict{
				{Service: "other", Address: "0.0.0.0:80", Protocol: "tcp", Holder: "process nginx (pid 7)"},
			}},
			want: verdict{
				code: 1, lines: []string{"service other: port 0.0.0.0:80/tcp is taken by process nginx (pid 7)"},
				hint: "stop what holds the port, or choose another one",
			},
		},
		{
			name: "all that stands in a plan's way", err: fmt.Errorf("%w", errors.Join(
				fmt.Errorf("%w: network x is external", plan.ErrMissing), fmt.Errorf("%w: volume y differs", plan.ErrKeepsData),
			)),
			want: verdict{code: 1, lines: []string{"network x is external", "volume y differs"}},
		},
		{
			name: "interrupted", ctx: interrupted,
			err: &runner.InterruptedError{Cause: context.Cause(interrupted), Running: []string{"shop-a-1", "shop-b-1", "shop-c-1"}},
			want: verdict{
				code:    130,
				lines:   []string{"interrupted: shop-a-1, shop-b-1 and shop-c-1 left running (`stackctl up` goes on, `stackctl down` removes)"},
				plainly: true,
			},
		},
		{
			name: "terminated with nothing left", ctx: terminated, err: &runner.InterruptedError{Cause: context.Cause(terminated)},
			want: verdict{code: 143, lines: []string{"interrupted: nothing is left running"}, plainly: true},
		},
		{
			name: "interrupted while looking", ctx: interrupted, err: fmt.Errorf("observe: %w", context.Canceled),
			want: verdict{code: 130},
		},
		{
			name: "an error of its own after the interrupt", ctx: interrupted, err: errors.New("disk full"),
			want: verdict{code: 1, lines: []string{"disk full"}},
		},
		{
			name: "the reader of our output has gone", err: &os.PathError{Op: "write", Path: "/dev/stdout", Err: syscall.EPIPE},
			want: verdict{code: 141},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ctx := c.ctx
			if ctx == nil {
				ctx = t.Context()
			}
			got := judge(ctx, "up", c.err, (&source{stack: builtIn("")}).portVariables())
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(verdict{}, logTail{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// classed is an error with a text, of a class.
func classed(class error, text string) error { return fmt.Errorf("%s%w", text, quiet{class}) }

type quiet struct{ error }

func (quiet) Error() string   { return "" }
func (q quiet) Unwrap() error { return q.error }

func TestHintAfterFailure(t *testing.T) {
	t.Parallel()
	web := state.ContainerSpec{Name: "shop-web-1"}
	var dockerfile state.ServiceSpec
	dockerfile.Config.Build = &types.BuildConfig{}
	for _, c := range []struct {
		name string
		op   plan.Op
		err  error
		log  []engine.LogLine
		want string
	}{
		{
			"never started",
			plan.StartContainer{Container: web},
			errors.New("no such command"), nil,
			"correct that in the stack; `stackctl up` again goes on from here",
		},
		{
			"started and gone",
			plan.StartContainer{Container: web},
			errors.New("hook failed"),
			[]engine.LogLine{{Text: "x"}},
			"`stackctl logs web` shows more",
		},
		{
			"name taken",
			plan.CreateContainer{Container: web},
			classed(errdefs.ErrConflict, "in use"), nil,
			"`docker rm shop-web-1` removes the container that has the name, if nobody needs it; or give the service another container_name",
		},
		{
			"not what the engine takes",
			plan.ReplaceContainer{New: web},
			classed(errdefs.ErrInvalidArgument, "6MB"), nil,
			"correct that in the stack; `stackctl up` again goes on from here",
		},
		{
			"secret without a file", plan.CreateContainer{Container: state.ContainerSpec{
				Name: "shop-web-1", Files: []state.File{{Source: filepath.Join(t.TempDir(), "gone"), Target: "/run/secrets/x"}},
			}}, errors.New("bind source path does not exist"), nil, "gone",
		},
		{
			"build from a Dockerfile",
			plan.BuildImage{Service: &dockerfile},
			errors.New("exit code 1"), nil, "mend the Dockerfile or what it copies, and run this again",
		},
		{
			"network in use",
			plan.RemoveNetwork{Network: state.Network{Name: "shop_net"}},
			classed(errdefs.ErrPermissionDenied, "active endpoints"), nil,
			"`docker network inspect shop_net` names the containers that are on it, and `docker network disconnect shop_net CONTAINER` takes one off",
		},
		{
			"volume in use",
			plan.RemoveVolume{Volume: state.Volume{Name: "shop_data"}},
			classed(errdefs.ErrConflict, "in use"), nil,
			"`docker ps -a --filter volume=shop_data` names the containers that use it",
		},
		{
			"anything while removing",
			plan.RemoveContainer{},
			errors.New("disk full"), nil,
			"`stackctl up` again goes on from here",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := failure(c.op, "web", c.err)
			f.Log = c.log
			if got := failureHint("up", f); got != c.want && (c.want != "gone" || !strings.Contains(got, "a config or a secret")) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// What goes on after a failure is the command that failed.
func TestHintIsOfTheCommand(t *testing.T) {
	t.Parallel()
	for verb, want := range map[string]string{
		"up":             "`stackctl up` again goes on from here",
		"down":           "`stackctl down` again goes on from here",
		"stop":           "`stackctl stop` again goes on from here",
		"start":          "`stackctl start` again goes on from here",
		"restart":        "run this again, or `stackctl start` starts what has stopped",
		"run":            "run this again",
		"volume restore": "run this again",
	} {
		for _, op := range []plan.Op{plan.StopContainer{}, plan.RemoveContainer{}, plan.RemoveVolume{}} {
			if got := failureHint(verb, failure(op, "web", errors.New("disk full"))); got != want {
				t.Errorf("%s, %T: got %q, want %q", verb, op, got, want)
			}
		}
	}
	invalid := failure(plan.StartContainer{}, "web", errors.New("no such command"))
	if got, want := failureHint("start", invalid), "correct that in the stack; `stackctl up` makes the container anew"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAddressedHints(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, hint, want string
		g                *globalOptions
	}{
		{"nothing given", "`stackctl up` goes on", "`stackctl up` goes on", &globalOptions{}},
		{
			"all that finds a stack", "`stackctl logs web` shows more", "`stackctl -f 'my shop/compose.yaml' --profile '*' -p two -H tcp://x logs web` shows more",
			&globalOptions{files: []string{"my shop/compose.yaml"}, profiles: []string{"*"}, projectName: "two", host: "tcp://x"},
		},
		{
			"what was read once", "`stackctl up` goes on, `stackctl down` removes", "`stackctl -f - up` goes on, `stackctl -p shop down` removes",
			&globalOptions{files: []string{"-"}, current: &source{name: "shop"}},
		},
		{
			"a command in a container", "`stackctl exec db psql -c '\\password'` asks", "`stackctl -p two exec db psql -c '\\password'` asks",
			&globalOptions{projectName: "two"},
		},
		{"help is the same everywhere", "`stackctl up --help` shows what there is", "`stackctl up --help` shows what there is", &globalOptions{projectName: "two"}},
		{
			"another machine", "`stackctl bundle` there and `stackctl up --bundle` here", "`stackctl bundle` there and `stackctl up --bundle` here",
			&globalOptions{projectName: "two"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := c.g.addressed(c.hint); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
