package docker

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackctl/stackctl/pkg/runner/engine"
)

func TestDemultiplex(t *testing.T) {
	for _, test := range []struct {
		name             string
		stream           []byte
		out, errs, fault string
	}{
		{"both", slices.Concat(frame(1, []byte("a")), frame(2, []byte("b")), frame(0, []byte("c"))), "ac", "b", ""},
		{"nothing in one", slices.Concat(frame(1, nil), frame(1, []byte("a"))), "a", "", ""},
		{"cut in a frame", frame(1, []byte("abc"))[:10], "ab", "", ""},
		{"cut in a head", slices.Concat(frame(1, []byte("a")), []byte{1, 0, 0}), "a", "", ""},
		{"of the engine's own", frame(3, []byte("no disk")), "", "", "the engine stopped reading the output: no disk"},
		{"no frames", []byte("plain text"), "", "", "the engine's answer is no stream of output: it has a frame of kind 112 with 1847620709 bytes"},
		{"four gigabytes", []byte{1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}, "", "", "the engine's answer is no stream of output: it has a frame of kind 1 with 4294967295 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			fault := ""
			if err := demultiplex(&out, &errs, bytes.NewReader(test.stream)); err != nil {
				fault = err.Error()
			}
			if diff := cmp.Diff([]string{test.out, test.errs, test.fault}, []string{out.String(), errs.String(), fault}); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// endless gives one text again and again.
type endless struct{ text string }

func (e endless) Read(p []byte) (int, error) {
	for n := 0; n < len(p); {
		n += copy(p[n:], e.text)
	}
	return len(p), nil
}

// What has no end has one here.
func TestEndlessAnswers(t *testing.T) {
	stream := io.MultiReader(strings.NewReader(`{"stream":"`), endless{"x"})
	if err := readMessages(stream, func(message) error { return nil }); err == nil {
		t.Error("a record without an end was read")
	}
	longest := 0
	w := &lineWriter{each: func(l engine.LogLine) { longest = max(longest, len(l.Text)) }}
	if _, err := io.Copy(w, io.LimitReader(endless{"x"}, 4*lineLimit)); err != nil {
		t.Fatal(err)
	}
	if longest < lineLimit || longest > 2*lineLimit {
		t.Errorf("the longest line has %d bytes", longest)
	}
	var kept tail
	for range 1000 {
		kept.add(strings.Repeat("x", keptBytes/10) + "\r")
	}
	if got := kept.lines(); len(got) != 1 || len(got[0]) > 2*keptBytes {
		t.Errorf("%d lines are kept, the last one of %d bytes", len(got), len(got[0]))
	}
}
