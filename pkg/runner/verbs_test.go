package runner_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackctl/stackctl/pkg/runner"
	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/engine/enginetest"
	"github.com/stackctl/stackctl/pkg/runner/event"
	"github.com/stackctl/stackctl/pkg/runner/plan"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// until is a sink that keeps warnings, and whose channel is closed with the first
// failure.
type until struct {
	once     sync.Once
	failed   chan struct{}
	mu       sync.Mutex
	warnings []string
}

func (u *until) Emit(e event.Event) {
	if e.Kind == event.Failed {
		u.once.Do(func() { close(u.failed) })
	}
	if e.Kind == event.Warning {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.warnings = append(u.warnings, e.Message)
	}
}

// One image cannot be had, and the other comes only after that is known.
func TestPullThatFails(t *testing.T) {
	for name, test := range map[string]struct {
		text     string
		opts     runner.PullOptions
		pulled   []string
		failed   bool
		warnings []string
	}{
		"the first failure ends it": {
			text: `services: {a: {image: gone}, b: {image: good}}`, failed: true,
		},
		"unless failures are ignored": {
			text: `services: {a: {image: gone}, b: {image: good}}`, opts: runner.PullOptions{IgnoreFailures: true},
			pulled: []string{"good"}, warnings: []string{"left out: pull image \"gone\": no such image in the registry: gone: not found"},
		},
		"or the image can be built": {
			text: `services: {a: {image: gone, build: .}, b: {image: good}}`, failed: true,
			pulled: []string{"good"}, warnings: []string{"image gone can be built instead: `stackctl build a`"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEngine()
			e.AddRemote("good", "sha256:good")
			sink := &until{failed: make(chan struct{})}
			e.FailWith(func(c enginetest.Call) error {
				if c.Method == "Pull" && c.Name == "good" {
					<-sink.failed
				}
				return nil
			})
			report, err := runner.New(e, runner.WithEvents(sink)).Pull(t.Context(), project(t, test.text), test.opts)
			var failed *runner.FailedError
			if errors.As(err, &failed) != test.failed || failed != nil && len(failed.Failures) != 1 {
				t.Errorf("%v", err)
			}
			if !test.failed && err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(test.pulled, report.Pulled()); diff != "" {
				t.Errorf("pulled (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.warnings, sink.warnings); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}

// A cancelled pull or build ends with the cause, not with what may be running.
func TestPullAndBuildEndWithTheirContext(t *testing.T) {
	cause := errors.New("enough")
	for method, run := range map[string]func(context.Context, *runner.Runner) error{
		"Pull": func(ctx context.Context, r *runner.Runner) error {
			_, err := r.Pull(ctx, project(t, `services: {web: {image: web}}`), runner.PullOptions{})
			return err
		},
		"Build": func(ctx context.Context, r *runner.Runner) error {
			_, err := r.Build(ctx, project(t, `services: {web: {build: .}}`), runner.BuildOptions{})
			return err
		},
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		e := newEngine()
		e.FailWith(func(c enginetest.Call) error {
			if c.Method == method {
				cancel(cause)
				return ctx.Err()
			}
			return nil
		})
		if err := run(ctx, runner.New(e)); !errors.Is(err, cause) {
			t.Errorf("%s: %v", method, err)
		}
		cancel(nil)
	}
}

// Build arguments are for Dockerfiles: a service that the Go toolchain would build
// is built from its Dockerfile when there are any.
func TestBuildArgumentsAskForTheDockerfile(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("needs a shell script")
	}
	// A go command that is content with everything and makes nothing.
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "go"), []byte("#!/bin/sh\nexit 0\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin)
	e := newEngine()
	p := project(t, `services: {web: {build: {context: ., x-stackctl: {go: .}}}}`)
	value := "1"
	report, err := runner.New(e).Build(t.Context(), p, runner.BuildOptions{Args: map[string]*string{"A": &value}})
	if err != nil {
		t.Fatal(err)
	}
	if note := report.Outcomes[0].Note; note != "Dockerfile" {
		t.Errorf("built by %q", note)
	}
	if _, err := runner.New(e).Build(t.Context(), p, runner.BuildOptions{Builder: runner.BuilderGo}); err == nil {
		t.Error("the Go toolchain has made nothing, and that is no error")
	}
}

func TestStartOfNothing(t *testing.T) {
	r := runner.New(newEngine())
	for name, start := range map[string]func(project string) error{
		"start": func(project string) error {
			_, err := r.Start(t.Context(), project, runner.StartOptions{})
			return err
		},
		"restart": func(project string) error {
			_, err := r.Restart(t.Context(), project, runner.RestartOptions{})
			return err
		},
	} {
		if err := start("shop"); !errors.Is(err, runner.ErrNoContainer) {
			t.Errorf("%s: %v", name, err)
		}
		if err := start(""); err == nil || errors.Is(err, runner.ErrNoContainer) {
			t.Errorf("%s without a name: %v", name, err)
		}
	}
}

// Containers with a range of host ports start one at a time, by the ports of the
// operation: of a container that is there, the engine alone knows the range.
func TestStartKnowsPortRanges(t *testing.T) {
	r := runner.New(newEngine())
	p := project(t, `services: {web: {image: web, scale: 2, ports: ["8000-8002:80", "9000"]}}`)
	if _, err := r.Up(t.Context(), p, runner.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	report, err := r.Restart(t.Context(), "shop", runner.RestartOptions{})
	if err != nil {
		t.Fatal(err)
	}
	starts := 0
	for _, n := range report.Plan.Nodes {
		start, ok := n.Op.(plan.StartContainer)
		if !ok {
			continue
		}
		starts++
		if ports := start.Container.Config.Ports; len(ports) != 1 || ports[0].Published != "8000-8002" {
			t.Errorf("%s: %v", n.Op.Ref(), ports)
		}
	}
	if starts != 2 {
		t.Errorf("%d starts", starts)
	}
}

func TestProjects(t *testing.T) {
	e := newEngine()
	add := func(project, name, state string, hash string, files ...string) {
		e.AddContainer(newContainer(project, name, state, hash, files))
	}
	add("shop", "web", "running", "h", "/srv/a.yaml", "/srv/b.yaml")
	add("shop", "db", "running", "h", "/srv/a.yaml")
	add("shop", "job", "exited", "h", "/srv/c.yaml")
	add("shelf", "web", "paused", "h")
	add("gone", "web", "exited", "h", "/srv/gone.yaml")
	add("", "alone", "running", "")
	add("labelled", "by-hand", "running", "")
	list := func(all bool) []string {
		t.Helper()
		projects, err := runner.New(e).Projects(t.Context(), runner.ProjectsOptions{All: all})
		if err != nil {
			t.Fatal(err)
		}
		out := []string{}
		for _, p := range projects {
			out = append(out, p.Name+": "+p.Status()+" "+strings.Join(p.ConfigFiles, ","))
		}
		return out
	}
	if diff := cmp.Diff([]string{"shelf: paused(1) ", "shop: running(2) /srv/a.yaml,/srv/b.yaml"}, list(false)); diff != "" {
		t.Errorf("running (-want +got):\n%s", diff)
	}
	want := []string{"gone: exited(1) /srv/gone.yaml", "shelf: paused(1) ", "shop: exited(1), running(2) /srv/a.yaml,/srv/c.yaml,/srv/b.yaml"}
	if diff := cmp.Diff(want, list(true)); diff != "" {
		t.Errorf("all (-want +got):\n%s", diff)
	}
}

func newContainer(project, name, status, hash string, files []string) state.Container {
	return state.Container{Project: project, Service: name, Name: project + "-" + name + "-1", State: status, ComposeHash: hash, ConfigFiles: files}
}

// Of one-off containers and of other services nothing is told, nor are the labels
// of the tools.
func TestEvents(t *testing.T) {
	e := newEngine()
	p := project(t, shop)
	if _, err := runner.New(e).Up(t.Context(), p, runner.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err := e.CreateContainer(t.Context(), engine.CreateContainer{Spec: state.ContainerSpec{
		Name: "shop-web-run-1", Service: "web", Image: "web",
		Labels: map[string]string{state.LabelProject: "shop", state.LabelService: "web", state.LabelOneOff: "True"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	e.Advance(time.Second)
	var got []runner.ContainerEvent
	err = runner.New(e).Events(t.Context(), "shop", runner.EventsOptions{
		Services: []string{"web"}, Since: time.Unix(1, 0), Until: time.Date(2026, 1, 2, 3, 4, 6, 0, time.UTC),
	}, func(e runner.ContainerEvent) { got = append(got, e) })
	if err != nil {
		t.Fatal(err)
	}
	var actions []string
	for _, e := range got {
		actions = append(actions, e.Action)
		if diff := cmp.Diff(map[string]string{"name": "shop-web-1", "image": "web"}, e.Attributes); diff != "" {
			t.Errorf("attributes (-want +got):\n%s", diff)
		}
	}
	if !slices.Equal(actions, []string{"create", "start"}) {
		t.Errorf("actions %v", actions)
	}
	if err := runner.New(e).Events(t.Context(), "", runner.EventsOptions{}, nil); err == nil {
		t.Error("no project, and no error")
	}
}
