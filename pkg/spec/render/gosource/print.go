package gosource

import (
	"strconv"
	"strings"
)

// width is how long a line may become before a literal is spread over several.
const width = 100

// expr is an expression of Go: a composite literal, or any other one as text.
type expr struct {
	atom   string
	goType string
	isCall bool // goType is a function's name
	fields []field
	// tall literals are spread over lines however short they are.
	tall bool
}

type field struct {
	key     string
	value   expr
	comment string // lines above it
}

func atom(text string) expr { return expr{atom: text} }

// call is a function's call.
func call(name string, arguments ...expr) expr {
	c := list(name, arguments)
	c.isCall = true
	return c
}

// composite is a literal of a struct, a map, or, without keys, a list.
func composite(goType string, fields ...field) expr { return expr{goType: goType, fields: fields} }

func list(goType string, items []expr) expr {
	l := expr{goType: goType}
	for _, item := range items {
		l.fields = append(l.fields, field{value: item})
	}
	return l
}

// text prints an expression that begins in a column of its line.
func (e expr) text(column int) string {
	if e.atom != "" {
		return e.atom
	}
	// A call that has one argument is no easier to read on three lines.
	if e.isCall && len(e.fields) == 1 {
		return e.goType + "(" + e.fields[0].value.text(column) + ")"
	}
	if line := e.line(); !e.tall && column+len(line) <= width && !strings.Contains(line, "\n") {
		return line
	}
	var b strings.Builder
	start, end := e.brackets()
	b.WriteString(e.goType + start + "\n")
	if lines, ok := e.filled(); ok {
		return b.String() + lines + end
	}
	for _, f := range e.fields {
		b.WriteString(f.comment)
		before := ""
		if f.key != "" {
			before = f.key + ": "
		}
		b.WriteString(before + f.value.text(len(before)+8) + ",\n")
	}
	b.WriteString(end)
	return b.String()
}

// filled prints arguments, which have no names, on as few lines as hold them.
func (e expr) filled() (string, bool) {
	var b strings.Builder
	column := 0
	for _, f := range e.fields {
		one := f.value.atom
		if one == "" || f.key != "" || strings.Contains(one, "\n") {
			return "", false
		}
		switch {
		case column > 0 && column+len(one) > width-20:
			b.WriteString(",\n")
			column = 0
		case column > 0:
			b.WriteString(", ")
		}
		b.WriteString(one)
		column += len(one) + 2
	}
	return b.String() + ",\n", column > 0
}

// line prints an expression without the line breaks that are not in its texts.
func (e expr) line() string {
	if e.atom != "" {
		return e.atom
	}
	var parts []string
	for _, f := range e.fields {
		part := f.value.line()
		if f.key != "" {
			part = f.key + ": " + part
		}
		if f.comment != "" {
			part = f.comment + part
		}
		parts = append(parts, part)
	}
	start, end := e.brackets()
	return e.goType + start + strings.Join(parts, ", ") + end
}

func (e expr) brackets() (start, end string) {
	if e.isCall {
		return "(", ")"
	}
	return "{", "}"
}

// quote writes text as a Go literal: one that has lines or quotes in it as it
// is, where Go can.
func quote(s string) string {
	inside := strings.TrimSuffix(s, "\n")
	if !strings.ContainsAny(inside, "\n\"\\") {
		return strconv.Quote(s)
	}
	for line := range strings.SplitSeq(s, "\n") {
		if !strconv.CanBackquote(line) {
			return strconv.Quote(s)
		}
	}
	return "`" + s + "`"
}
