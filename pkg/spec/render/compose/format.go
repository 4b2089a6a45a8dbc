package compose

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"gopkg.in/yaml.v3"
)

// Format prints a compose file. The tree is left as it is; the same tree gives
// the same bytes.
func Format(tree *yaml.Node) ([]byte, error) {
	root, err := arrange(tree)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	if err := encoder.Encode(root); err != nil {
		return nil, fmt.Errorf("print compose file: %w", err)
	}
	return space(text.Bytes()), nil
}

// arrange returns a copy of the tree with everything in its order and style.
func arrange(tree *yaml.Node) (*yaml.Node, error) {
	if tree.Kind == yaml.DocumentNode && len(tree.Content) == 1 {
		tree = tree.Content[0]
	}
	if tree.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("print compose file: the document is not a mapping")
	}
	// The reader of YAML knows aliases that stand for themselves, or for too much.
	if err := tree.Decode(new(any)); err != nil {
		return nil, fmt.Errorf("print compose file: %w", err)
	}
	root := object{clone(tree)}
	for _, section := range root.keys() {
		if section != "services" && isBlank(root.get(section)) {
			root.remove(section)
		}
	}
	normalize(root)
	root.sort(sectionOrder())

	services := root.object("services")
	for _, name := range services.keys() {
		arrangeService(services.object(name))
	}
	sortServices(services)
	for _, section := range []string{"networks", "volumes", "secrets", "configs"} {
		resources := root.object(section)
		for _, name := range resources.keys() {
			if isBlank(resources.get(name)) {
				resources.replace(name, &yaml.Node{Kind: yaml.ScalarNode, Tag: tagNull})
			}
			resources.object(name).sort(resourceOrder())
		}
	}
	walkValues(root.node, quote)
	quoteKeys(root.node)
	return root.node, nil
}

func arrangeService(s object) {
	shortenService(s)
	s.sort(serviceOrder())
	s.object("build").sort(buildOrder())
	s.object("healthcheck").sort(healthcheckOrder())
	for _, port := range items(s.get("ports")) {
		asObject(port).sort(portOrder())
		if isScalar(port) {
			port.Style = yaml.DoubleQuotedStyle
		}
	}
	for _, mount := range items(s.get("volumes")) {
		asObject(mount).sort(mountOrder())
	}
	for _, command := range []*yaml.Node{s.get("command"), s.get("entrypoint"), s.object("healthcheck").get("test")} {
		inline(command)
	}
}

// inline puts a command on one line, ["like", "this"], unless an argument has
// several lines of its own, as scripts do.
func inline(command *yaml.Node) {
	for _, argument := range items(command) {
		if !isScalar(argument) || strings.Contains(argument.Value, "\n") {
			return
		}
	}
	if command == nil || command.Kind != yaml.SequenceNode {
		return
	}
	command.Style |= yaml.FlowStyle
	for _, argument := range command.Content {
		argument.Style |= yaml.DoubleQuotedStyle
	}
}

// formerlyTyped matches text that YAML 1.1 takes for a truth value, a null or a
// number to the base of 60. The encoder quotes what YAML 1.2 would misread.
var formerlyTyped = regexp.MustCompile(`^(?i:y|yes|n|no|on|off|~|null|true|false|[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?)$`)

func quote(n *yaml.Node) {
	switch {
	case n.ShortTag() == tagString && (formerlyTyped.MatchString(n.Value) || !isBlockText(n.Value)):
		n.Style |= yaml.DoubleQuotedStyle
	case n.ShortTag() == tagNull:
		n.Value = ""
	}
}

// isBlockText reports whether text of several lines, which the encoder prints
// as a block scalar, is read back from one: its first line must not begin with
// white space, from which the block's indentation would be guessed, it must not
// break lines in the ways that only some readers know, and it must not end with
// empty lines, to which those after the block would count.
func isBlockText(s string) bool {
	return !strings.Contains(s, "\n") || !strings.ContainsAny(s[:1], " \t\n") && !strings.HasSuffix(s, "\n\n") && !strings.ContainsAny(s, "\u0085\u2028\u2029")
}

// quoteKeys puts keys of several lines in quotes, for they have no block to be in.
func quoteKeys(n *yaml.Node) {
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 && strings.Contains(child.Value, "\n") {
			child.Style |= yaml.DoubleQuotedStyle
		}
		quoteKeys(child)
	}
}

// space puts an empty line before each top-level section and between services,
// and before the comments above them. Nothing else of the text begins in these
// columns: the encoder does not wrap lines, and indents the lines of block
// scalars below their keys.
func space(text []byte) []byte {
	var b, above bytes.Buffer
	section := ""
	first := true // no line of this section's content yet
	for line := range bytes.Lines(text) {
		if startsComment(line, 0) || section == "services" && startsComment(line, 2) {
			above.Write(line)
			continue
		}
		switch {
		case startsKey(line, 0):
			if b.Len() > 0 {
				b.WriteByte('\n')
			}
			section, _, _ = strings.Cut(string(line), ":")
			first = true
		case section == "services" && startsKey(line, 2):
			if !first {
				b.WriteByte('\n')
			}
			first = false
		}
		_, _ = above.WriteTo(&b)
		b.Write(line)
	}
	_, _ = above.WriteTo(&b)
	return b.Bytes()
}

func startsComment(line []byte, column int) bool {
	return len(line) > column && len(bytes.TrimLeft(line[:column], " ")) == 0 && line[column] == '#'
}

func startsKey(line []byte, column int) bool {
	return len(line) > column && len(bytes.TrimLeft(line[:column], " ")) == 0 &&
		!bytes.ContainsAny(line[column:column+1], " \n#-")
}
