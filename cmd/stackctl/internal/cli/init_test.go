package cli_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackctl/stackctl/pkg/runner/engine/enginetest"
)

// The compose file and the Go program that init writes are one stack: what is
// rendered of either is the same, but for nothing. The program is run as a user's
// is, in a module of its own that is tied to this checkout.
func TestInitWritesOneStackInTwoForms(t *testing.T) {
	root, err := filepath.Abs("../../../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "shop")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) string {
		t.Helper()
		var out, messages bytes.Buffer
		app := newApp(enginetest.New(), dir, &out, &messages)
		app.Environ = os.Environ()
		app.Executable = filepath.Join(root, "bin", "stackctl")
		if code := app.Run(t.Context(), args); code != 0 || messages.Len() > 0 {
			t.Fatalf("stackctl %v: exit code %d\n%s", args, code, &messages)
		}
		return out.String()
	}
	run("init", "--go")
	program := run("-f", "stack", "render")
	run("init")
	file := run("render")
	if diff := cmp.Diff(file, program); diff != "" {
		t.Errorf("render of the compose file (-) and of the Go program (+):\n%s", diff)
	}

	// Rendered again, it stays as it is.
	if err := os.WriteFile(filepath.Join(dir, "rendered.yaml"), []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(file, run("-f", "rendered.yaml", "render")); diff != "" {
		t.Errorf("rendered once (-) and twice (+):\n%s", diff)
	}
}
