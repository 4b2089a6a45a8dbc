package spec

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"unicode/utf8"
)

// Value is text that may refer to variables, which are looked up when the
// stack is loaded, never when it is written or rendered.
//
// A Go constant is a Value and means exactly what it says, a dollar sign
// included. References come from FromEnv and its siblings alone, and join with
// text by +:
//
//	spec.Env{
//		"LOG_LEVEL":    "debug",
//		"DATABASE_URL": "postgres://" + user + "@" + db.Host() + "/" + name,
//	}
//
// The zero value is the empty text.
type Value string

// A reference is kept inside the string between two marks that begin with NUL,
// a byte that neither YAML nor an environment can hold: a Value stays
// comparable, works as a constant, and joins by +, and still no text that
// somebody writes is mistaken for a reference.
const (
	nul      = "\x00"
	refOpen  = nul + "{"
	refClose = nul + "}"
	// textOpen begins text that holds references of its own.
	textOpen = nul + "="
)

// Literal returns the Value of a string that is not a constant. Use it rather
// than a conversion for text that comes from elsewhere: it can never become a
// reference.
func Literal(s string) Value {
	return Value(strings.ReplaceAll(s, nul, nul+nul))
}

// FromEnv refers to a variable: ${NAME}. Without a value it is empty, and the
// loader warns.
func FromEnv(name string) Value {
	return Value(refOpen + name + refClose)
}

// FromEnvOr refers to a variable with a default for when it is unset or empty:
// ${NAME:-def}. The default is literal text without braces or line breaks,
// which the compose syntax cannot hold there.
func FromEnvOr(name, def string) Value {
	return Value(refOpen + name + ":-" + def + refClose)
}

// RequiredEnv refers to a variable that must have a value: ${NAME:?message}.
// Loading without it fails with the message, which should therefore say what
// to do; the limits of FromEnvOr's default hold for it too.
func RequiredEnv(name, message string) Value {
	return Value(refOpen + name + ":?" + message + refClose)
}

// Interpolated returns the Value of text in compose's own syntax, for references
// that FromEnv and its siblings do not say: ${NAME-default}, ${NAME:+text}, or a
// reference within a reference. A dollar sign that is none is doubled in it.
func Interpolated(text string) Value {
	return Value(textOpen + strings.ReplaceAll(text, nul, nul+nul) + refClose)
}

// Inherited is the value of a variable in an Env that has the value of the
// variable of the same name where the stack is loaded, and that is not set if
// there is none.
const Inherited Value = nul + "inherited"

// String returns the value as a compose file holds it: references as ${…},
// every other dollar sign doubled.
func (v Value) String() string {
	text, _ := v.compose()
	return text
}

// MarshalText returns String for encoders, which the marks inside would
// confuse. It fails for what no compose file can hold.
func (v Value) MarshalText() ([]byte, error) {
	text, fault := v.compose()
	if fault != "" {
		return nil, errors.New(fault)
	}
	return []byte(text), nil
}

// compose is String with the reason why the text would not be read back as
// meant, empty if it would.
func (v Value) compose() (text, fault string) {
	if !strings.Contains(string(v), nul) && !strings.Contains(string(v), "$") && utf8.ValidString(string(v)) {
		return string(v), ""
	}
	var b strings.Builder
	rest := string(v)
	for {
		literal, after, marked := strings.Cut(rest, nul)
		b.WriteString(escape(literal))
		if !marked {
			break
		}
		if after == "" {
			return b.String(), "holds a NUL byte"
		}
		ref, tail, closed := strings.Cut(after[1:], refClose)
		if !closed || after[0] != '{' && (after[0] != '=' || strings.Contains(ref, nul)) {
			return b.String(), "holds a NUL byte"
		}
		if after[0] == '=' {
			b.WriteString(ref)
			rest = tail
			continue
		}
		if fault == "" {
			fault = referenceFault(ref)
		}
		b.WriteString("${" + escape(ref) + "}")
		rest = tail
	}
	if fault == "" && !utf8.ValidString(string(v)) {
		fault = "is not valid UTF-8"
	}
	return b.String(), fault
}

// escape doubles dollar signs: compose reads $$ as one and anything else as a
// reference.
func escape(s string) string { return strings.ReplaceAll(s, "$", "$$") }

// referenceFault returns what keeps NAME, NAME:-default or NAME:?message from
// being a reference.
func referenceFault(ref string) string {
	name, text, _ := strings.Cut(ref, ":")
	switch {
	case !isVariable(name):
		return fmt.Sprintf("refers to %q, which is not the name of a variable", name)
	case strings.ContainsAny(text, "{}\n\r\x00"):
		return fmt.Sprintf("refers to %s with a text that holds a brace, a line break or another reference", name)
	}
	return ""
}

// variable gives the name of the variable that the value is, where it is nothing but
// one without a default.
func (v Value) variable() (string, bool) {
	ref, opened := strings.CutPrefix(string(v), refOpen)
	ref, closed := strings.CutSuffix(ref, refClose)
	name, text, special := strings.Cut(ref, ":")
	return name, opened && closed && isVariable(name) && (!special || strings.HasPrefix(text, "?") && !strings.Contains(text, nul))
}

func isVariable(name string) bool {
	for i := range len(name) {
		c := name[i]
		letter := c == '_' || 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (i == 0 || c < '0' || '9' < c) {
			return false
		}
	}
	return name != ""
}

// literal returns the value's text and whether it is free of references, so
// that it can be checked before it is loaded.
func (v Value) literal() (string, bool) {
	return string(v), !strings.Contains(string(v), nul)
}

// Env maps the names of environment variables of a container to their values.
type Env map[string]Value

// MergeEnv returns one map with the variables of all; where two hold the same
// name the later one counts.
func MergeEnv(envs ...Env) Env {
	merged := Env{}
	for _, env := range envs {
		maps.Copy(merged, env)
	}
	return merged
}
