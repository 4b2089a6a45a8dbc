package docker

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/stackctl/stackctl/pkg/runner/engine"
)

// traceID marks the records of BuildKit's progress.
const traceID = "moby.buildkit.trace"

// keptLines is how much of a failed step's output goes into the error, keptBytes how
// much of a line that comes in pieces is kept at least.
const (
	keptLines = 20
	keptBytes = 4 << 10
)

// steps follows a build: what its steps are called, and what they wrote last.
type steps struct {
	each   func(engine.Progress)
	names  map[string]string
	output map[string]*tail
	// failed is the step that BuildKit reports an error of.
	failed string
	// text is the classic builder's output, which knows no steps.
	text tail
}

func newSteps(each func(engine.Progress)) *steps {
	return &steps{each: each, names: map[string]string{}, output: map[string]*tail{}}
}

// trace reads one moby.buildkit.v1.StatusResponse. These few fields are all that
// is needed of it; BuildKit's own module would bring some hundred packages.
func (s *steps) trace(record []byte) error {
	return fields(record, func(number protowire.Number, value []byte, _ uint64) error {
		switch number {
		case 1:
			return s.vertex(value)
		case 2:
			return s.status(value)
		case 3:
			return s.log(value)
		}
		return nil
	})
}

// vertex is one step: digest=1, name=3, cached=4, started=5, completed=6, error=7.
func (s *steps) vertex(record []byte) error {
	var id, name, problem string
	var cached, started, completed bool
	err := fields(record, func(number protowire.Number, value []byte, n uint64) error {
		switch number {
		case 1:
			id = string(value)
		case 3:
			name = string(value)
		case 4:
			cached = n != 0
		case 5:
			started = true
		case 6:
			completed = true
		case 7:
			problem = string(value)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if name != "" {
		s.names[id] = name
	}
	switch {
	case problem != "":
		// Steps that were stopped because of another's failure have an error too.
		if s.failed == "" && !strings.Contains(problem, "context canceled") {
			s.failed = id
		}
	case cached:
		s.each(engine.Progress{ID: id, Text: "CACHED " + s.names[id]})
	case completed:
		s.each(engine.Progress{ID: id, Text: "DONE " + s.names[id]})
	case started:
		s.each(engine.Progress{ID: id, Text: s.names[id]})
	}
	return nil
}

// status is the progress in a step: ID=1, vertex=2, current=4, total=5.
func (s *steps) status(record []byte) error {
	var name, vertex string
	var current, total int64
	err := fields(record, func(number protowire.Number, value []byte, n uint64) error {
		switch number {
		case 1:
			name = string(value)
		case 2:
			vertex = string(value)
		case 4:
			current = int64(n)
		case 5:
			total = int64(n)
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.each(engine.Progress{ID: vertex, Text: shortDigest(name), Current: current, Total: total})
	return nil
}

// shortDigest shortens the digest that the progress of a layer is named after.
func shortDigest(name string) string {
	const prefix, length = "sha256:", 12
	at := strings.Index(name, prefix)
	if at < 0 || len(name) < at+len(prefix)+length {
		return name
	}
	return name[:at] + name[at+len(prefix):][:length]
}

// log is output of a step: vertex=1, msg=4.
func (s *steps) log(record []byte) error {
	var vertex string
	var text []byte
	err := fields(record, func(number protowire.Number, value []byte, _ uint64) error {
		switch number {
		case 1:
			vertex = string(value)
		case 4:
			text = value
		}
		return nil
	})
	if err != nil {
		return err
	}
	kept := s.output[vertex]
	if kept == nil {
		kept = &tail{}
		s.output[vertex] = kept
	}
	kept.add(string(text))
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" {
			s.each(engine.Progress{ID: vertex, Text: line})
		}
	}
	return nil
}

// classic takes a piece of the classic builder's output.
func (s *steps) classic(text string) {
	s.text.add(text)
	if line := strings.TrimSpace(text); line != "" {
		s.each(engine.Progress{Text: line})
	}
}

// explain adds the step that failed and the last lines that it wrote.
func (s *steps) explain(err error) error {
	kept, name := &s.text, ""
	if s.failed != "" {
		name = s.names[s.failed]
		kept = s.output[s.failed]
	}
	var text strings.Builder
	if name != "" {
		text.WriteString(name + ": ")
	}
	text.WriteString(err.Error())
	if kept != nil {
		for _, line := range kept.lines() {
			text.WriteString("\n  | " + line)
		}
	}
	return &reason{text.String(), err}
}

// tail keeps the last lines of a text.
type tail struct {
	kept []string
	// open says that the last line has no end yet.
	open bool
}

func (t *tail) add(text string) {
	for line := range strings.Lines(text) {
		if last := len(t.kept) - 1; t.open {
			// A line without an end, such as a bar that moves, keeps its own.
			if line = t.kept[last] + line; len(line) > 2*keptBytes {
				line = line[len(line)-keptBytes:]
			}
			t.kept[last] = line
		} else {
			t.kept = append(t.kept, line)
		}
		t.open = !strings.HasSuffix(line, "\n")
	}
	if extra := len(t.kept) - keptLines; extra > 0 {
		t.kept = append([]string(nil), t.kept[extra:]...)
	}
}

func (t *tail) lines() []string {
	var out []string
	for _, line := range t.kept {
		out = append(out, strings.TrimRight(line, "\r\n"))
	}
	return out
}

// fields calls each with the fields of a protobuf message: value for one with a
// length, n for a varint.
func fields(record []byte, each func(number protowire.Number, value []byte, n uint64) error) error {
	for len(record) > 0 {
		number, kind, size := protowire.ConsumeTag(record)
		if size < 0 {
			return fmt.Errorf("read the build's progress: %w", protowire.ParseError(size))
		}
		record = record[size:]
		var value []byte
		var n uint64
		switch kind {
		case protowire.BytesType:
			value, size = protowire.ConsumeBytes(record)
		case protowire.VarintType:
			n, size = protowire.ConsumeVarint(record)
		default:
			size = protowire.ConsumeFieldValue(number, kind, record)
		}
		if size < 0 {
			return fmt.Errorf("read the build's progress: %w", protowire.ParseError(size))
		}
		record = record[size:]
		if err := each(number, value, n); err != nil {
			return err
		}
	}
	return nil
}
