package cli

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stackctl/stackctl/pkg/runner"
	"github.com/stackctl/stackctl/pkg/spec"
)

// memory is a file in the user's cache folder that spares a command what one before
// it has found out: one thing a line, the newest last. Nothing depends on it: a file
// that cannot be read or written is one that remembers nothing.
type memory string

// At memoryMost lines the file is written anew with the last memoryKept: it stays
// small, and what is used every day stays in it.
const (
	memoryMost = 1000
	memoryKept = 500
)

// memory gives the file of a name; empty where there is no folder for it.
func (g *globalOptions) memory(name string) memory {
	cache, err := g.app.CacheDir()
	if err != nil {
		return ""
	}
	return memory(filepath.Join(cache, "stackctl", name))
}

func (m memory) lines() []string {
	text, _ := os.ReadFile(string(m))
	lines := strings.Split(string(text), "\n")
	return lines[:len(lines)-1] // what is not ended is no line
}

// add adds a line. Two processes may do so at once: it is one write.
func (m memory) add(line string) {
	if os.MkdirAll(filepath.Dir(string(m)), 0o755) != nil {
		return
	}
	if lines := m.lines(); len(lines) >= memoryMost {
		// Whoever reads meanwhile misses a line, and finds out anew.
		_ = os.WriteFile(string(m), []byte(strings.Join(lines[len(lines)-memoryKept:], "\n")+"\n"), 0o600)
	}
	file, err := os.OpenFile(string(m), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	_, _ = file.WriteString(line + "\n")
	_ = file.Close()
}

// accepted remembers the texts that the schema has accepted, by digest.
type accepted memory

func (g *globalOptions) accepted() spec.Accepted { return accepted(g.memory("accepted")) }

// Has implements spec.Accepted.
func (a accepted) Has(digest string) bool { return slices.Contains(memory(a).lines(), digest) }

// Add implements spec.Accepted.
func (a accepted) Add(digest string) { memory(a).add(digest) }

// ready remembers when containers were found ready: id, start and time.
type ready memory

func (g *globalOptions) ready() runner.Readiness { return ready(g.memory("ready")) }

// Ready implements runner.Readiness.
func (r ready) Ready(container string, started time.Time) time.Time {
	start := readyStart(container, started)
	for _, line := range slices.Backward(memory(r).lines()) {
		if text, found := strings.CutPrefix(line, start); found {
			at, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				return time.Time{}
			}
			return time.Unix(0, at)
		}
	}
	return time.Time{}
}

// SetReady implements runner.Readiness.
func (r ready) SetReady(container string, started, at time.Time) {
	memory(r).add(readyStart(container, started) + strconv.FormatInt(at.UnixNano(), 10))
}

func readyStart(container string, started time.Time) string {
	return container + " " + strconv.FormatInt(started.UnixNano(), 10) + " "
}
