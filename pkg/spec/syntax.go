package spec

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	yamlv4 "go.yaml.in/yaml/v4"
)

// marked is an error of the parser: where it was, and where what it was in began.
var marked = regexp.MustCompile(`^yaml: (?:(.*?) at (line (\d+)(?:, column (\d+))?): )?(?:line (\d+)(?:, column (\d+))?: )?(.*)$`)

// unprintable is an error of the reader, and the byte that it stopped at.
var unprintable = regexp.MustCompile(`^yaml: offset (\d+): (.*)$`)

// syntax says in people's words why a text is not YAML, by the parser that the
// loader reads it with; false when that one reads it.
func syntax(text []byte) (Problem, bool) {
	var document yamlv4.Node
	err := yamlv4.Unmarshal(text, &document)
	if err == nil {
		return Problem{}, false
	}
	if m := unprintable.FindStringSubmatch(err.Error()); m != nil {
		before := string(text[:min(number(m[1]), len(text))])
		begin := strings.LastIndexByte(before, '\n') + 1
		return Problem{
			Line: strings.Count(before, "\n") + 1, Column: utf8.RuneCountInString(before[begin:]) + 1,
			Message: "not YAML: " + m[2], Hint: "remove the character, or write it with an escape in double quotes",
		}, true
	}
	m := marked.FindStringSubmatch(oneLine(err.Error()))
	if m == nil {
		return Problem{Message: "not YAML: " + oneLine(err.Error())}, true
	}
	context, message := m[1], m[7]
	began, line, column := number(m[3]), number(m[5]), number(m[6])
	if line == 0 {
		line, column = began, number(m[4])
	}
	if strings.HasPrefix(context, "while parsing") || context == "" && strings.HasPrefix(message, "did not find") {
		line, began = line+1, began+1 // the parser, other than the scanner, counts from 0
	}
	if lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n"); line > len(lines) {
		line, column = len(lines), utf8.RuneCountInString(lines[len(lines)-1])+1 // the end
	}
	column = max(column, 1)
	if strings.HasPrefix(message, "unknown anchor") {
		column--
	}
	p := Problem{Line: line, Column: column}
	p.Message, p.Hint = inWords(context, message, began, characterAt(text, line, column))
	p.Message = "not YAML: " + p.Message
	return p, true
}

// inWords says what the parser's words mean in a compose file. The character is
// the one that it stopped at; 0 for the end.
func inWords(context, message string, began int, c rune) (what, hint string) {
	switch {
	case c == '\t' && strings.HasPrefix(message, "found character that cannot start"),
		strings.HasPrefix(message, "found a tab character"):
		return "there is a tab, and YAML takes no tabs for indentation", "use spaces"
	case strings.HasPrefix(message, "found character that cannot start"):
		return fmt.Sprintf("a value cannot begin with %q", c), "put the value in quotes"
	case strings.HasPrefix(message, "mapping values are not allowed"):
		return "there is a colon where no key can be", "indent the keys of one mapping alike, and put a value with a colon in quotes"
	case strings.HasPrefix(message, "did not find expected key"), strings.HasPrefix(message, "did not find expected '-' indicator"):
		return fmt.Sprintf("the indentation fits nothing above, since line %d", began), "indent what belongs together alike"
	case strings.HasPrefix(message, "could not find expected ':'"):
		return fmt.Sprintf("there is no colon after the key in line %d", began), "write `key: value`"
	case strings.HasPrefix(context, "while scanning a quoted scalar"):
		return fmt.Sprintf("the quotes that are opened in line %d are not closed", began), "close them"
	case strings.HasPrefix(message, "did not find expected ',' or"):
		return fmt.Sprintf("the bracket that is opened in line %d is not closed, or a comma is missing", began), "close it"
	case strings.HasPrefix(message, "unknown anchor"):
		name := strings.TrimSuffix(strings.TrimPrefix(message, "unknown anchor '"), "' referenced")
		return fmt.Sprintf("there is no anchor &%s for the alias *%s", name, name), "write the anchor before the alias; a text that begins with * needs quotes"
	}
	return strings.TrimPrefix(context+": "+message, ": "), ""
}

func characterAt(text []byte, line, column int) rune {
	lines := strings.SplitN(string(text), "\n", line+1)
	if line < 1 || line > len(lines) {
		return 0
	}
	runes := []rune(strings.TrimPrefix(lines[line-1], "\uFEFF"))
	if column > len(runes) {
		return 0
	}
	return runes[column-1]
}

func number(digits string) int {
	n, _ := strconv.Atoi(digits) // 0 for what is not said
	return n
}
