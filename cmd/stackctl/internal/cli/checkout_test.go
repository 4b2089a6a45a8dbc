package cli

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stackctl/stackctl"
)

func TestIsCheckout(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		files map[string]string
		want  bool
	}{
		"nothing":        {nil, false},
		"this module":    {map[string]string{"go.mod": "// x\nmodule " + modulePath + " // y\n", "webapp/main.go": ""}, true},
		"another module": {map[string]string{"go.mod": "module example.com/x\n\nrequire " + modulePath + " v1.0.0\n", "webapp/main.go": ""}, false},
		"without webapp": {map[string]string{"go.mod": "module " + modulePath + "\n"}, false},
	} {
		if got := isCheckout(folder(t, c.files)); got != c.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

func TestExtract(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{"go.mod": {Data: []byte("module x\n")}, "app/main.go": {Data: []byte("package main\n")}}
	parent := filepath.Join(t.TempDir(), "cache")
	extracted := func() string {
		t.Helper()
		dir, err := extract(t.Context(), files, parent)
		if err != nil {
			t.Fatal(err)
		}
		if err := fstest.TestFS(os.DirFS(dir), "go.mod", "app/main.go"); err != nil {
			t.Fatal(err)
		}
		if !isCopy(files, dir) {
			t.Fatalf("%s is no copy", dir)
		}
		return dir
	}
	dir := extracted()
	if again := extracted(); again != dir {
		t.Errorf("again: %s, not %s", again, dir)
	}
	// What somebody has changed is made whole again.
	if err := os.WriteFile(filepath.Join(dir, "app", "main.go"), []byte("broken"), 0o644); err != nil {
		t.Fatal(err)
	}
	if mended := extracted(); mended != dir {
		t.Errorf("mended: %s, not %s", mended, dir)
	}
	// Another content has another folder.
	files["app/main.go"] = &fstest.MapFile{Data: []byte("package main // 2\n")}
	if other := extracted(); other == dir {
		t.Error("another content, and the same folder")
	}
	if entries, err := os.ReadDir(parent); err != nil || len(entries) != 2 {
		t.Errorf("the cache has %v, %v", entries, err)
	}
}

// The source in the binary is all that the app needs, and no more.
func TestEmbeddedSourceBuilds(t *testing.T) {
	t.Parallel()
	err := fs.WalkDir(stackctl.Source(), ".", func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, "_test.go") || strings.Contains(path, "testdata") {
			t.Errorf("%s is in the binary's source", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if testing.Short() {
		t.Skip("compiles a program")
	}
	dir, err := extract(t.Context(), stackctl.Source(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", filepath.Join(t.TempDir(), "webapp"), "./webapp")
	cmd.Dir = dir
	cmd.Env = append(cmd.Environ(), "GOFLAGS=-mod=readonly", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
