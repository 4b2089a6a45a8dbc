package runner_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/google/go-cmp/cmp"

	"github.com/stackctl/stackctl/pkg/runner"
	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/engine/enginetest"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// spy keeps the containers that an engine is asked to make.
type spy struct {
	*enginetest.Engine
	made []state.ContainerSpec
}

func (s *spy) CreateContainer(ctx context.Context, c engine.CreateContainer) (string, error) {
	if c.Spec.OneOff != nil {
		s.made = append(s.made, c.Spec)
	}
	return s.Engine.CreateContainer(ctx, c)
}

const once = `
services:
  web:
    image: web
    command: [serve]
    environment: {A: one, B: two}
    labels: {mine: "1", other: "2"}
    ports: ["8080:80"]
    restart: always
    scale: 3
    networks: {default: {aliases: [www]}}
    volumes: ["data:/data", "/srv:/srv"]
    depends_on: {db: {condition: service_healthy}}
  db:
    image: db
    healthcheck: {test: [CMD, ready], start_period: 1s, start_interval: 1ms}
  tool:
    image: web
    profiles: [tools]
volumes: {data: {}}
`

// The dependencies run and are ready first; then the container starts with the
// caller's streams; its exit code is no error; and it stays unless it is not to.
func TestRun(t *testing.T) {
	for _, remove := range []bool{false, true} {
		t.Run(fmt.Sprintf("remove %t", remove), func(t *testing.T) {
			e := &spy{Engine: newEngine()}
			e.Behave("db", enginetest.Behaviour{FailingProbes: 2})
			var process enginetest.Process
			e.Behave("web", enginetest.Behaviour{Program: func(_ context.Context, p enginetest.Process) int {
				process = p
				fmt.Fprint(p.Err, "oh")
				_, _ = io.Copy(p.Out, p.In)
				return 7
			}})
			events := &recorder{}
			var created string
			var eventsThen int
			var out, errOut bytes.Buffer
			p := project(t, once)
			result, err := runner.New(e, runner.WithEvents(events)).Run(t.Context(), p, "web", runner.RunOptions{
				Args: []string{"migrate"}, Remove: remove,
				Streams: engine.Streams{In: strings.NewReader("hello"), Out: &out, Err: &errOut},
				Created: func(name string) { created, eventsThen = name, len(events.lines) },
			})
			if err != nil {
				t.Fatal(err)
			}
			if result.ExitCode != 7 || out.String() != "hello" || errOut.String() != "oh" {
				t.Errorf("exit code %d, output %q, %q", result.ExitCode, out.String(), errOut.String())
			}
			name := result.Container
			if !regexp.MustCompile(`^shop-web-run-[0-9a-f]{12}$`).MatchString(name) || created != name || process.Container != name {
				t.Errorf("name %s, created %s, ran in %s", name, created, process.Container)
			}
			if eventsThen != len(events.lines) {
				t.Errorf("events after the container was made: %v", events.lines[eventsThen:])
			}
			ready := slices.Index(events.lines, "done wait until healthy container shop-db-1 by our own probe")
			if ready < 0 {
				t.Errorf("db was not waited for: %v", events.lines)
			}
			want := []string{
				"container shop-db-1 running", "container " + name + " exited",
				"image db", "image web", "network shop_default", "volume shop_data",
			}
			if remove {
				want = slices.Delete(want, 1, 2)
			}
			dump := strings.Split(strings.TrimSpace(strings.ReplaceAll(e.Dump(), " starting", "")), "\n")
			if diff := cmp.Diff(want, dump); diff != "" {
				t.Errorf("what is there (-want +got):\n%s", diff)
			}
			// down takes all of it.
			if _, err := runner.New(e).Down(t.Context(), "shop", runner.DownOptions{Volumes: true}); err != nil {
				t.Fatal(err)
			}
			if got := e.Dump(); got != "image db\nimage web\n" {
				t.Errorf("after down:\n%s", got)
			}
		})
	}
}

// What the container is made of: the service's own definition, and the options.
func TestRunDefinition(t *testing.T) {
	e := &spy{Engine: newEngine()}
	p := project(t, once)
	r := runner.New(e)
	if _, err := r.Run(t.Context(), p, "web", runner.RunOptions{NoDeps: true, Streams: engine.Streams{In: strings.NewReader("")}}); err != nil {
		t.Fatal(err)
	}
	_, err := r.Run(t.Context(), p, "web", runner.RunOptions{
		Name: "mine", Args: []string{"a", "b"}, Entrypoint: []string{"sh"}, Env: map[string]string{"B": "2", "C": "3"},
		User: "me", WorkingDir: "/w", CapAdd: []string{"NET_ADMIN"}, CapDrop: []string{"ALL"}, Labels: map[string]string{"mine": "2"},
		Volumes:      []types.ServiceVolumeConfig{{Type: "bind", Source: "/here", Target: "/srv"}},
		ServicePorts: true, Ports: []types.ServicePortConfig{{Target: 81, Published: "8181", Protocol: "tcp"}},
		UseAliases: true, NoDeps: true, Remove: true, Streams: engine.Streams{Terminal: &engine.Terminal{}},
	})
	if err != nil {
		t.Fatal(err)
	}
	type part struct {
		Name, Image, User, Dir string
		Entrypoint, Command    []string
		Env                    map[string]string
		Mounts, Ports, Aliases []string
		CapAdd, CapDrop        []string
		Label, OneOffLabel     string
		Restart                string
		Tty, StdinOpen         bool
		OneOff                 state.OneOff
	}
	var got []part
	for _, c := range e.made {
		s := c.Config
		x := part{
			Name: c.Name, Image: c.Image, User: s.User, Dir: s.WorkingDir, Entrypoint: s.Entrypoint, Command: s.Command,
			Env: map[string]string{}, Aliases: c.Networks[0].Aliases, CapAdd: s.CapAdd, CapDrop: s.CapDrop,
			Label: c.Labels["mine"], OneOffLabel: c.Labels[state.LabelOneOff], Restart: s.Restart,
			Tty: s.Tty, StdinOpen: s.StdinOpen, OneOff: *c.OneOff,
		}
		for name, value := range s.Environment {
			x.Env[name] = *value
		}
		for _, v := range s.Volumes {
			x.Mounts = append(x.Mounts, v.Source+":"+v.Target)
		}
		for _, p := range s.Ports {
			x.Ports = append(x.Ports, p.Published)
		}
		if c.Labels["other"] != "2" || len(c.Labels[state.LabelSlug]) != 64 || c.Labels[state.LabelService] != "web" || c.Labels[state.LabelDependsOn] != "" {
			t.Errorf("labels %v", c.Labels)
		}
		got = append(got, x)
	}
	want := []part{
		{
			Name: e.made[0].Name, Image: "web", Command: []string{"serve"}, Env: map[string]string{"A": "one", "B": "two"},
			Mounts: []string{"data:/data", "/srv:/srv"}, Aliases: []string{e.made[0].Name}, Label: "1", OneOffLabel: "True",
			StdinOpen: true, OneOff: state.OneOff{AttachStdin: true},
		},
		{
			Name: "mine", Image: "web", User: "me", Dir: "/w", Entrypoint: []string{"sh"}, Command: []string{"a", "b"},
			Env:    map[string]string{"A": "one", "B": "2", "C": "3"},
			Mounts: []string{"data:/data", "/here:/srv"}, Ports: []string{"8080", "8181"}, Aliases: []string{"web", "mine", "www"},
			CapAdd: []string{"NET_ADMIN"}, CapDrop: []string{"ALL"}, Label: "2", OneOffLabel: "True",
			Tty: true, OneOff: state.OneOff{AutoRemove: true},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// The project is as it was.
	if web := p.Services["web"]; *web.Environment["B"] != "two" || web.Labels["mine"] != "1" || len(web.Ports) != 1 || len(web.DependsOn) != 1 || web.GetScale() != 3 {
		t.Errorf("the project was changed: %+v", web)
	}
	if _, there := e.containers(t)["db"]; there {
		t.Error("db was brought up")
	}
}

func (s *spy) containers(t *testing.T) map[string]state.Container {
	t.Helper()
	all, err := s.Containers(t.Context(), "shop")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]state.Container{}
	for _, c := range all {
		out[c.Service] = c
	}
	return out
}

// A service that is not active is when it is named; one that nobody knows is an
// error, and so is a host port that is taken.
func TestRunOfAService(t *testing.T) {
	e := &spy{Engine: newEngine()}
	r := runner.New(e)
	p := project(t, once)
	if _, err := r.Run(t.Context(), p, "tool", runner.RunOptions{}); err != nil {
		t.Error(err)
	}
	if _, err := r.Run(t.Context(), p, "nope", runner.RunOptions{}); !errors.Is(err, runner.ErrUnknownService) {
		t.Errorf("error is %v", err)
	}
	e.AddContainer(state.Container{Name: "thief", Ports: []state.Port{{HostPort: 8080, ContainerPort: 1, Protocol: "tcp"}}})
	var taken *runner.PortsError
	if _, err := r.Run(t.Context(), p, "web", runner.RunOptions{ServicePorts: true}); !errors.As(err, &taken) {
		t.Errorf("error is %v", err)
	}
	if c, there := e.containers(t)["web"]; there {
		t.Errorf("%s was made", c.Name)
	}
}

func TestRunDetached(t *testing.T) {
	e := &spy{Engine: newEngine()}
	result, err := runner.New(e).Run(t.Context(), project(t, once), "web", runner.RunOptions{Detach: true, Remove: true})
	if err != nil {
		t.Fatal(err)
	}
	c := e.containers(t)["web"]
	if c.State != "running" || c.ID != result.ID || c.Name != result.Container || !c.OneOff {
		t.Errorf("%+v, %+v", result, c)
	}
	if diff := cmp.Diff(state.OneOff{AutoRemove: true}, *e.made[0].OneOff); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A container that never ran is taken away, whatever kept it from running, and a
// container of that name which is somebody else's is not.
func TestRunThatNeverStarts(t *testing.T) {
	broken := errors.New("out of sorts")
	for _, method := range []string{"StartAttached", "StartContainer", "CreateContainer"} {
		t.Run(method, func(t *testing.T) {
			e := &spy{Engine: newEngine()}
			e.FailWith(func(c enginetest.Call) error {
				if c.Method == method {
					return broken
				}
				return nil
			})
			_, err := runner.New(e).Run(t.Context(), project(t, once), "web", runner.RunOptions{})
			if !errors.Is(err, broken) {
				t.Errorf("error is %v", err)
			}
			if c, there := e.containers(t)["web"]; there {
				t.Errorf("%s stays", c.Name)
			}
		})
	}
	t.Run("name taken", func(t *testing.T) {
		e := &spy{Engine: newEngine()}
		e.AddContainer(state.Container{Name: "mine", State: "exited"})
		if _, err := runner.New(e).Run(t.Context(), project(t, once), "web", runner.RunOptions{Name: "mine"}); err == nil {
			t.Error("no error")
		}
		if !strings.Contains(e.Dump(), "container mine exited\n") {
			t.Errorf("what is there:\n%s", e.Dump())
		}
	})
}

// The end of the context while dependencies come up is an interrupt like that of
// an up, and leaves no container.
func TestRunInterruptedBeforeItsStart(t *testing.T) {
	e := &spy{Engine: newEngine()}
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("enough")
	e.FailWith(func(c enginetest.Call) error {
		if c.Method == "Exec" {
			cancel(cause)
		}
		return nil
	})
	_, err := runner.New(e).Run(ctx, project(t, once), "web", runner.RunOptions{})
	var interrupted *runner.InterruptedError
	if !errors.As(err, &interrupted) || !errors.Is(err, cause) {
		t.Fatalf("error is %v", err)
	}
	if diff := cmp.Diff([]string{"shop-db-1"}, interrupted.Running); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if c, there := e.containers(t)["web"]; there {
		t.Errorf("%s stays", c.Name)
	}
}

// The end of the context becomes a signal for the container, and Run stays until
// that has ended.
func TestRunForwardsASignal(t *testing.T) {
	e := &spy{Engine: newEngine()}
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("enough")
	var out bytes.Buffer
	e.Behave("web", enginetest.Behaviour{Program: func(_ context.Context, p enginetest.Process) int {
		cancel(cause)
		fmt.Fprint(p.Out, "got "+<-p.Signals)
		return 42
	}})
	result, err := runner.New(e).Run(ctx, project(t, once), "web", runner.RunOptions{
		NoDeps: true, Remove: true, Streams: engine.Streams{Out: &out},
		Signal: func(err error) string {
			if !errors.Is(err, cause) {
				t.Errorf("cause is %v", err)
			}
			return "SIGINT"
		},
	})
	if err != nil || result.ExitCode != 42 || out.String() != "got SIGINT" {
		t.Errorf("%+v %v %q", result, err, out.String())
	}
	if c, there := e.containers(t)["web"]; there {
		t.Errorf("%s stays", c.Name)
	}
}

// A signal that comes before the container runs reaches it when it does.
func TestRunForwardsASignalThatCameEarly(t *testing.T) {
	e := &spy{Engine: newEngine()}
	ctx, cancel := context.WithCancelCause(t.Context())
	tried := make(chan struct{}, 100)
	e.FailWith(func(c enginetest.Call) error {
		switch c.Method {
		case "SignalContainer":
			tried <- struct{}{}
		case "StartAttached":
			cancel(errors.New("enough"))
			<-tried // for the first time, in vain
		}
		return nil
	})
	e.Behave("web", enginetest.Behaviour{Program: func(_ context.Context, p enginetest.Process) int {
		if <-p.Signals != "SIGTERM" {
			return 1
		}
		return 42
	}})
	result, err := runner.New(e).Run(ctx, project(t, once), "web", runner.RunOptions{
		NoDeps: true, Signal: func(error) string { return "SIGTERM" },
	})
	if err != nil || result.ExitCode != 42 {
		t.Errorf("%+v %v", result, err)
	}
}

// Without a signal to send, the end of the context stops the container.
func TestRunStopsWithItsContext(t *testing.T) {
	for _, remove := range []bool{false, true} {
		t.Run(fmt.Sprintf("remove %t", remove), func(t *testing.T) {
			e := &spy{Engine: newEngine()}
			ctx, cancel := context.WithCancelCause(t.Context())
			cause := errors.New("enough")
			e.Behave("web", enginetest.Behaviour{Program: func(ctx context.Context, _ enginetest.Process) int {
				cancel(cause)
				<-ctx.Done()
				return 0
			}})
			_, err := runner.New(e).Run(ctx, project(t, once), "web", runner.RunOptions{NoDeps: true, Remove: remove})
			if !errors.Is(err, cause) {
				t.Errorf("error is %v", err)
			}
			c, there := e.containers(t)["web"]
			if there == remove || there && c.State != "exited" {
				t.Errorf("there %t: %+v", there, c)
			}
		})
	}
}

// Whoever lets go of a container leaves it running.
func TestRunLetGo(t *testing.T) {
	e := &spy{Engine: newEngine()}
	e.FailWith(func(c enginetest.Call) error {
		if c.Method == "StartAttached" {
			return engine.ErrDetached
		}
		return nil
	})
	result, err := runner.New(e).Run(t.Context(), project(t, once), "web", runner.RunOptions{NoDeps: true})
	if err != nil || !result.Detached {
		t.Errorf("%+v %v", result, err)
	}
	if _, there := e.containers(t)["web"]; !there {
		t.Error("the container is gone")
	}
}
