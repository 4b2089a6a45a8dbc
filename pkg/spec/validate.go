package spec

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// Problem is one fault of a stack.
type Problem struct {
	// Path says where, as in the compose file: services.web.ports[0]. Empty if
	// the fault has no one place.
	Path string
	// Message says what is wrong, in lower case and without a full stop.
	Message string
	// Hint says how to mend it. Empty if the message says it already.
	Hint string
	// File is the compose file that it is in, and Line and Column the place there,
	// counted from 1. Empty and 0 if that is not known, as for a stack in Go.
	File         string
	Line, Column int
}

// String returns the problem in one line: "file:line:column: path: message — hint".
func (p Problem) String() string {
	s := p.Message
	if p.Path != "" {
		s = p.Path + ": " + s
	}
	if p.File != "" {
		at := p.File
		for _, n := range []int{p.Line, p.Column} {
			if n > 0 {
				at += ":" + strconv.Itoa(n)
			}
		}
		s = at + ": " + s
	}
	if p.Hint != "" {
		s += " — " + p.Hint
	}
	return s
}

// ValidationError holds every problem of a stack, in the order of the files and of
// the places in them; where there is no file, in that of the paths.
type ValidationError struct {
	Problems []Problem
}

// Error lists the problems, one a line.
func (e *ValidationError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// invalid returns the problems as an error, nil if there are none.
func invalid(problems []Problem) error {
	if len(problems) == 0 {
		return nil
	}
	return &ValidationError{Problems: tidy(problems)}
}

// tidy sorts problems and keeps one of those that say the same of one place:
// the first, so a mend for Go code wins over one for a compose file.
func tidy(problems []Problem) []Problem {
	sorted := slices.Clone(problems)
	slices.SortStableFunc(sorted, func(a, b Problem) int {
		return cmp.Or(comparePaths(a.Path, b.Path), cmp.Compare(a.Message, b.Message), cmp.Compare(a.File, b.File), a.Line-b.Line)
	})
	return slices.CompactFunc(sorted, func(a, b Problem) bool {
		return a.Path == b.Path && a.Message == b.Message && a.File == b.File && a.Line == b.Line
	})
}
