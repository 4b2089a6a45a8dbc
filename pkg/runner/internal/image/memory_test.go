package image

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// loadingStore is a store that has what was loaded.
type loadingStore struct{ store }

func (s *loadingStore) LoadImage(_ context.Context, archive io.Reader) (string, error) {
	files := map[string][]byte{}
	for r := tar.NewReader(archive); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", err
		}
		if files[header.Name], err = io.ReadAll(r); err != nil {
			return "", err
		}
	}
	var manifest []struct {
		Config   string
		RepoTags []string
	}
	if err := json.Unmarshal(files["manifest.json"], &manifest); err != nil {
		return "", err
	}
	var config ocispec.Image
	if err := json.Unmarshal(files[manifest[0].Config], &config); err != nil {
		return "", err
	}
	id := digest.FromBytes(files[manifest[0].Config]).String()
	for _, tag := range manifest[0].RepoTags {
		s.images[tag] = state.Image{ID: id, Labels: config.Config.Labels}
	}
	s.loads++
	return id, nil
}

// memoryStand is a program with a package of its module, a module in a folder
// beside it and embedded files, and all that builds it.
type memoryStand struct {
	dir     string // of both modules
	engine  *loadingStore
	builder *Builder
	service types.ServiceConfig
}

func newMemoryStand(t *testing.T) *memoryStand {
	t.Helper()
	s := &memoryStand{dir: t.TempDir(), engine: &loadingStore{store{images: map[string]state.Image{}}}}
	for name, text := range map[string]string{
		"lib/go.mod":                  "module example.test/lib\n\ngo 1.21\n",
		"lib/lib.go":                  "package lib\n\nconst Word = \"one\"\n",
		"app/go.mod":                  "module example.test/app\n\ngo 1.21\n\nrequire example.test/lib v0.0.0\n\nreplace example.test/lib => ../lib\n",
		"app/README":                  "nobody builds this",
		"app/inner/in/in.go":          "package in\n\nconst Word = \"two\"\n",
		"app/cmd/app/main.go":         "package main\n\nimport (\n\t\"embed\"\n\n\t\"example.test/app/inner/in\"\n\t\"example.test/lib\"\n)\n\n//go:embed static *.txt\nvar static embed.FS\n\nfunc main() {\n\t_, err := static.ReadDir(\".\")\n\tprintln(in.Word, lib.Word, err)\n}\n",
		"app/cmd/app/main_test.go":    "package main\n",
		"app/cmd/app/other.go":        "//go:build never\n\npackage main\n\nfunc init() { println(1) }\n",
		"app/cmd/app/note.txt":        "a note",
		"app/cmd/app/static/a/b.html": "a page",
	} {
		s.write(t, name, text)
	}
	s.builder = &Builder{Engine: s.engine, Mode: Go, OS: "linux", Arch: runtime.GOARCH, Cache: filepath.Join(t.TempDir(), "cache")}
	s.service = service(filepath.Join(s.dir, "app"), "./cmd/app")
	return s
}

func (s *memoryStand) write(t *testing.T, name, text string) {
	t.Helper()
	name = filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// replace changes a file, and leaves its size and its time as they were.
func (s *memoryStand) replace(t *testing.T, name, old, text string) {
	t.Helper()
	file := filepath.Join(s.dir, name)
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s.write(t, name, strings.Replace(string(content), old, text, 1))
	if err := os.Chtimes(file, time.Time{}, info.ModTime()); err != nil {
		t.Fatal(err)
	}
}

// memories are the files of the cache.
func (s *memoryStand) memories(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.builder.Cache, "builds", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// make makes the image, and says whether the compiler ran and the engine loaded it.
func (s *memoryStand) make(t *testing.T) (compiled, loaded bool) {
	t.Helper()
	before := s.engine.loads
	r := Request{Project: "shop", Service: s.service, Tag: "web"}
	result, err := s.builder.Make(t.Context(), r, func(p engine.Progress) {
		compiled = compiled || strings.HasPrefix(p.Text, "go build")
	})
	if err != nil {
		t.Fatal(err)
	}
	loaded = s.engine.loads > before
	if result.Changed != loaded || result.ImageID != s.engine.images["web:latest"].ID || result.How != HowGo {
		t.Errorf("result %+v, loaded %v", result, loaded)
	}
	return compiled, loaded
}

func TestWhatIsBuiltAnew(t *testing.T) {
	s := newMemoryStand(t)
	for _, test := range []struct {
		name   string
		change func(t *testing.T)
		// compiled and loaded say what has to happen after the change.
		compiled, loaded bool
	}{
		{"nothing was built", func(*testing.T) {}, true, true},
		{"a file of the package", func(t *testing.T) { s.replace(t, "app/cmd/app/main.go", "println(", "print  (") }, true, true},
		{"a file of another package", func(t *testing.T) { s.replace(t, "app/inner/in/in.go", "two", "six") }, true, true},
		{"a file of a replaced module", func(t *testing.T) { s.replace(t, "lib/lib.go", "one", "ten") }, true, true},
		{"an embedded file", func(t *testing.T) { s.replace(t, "app/cmd/app/static/a/b.html", "page", "cage") }, true, true},
		{"a new file", func(t *testing.T) { s.write(t, "app/cmd/app/new.go", "package main\n\nfunc init() { println(0) }\n") }, true, true},
		{"a new embedded file", func(t *testing.T) { s.write(t, "app/cmd/app/static/a/new/c.html", "another page") }, true, true},
		{"a new file that a pattern matches", func(t *testing.T) { s.write(t, "app/cmd/app/more.txt", "more") }, true, true},
		{"a build constraint", func(t *testing.T) { s.replace(t, "app/cmd/app/other.go", "never", "linux") }, true, true},
		{"a file is gone", func(t *testing.T) {
			if err := os.Remove(filepath.Join(s.dir, "app/cmd/app/new.go")); err != nil {
				t.Fatal(err)
			}
		}, true, true},
		{"go.mod", func(t *testing.T) { s.replace(t, "app/go.mod", "1.21", "1.22") }, true, true},
		{"go.mod of a replaced module", func(t *testing.T) { s.replace(t, "lib/go.mod", "1.21", "1.20") }, true, false},
		{"GOFLAGS", func(t *testing.T) { t.Setenv("GOFLAGS", "-tags=other") }, true, true},
		{"GOFLAGS as they were", func(*testing.T) {}, true, true},
		{"a workspace", func(t *testing.T) {
			s.write(t, "third/go.mod", "module example.test/third\n\ngo 1.21\n")
			s.write(t, "go.work", "go 1.22\n\nuse (\n\t./app\n\t./third\n)\n")
		}, true, true},
		{"go.mod of a module that is only in the workspace", func(t *testing.T) { s.replace(t, "third/go.mod", "1.21", "1.20") }, true, false},
		{"a label", func(*testing.T) { s.service.Build.Labels = types.Labels{"a": "b"} }, true, true},
		{"a port", func(*testing.T) { s.service.Ports = []types.ServicePortConfig{{Target: 80}} }, true, true},
		{"a tag", func(*testing.T) { s.service.Build.Tags = types.StringList{"other"} }, true, true},
		{"the image is gone", func(*testing.T) { delete(s.engine.images, "web:latest") }, true, true},
		{"another image has the name", func(*testing.T) { s.engine.images["web:latest"] = state.Image{ID: "sha256:other"} }, true, true},
		{"a damaged memory", func(t *testing.T) {
			for _, file := range s.memories(t) {
				if err := os.WriteFile(file, []byte(`{"Settings`), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}, true, false},
		{"what no build reads", func(t *testing.T) {
			s.write(t, "app/README", "nor this")
			s.write(t, "app/cmd/app/main_test.go", "package main // with a remark\n")
		}, false, false},
		{"the time of a file", func(t *testing.T) {
			if err := os.Chtimes(filepath.Join(s.dir, "app/cmd/app/main.go"), time.Time{}, time.Now().Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
		}, false, false},
		{"on demand", func(t *testing.T) {
			s.service.Build.NoCache = true
			t.Cleanup(func() { s.service.Build.NoCache = false })
		}, true, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.change(t)
			if compiled, loaded := s.make(t); compiled != test.compiled || loaded != test.loaded {
				t.Errorf("compiled: %v, want %v; loaded: %v, want %v", compiled, test.compiled, loaded, test.loaded)
			}
			if s.service.Build.NoCache {
				return
			}
			if compiled, loaded := s.make(t); compiled || loaded {
				t.Errorf("and again: compiled: %v, loaded: %v", compiled, loaded)
			}
		})
	}
	if n := len(s.memories(t)); n != 1 {
		t.Errorf("%d memories of one package", n)
	}
}

// What was compiled is not what was there before, and may be there again.
func TestChangeDuringABuild(t *testing.T) {
	s := newMemoryStand(t)
	real, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err)
	}
	const before, meanwhile = "package lib\n\nconst Word = \"one\"\n", "package lib\n\nconst Word = \"ten\"\n"
	s.write(t, "meanwhile", meanwhile)
	s.write(t, "go", fmt.Sprintf(`#!/bin/sh
if [ "$1" = build ]; then cp %s/meanwhile %[1]s/lib/lib.go; fi
exec %s "$@"
`, s.dir, real))
	if err := os.Chmod(filepath.Join(s.dir, "go"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.builder.GoCommand = filepath.Join(s.dir, "go")
	s.make(t)
	s.builder.GoCommand = ""
	s.write(t, "lib/lib.go", before)
	if compiled, loaded := s.make(t); !compiled || !loaded {
		t.Errorf("the first state: compiled: %v, loaded: %v", compiled, loaded)
	}
	s.write(t, "lib/lib.go", meanwhile)
	if compiled, loaded := s.make(t); !compiled || !loaded {
		t.Errorf("the second state: compiled: %v, loaded: %v", compiled, loaded)
	}
}

// A go.mod between the module's folder and the package's takes the package away.
func TestModuleInBetween(t *testing.T) {
	s := newMemoryStand(t)
	s.make(t)
	s.write(t, "app/inner/go.mod", "module example.test/app/inner\n\ngo 1.21\n")
	_, err := s.builder.Make(t.Context(), Request{Project: "shop", Service: s.service, Tag: "web"}, nil)
	if _, ok := errors.AsType[*CompileError](err); !ok {
		t.Errorf("error is %v", err)
	}
}

func TestNoPlaceToRemember(t *testing.T) {
	s := newMemoryStand(t)
	s.write(t, "file", "no folder")
	for _, s.builder.Cache = range []string{"", filepath.Join(s.dir, "file")} {
		for range 2 {
			if compiled, _ := s.make(t); !compiled {
				t.Errorf("with %q for a cache: not built", s.builder.Cache)
			}
		}
	}
}

func TestOldMemoriesGo(t *testing.T) {
	s := newMemoryStand(t)
	folder := filepath.Join(s.builder.Cache, "builds")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	for i := range maxMemories {
		name := filepath.Join(folder, fmt.Sprint(i))
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, old, old.Add(time.Duration(-i)*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	s.make(t)
	if n := len(s.memories(t)); n != maxMemories {
		t.Errorf("%d memories, want %d", n, maxMemories)
	}
	if _, err := os.Stat(filepath.Join(folder, fmt.Sprint(maxMemories-1))); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the oldest: %v", err)
	}
	if compiled, _ := s.make(t); compiled {
		t.Error("the newest is gone")
	}
}

func TestFurtherInputs(t *testing.T) {
	for flags, want := range map[string]bool{
		"": true, "-mod=mod -tags=a,b": true, "--buildvcs=false -trimpath": true,
		"-overlay=a.json": false, "-mod=mod '-overlay=a b.json'": false, "-pgo=cpu.pprof": false, "-modfile=other.mod": false, "-toolexec=wrap": false,
	} {
		if got := plainFlags(flags); got != want {
			t.Errorf("GOFLAGS=%s: %v", flags, got)
		}
	}
}

// Each program has a memory of its own on each platform.
func TestMemoryFiles(t *testing.T) {
	b := &Builder{Cache: "/cache"}
	seen := map[string]bool{}
	for _, dir := range []string{"/a/app", "/b/app"} {
		for _, p := range []target{{os: "linux", arch: "amd64"}, {os: "linux", arch: "arm64"}, {os: "linux", arch: "amd64", variant: "v2"}} {
			file, err := b.memoryFile(&toolchain{dir: dir, target: p}, "app")
			if err != nil || seen[file] {
				t.Errorf("%s for %v: %s, %v", dir, p, file, err)
			}
			seen[file] = true
		}
	}
}
