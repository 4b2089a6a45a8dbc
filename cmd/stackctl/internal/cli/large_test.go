package cli

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// What is refused is loaded once, and once more without its faults where it has to be:
// it takes less than twice what a stack takes that is sound. Allocations are counted,
// which are the same on a busy machine.
func TestRefusingIsCheap(t *testing.T) {
	validate := func(line string, want int) uint64 {
		t.Helper()
		dir := t.TempDir()
		var text strings.Builder
		text.WriteString("services:\n")
		for i := range 1000 {
			fmt.Fprintf(&text, "  s%d:\n    %s\n    image: nginx:1\n    environment: {A: b, C: \"${X-d}\"}\n", i, line)
		}
		if err := os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(text.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		app := &App{Streams: Streams{Out: io.Discard, Err: io.Discard}, Dir: dir, CacheDir: func() (string, error) { return dir, nil }}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		code := app.Run(t.Context(), []string{"-p", "shop", "validate"})
		runtime.ReadMemStats(&after)
		if code != want {
			t.Errorf("%s: code %d, want %d", line, code, want)
		}
		return after.Mallocs - before.Mallocs
	}
	sound := validate("restart: always", exitDone)
	for _, line := range []string{"restrat: always", "restart: [always]", `ports: ["http"]`, "networks: [gone]"} {
		if ratio := float64(validate(line, exitInvalid)) / float64(sound); ratio > 1.8 {
			t.Errorf("%s: %.2f times the allocations of a stack that is sound", line, ratio)
		}
	}
}
