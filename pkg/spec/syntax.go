package spec

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	yamlv4 "go.yaml.in/yaml/v4"

	"github.com/stackctl/stackctl/internal/sensitive"
)

// marked is an error of the parser: where what it was in began, and where it was. It
// calls the first line, which it counts as 0, unknown.
var marked = regexp.MustCompile(`^yaml: (?:(.*?) at (?:line (\d+)(?:, column (\d+))?|<unknown position>): )?` +
	`(?:(?:line (\d+)(?:, column (\d+))?|<unknown position>): )?(.*)$`)

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
	context, message := m[1], m[6]
	began, line, column := number(m[2]), number(m[4]), number(m[5])
	if line == 0 {
		line, column = began, number(m[3])
	}
	if strings.HasPrefix(context, "while parsing") || context == "" && strings.HasPrefix(message, "did not find") {
		line, began = line+1, began+1 // the parser, other than the scanner, counts from 0
	}
	if lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n"); line > len(lines) {
		line, column = len(lines), utf8.RuneCountInString(lines[len(lines)-1])+1 // the end
	}
	line, column = max(line, 1), max(column, 1)
	if strings.HasPrefix(message, "unknown anchor") {
		column--
	}
	p := Problem{Line: line, Column: column}
	p.Message, p.Hint = inWords(context, message, began, lineOf(text, line), column)
	p.Message = "not YAML: " + p.Message
	return p, true
}

// inWords says what the parser's words mean in a compose file. It stopped at the column
// of the line.
func inWords(context, message string, began int, line []rune, column int) (what, hint string) {
	var c rune // 0 for the end
	if column <= len(line) {
		c = line[column-1]
	}
	before := string(line[:min(column-1, len(line))])
	switch {
	case c == '\t' && strings.HasPrefix(message, "found character that cannot start"),
		strings.HasPrefix(message, "found a tab character"):
		return "there is a tab, and YAML takes no tabs for indentation", "use spaces"
	case strings.HasPrefix(message, "found character that cannot start"):
		return fmt.Sprintf("a value cannot begin with %q", c), "put the value in quotes"
	case strings.HasPrefix(message, "found incompatible YAML document"):
		return "the line that begins with %YAML asks for a version which is not read here", "remove the line"
	case strings.HasPrefix(message, "mapping values are not allowed"):
		return "there is a colon where no key can be", "indent the keys of one mapping alike, and put a value with a colon in quotes"
	case strings.HasPrefix(message, "did not find expected key"), strings.HasPrefix(message, "did not find expected '-' indicator"):
		if strings.Trim(before, " -") != "" {
			return "the value ends before this", "put all of it in one pair of quotes; within single quotes, ' is written twice"
		}
		return fmt.Sprintf("the indentation fits nothing above, since line %d", began), "indent what belongs together alike"
	case strings.HasPrefix(message, "could not find expected ':'"):
		return fmt.Sprintf("there is no colon after the key in line %d", began), "write `key: value`"
	case strings.HasPrefix(message, "found unknown escape"), strings.HasPrefix(message, "did not find expected hexdecimal"),
		strings.HasPrefix(message, "found invalid Unicode character escape"):
		return "there is a \\ in double quotes that begins no escape", `write \\, or use single quotes`
	case strings.HasPrefix(context, "while scanning a quoted scalar"):
		return fmt.Sprintf("the quotes that are opened in line %d are not closed", began), "close them"
	case strings.HasPrefix(message, "did not find expected ',' or"):
		return fmt.Sprintf("the bracket that is opened in line %d is not closed, or a comma is missing", began), "close it"
	case strings.HasPrefix(message, "unknown anchor"):
		hint = "write the anchor before the alias; a text that begins with * needs quotes"
		if sensitive.Mentions(before) { // a password may begin so
			return "there is no anchor for this alias", hint
		}
		name := strings.TrimSuffix(strings.TrimPrefix(message, "unknown anchor '"), "' referenced")
		return fmt.Sprintf("there is no anchor &%s for the alias *%s", name, name), hint
	}
	return strings.TrimPrefix(context+": "+message, ": "), ""
}

// lineOf gives a line of a text, counted from 1.
func lineOf(text []byte, line int) []rune {
	lines := strings.SplitN(string(text), "\n", line+1)
	if line > len(lines) {
		return nil
	}
	return []rune(strings.TrimPrefix(lines[line-1], "\uFEFF"))
}

func number(digits string) int {
	n, _ := strconv.Atoi(digits) // 0 for what is not said
	return n
}
