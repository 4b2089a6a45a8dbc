package gosource

import (
	"bytes"
	"fmt"
	"go/format"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/stackctl/stackctl/pkg/spec/render/compose"
	"github.com/stackctl/stackctl/pkg/spec/safety"
)

// Program returns the Go source of a main package that prints the compose file
// again, as render/compose prints it. The same text gives the same source.
//
// Comments above services, their keys, networks, volumes, secrets and configs,
// and at the head of the file, become comments of the source.
//
// It fails for text that is no compose file, and for what Go cannot write: a
// number that is infinite, or a tag of YAML that is not a standard one.
func Program(text []byte) ([]byte, error) {
	source, err := program(text)
	if err != nil {
		return nil, fmt.Errorf("write the stack as Go: %w", err)
	}
	return source, nil
}

func program(text []byte) ([]byte, error) {
	var written, ordered yaml.Node
	if err := yaml.Unmarshal(text, &written); err != nil {
		return nil, err
	}
	// In the printer's form there are few spellings left to know here.
	text, err := compose.Format(&written)
	if err != nil {
		return nil, err
	}
	if err := yaml.Unmarshal(text, &ordered); err != nil {
		return nil, err
	}
	if err := checkTags(&written); err != nil {
		return nil, err
	}
	p := &writer{root: asObject(ordered.Content[0]), known: map[string]bool{}}
	p.nameAll()
	body, err := p.body()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.WriteString(p.heading(&written))
	b.WriteString("package main\n\n")
	if p.usesTime {
		b.WriteString("import (\n\"time\"\n\n\"github.com/stackctl/stackctl/pkg/spec\"\n)\n\n")
	} else {
		b.WriteString("import \"github.com/stackctl/stackctl/pkg/spec\"\n\n")
	}
	b.WriteString("func main() { spec.Main(stack()) }\n\nfunc stack() *spec.Stack {\n")
	b.WriteString(body)
	b.WriteString("}\n")
	source, err := format.Source(b.Bytes())
	if err != nil {
		return nil, fmt.Errorf("the source is not Go, which is a fault of stackctl: %w", err)
	}
	return source, nil
}

// checkTags refuses what belongs to a file that overrides another, such as
// !reset, and says nothing by itself.
func checkTags(n *yaml.Node) error {
	if tag := n.ShortTag(); !strings.HasPrefix(tag, "!!") && tag != "" {
		return fmt.Errorf("line %d: the tag %s cannot be written", n.Line, tag)
	}
	for _, child := range n.Content {
		if err := checkTags(child); err != nil {
			return err
		}
	}
	return nil
}

// writer writes one program.
type writer struct {
	root  object
	names names
	// known are the services that have been declared so far.
	known    map[string]bool
	usesTime bool
}

// heading is the package comment: the file's own, if it has one.
func (p *writer) heading(written *yaml.Node) string {
	if written.HeadComment != "" {
		return comment(written.HeadComment)
	}
	// Without an empty line below, it is one of the first key.
	if root := asObject(written.Content[0]); len(root.keys()) > 0 && root.above(root.keys()[0]) != "" {
		return root.above(root.keys()[0])
	}
	name, _ := plain(p.root.get("name"))
	if name == "" {
		return "// The program prints the compose file of a stack:\n//\n//\tgo run . > compose.yaml\n"
	}
	return fmt.Sprintf("// Command %s prints the compose file of the stack %s:\n//\n//\tgo run . > compose.yaml\n", name, name)
}

// comment turns the lines of a YAML comment into those of Go.
func comment(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		line = strings.TrimPrefix(line, "#")
		b.WriteString(strings.TrimRight("//"+line, " ") + "\n")
	}
	return b.String()
}

// section is a top-level section of resources; what it declares has a type and
// a way to be written.
type section struct {
	key    string
	goType string
	write  func(*writer, object) ([]field, error)
}

// sections are in the order in which they can refer to each other.
func sections() []section {
	return []section{
		{"networks", "Network", (*writer).network},
		{"volumes", "Volume", (*writer).volume},
		{"secrets", "Secret", (*writer).secret},
		{"configs", "Config", (*writer).config},
		{"services", "Service", (*writer).service},
	}
}

func (p *writer) body() (string, error) {
	var b strings.Builder
	for _, s := range sections() {
		resources := p.root.get(s.key)
		if resources == nil {
			continue
		}
		for i, name := range asObject(resources).keys() {
			resource := asObject(resources).get(name)
			if !isNull(resource) && resource.Kind != yaml.MappingNode {
				return "", fmt.Errorf("%s.%s: is not a mapping", s.key, name)
			}
			declaration, err := p.declare(s, name, asObject(resource))
			if err != nil {
				return "", fmt.Errorf("%s.%s: %w", s.key, name, err)
			}
			if above := asObject(resources).above(name); above != "" {
				b.WriteString("\n" + above)
			} else if s.key == "services" && i > 0 {
				b.WriteString("\n")
			}
			b.WriteString(declaration)
		}
		b.WriteString("\n")
	}
	result, err := p.result()
	if err != nil {
		return "", err
	}
	b.WriteString(result)
	return b.String(), nil
}

func (p *writer) declare(s section, name string, resource object) (string, error) {
	fields, err := s.write(p, resource)
	if err != nil {
		return "", err
	}
	literal := composite("&spec."+s.goType, append([]field{{key: "Name", value: atom(quote(name))}}, fields...)...)
	// A service is long, and one that is not looks like the others.
	literal.tall = s.key == "services"
	p.known[s.key+"."+name] = true
	return p.names.of(s.key, name) + " := " + literal.text(0) + "\n", nil
}

// result returns the stack of all that is declared.
func (p *writer) result() (string, error) {
	var rows []string
	for _, key := range []string{"services", "networks", "volumes", "secrets", "configs"} {
		var row []string
		for _, name := range p.root.object(key).keys() {
			row = append(row, p.names.of(key, name))
		}
		if row != nil {
			rows = append(rows, strings.Join(row, ", "))
		}
	}
	extra := extras{}
	var assigned string
	name, isPlain := plain(p.root.get("name"))
	for _, key := range p.root.keys() {
		switch key {
		case "services", "networks", "volumes", "secrets", "configs":
		case "name":
			if !isPlain {
				extra.add(p.root, key)
			}
		case safety.Extension:
			if allow, ok := p.allowed(p.root.get(key)); ok {
				assigned += p.root.above(key) + p.names.stack + ".Allow = " + allow.text(0) + "\n"
			} else {
				extra.add(p.root, key)
			}
		default:
			extra.add(p.root, key)
		}
	}
	stack := "spec.New(" + strings.Join(append([]string{quote(name)}, rows...), ", ") + ")"
	if len(stack) > width {
		stack = "spec.New(" + strings.Join(append([]string{quote(name)}, rows...), ",\n") + ",\n)"
	}
	fields, err := extra.fields()
	if fields != nil {
		assigned += p.names.stack + ".Extra = " + fields[0].value.text(0) + "\n"
	}
	if assigned == "" || err != nil {
		return "return " + stack + "\n", err
	}
	return p.names.stack + " := " + stack + "\n" + assigned + "return " + p.names.stack + "\n", nil
}
