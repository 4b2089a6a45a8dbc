package cli

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stackctl/stackctl/pkg/spec"
)

// acceptedFile remembers what the schema has accepted in a file with one digest a
// line, the newest last. A file that cannot be read or written is one that
// remembers nothing.
type acceptedFile string

// At acceptedMost lines the file is written anew with the last acceptedKept: it
// stays a page or two, and what is loaded every day stays in it.
const (
	acceptedMost = 1000
	acceptedKept = 500
)

// accepted gives the user's own file; nil where there is no folder for it.
func (g *globalOptions) accepted() spec.Accepted {
	cache, err := g.app.CacheDir()
	if err != nil {
		return nil
	}
	return acceptedFile(filepath.Join(cache, "stackctl", "accepted"))
}

func (f acceptedFile) lines() []string {
	text, _ := os.ReadFile(string(f))
	return strings.Fields(string(text))
}

// Has implements spec.Accepted.
func (f acceptedFile) Has(digest string) bool { return slices.Contains(f.lines(), digest) }

// Add implements spec.Accepted. Two processes may add at once: a line is one write.
func (f acceptedFile) Add(digest string) {
	if err := os.MkdirAll(filepath.Dir(string(f)), 0o755); err != nil {
		return
	}
	if lines := f.lines(); len(lines) >= acceptedMost {
		// Whoever reads meanwhile misses a line, and asks the schema.
		_ = os.WriteFile(string(f), []byte(strings.Join(lines[len(lines)-acceptedKept:], "\n")+"\n"), 0o600)
	}
	file, err := os.OpenFile(string(f), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	_, _ = file.WriteString(digest + "\n")
	_ = file.Close()
}
