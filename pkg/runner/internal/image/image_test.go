package image

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"

	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

const program = `package main

import "fmt"

func main() { fmt.Println("hello from Go") }
`

// module writes a Go module with a program in cmd/app and gives its folder.
func module(t *testing.T, source string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":          "module example.test/app\n\ngo 1.21\n",
		"cmd/app/main.go": source,
		"Dockerfile":      "FROM alpine:latest\nCMD [\"echo\", \"hello from Docker\"]\n",
	} {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// service is a service that is built from a folder, with the extension when pkg
// is not empty.
func service(dir, pkg string) types.ServiceConfig {
	s := types.ServiceConfig{Name: "web"}
	s.Build = &types.BuildConfig{Context: dir}
	if pkg != "" {
		s.Build.Extensions = types.Extensions{extension: map[string]any{extensionGo: pkg}}
	}
	return s
}

// store is the images of an engine that remembers what was asked of it.
type store struct {
	images map[string]state.Image
	builds []engine.BuildRequest
	loads  int
}

func (s *store) Image(_ context.Context, ref string) (state.Image, error) {
	if image, ok := s.images[ref]; ok {
		return image, nil
	}
	return state.Image{}, errdefs.ErrNotFound
}

func (s *store) Build(_ context.Context, b engine.BuildRequest, _ func(engine.Progress)) (string, error) {
	s.builds = append(s.builds, b)
	return "sha256:built", nil
}

func (s *store) LoadImage(_ context.Context, archive io.Reader) (string, error) {
	s.loads++
	_, err := io.Copy(io.Discard, archive)
	return "sha256:loaded", err
}

func TestEveryBuildField(t *testing.T) {
	value := "1"
	s := service("/src", "")
	s.Platform = "linux/arm64"
	s.Build.Dockerfile = "app.Dockerfile"
	s.Build.DockerfileInline = "FROM scratch"
	s.Build.Args = types.MappingWithEquals{"A": &value}
	s.Build.Labels = types.Labels{"mine": "yes"}
	s.Build.Target = "run"
	s.Build.Tags = types.StringList{"other", "web:1"}
	s.Build.Network = "host"
	s.Build.ExtraHosts = types.HostsList{"db": {"10.0.0.1"}}
	s.Build.NoCache = true
	s.Build.Pull = true
	s.Build.Platforms = types.StringList{"linux/amd64", "linux/arm64"}
	s.Build.CacheFrom = types.StringList{"web:cache", "type=registry,ref=other:cache", "type=gha"}
	s.Build.CacheTo = types.StringList{"type=inline"}
	s.Build.ShmSize = 1 << 20
	s.Build.Ulimits = map[string]*types.UlimitsConfig{"nproc": {Single: 5}, "nofile": {Soft: 1, Hard: 2}}
	s.Build.Isolation = "hyperv"
	s.Build.SSH = types.SSHConfig{{ID: "default"}, {ID: "other", Path: "/agent"}}
	s.Build.Provenance = "false"
	s.Build.Extensions = types.Extensions{"x-other": true}
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte("from a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	secrets := []state.File{{Target: "token", Content: "text"}, {Target: "key", Source: key}}
	e := &store{}
	b := &Builder{Engine: e, OS: "linux", Arch: "amd64"}
	got, err := b.Make(t.Context(), Request{Project: "shop", Service: s, Tag: "web:1", Secrets: secrets}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Result{ImageID: "sha256:built", Changed: true, How: HowDockerfile}, got); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
	want := []engine.BuildRequest{{
		Context: "/src", Dockerfile: "app.Dockerfile", Inline: "FROM scratch", Target: "run",
		Args: map[string]*string{"A": &value, "BUILDKIT_INLINE_CACHE": &value},
		Labels: map[string]string{
			"mine": "yes", state.LabelProject: "shop", state.LabelService: "web", state.LabelVersion: state.ComposeVersion,
		},
		Tags: []string{"web:1", "other:latest"}, Platform: "linux/arm64", Network: "host",
		ExtraHosts: []string{"db:10.0.0.1"}, NoCache: true, Pull: true,
		CacheFrom: []string{"web:cache", "other:cache"}, ShmSize: 1 << 20, Isolation: "hyperv",
		Ulimits: []engine.Ulimit{{Name: "nofile", Soft: 1, Hard: 2}, {Name: "nproc", Soft: 5, Hard: 5}},
		Secrets: map[string][]byte{"token": []byte("text"), "key": []byte("from a file")},
		Agents:  map[string]string{"default": "", "other": "/agent"},
	}}
	if diff := cmp.Diff(want, e.builds); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
}

// One stage without the cache means all of them, for the API knows no stages.
func TestStageWithoutCache(t *testing.T) {
	s := service("/src", "")
	s.Build.NoCacheFilter = types.StringList{"last"}
	e := &store{}
	b := &Builder{Engine: e, OS: "linux", Arch: "amd64"}
	if _, err := b.Make(t.Context(), Request{Project: "shop", Service: s, Tag: "web"}, nil); err != nil {
		t.Fatal(err)
	}
	if len(e.builds) != 1 || !e.builds[0].NoCache {
		t.Errorf("builds are %+v", e.builds)
	}
}

func TestRefused(t *testing.T) {
	for _, test := range []struct {
		name   string
		mode   Mode
		goTool string
		change func(*types.ServiceConfig)
		// secrets are those of the build.
		secrets []state.File
		want    string
	}{
		{name: "further contexts and privileges", change: func(s *types.ServiceConfig) {
			s.Build.AdditionalContexts = types.Mapping{"lib": "../lib"}
			s.Build.Privileged = true
		}, want: "services.web.build.privileged is not supported: the Engine API's build grants no privileges"},
		{name: "a secret that is not there", secrets: []state.File{{Target: "token", Source: "/no/such/file"}}, want: "build secret token: open /no/such/file"},
		{name: "several platforms", change: func(s *types.ServiceConfig) {
			s.Build.Platforms = types.StringList{"linux/amd64", "linux/arm64"}
		}, want: "name it with platform"},
		{name: "other platform", change: func(s *types.ServiceConfig) {
			s.Platform = "linux/arm64"
			s.Build.Platforms = types.StringList{"linux/amd64"}
		}, want: "none of build.platforms"},
		{name: "go without a package", mode: Go, want: "x-stackctl: {go: ./package}"},
		{name: "go without a toolchain", mode: Go, goTool: "/no/such/go", change: func(s *types.ServiceConfig) {
			s.Build.Extensions = types.Extensions{extension: map[string]any{extensionGo: "./app"}}
		}, want: "install Go"},
		{name: "unknown mode", mode: "magic", want: `no builder is called "magic"`},
		{name: "odd extension", change: func(s *types.ServiceConfig) {
			s.Build.Extensions = types.Extensions{extension: "./app"}
		}, want: "is no mapping"},
		{name: "no build section", change: func(s *types.ServiceConfig) { s.Build = nil }, want: "no build section"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := service("/src", "")
			if test.change != nil {
				test.change(&s)
			}
			e := &store{}
			b := &Builder{Engine: e, Mode: test.mode, OS: "linux", Arch: "amd64", GoCommand: test.goTool}
			_, err := b.Make(t.Context(), Request{Project: "shop", Service: s, Tag: "web", Secrets: test.secrets}, nil)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, want %q", err, test.want)
			}
			if len(e.builds)+e.loads != 0 {
				t.Error("something was built")
			}
		})
	}
}

func TestAutoChooses(t *testing.T) {
	for _, test := range []struct {
		name, pkg, goTool, want string
	}{
		{"a package and a toolchain", "./cmd/app", "", HowGo},
		{"no package", "", "", HowDockerfile},
		{"no toolchain", "./cmd/app", "/no/such/go", HowDockerfile},
		{"a toolchain that does not work here", "./cmd/app", "false", HowDockerfile},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := &Builder{Engine: &store{}, OS: "linux", Arch: runtime.GOARCH, GoCommand: test.goTool}
			got, err := b.Make(t.Context(), Request{Project: "shop", Service: service(module(t, program), test.pkg), Tag: "web"}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got.How != test.want {
				t.Errorf("built with %q, want %q", got.How, test.want)
			}
		})
	}
}

func TestUnchangedIsNotSentAgain(t *testing.T) {
	e := &store{images: map[string]state.Image{}}
	b := &Builder{Engine: e, Mode: Go, OS: "linux", Arch: runtime.GOARCH}
	s := state.ServiceSpec{Name: "web", Image: "web", Config: service(module(t, program), "./cmd/app")}
	made, err := assembleFor(t, b, s.Config)
	if err != nil {
		t.Fatal(err)
	}
	e.images["web:latest"] = state.Image{ID: "sha256:there", Labels: map[string]string{state.LabelBuild: made.digest}}
	note, err := b.Build(t.Context(), "shop", &s, nil)
	if err != nil || note != "unchanged, Go toolchain" || e.loads != 0 {
		t.Errorf("note %q, error %v, %d loads", note, err, e.loads)
	}
	e.images["web:latest"] = state.Image{ID: "sha256:there", Labels: map[string]string{state.LabelBuild: "sha256:old"}}
	note, err = b.Build(t.Context(), "shop", &s, nil)
	if err != nil || note != "Go toolchain" || e.loads != 1 {
		t.Errorf("note %q, error %v, %d loads", note, err, e.loads)
	}
}

// assembleFor compiles and packs as makeGo does.
func assembleFor(t *testing.T, b *Builder, s types.ServiceConfig) (archive, error) {
	t.Helper()
	p := target{os: b.OS, arch: b.Arch}
	tool, err := b.toolchain(t.Context(), s.Build.Context, "./cmd/app", p)
	if err != nil {
		return archive{}, err
	}
	binary, err := tool.compile(t.Context(), "./cmd/app", func(engine.Progress) {})
	if err != nil {
		return archive{}, err
	}
	return assemble("app", binary, p, configOf(Request{Project: "shop", Service: s}, "app"))
}

func TestSameSourceGivesTheSameArchive(t *testing.T) {
	b := &Builder{OS: "linux", Arch: runtime.GOARCH}
	var archives [2]bytes.Buffer
	for i := range archives {
		// Another folder each time: where the source is must not matter.
		made, err := assembleFor(t, b, service(module(t, program), "./cmd/app"))
		if err != nil {
			t.Fatal(err)
		}
		if err := made.write(&archives[i], []string{"web:latest"}); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(archives[0].Bytes(), archives[1].Bytes()) {
		t.Error("two archives of one source differ")
	}
}

func TestDigestSeesTheConfig(t *testing.T) {
	p := target{os: "linux", arch: "amd64"}
	seen := map[string]string{}
	for name, change := range map[string]func(*types.ServiceConfig){
		"plain": func(*types.ServiceConfig) {},
		"label": func(s *types.ServiceConfig) { s.Build.Labels = types.Labels{"a": "b"} },
		"port":  func(s *types.ServiceConfig) { s.Ports = []types.ServicePortConfig{{Target: 80}} },
	} {
		s := service("/src", "./app")
		change(&s)
		made, err := assemble("app", []byte("binary"), p, configOf(Request{Project: "shop", Service: s}, "app"))
		if err != nil {
			t.Fatal(err)
		}
		if other, twice := seen[made.digest]; twice {
			t.Errorf("%s and %s have one digest", name, other)
		}
		seen[made.digest] = name
	}
}

func TestCompileErrorShowsTheCompiler(t *testing.T) {
	b := &Builder{Engine: &store{}, Mode: Go, OS: "linux", Arch: runtime.GOARCH}
	for _, test := range []struct {
		name, source, want string
	}{
		{"wrong source", "package main\n\nfunc main() { nonsense() }\n", "undefined: nonsense"},
		{"no program", "package app\n", "exactly one main package"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := b.Make(t.Context(), Request{Project: "shop", Service: service(module(t, test.source), "./cmd/app"), Tag: "web"}, nil)
			var compileErr *CompileError
			if !errors.As(err, &compileErr) || !strings.Contains(compileErr.Output, test.want) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v", err)
			}
		})
	}
	_, err := b.Make(t.Context(), Request{Project: "shop", Service: service(module(t, program), "./no/such"), Tag: "web"}, nil)
	if err == nil || !strings.Contains(err.Error(), "no/such") {
		t.Errorf("error is %v", err)
	}
}

func TestCancelledCompile(t *testing.T) {
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	b := &Builder{Engine: &store{}, Mode: Go, OS: "linux", Arch: runtime.GOARCH}
	_, err := b.Make(ctx, Request{Project: "shop", Service: service(module(t, program), "./cmd/app"), Tag: "web"}, nil)
	if !errors.Is(err, cause) {
		t.Errorf("error is %v", err)
	}
}

func TestTarget(t *testing.T) {
	b := &Builder{OS: "linux", Arch: "amd64"}
	for platform, want := range map[string]target{
		"":             {os: "linux", arch: "amd64"},
		"arm64":        {os: "linux", arch: "arm64"},
		"linux/arm/v7": {os: "linux", arch: "arm", variant: "v7"},
	} {
		got := b.targetOf(platform)
		if err := got.check(); err != nil || got != want {
			t.Errorf("%q is %+v, %v", platform, got, err)
		}
	}
	if err := b.targetOf("windows/amd64").check(); err == nil {
		t.Error("windows is taken")
	}
}
