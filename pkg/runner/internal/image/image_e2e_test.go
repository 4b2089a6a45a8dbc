//go:build e2e

package image

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/engine/docker"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// patience bounds what waits for the engine. It is no expectation.
const patience = 2 * time.Minute

// stand is a builder on the engine under test, and a tag of its own.
type stand struct {
	*Builder
	engine *docker.Engine
	ctx    context.Context
	tag    string
}

func newStand(t *testing.T, mode Mode) *stand {
	t.Helper()
	e, err := docker.New(docker.Options{LookupEnv: os.LookupEnv})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	platform, err := e.Platform(ctx)
	if err != nil {
		t.Fatal(err)
	}
	tag := "e2e-" + strings.ToLower(rand.Text()[:10])
	t.Cleanup(func() {
		cancel()
		clean, done := context.WithTimeout(context.Background(), patience)
		defer done()
		if err := errors.Join(e.RemoveImage(clean, tag), e.Close()); err != nil {
			t.Error(err)
		}
	})
	return &stand{Builder: &Builder{Engine: e, Mode: mode, OS: platform.OS, Arch: platform.Arch}, engine: e, ctx: ctx, tag: tag}
}

// run runs a container of the image to its end and gives what it wrote.
func (s *stand) run(t *testing.T) string {
	t.Helper()
	config := types.ServiceConfig{Name: "web"}
	config.NetworkMode = "none"
	config.ReadOnly = true
	events, err := s.engine.Events(s.ctx, s.tag)
	if err != nil {
		t.Fatal(err)
	}
	id, err := s.engine.CreateContainer(s.ctx, engine.CreateContainer{Spec: state.ContainerSpec{
		Name: s.tag + "-web-1", Service: "web", Image: s.tag, Config: config,
		Labels: map[string]string{state.LabelProject: s.tag},
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.engine.RemoveContainer(s.ctx, id, true); err != nil {
			t.Error(err)
		}
	}()
	if err := s.engine.StartContainer(s.ctx, id); err != nil {
		t.Fatal(err)
	}
	for event := range events {
		if event.Err != nil {
			t.Fatal(event.Err)
		}
		if event.Action == "die" {
			break
		}
	}
	var out strings.Builder
	err = s.engine.Logs(s.ctx, id, engine.LogOptions{}, func(l engine.LogLine) { out.WriteString(l.Text) })
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestGoImageOnAnEngine(t *testing.T) {
	s := newStand(t, Go)
	request := Request{Project: "shop", Service: service(module(t, program), "./cmd/app"), Tag: s.tag}
	first, err := s.Make(s.ctx, request, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !first.Changed || first.ImageID == "" || first.How != HowGo {
		t.Errorf("first: %+v", first)
	}
	image, err := s.engine.Image(s.ctx, s.tag)
	if err != nil {
		t.Fatal(err)
	}
	if image.ID != first.ImageID || image.Size > 5<<20 || image.Labels[state.LabelProject] != "shop" {
		t.Errorf("image %+v", image)
	}
	if got := s.run(t); got != "hello from Go" {
		t.Errorf("output %q", got)
	}

	// The same source elsewhere: nothing is sent.
	request.Service = service(module(t, program), "./cmd/app")
	again, err := s.Make(s.ctx, request, nil)
	if err != nil {
		t.Fatal(err)
	}
	if again.Changed || again.ImageID != first.ImageID {
		t.Errorf("again: %+v, first: %+v", again, first)
	}
	// And when the image is gone, the very same comes back.
	if err := s.engine.RemoveImage(s.ctx, s.tag); err != nil {
		t.Fatal(err)
	}
	anew, err := s.Make(s.ctx, request, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !anew.Changed || anew.ImageID != first.ImageID {
		t.Errorf("anew: %+v, first: %+v", anew, first)
	}
	request.Service = service(module(t, strings.Replace(program, "hello", "goodbye", 1)), "./cmd/app")
	changed, err := s.Make(s.ctx, request, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !changed.Changed || changed.ImageID == first.ImageID {
		t.Errorf("changed: %+v, first: %+v", changed, first)
	}
	// The image of before has lost its tag; it is the test's to remove.
	if err := s.engine.RemoveImage(s.ctx, first.ImageID); err != nil {
		t.Error(err)
	}
}

func TestDockerfileOnAnEngine(t *testing.T) {
	s := newStand(t, Engine)
	request := Request{Project: "shop", Service: service(module(t, program), "./cmd/app"), Tag: s.tag}
	request.Service.Build.DockerfileInline = "FROM alpine:latest\nRUN --mount=type=cache,target=/cache touch /cache/x\nCMD [\"echo\", \"hello from Docker\"]\n"
	first, err := s.Make(s.ctx, request, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !first.Changed || first.How != HowDockerfile {
		t.Errorf("first: %+v", first)
	}
	if got := s.run(t); got != "hello from Docker" {
		t.Errorf("output %q", got)
	}
	again, err := s.Make(s.ctx, request, nil)
	if err != nil {
		t.Fatal(err)
	}
	if again.Changed || again.ImageID != first.ImageID {
		t.Errorf("again: %+v, first: %+v", again, first)
	}
	request.Service.Build.DockerfileInline = "FROM alpine:latest\nRUN echo the reason && exit 4\n"
	if _, err := s.Make(s.ctx, request, nil); err == nil || !strings.Contains(err.Error(), "the reason") {
		t.Errorf("error is %v", err)
	}
}
