package cli

import (
	"context"
	"io"
	"path/filepath"
	"strings"
	"testing"
)

// Without a Go toolchain a program's folder is no stack, and that is what is said.
func TestProgramWithoutGo(t *testing.T) {
	dir := folder(t, map[string]string{"shop/main.go": "package main\n"})
	t.Setenv("PATH", dir)
	var messages strings.Builder
	app := &App{Streams: Streams{In: strings.NewReader(""), Out: io.Discard, Err: &messages}, Dir: dir, CacheDir: noCache}
	if code := app.Run(t.Context(), []string{"-f", "shop", "validate"}); code != exitInvalid {
		t.Errorf("exit code %d", code)
	}
	want := "error: the Go program in shop gave no stack: there is no go command to run it with\n" +
		"hint: install Go (https://go.dev/dl), or take a compose file that `stackctl -f shop render` gives on a machine that has it\n"
	if messages.String() != want {
		t.Errorf("got %q, want %q", messages.String(), want)
	}
}

// An interrupt ends the program, and is told as one.
func TestProgramInterrupted(t *testing.T) {
	dir := folder(t, map[string]string{"go.mod": "module x\n", "main.go": "package main\n\nfunc main() { select {} }\n"})
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(&SignalError{15})
	app := &App{Streams: Streams{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard}, Dir: dir, CacheDir: noCache}
	if code := app.Run(ctx, []string{"-f", ".", "validate"}); code != 128+15 {
		t.Errorf("exit code %d", code)
	}
}

func TestIsProgramFolder(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		files map[string]string
		want  bool
	}{
		{"a program", map[string]string{"a.go": "// Command a.\npackage main\n"}, true},
		{"a library", map[string]string{"a.go": "package a\n"}, false},
		{"a test", map[string]string{"a_test.go": "package main\n"}, false},
		{"no Go", map[string]string{"compose.yaml": "package main\n"}, false},
		{"a program that does not parse", map[string]string{"a.go": "package main\n\nfunc (\n"}, true},
		{"a name that is a pattern", map[string]string{"[a]/x.go": "package main\n"}, false},
	} {
		if got := isProgramFolder(folder(t, c.files)); got != c.want {
			t.Errorf("%s: got %v", c.name, got)
		}
	}
	if !isProgramFolder(filepath.Join(folder(t, map[string]string{"[a]*/x.go": "package main\n"}), "[a]*")) {
		t.Error("a program in a folder whose name is a pattern")
	}
}
