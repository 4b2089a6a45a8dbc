package main

import (
	"io"
	"sync"
	"time"
)

const (
	// logDelay is how long a line waits for others at most: what is lost with a
	// process that is killed.
	logDelay = 20 * time.Millisecond
	// logBatch is what is written at once at most, unless a line is longer.
	logBatch = 32 << 10
)

// logWriter gathers the lines of a log and writes many at once. A call to the system
// for each request costs as much as the rest of answering it from the cache.
type logWriter struct {
	out io.Writer

	mu      sync.Mutex
	lines   []byte
	pending bool // a flush is on its way
}

// Write takes one or more whole lines. An error of out is nobody's who could mend it.
func (w *logWriter) Write(lines []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.lines)+len(lines) > logBatch {
		w.write()
	}
	w.lines = append(w.lines, lines...)
	if !w.pending {
		w.pending = true
		time.AfterFunc(logDelay, func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.pending = false
			w.write()
		})
	}
	return len(lines), nil
}

// flush writes what there is.
func (w *logWriter) flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.write()
}

func (w *logWriter) write() {
	if len(w.lines) > 0 {
		_, _ = w.out.Write(w.lines)
		w.lines = w.lines[:0]
	}
}
