package support

import "strings"

// Class says what becomes of a field.
type Class int

// The classes; every field has exactly one.
const (
	// Refused fields end a run before anything is changed. It is the class of a
	// field that no table has.
	Refused Class = iota
	// Mapped fields do what the specification says.
	Mapped
	// Ignored fields change nothing on one engine; a warning says so.
	Ignored
)

// String gives the word that the documentation uses.
func (c Class) String() string {
	switch c {
	case Mapped:
		return "mapped"
	case Ignored:
		return "ignored, with a warning"
	default:
		return "refused"
	}
}

// Field is one field of the specification.
type Field struct {
	// Path is the way to the field from the top of a file: "*" stands for a name
	// that the user chooses, "[]" for the entries of a list.
	Path  string
	Class Class
	// Note says what a mapped field becomes or who reads it, and for all others
	// why they are not mapped.
	Note string
	// Whole says that what is below the field shares its class.
	Whole bool
	// Since is the first API version that knows the field; empty for every one
	// that stackctl works with.
	Since string
	// Cases are the values that are treated differently; the first that holds
	// counts.
	Cases []Case
}

// Case is a value of a field with a class of its own.
type Case struct {
	// Value describes the values in words.
	Value string
	Holds func(value any) bool
	Class Class
	Note  string
	Since string
}

func mapped(path, note string) Field { return Field{Path: path, Class: Mapped, Note: note} }
func refused(path, why string) Field {
	return Field{Path: path, Class: Refused, Note: why, Whole: true}
}
func ignored(path, why string) Field {
	return Field{Path: path, Class: Ignored, Note: why, Whole: true}
}
func (f Field) whole() Field           { f.Whole = true; return f }
func (f Field) since(api string) Field { f.Since = api; return f }

// but gives some values of a field another class.
func (f Field) but(class Class, value string, holds func(any) bool, note string) Field {
	f.Cases = append(f.Cases, Case{Value: value, Holds: holds, Class: class, Note: note})
	return f
}

// butSince says that some values of a mapped field need a newer engine.
func (f Field) butSince(api, value string, holds func(any) bool) Field {
	f.Cases = append(f.Cases, Case{Value: value, Holds: holds, Class: Mapped, Note: f.Note, Since: api})
	return f
}

// below puts fields under a common path.
func below(prefix string, fields ...Field) []Field {
	for i := range fields {
		fields[i].Path = prefix + fields[i].Path
	}
	return fields
}

func is(want any) func(any) bool { return func(v any) bool { return v == want } }

func hasPrefix(prefix string) func(any) bool {
	return func(v any) bool {
		s, ok := v.(string)
		return ok && strings.HasPrefix(s, prefix)
	}
}
