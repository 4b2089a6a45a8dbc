package compose

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"gopkg.in/yaml.v3"
)

// normalize gives everything that can be written in several ways the one that
// is printed, so that two files which say the same are the same text.
func normalize(root object) {
	for _, section := range root.keys() {
		value := root.get(section)
		switch section {
		case "services":
			for _, name := range asObject(value).keys() {
				normalizeService(asObject(value).object(name))
			}
		case "networks", "volumes", "secrets", "configs":
			for _, name := range asObject(value).keys() {
				resource := asObject(value).object(name)
				textMap(resource, "labels", true)
				textMap(resource, "driver_opts", false)
				sortDeep(resource.node)
			}
		default:
			sortDeep(value)
		}
	}
	normalizeText(root.node)
}

func normalizeService(s object) {
	for _, key := range s.keys() {
		value := s.get(key)
		switch key {
		case "networks", "depends_on": // their order is the author's
			for _, name := range asObject(value).keys() {
				if isBlank(asObject(value).get(name)) {
					asObject(value).replace(name, &yaml.Node{Kind: yaml.ScalarNode, Tag: tagNull})
				}
				sortDeep(asObject(value).get(name))
				asObject(value).object(name).sort(dependencyOrder())
			}
		default:
			sortDeep(value)
		}
	}
	listOfOne(s, "env_file")
	listOfOne(s, "tmpfs")
	textMap(s, "environment", false)
	textMap(s, "labels", true)
	textMap(s.object("build"), "args", false)
	splitCommand(s, "command")
	splitCommand(s, "entrypoint")
	if test := s.object("healthcheck").get("test"); isText(test) {
		s.object("healthcheck").replace("test", sequenceNode([]*yaml.Node{stringNode("CMD-SHELL"), test}))
	}
	duration(s.get("stop_grace_period"))
	for _, key := range []string{"interval", "timeout", "start_period", "start_interval"} {
		duration(s.object("healthcheck").get(key))
	}
	for _, port := range items(s.get("ports")) {
		if published := asObject(port).get("published"); isScalar(published) {
			published.Tag = tagString
		}
		if isScalar(port) {
			port.Tag = tagString
			port.Value = strings.TrimSuffix(port.Value, "/tcp")
		}
	}
	for _, mount := range items(s.get("volumes")) {
		if isText(mount) && strings.Count(mount.Value, ":") == 2 && !strings.Contains(mount.Value, "$") {
			mount.Value = strings.TrimSuffix(mount.Value, ":rw")
		}
	}
	for _, key := range []string{"secrets", "configs"} {
		for _, mount := range items(s.get(key)) {
			asObject(mount).sort(fileMountOrder())
			octal(asObject(mount).get("mode"))
		}
	}
}

// normalizeText writes keys as text, and scalars as their meaning has it.
func normalizeText(n *yaml.Node) {
	if n.Kind == yaml.MappingNode {
		for i := 0; i < len(n.Content); i += 2 {
			if isScalar(n.Content[i]) {
				n.Content[i].Tag = tagString
			}
		}
	}
	walkValues(n, func(n *yaml.Node) {
		var value any
		if n.Decode(&value) != nil {
			return
		}
		switch value := value.(type) {
		case string:
			n.Value = bracedReferences(n.Value)
		case time.Time:
			n.Tag = tagString // dates are for people here
		case bool:
			n.Value = strconv.FormatBool(value)
		case int, int64, uint64:
			n.Value = fmt.Sprint(value)
		case float64:
			// A whole number is printed without a point, and read as an integer.
			n.Value, n.Tag = strings.TrimSpace(mustMarshal(value)), ""
		}
	})
	for _, child := range n.Content {
		if child.Kind != yaml.ScalarNode {
			normalizeText(child)
		}
	}
}

func mustMarshal(f float64) string {
	text, err := yaml.Marshal(f)
	if err != nil {
		panic(err) // a number can always be written
	}
	return string(text)
}

// dollar matches what a dollar sign can begin.
var dollar = regexp.MustCompile(`\$\$|\$\{|\$[A-Za-z_][A-Za-z0-9_]*`)

// bracedReferences writes $NAME as ${NAME}. What is within other references
// stays as it is.
func bracedReferences(s string) string {
	var b strings.Builder
	for {
		at := dollar.FindStringIndex(s)
		if at == nil {
			return b.String() + s
		}
		b.WriteString(s[:at[0]])
		match := s[at[0]:at[1]]
		s = s[at[1]:]
		switch match {
		case "$$":
			b.WriteString(match)
		case "${":
			end := closingBrace(s)
			b.WriteString(match + s[:end])
			s = s[end:]
		default:
			b.WriteString("${" + match[1:] + "}")
		}
	}
}

// closingBrace gives the end of a reference of which the text after ${ is given.
func closingBrace(s string) int {
	depth := 1
	for i := range len(s) {
		switch s[i] {
		case '{':
			depth++
		case '}':
			depth--
		}
		if depth == 0 {
			return i + 1
		}
	}
	return len(s)
}

// textMap makes a mapping of text of one that may be a list of NAME=value, and
// may have values of other types. A missing value is an empty one if the
// specification says so.
func textMap(o object, key string, emptyIfMissing bool) {
	if mapping := pairs(o.get(key)); mapping != nil && key != "driver_opts" {
		o.replace(key, mapping)
	}
	m := o.object(key)
	for _, name := range m.keys() {
		value := m.get(name)
		if isNull(value) && emptyIfMissing {
			value.Tag, value.Value = tagString, ""
		}
		var other any
		if !isNull(value) && !isText(value) && value.Decode(&other) == nil {
			value.Tag, value.Value = tagString, fmt.Sprint(other)
		}
	}
	sortDeep(m.node)
}

func listOfOne(o object, key string) {
	if n := o.get(key); isText(n) {
		o.replace(key, sequenceNode([]*yaml.Node{n}))
	}
}

// separators end a command for the splitter, which drops the rest.
const separators = ";&|<>"

// splitCommand makes a list of a command line, unless it holds references,
// which are resolved before a line is split, or is not read to its end.
func splitCommand(o object, key string) {
	n := o.get(key)
	if !isText(n) {
		return
	}
	line := strings.ReplaceAll(n.Value, "$$", "\x00")
	if strings.Contains(line, "$") {
		return
	}
	line = strings.ReplaceAll(line, "\x00", "$")
	words, whole := split(line), split(strings.Map(hide, line))
	for i, word := range whole {
		whole[i] = strings.Map(unhide, word)
	}
	if words == nil || !slices.Equal(words, whole) {
		return
	}
	list := sequenceNode(nil)
	for _, word := range words {
		list.Content = append(list.Content, stringNode(strings.ReplaceAll(word, "$", "$$")))
	}
	o.replace(key, list)
}

func split(line string) []string {
	var words types.ShellCommand
	if words.DecodeMapstructure(line) != nil {
		return nil
	}
	return words
}

// hide puts something harmless in a separator's place, in a range of Unicode
// that has no meaning; unhide turns it back.
func hide(r rune) rune {
	if strings.ContainsRune(separators, r) {
		return r + 0xE000
	}
	return r
}

func unhide(r rune) rune {
	if strings.ContainsRune(separators, r-0xE000) {
		return r - 0xE000
	}
	return r
}

// duration writes a time as Go does, without the zeros at the end.
func duration(n *yaml.Node) {
	if isText(n) {
		if t, err := time.ParseDuration(n.Value); err == nil {
			n.Value = t.String()
			shortDuration(n)
		}
	}
}

// octal writes permissions as people know them.
func octal(n *yaml.Node) {
	var mode int64
	switch {
	case isText(n):
		var err error
		if mode, err = strconv.ParseInt(n.Value, 8, 64); err != nil {
			return
		}
	case n == nil || n.Decode(&mode) != nil:
		return
	}
	n.Tag, n.Value = tagString, fmt.Sprintf("%#o", mode)
}

// sortDeep orders the keys of a mapping and of those below it by name.
func sortDeep(n *yaml.Node) {
	if n == nil {
		return
	}
	asObject(n).sort(nil)
	for _, child := range n.Content {
		sortDeep(child)
	}
}

func isText(n *yaml.Node) bool { return isScalar(n) && n.ShortTag() == tagString }
