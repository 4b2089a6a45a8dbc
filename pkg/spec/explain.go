package spec

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/format"
	"github.com/compose-spec/compose-go/v2/types"
	"gopkg.in/yaml.v3"
)

// fault is a loader's error as a problem, with the node to take out. The
// loader's errors carry their place in their text only, and each of its stages
// writes it in another way.
type fault struct {
	Problem
	place *place // nil if the place is not known
}

var (
	interpolating   = regexp.MustCompile(`(?s)^error while interpolating (\S+): (.*)$`)
	decoding        = regexp.MustCompile(`(?m)^'([^']+)' (.+)$`)
	prefixed        = regexp.MustCompile(`(?s)^((?:services|networks|volumes|secrets|configs|jobs)\.[^\s:]+): (.*)$`)
	additional      = regexp.MustCompile(`^additional properties (.*) not allowed$`)
	quoted          = regexp.MustCompile(`'([^']*)'`)
	namedService    = regexp.MustCompile(`(?s)^service "([^"]+)" (.*)$`)
	serviceVolume   = regexp.MustCompile(`^service volume (\S+) (.*)$`)
	extending       = regexp.MustCompile(`(?s)^cannot extend service "([^"]+)" in [^:]*: (.*)$`)
	missingFile     = regexp.MustCompile(`^(env|label) file (.*) not found: stat `)
	yamlSyntax      = regexp.MustCompile(`(?s)^failed to parse (.*?): (?:yaml: )?(.*)$`)
	constructing    = regexp.MustCompile(`^construct errors:\s+line \d+: `)
	circular        = regexp.MustCompile(`(?m)^\s*(?:extends )?(\S+) in (.*)$`)
	parsingNumber   = regexp.MustCompile(`^strconv\.\w+: parsing ("[^"]*"): .*$`)
	parsingDuration = regexp.MustCompile(`^time: (?:invalid duration|missing unit in duration|unknown unit "[^"]*" in duration) ("[^"]*")$`)
	unconvertible   = regexp.MustCompile(`^expected type '(string|bool|int|uint\d*|int\d+|float\d+)', got unconvertible type '(string|bool|int|float64|time\.Time|map\[string\]interface \{\}|\[\]interface \{\})'$`)
	unexpected      = regexp.MustCompile(`^unexpected type (string|bool|int|float64|time\.Time|map\[string\]interface \{\}|\[\]interface \{\})$`)
	negative        = regexp.MustCompile(`^cannot parse value as 'u?int\d*': (-\d+) overflows u?int$`)
	inEnvFile       = regexp.MustCompile(`(?s)^failed to read (.*?): ((?:line \d+|Invalid template): .*)$`)
	mappingKeyIndex = regexp.MustCompile(`\[([^\]]*[^\]0-9][^\]]*)\]`)
)

// goTypeWords are types of Go in people's words.
var goTypeWords = map[string]string{
	"string": "text", "bool": "true or false", "int": "a number", "int64": "a number", "uint64": "a number", "uint32": "a number",
	"uint16": "a number", "float32": "a number", "float64": "a number", "time.Time": "a date", "map[string]interface {}": "a mapping", "[]interface {}": "a list",
}

// explain turns an error of the loader into problems, at least one.
func (d *diagnosis) explain(err error) []fault {
	if early := new(unmodelled); errors.As(err, early) {
		err = early.error
	} else if last := new(inconsistent); errors.As(err, &last) {
		err = last.error
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var faults []fault
		for _, one := range joined.Unwrap() {
			faults = append(faults, d.explain(one)...)
		}
		return faults
	}
	// The sentinel that the loader's errors wrap says nothing to a reader.
	text := strings.TrimSuffix(err.Error(), ": invalid compose project")
	for _, file := range d.files {
		if rest, ok := strings.CutPrefix(text, "validating "+file.Filename+": "); ok {
			path, message, _ := strings.Cut(rest, " ")
			return d.schema(path, message)
		}
	}
	if m := yamlSyntax.FindStringSubmatch(text); m != nil {
		return []fault{{Problem: Problem{File: m[1], Message: "not YAML: " + oneLine(constructing.ReplaceAllString(m[2], ""))}}}
	}
	if rest, ok := strings.CutPrefix(text, "Circular reference:\n"); ok {
		return d.circle(circular.FindAllStringSubmatch(rest, -1))
	}
	if m := interpolating.FindStringSubmatch(text); m != nil {
		return d.at(m[1], strings.TrimPrefix(m[2], "failed to cast to expected type: "), "")
	}
	if strings.HasPrefix(text, "decoding failed") {
		var faults []fault
		for _, m := range decoding.FindAllStringSubmatch(text, -1) {
			faults = append(faults, d.at(mappingKeyIndex.ReplaceAllString(m[1], ".$1"), m[2], "")...)
		}
		if len(faults) > 0 {
			return faults
		}
	}
	if m := prefixed.FindStringSubmatch(text); m != nil {
		return d.at(m[1], m[2], "")
	}
	if m := serviceVolume.FindStringSubmatch(text); m != nil {
		return d.at(m[1], m[2], "")
	}
	if m := extending.FindStringSubmatch(text); m != nil {
		return d.at("services."+m[1]+".extends", m[2], "")
	}
	if m := missingFile.FindStringSubmatch(text); m != nil {
		if faults := d.file(m[1]+"_file", m[2]); faults != nil {
			return faults
		}
	}
	if m := inEnvFile.FindStringSubmatch(text); m != nil {
		if faults := d.badEnvFile(m[1], m[2]); faults != nil {
			return faults
		}
	}
	var missing *fs.PathError
	if errors.As(err, &missing) {
		return d.at("include", missing.Error(), "")
	}
	if faults := d.unparsed(err); faults != nil {
		return faults
	}
	if m := namedService.FindStringSubmatch(text); m != nil {
		return d.at("services."+m[1], m[2], "")
	}
	if strings.Contains(text, "project name") {
		return []fault{{Problem: Problem{Path: "name", Message: oneLine(text)}}}
	}
	if text == "empty compose file" {
		return []fault{{Problem: Problem{Message: "there is nothing in the compose file", Hint: "begin with the key services"}}}
	}
	return []fault{{Problem: Problem{Message: oneLine(text)}}}
}

// schema explains a violation of the compose specification's schema.
func (d *diagnosis) schema(path, message string) []fault {
	if message == "false schema" {
		return d.at(path, "is not a known key", "correct its spelling, or remove it")
	}
	m := additional.FindStringSubmatch(message)
	if m == nil {
		return d.at(path, strings.NewReplacer("value must", "must", "must be a array", "must be a list").Replace(message), "")
	}
	var faults []fault
	for _, key := range quoted.FindAllStringSubmatch(m[1], -1) {
		switch path {
		case "services", "networks", "volumes", "secrets", "configs":
			faults = append(faults, d.at(path+"."+key[1], "is not a name", "use letters, digits, '.', '-' and '_'")...)
		default:
			faults = append(faults, d.at(strings.TrimPrefix(path+"."+key[1], "."), "is not a known key", "correct its spelling, or remove it")...)
		}
	}
	return faults
}

// at returns a fault at a path as the loader writes it.
func (d *diagnosis) at(path, message, hint string) []fault {
	f := fault{Problem: Problem{Path: path, Message: oneLine(message), Hint: hint}}
	f.Message = parsingNumber.ReplaceAllString(f.Message, "$1 is not a number")
	if m := unconvertible.FindStringSubmatch(f.Message); m != nil {
		f.Message = "must be " + goTypeWords[m[1]] + ", but is " + goTypeWords[m[2]]
		if m[1] == "string" {
			f.Hint = "put it in quotes"
		}
	}
	if m := unexpected.FindStringSubmatch(f.Message); m != nil { // an entry of a list that stands for a mapping
		f.Message, f.Hint = "must be text, but is "+goTypeWords[m[1]], "write NAME=value"
	}
	f.Message = negative.ReplaceAllString(f.Message, "cannot be negative, but is $1")
	f.Message = parsingDuration.ReplaceAllString(f.Message, "$1 is not a duration")
	if f.place = d.find(path); f.place != nil {
		f.Path = f.place.path
	}
	return []fault{f}
}

// badEnvFile finds the entries that name a file which is not made of NAME=value.
func (d *diagnosis) badEnvFile(path, reason string) []fault {
	line, what := EnvFileFault(errors.New(reason))
	faults := d.search("env_file", func(n *yaml.Node) string {
		if _, same := d.named(n, path); same {
			return what
		}
		return ""
	})
	for i := range faults {
		faults[i].File, faults[i].Line, faults[i].Hint = path, line, "write NAME=value"
	}
	return faults
}

// named gives what an entry of env_file or label_file calls its file, and says
// whether that is the file at a path.
func (d *diagnosis) named(n *yaml.Node, path string) (string, bool) {
	name := n.Value
	if n.Kind == yaml.MappingNode {
		if path := lookup(n, "path"); path != nil {
			name = path.Value
		}
	}
	name, err := quietly(name, d.variable)
	return name, err == nil && absolute(d.workingDir, name) == path
}

// file finds the entries that name a file which is not there.
func (d *diagnosis) file(key, missing string) []fault {
	return d.search(key, func(n *yaml.Node) string {
		if name, same := d.named(n, missing); same {
			return name + " does not exist"
		}
		return ""
	})
}

// shortForms are the entries of which the loader's errors do not say where they are.
var shortForms = []struct {
	key, kind string
	parse     func(text string) error
}{
	{"ports", "port", func(text string) error { _, err := types.ParsePortConfig(text); return err }},
	{"volumes", "volume", func(text string) error { _, err := format.ParseVolume(text); return err }},
	{"devices", "device", func(text string) error {
		if strings.Count(text, ":") > 2 {
			return errors.New("confusing device mapping, please use long syntax: " + text)
		}
		return nil
	}},
}

// unparsed finds the entry that an error without a place comes from, and the others of
// its key that cannot be parsed either.
func (d *diagnosis) unparsed(err error) []fault {
	for _, form := range shortForms {
		known := false
		faults := d.search(form.key, func(n *yaml.Node) string {
			if n.Kind != yaml.ScalarNode {
				return ""
			}
			text, _ := quietly(n.Value, d.variable)
			fault := form.parse(text)
			if fault == nil {
				return ""
			}
			known = known || fault.Error() == err.Error()
			reason := strings.TrimSuffix(strings.TrimPrefix(fault.Error(), "invalid spec: "+text+": "), ": "+text)
			return fmt.Sprintf("%q is not a %s: %s", text, form.kind, reason)
		})
		if known {
			return faults
		}
	}
	return nil
}

// circle explains services that extend one another; steps hold their names and files.
func (d *diagnosis) circle(steps [][]string) []fault {
	var names []string
	for _, step := range steps {
		names = append(names, step[1])
		d.touched = append(d.touched, "services."+step[1])
	}
	// What leads into the circle is no part of it, and its last name is its first.
	names = names[slices.Index(names, names[len(names)-1]) : len(names)-1]
	names = rotated(names)
	return d.at("services."+names[0]+".extends", "extends cycle: "+strings.Join(append(names, names[0]), " -> "), "remove one of these extends")
}

// search applies a test to each entry of a key of all services, be the key a
// list or a single entry, and returns those that it objects to.
func (d *diagnosis) search(key string, objection func(*yaml.Node) string) []fault {
	var faults []fault
	test := func(path string) {
		if len(faults) > maxTold {
			return
		}
		if place := d.find(path); place != nil {
			if message := objection(place.node); message != "" {
				faults = append(faults, fault{Problem: Problem{Path: place.path, Message: message}, place: place})
			}
		}
	}
	for _, doc := range d.docs {
		services := lookup(doc.root, "services")
		if services == nil || services.Kind != yaml.MappingNode {
			continue
		}
		for i := 0; i < len(services.Content); i += 2 {
			path := "services." + services.Content[i].Value + "." + key
			switch node := lookup(services.Content[i+1], key); {
			case node == nil:
			case node.Kind == yaml.SequenceNode:
				for i := range node.Content {
					test(path + "[" + strconv.Itoa(i) + "]")
				}
			default:
				test(path)
			}
		}
	}
	return faults
}

func absolute(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// oneLine joins the lines of a message, since a problem is one.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
