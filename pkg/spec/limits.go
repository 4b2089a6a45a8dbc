package spec

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// What a compose file may be at most, so that no file takes a command's time or
// memory. Files of a thousand services are far below all of it.
const (
	// maxBytes is the length of one file.
	maxBytes = 10 << 20
	// maxValues is the number of keys and values of one file, each counted as
	// often as aliases repeat it. It is the limit that Docker Compose has for what
	// is written, too.
	maxValues = 100_000
	// maxDepth is how deep they may be in one another.
	maxDepth = 200
	// maxUses is how often aliases may refer to one anchor: the loader compares each
	// with all before it.
	maxUses = 2_000
	// maxDocuments is how many documents one file may have: the loader merges each with
	// all before it.
	maxDocuments = 200
	// maxFiles is how many files may be included or extended, each counted as often as
	// it is: two in each of twenty levels are a million.
	maxFiles = 1_000
	// maxTold is how many faults are told: finding the place of each looks through what
	// is around it.
	maxTold = 2_000
	// maxMissing is how many variables that have no value are told of one text.
	maxMissing = 20
)

var tooMany = fmt.Sprintf("holds more than %d values, those that aliases repeat included", maxValues)

// unreadable says why a text cannot be a compose file at all; false for one that
// may be.
func unreadable(text []byte) (Problem, bool) {
	if len(text) > maxBytes {
		return Problem{
			Message: fmt.Sprintf("has %.1f MB, and a compose file may have %d MB", float64(len(text))/(1<<20), maxBytes>>20),
			Hint:    "keep large texts in files of their own, and name them under configs or volumes",
		}, true
	}
	hint := "save it as UTF-8, which every editor can do"
	if bytes.HasPrefix(text, []byte("\xff\xfe")) || bytes.HasPrefix(text, []byte("\xfe\xff")) {
		return Problem{Line: 1, Column: 1, Message: "is not UTF-8 text: it begins as UTF-16 does", Hint: hint}, true
	}
	if !utf8.Valid(text) {
		at := 0
		for {
			r, size := utf8.DecodeRune(text[at:])
			if r == utf8.RuneError && size == 1 {
				break
			}
			at += size
		}
		p := Problem{Message: fmt.Sprintf("is not UTF-8 text: there is a byte 0x%02x", text[at]), Hint: hint}
		p.Line, p.Column = lineAndColumn(text, at)
		return p, true
	}
	if at := bytes.IndexByte(text, 0); at >= 0 {
		p := Problem{Message: "is not UTF-8 text: there is a NUL byte", Hint: hint}
		p.Line, p.Column = lineAndColumn(text, at)
		return p, true
	}
	// The first one needs no mark.
	if bytes.Count(text, []byte("\n---")) >= maxDocuments {
		return Problem{
			Message: fmt.Sprintf("has more than %d documents", maxDocuments), Hint: "write the services below one key services, or several files",
		}, true
	}
	return Problem{}, false
}

// lineAndColumn gives the place of a byte, both counted from 1, columns in letters.
func lineAndColumn(text []byte, at int) (line, column int) {
	before := text[:at]
	begin := bytes.LastIndexByte(before, '\n') + 1
	return bytes.Count(before, []byte("\n")) + 1, utf8.RuneCount(before[begin:]) + 1
}

// isPlain says of a text at a glance that it keeps the limits: it is short, has no
// alias and cannot be deep. What is not plain is parsed to be sure.
func isPlain(text []byte) bool {
	if len(text) > 64<<10 {
		return false
	}
	brackets, lead, leading := 0, 0, true
	for i, c := range text {
		switch c {
		case '\n':
			lead, leading = 0, true
			continue
		case '[', '{':
			brackets++
		case '*':
			if i+1 < len(text) && !bytes.ContainsRune([]byte(" \t\r\n*/"), rune(text[i+1])) {
				return false
			}
		}
		if leading = leading && (c == ' ' || c == '-' || c == '?'); leading {
			lead++
		}
		if lead+brackets > maxDepth {
			return false
		}
	}
	return true
}

// excessive says at the beginning of a text that it passes a limit; false for one
// that may keep them all. A parser takes several seconds for all of a text that
// holds many times as much as it may.
func excessive(text []byte) (Problem, bool) {
	cut := prefix(text, maxValues)
	if cut == len(text) {
		return Problem{}, false
	}
	docs, _ := parse(text[:cut]) // what is cut may be wrong: the whole is parsed then
	return excess(docs)
}

// prefix gives the length of the lines that hold so many keys and entries, judged by
// the characters that end or begin one; that of the text when there are fewer.
func prefix(text []byte, values int) int {
	for i, c := range text {
		if c == ',' || (c == ':' || c == '-') && i+1 < len(text) && (text[i+1] == ' ' || text[i+1] == '\n') {
			if values--; values == 0 {
				if end := bytes.IndexByte(text[i:], '\n'); end >= 0 {
					return i + end + 1
				}
				break
			}
		}
	}
	return len(text)
}

// excess says which limit the documents of a file pass; false for those that keep them.
func excess(docs []*yaml.Node) (Problem, bool) {
	m := measure{known: map[*yaml.Node]extent{}, uses: map[*yaml.Node]int{}}
	values := 0
	for _, doc := range docs {
		if values += m.of(doc).values; values > maxValues {
			m.found(doc, tooMany, "divide it into several projects")
		}
		if m.fault != nil {
			return *m.fault, true
		}
	}
	return Problem{}, false
}

// extent is how many values a node holds, and in how many levels.
type extent struct{ values, levels int }

// measure follows aliases, and measures each anchor once.
type measure struct {
	known map[*yaml.Node]extent // zero for what is being measured
	uses  map[*yaml.Node]int
	fault *Problem
}

// of measures a node, and ends at the first limit that is passed.
func (m *measure) of(n *yaml.Node) extent {
	if known, seen := m.known[n]; seen {
		return known
	}
	m.known[n] = extent{}
	all := extent{values: 1, levels: 1}
	if n.Kind == yaml.ScalarNode && nested(n.Value) > maxDepth {
		m.found(n, fmt.Sprintf("has references to variables that are more than %d levels deep", maxDepth), "write them with fewer levels")
	}
	for _, child := range n.Content {
		to := child
		if child.Kind == yaml.AliasNode {
			to = child.Alias
			if m.uses[to]++; m.uses[to] > maxUses {
				m.found(child, fmt.Sprintf("the alias *%s stands more than %d times", child.Value, maxUses), "repeat less by aliases")
			}
		}
		one := m.of(to)
		if one == (extent{}) {
			m.found(child, fmt.Sprintf("the alias *%s stands within its own anchor", child.Value), "remove it")
		}
		all = extent{values: all.values + one.values, levels: max(all.levels, one.levels+1)}
		switch {
		case all.values > maxValues:
			m.found(child, tooMany,
				"divide it into several projects, and repeat less by aliases")
		case all.levels > maxDepth:
			m.found(child, fmt.Sprintf("is more than %d levels deep", maxDepth), "write it with fewer levels")
		}
		if m.fault != nil {
			return all
		}
	}
	m.known[n] = all
	return all
}

// nested is how many references to variables in a text are within one another.
func nested(text string) int {
	depth, deepest := 0, 0
	for i, c := range []byte(text) {
		switch {
		case c == '{' && i > 0 && text[i-1] == '$':
			depth++
			deepest = max(deepest, depth)
		case c == '}' && depth > 0:
			depth--
		}
	}
	return deepest
}

func (m *measure) found(at *yaml.Node, message, hint string) {
	if m.fault == nil {
		m.fault = &Problem{Line: at.Line, Column: at.Column, Message: message, Hint: hint}
	}
}
