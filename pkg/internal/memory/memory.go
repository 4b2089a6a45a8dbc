// Package memory keeps what a run has found out for the runs after it. Nothing
// depends on it: what cannot be read or written is found out anew.
package memory

import (
	"os"
	"path/filepath"
	"strings"
)

// File is the path of a file with one thing a line, the newest last. The empty one
// remembers nothing.
type File string

// In gives the file of a name in a folder; the empty file where there is no folder.
func In(dir, name string) File {
	if dir == "" {
		return ""
	}
	return File(filepath.Join(dir, name))
}

// At most lines the file is written anew with the last ones: it stays small, and
// what is used every day stays in it.
const (
	most = 1000
	kept = 500
)

// Lines gives all lines.
func (f File) Lines() []string {
	if f == "" {
		return nil
	}
	text, _ := os.ReadFile(string(f))
	lines := strings.Split(string(text), "\n")
	return lines[:len(lines)-1] // what is not ended is no line yet
}

// Add adds a line. Two processes may do so at once: it is one write.
func (f File) Add(line string) {
	if f == "" || os.MkdirAll(filepath.Dir(string(f)), 0o755) != nil {
		return
	}
	if lines := f.Lines(); len(lines) >= most {
		// Whoever reads meanwhile misses a line, and finds out anew.
		_ = os.WriteFile(string(f), []byte(strings.Join(lines[len(lines)-kept:], "\n")+"\n"), 0o600)
	}
	file, err := os.OpenFile(string(f), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	_, _ = file.WriteString(line + "\n")
	_ = file.Close()
}
