package runner_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackctl/stackctl/pkg/runner"
	"github.com/stackctl/stackctl/pkg/runner/bundle"
	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/engine/enginetest"
)

const site = `
services:
  web: {image: web, build: {context: ., dockerfile_inline: "FROM base:1\nCOPY --from=tools / /\n"}}
  db: {image: "db:1"}
  more: {image: "db:1", pull_policy: always}
`

// Offline, all images that are missing are named at once, those that a build
// starts from too, and nothing is done.
func TestOfflineNamesWhatIsMissing(t *testing.T) {
	e := enginetest.New()
	e.AddRemote("db:1", "sha256:db")
	r := runner.New(engine.Offline(e))
	p := project(t, site)
	_, err := r.Up(t.Context(), p, runner.UpOptions{Offline: true, Builder: runner.BuilderEngine})
	var missing *runner.MissingImagesError
	if !errors.As(err, &missing) {
		t.Fatalf("error %v", err)
	}
	want := `image db:1 is not on the engine: services db, more run it
image base:1 is not on the engine: the build of service web starts from it
image tools is not on the engine: the build of service web starts from it`
	if diff := cmp.Diff(want, missing.Error()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if calls := e.Calls(); len(calls) > 0 {
		t.Errorf("did %v", calls)
	}

	// With all of them there, the build runs and nothing is pulled, whatever a
	// service's policy says.
	for _, ref := range []string{"db:1", "base:1", "tools"} {
		e.AddImage(ref, "sha256:"+ref)
	}
	if _, err := r.Up(t.Context(), p, runner.UpOptions{Offline: true, Builder: runner.BuilderEngine}); err != nil {
		t.Fatal(err)
	}
	for _, call := range e.Calls() {
		if call.Method == "Pull" {
			t.Errorf("did %s", call)
		}
	}
	// What is built already needs no base.
	for _, ref := range []string{"base:1", "tools"} {
		if err := e.RemoveImage(t.Context(), ref); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Up(t.Context(), p, runner.UpOptions{Offline: true}); err != nil {
		t.Error(err)
	}
}

// What a service that is left out is built from is nobody's business.
func TestOfflineLooksAtTheChosenServices(t *testing.T) {
	e := enginetest.New()
	e.AddImage("db:1", "sha256:db")
	p := project(t, `
services:
  web: {image: web, build: {context: ., dockerfile: not-there}}
  db: {image: "db:1"}
`)
	_, err := runner.New(engine.Offline(e)).Up(t.Context(), p, runner.UpOptions{Services: []string{"db"}, Offline: true, Builder: runner.BuilderEngine})
	if err != nil {
		t.Error(err)
	}
}

// memory is an archive of images of another engine.
type memory struct {
	*enginetest.Engine
	ids      map[string]string
	broken   error
	verified []string
}

func (m *memory) Platform() string       { return "linux/amd64" }
func (m *memory) IDs() map[string]string { return m.ids }
func (m *memory) Verify(_ context.Context, refs []string) error {
	m.verified = append(m.verified, refs...)
	return m.broken
}

func (m *memory) Image(ref string) (io.ReadCloser, int64, error) {
	var out bytes.Buffer
	err := m.SaveImages(context.Background(), []string{ref}, &out)
	return io.NopCloser(&out), int64(out.Len()), err
}

// From an archive, only images that the engine lacks, or has another of, are
// loaded; nothing is built or pulled. One that is damaged changes nothing.
func TestUpFromArchive(t *testing.T) {
	there := enginetest.New()
	for ref, id := range map[string]string{"web": "sha256:web", "db:1": "sha256:db"} {
		there.AddImage(ref, id)
	}
	archive := &memory{Engine: there, ids: map[string]string{"web": "sha256:web", "db:1": "sha256:db"}, broken: errors.New("damaged")}
	e := enginetest.New()
	e.AddImage("web", "sha256:older")
	e.AddImage("db:1", "sha256:db")
	r := runner.New(e)
	p := project(t, site)

	if _, err := r.Up(t.Context(), p, runner.UpOptions{Archive: archive}); !errors.Is(err, archive.broken) {
		t.Errorf("error %v", err)
	}
	if calls := e.Calls(); len(calls) > 0 {
		t.Errorf("with a damaged archive, did %v", calls)
	}
	if diff := cmp.Diff([]string{"web"}, archive.verified); diff != "" {
		t.Errorf("verified (-want +got):\n%s", diff)
	}

	archive.broken = nil
	if _, err := r.Up(t.Context(), p, runner.UpOptions{Archive: archive}); err != nil {
		t.Fatal(err)
	}
	calls := slices.DeleteFunc(sortedCalls(e), func(c string) bool { return !strings.Contains(c, "Image") && !strings.Contains(c, "Pull") })
	if diff := cmp.Diff([]string{"LoadImage web:latest"}, calls); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	e.ForgetCalls()
	report, err := r.Up(t.Context(), p, runner.UpOptions{Archive: archive})
	if err != nil || !report.Plan.Empty() {
		t.Errorf("a second up: %v, %v", report.Plan, err)
	}

	e.SetPlatform(engine.Platform{OS: "linux", Arch: "arm64"})
	_, err = r.Up(t.Context(), p, runner.UpOptions{Archive: archive})
	var platform *bundle.PlatformError
	if !errors.As(err, &platform) {
		t.Errorf("another platform: error %v", err)
	}
}

// A bundle is made of what is missing, too, and says what is in it.
func TestBundle(t *testing.T) {
	e := enginetest.New()
	e.AddImage("base:1", "sha256:base")
	e.AddImage("tools", "sha256:tools")
	e.AddRemote("db:1", "sha256:db")
	var out bytes.Buffer
	options := runner.BundleOptions{Sources: []string{"here"}, Compose: []byte("services: {}\n"), Builder: runner.BuilderEngine}
	m, err := runner.New(e).Bundle(t.Context(), project(t, site), options, &out)
	if err != nil {
		t.Fatal(err)
	}
	want := &bundle.Manifest{
		Project: "shop", Sources: []string{"here"}, Platform: "linux/amd64",
		Images: []bundle.Image{
			{Ref: "db:1", ID: "sha256:db", Platform: "linux/amd64"},
			{Ref: "web", ID: "sha256:built-web:latest", Platform: "linux/amd64"},
		},
	}
	if diff := cmp.Diff(want, m); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var calls []string
	for _, call := range e.Calls() {
		calls = append(calls, call.String())
	}
	slices.Sort(calls)
	if diff := cmp.Diff([]string{"Build web:latest", "Pull db:1", "SaveImages db:1", "SaveImages web"}, calls); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}

	e.ForgetCalls()
	options.Services = []string{"db"}
	if m, err = runner.New(e).Bundle(t.Context(), project(t, site), options, io.Discard); err != nil || len(m.Images) != 1 {
		t.Errorf("one service: %+v, %v", m, err)
	}
	digest := project(t, `{services: {web: {image: "web@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}}}`)
	if _, err := runner.New(e).Bundle(t.Context(), digest, runner.BundleOptions{}, io.Discard); !errors.Is(err, bundle.ErrDigest) {
		t.Errorf("an image named by its digest: error %v", err)
	}
}
