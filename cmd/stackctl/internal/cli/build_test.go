package cli_test

import (
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// The stack names its Go package under a key of the compose file, and what
// builds images looks for it there. The two do not import each other, so this
// is what keeps them to one key.
func TestGoBuilderFindsTheStacksPackage(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("needs a shell script")
	}
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "go"), []byte("#!/bin/sh\necho \"not today: $1\"\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin)
	s := newSession(t)
	if err := s.RemoveImage(t.Context(), "multi-service-app-webapp"); err != nil {
		t.Fatal(err)
	}
	var messages output
	if code := s.run(t.Context(), io.Discard, &messages, "up", "--builder", "go"); code != 1 {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{"go build ./webapp: exit status 1\n", "| not today: build\n", "hint: mend the build"} {
		if !strings.Contains(messages.String(), want) {
			t.Errorf("%q is not in\n%s", want, messages.String())
		}
	}
	if strings.Contains(s.Dump(), "webapp-1 running") {
		t.Errorf("the app runs without an image:\n%s", s.Dump())
	}
}
