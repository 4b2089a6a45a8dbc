package main

import (
	"os"
	"sync"

	"golang.org/x/term"
)

// terminal is the one that keys come from. However the process ends by itself, it
// can be put back.
type terminal struct {
	in *os.File

	mu     sync.Mutex
	before *term.State // nil unless in raw mode
}

// raw lets every key through as it is, until restore is called.
func (t *terminal) raw() (restore func(), err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.before, err = term.MakeRaw(int(t.in.Fd())); err != nil {
		return nil, err
	}
	return t.restore, nil
}

// restore undoes raw, if need be.
func (t *terminal) restore() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.before != nil {
		_ = term.Restore(int(t.in.Fd()), t.before) // of a terminal that is gone
		t.before = nil
	}
}

// size gives the columns and rows of the first of the streams that is a terminal.
func size() (columns, rows int) {
	for _, f := range []*os.File{os.Stderr, os.Stdout, os.Stdin} {
		if columns, rows, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 && rows > 0 {
			return columns, rows
		}
	}
	return 80, 24
}
