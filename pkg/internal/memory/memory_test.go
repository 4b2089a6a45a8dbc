package memory_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stackctl/stackctl/pkg/internal/memory"
)

func TestFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "when it is needed")
	file := memory.In(dir, "known")
	if got := file.Lines(); len(got) != 0 {
		t.Errorf("a file that is not there has %q", got)
	}
	file.Add("one")
	file.Add("two")
	if got := file.Lines(); !slices.Equal(got, []string{"one", "two"}) {
		t.Errorf("lines %q", got)
	}
	info, err := os.Stat(string(file))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, error %v: it is nobody else's", info.Mode(), err)
	}
	// A write that was cut short is no line.
	if err := os.WriteFile(string(file), []byte("one\ntw"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := file.Lines(); !slices.Equal(got, []string{"one"}) {
		t.Errorf("lines %q of a file that was cut", got)
	}
}

// The file does not grow without end, and what goes is the oldest.
func TestFileForgets(t *testing.T) {
	file := memory.In(t.TempDir(), "known")
	if err := os.WriteFile(string(file), []byte(strings.Repeat("old\n", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		file.Add(fmt.Sprint("new ", i))
	}
	lines := file.Lines()
	if len(lines) != 503 || lines[502] != "new 2" {
		t.Errorf("%d lines, the last %q", len(lines), lines[len(lines)-1])
	}
}

// Without a folder, or with one that cannot be had, nothing is remembered and
// nothing fails.
func TestFileWithoutFolder(t *testing.T) {
	taken := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(taken, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []memory.File{memory.In("", "known"), memory.In(taken, "known")} {
		file.Add("one")
		if got := file.Lines(); len(got) != 0 {
			t.Errorf("%q remembers %q", file, got)
		}
	}
}
