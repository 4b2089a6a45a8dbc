package spec

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

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
	yamlSyntax      = regexp.MustCompile(`(?s)^failed to parse .*?: yaml: (.*)$`)
	constructing    = regexp.MustCompile(`^construct errors:\s+line \d+: `)
	parsingNumber   = regexp.MustCompile(`^strconv\.\w+: parsing ("[^"]*"): .*$`)
	parsingDuration = regexp.MustCompile(`^time: (?:invalid duration|missing unit in duration|unknown unit "[^"]*" in duration) ("[^"]*")$`)
	mappingKeyIndex = regexp.MustCompile(`\[([^\]]*[^\]0-9][^\]]*)\]`)
)

// explain turns an error of the loader into problems, at least one.
func (d *diagnosis) explain(err error) []fault {
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
		return []fault{{Problem: Problem{Message: "not YAML: " + oneLine(constructing.ReplaceAllString(m[1], ""))}}}
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
	f.Message = parsingDuration.ReplaceAllString(f.Message, "$1 is not a duration")
	if f.place = d.find(path); f.place != nil {
		f.Path = f.place.path
	}
	return []fault{f}
}

// file finds the entries that name a file which is not there.
func (d *diagnosis) file(key, missing string) []fault {
	return d.search(key, func(n *yaml.Node) string {
		name := n.Value
		if n.Kind == yaml.MappingNode {
			if path := lookup(n, "path"); path != nil {
				name = path.Value
			}
		}
		if name, err := quietly(name, d.variable); err == nil && absolute(d.workingDir, name) == missing {
			return fmt.Sprintf("%s does not exist", name)
		}
		return ""
	})
}

// unparsed finds the port that an error without a place comes from.
func (d *diagnosis) unparsed(err error) []fault {
	return d.search("ports", func(n *yaml.Node) string {
		if n.Kind != yaml.ScalarNode {
			return ""
		}
		text, _ := quietly(n.Value, d.variable)
		if _, fault := types.ParsePortConfig(text); fault != nil && fault.Error() == err.Error() {
			return fmt.Sprintf("%q is not a port: %v", text, fault)
		}
		return ""
	})
}

// search applies a test to each entry of a key of all services, be the key a
// list or a single entry, and returns those that it objects to.
func (d *diagnosis) search(key string, objection func(*yaml.Node) string) []fault {
	var faults []fault
	test := func(path string) {
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
