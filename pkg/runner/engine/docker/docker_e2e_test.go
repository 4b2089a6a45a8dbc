//go:build e2e

package docker

import (
	"context"
	"crypto/rand"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"

	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// fixture is the image that the containers of the tests run.
const fixture = "alpine:latest"

// patience bounds what waits for the engine. It is no expectation.
const patience = 2 * time.Minute

// stand is an engine with a project of its own.
type stand struct {
	*Engine
	t       *testing.T
	project string

	info     engine.Info
	platform engine.Platform
}

// newStand connects to the engine under test and takes away, at the end, all
// that the project has.
func newStand(t *testing.T) *stand {
	t.Helper()
	e, err := New(Options{LookupEnv: os.LookupEnv})
	if err != nil {
		t.Fatal(err)
	}
	s := &stand{Engine: e, t: t, project: "e2e-" + strings.ToLower(rand.Text()[:10])}
	if s.info, err = e.Info(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.platform, err = e.Platform(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.clean)
	return s
}

func (s *stand) clean() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	mine := filters.NewArgs(filters.Arg("label", state.LabelProject+"="+s.project))
	list, err := s.api.ContainerList(ctx, container.ListOptions{All: true, Filters: mine})
	if err != nil {
		s.t.Error(err)
	}
	for _, c := range list {
		if err := s.api.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: true, RemoveVolumes: true}); err != nil {
			s.t.Error(err)
		}
	}
	networks, err := s.Networks(ctx)
	if err != nil {
		s.t.Error(err)
	}
	for _, n := range networks {
		if n.Project == s.project {
			if err := s.RemoveNetwork(ctx, n.ID); err != nil {
				s.t.Error(err)
			}
		}
	}
	volumes, err := s.Volumes(ctx)
	if err != nil {
		s.t.Error(err)
	}
	for _, v := range volumes {
		if v.Project == s.project {
			if err := s.RemoveVolume(ctx, v.Name); err != nil {
				s.t.Error(err)
			}
		}
	}
	if err := s.Close(); err != nil {
		s.t.Error(err)
	}
}

func (s *stand) ctx() context.Context {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	s.t.Cleanup(cancel)
	return ctx
}

// spec is a container of a service that runs a shell command.
func (s *stand) spec(service, script string, change ...func(*types.ServiceConfig)) state.ContainerSpec {
	config := types.ServiceConfig{Name: service}
	config.Image = fixture
	config.Command = types.ShellCommand{"sh", "-c", script}
	config.NetworkMode = "none"
	for _, f := range change {
		f(&config)
	}
	return state.ContainerSpec{
		Name: s.project + "-" + service + "-1", Service: service, Number: 1, Image: fixture,
		Labels: map[string]string{
			state.LabelProject: s.project, state.LabelService: service, state.LabelNumber: "1", state.LabelOneOff: "False",
		},
		Config: config,
	}
}

// network makes a network of the project and gives an attachment to it.
func (s *stand) network(key string) state.Attachment {
	s.t.Helper()
	name := s.project + "_" + key
	s.must(s.CreateNetwork(s.ctx(), s.networkSpec(key)))
	return state.Attachment{Network: name}
}

func (s *stand) networkSpec(key string) state.NetworkSpec {
	return state.NetworkSpec{
		Key: key, Name: s.project + "_" + key,
		Labels: map[string]string{state.LabelProject: s.project, state.LabelNetwork: key},
	}
}

func (s *stand) volumeSpec(key string) state.VolumeSpec {
	return state.VolumeSpec{
		Key: key, Name: s.project + "_" + key,
		Labels: map[string]string{state.LabelProject: s.project, state.LabelVolume: key},
	}
}

func (s *stand) create(spec state.ContainerSpec) string {
	s.t.Helper()
	id, err := s.CreateContainer(s.ctx(), engine.CreateContainer{Spec: spec})
	s.must(err)
	return id
}

// run makes and starts a container.
func (s *stand) run(spec state.ContainerSpec) string {
	s.t.Helper()
	id := s.create(spec)
	s.must(s.StartContainer(s.ctx(), id))
	return id
}

// ended waits for the end of a container's run.
func (s *stand) ended(id string) int {
	s.t.Helper()
	done, errs := s.api.ContainerWait(s.ctx(), id, container.WaitConditionNotRunning)
	select {
	case r := <-done:
		return int(r.StatusCode)
	case err := <-errs:
		s.t.Fatal(err)
	}
	return -1
}

// output is what a container wrote.
func (s *stand) output(id string) string {
	s.t.Helper()
	var out strings.Builder
	s.must(s.Logs(s.ctx(), id, engine.LogOptions{}, func(l engine.LogLine) { out.WriteString(l.Text + "\n") }))
	return out.String()
}

func (s *stand) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}
