package runner_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackctl/stackctl/pkg/runner"
	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/engine/enginetest"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// replicas puts containers of web on the engine, in the states given.
func replicas(states ...string) *enginetest.Engine {
	e := newEngine()
	for i, s := range states {
		e.AddContainer(state.Container{
			Project: "shop", Service: "web", Number: i + 1, Name: fmt.Sprintf("shop-web-%d", i+1), State: s,
		})
	}
	e.AddContainer(state.Container{Project: "shop", Service: "web", OneOff: true, Name: "shop-web-run-1"})
	e.AddContainer(state.Container{Project: "other", Service: "web", Number: 1, Name: "other-web-1"})
	return e
}

func command(args ...string) engine.Command { return engine.Command{Args: args} }

// The streams reach the command, and its exit code is no error.
func TestExec(t *testing.T) {
	e := replicas("exited", "running")
	var got enginetest.Process
	e.Behave("web", enginetest.Behaviour{Program: func(_ context.Context, p enginetest.Process) int {
		got = p
		fmt.Fprint(p.Err, "oh")
		_, _ = io.Copy(p.Out, p.In)
		return 7
	}})
	var out, errOut bytes.Buffer
	c := engine.Command{Args: []string{"sh", "-c", "x"}, User: "me", WorkingDir: "/tmp", Env: []string{"A=b"}, Privileged: true}
	result, err := runner.New(e).Exec(t.Context(), "shop", "web", runner.ExecOptions{
		Command: c, Streams: engine.Streams{In: strings.NewReader("hello"), Out: &out, Err: &errOut},
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(runner.ExecResult{Container: "shop-web-2", ExitCode: 7}, result); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(c, got.Command); diff != "" {
		t.Errorf("command (-want +got):\n%s", diff)
	}
	if out.String() != "hello" || errOut.String() != "oh" {
		t.Errorf("output %q, %q", out.String(), errOut.String())
	}
}

func TestExecChoosesAContainer(t *testing.T) {
	for _, test := range []struct {
		name   string
		states []string
		index  int
		want   string // a container, or an error
	}{
		{"the first", []string{"running", "running"}, 0, "shop-web-1"},
		{"by number", []string{"running", "running"}, 2, "shop-web-2"},
		{"one that runs", []string{"paused", "running"}, 0, "shop-web-2"},
		{"none", nil, 0, "service web does not run: it has no container in project shop"},
		{"none of that number", []string{"running"}, 2, "service web has no container 2 in project shop"},
		{"stopped", []string{"exited", "created"}, 0, "service web does not run: container shop-web-1 is exited"},
		{"that one stopped", []string{"running", "exited"}, 2, "service web does not run: container shop-web-2 is exited"},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := replicas(test.states...)
			result, err := runner.New(e).Exec(t.Context(), "shop", "web", runner.ExecOptions{Command: command("true"), Index: test.index, Detach: true})
			got := result.Container
			if err != nil {
				var notRunning *runner.NotRunningError
				if !errors.As(err, &notRunning) {
					t.Fatal(err)
				}
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			if err == nil {
				if diff := cmp.Diff([]string{"ExecDetached " + test.want}, sortedCalls(e)); diff != "" {
					t.Errorf("calls (-want +got):\n%s", diff)
				}
			}
		})
	}
}

func TestExecErrors(t *testing.T) {
	e := replicas("running")
	r := runner.New(e)
	if _, err := r.Exec(t.Context(), "shop", "web", runner.ExecOptions{}); err == nil {
		t.Error("no error without a command")
	}
	if _, err := r.Exec(t.Context(), "", "web", runner.ExecOptions{Command: command("true")}); err == nil {
		t.Error("no error without a project")
	}
	e.FailWith(func(c enginetest.Call) error {
		if c.Method == "ExecAttached" {
			return engine.ErrDetached
		}
		return nil
	})
	result, err := r.Exec(t.Context(), "shop", "web", runner.ExecOptions{Command: command("true")})
	if err != nil || !result.Detached {
		t.Errorf("let go: %+v %v", result, err)
	}
	e.FailWith(nil)
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("enough")
	e.Behave("web", enginetest.Behaviour{Program: func(ctx context.Context, _ enginetest.Process) int {
		cancel(cause)
		<-ctx.Done()
		return 0
	}})
	if _, err := r.Exec(ctx, "shop", "web", runner.ExecOptions{Command: command("sleep")}); !errors.Is(err, cause) {
		t.Errorf("error is %v", err)
	}
}
