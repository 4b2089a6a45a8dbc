package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestLogWriter(t *testing.T) {
	out := &logBuffer{}
	w := &logWriter{out: out}
	var want strings.Builder
	add := func(line string) {
		want.WriteString(line)
		if n, err := w.Write([]byte(line)); n != len(line) || err != nil {
			t.Fatalf("Write: %d, %v", n, err)
		}
	}
	arrived := func() error {
		if out.String() != want.String() {
			return errors.New("something is missing, or out of order")
		}
		return nil
	}
	add("one\n")
	add("two\n")
	eventually(t, "lines that nobody flushes", arrived)
	add("three\n")
	w.flush()
	if err := arrived(); err != nil {
		t.Error("after flush:", err)
	}
	for i := range 10_000 { // more than is kept
		add(fmt.Sprintf("line %d\n", i))
	}
	add(strings.Repeat("x", 2*logBatch) + "\n")
	eventually(t, "many lines", arrived)
}
