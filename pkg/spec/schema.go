package spec

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/compose-spec/compose-go/v2/interpolation"
	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/schema"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"gopkg.in/yaml.v3"

	"github.com/stackctl/stackctl/internal/nearest"
)

// specification is the schema of the compose specification, compiled, and as it is
// written, for the names of keys in it.
var specification = sync.OnceValues(func() (*jsonschema.Schema, any) {
	written, err := jsonschema.UnmarshalJSON(strings.NewReader(schema.Schema))
	if err != nil {
		return nil, nil
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource(schemaName, written); err != nil {
		return nil, nil
	}
	compiled, err := compiler.Compile(schemaName)
	if err != nil {
		return nil, nil
	}
	return compiled, written
})

const schemaName = "file:///compose-spec.json"

// violations finds what the specification's schema has against the files, each by
// itself and all at once: the loader names one fault a load only. What comes of
// several files together is left to the loader.
func (d *diagnosis) violations() []fault {
	var faults []fault
	for _, doc := range d.docs {
		if doc.root.Kind != yaml.MappingNode {
			faults = append(faults, fault{Problem: Problem{
				File: d.files[doc.file].Filename, Line: doc.root.Line, Column: doc.root.Column,
				Message: "is " + described(doc.root) + ", and has to be a mapping", Hint: "begin with the key services",
			}})
			continue
		}
		faults = append(faults, d.violationsIn(doc.root, d.findKeys)...)
	}
	return faults
}

// violationsOf finds what the schema has against a service of a further file.
func (d *diagnosis) violationsOf(file *surveyed, service string) []fault {
	var faults []fault
	for _, root := range file.docs {
		found := lookup(root, "services")
		if found == nil || lookup(found, service) == nil {
			continue
		}
		alone := newMapping()
		inner := newMapping()
		inner.set(service, lookup(found, service))
		alone.set("services", inner.node)
		faults = append(faults, d.violationsIn(alone.node, func(keys []string) *place {
			return d.findIn(&place{node: root, in: file}, strings.Join(keys, "."))
		})...)
	}
	return faults
}

func (d *diagnosis) violationsIn(root *yaml.Node, find func([]string) *place) []fault {
	compiled, _ := specification()
	tree, ok := d.interpolated(root)
	if !ok || compiled == nil {
		return nil
	}
	var faults []fault
	var invalid *jsonschema.ValidationError
	if errors.As(compiled.Validate(tree), &invalid) {
		for _, leaf := range leaves(invalid) {
			if len(faults) > maxTold {
				break
			}
			faults = append(faults, violation(leaf, find)...)
		}
	}
	return faults
}

// interpolated gives a document as the schema is shown it, its variables replaced.
func (d *diagnosis) interpolated(root *yaml.Node) (any, bool) {
	var tree map[string]any
	if err := root.Decode(&tree); err != nil {
		return nil, false
	}
	details := d.details()
	interpolate := *loader.ToOptions(&details, d.options()).Interpolate
	interpolate.Substitute = quietly
	out, err := interpolation.Interpolate(tree, interpolate)
	if err != nil {
		return nil, false
	}
	// As the loader does: the schema's types are those of JSON.
	text, err := json.Marshal(out)
	if err != nil {
		return nil, false
	}
	shown, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	return shown, err == nil
}

// leaves gives the errors that say something. Of alternatives, it is those of the one
// that the text came nearest to; where all say that the type is wrong, one error for
// all of their types.
func leaves(e *jsonschema.ValidationError) []*jsonschema.ValidationError {
	if len(e.Causes) == 0 {
		return []*jsonschema.ValidationError{e}
	}
	alternatives := false
	switch e.ErrorKind.(type) {
	case *kind.OneOf, *kind.AnyOf:
		alternatives = true
	}
	if !alternatives {
		var all []*jsonschema.ValidationError
		for _, cause := range e.Causes {
			all = append(all, leaves(cause)...)
		}
		return all
	}
	var best []*jsonschema.ValidationError
	depth := -1
	types := map[string]bool{}
	for _, cause := range e.Causes {
		all := leaves(cause)
		if wrong, ok := all[0].ErrorKind.(*kind.Type); ok && len(all) == 1 && len(all[0].InstanceLocation) == len(e.InstanceLocation) {
			for _, want := range wrong.Want {
				types[want] = true
			}
			continue
		}
		for _, leaf := range all {
			if specific := specificity(leaf); specific > depth {
				best, depth = all, specific
			}
		}
	}
	if best != nil {
		return best
	}
	return []*jsonschema.ValidationError{{
		SchemaURL: e.SchemaURL, InstanceLocation: e.InstanceLocation,
		ErrorKind: &kind.Type{Want: slices.Sorted(maps.Keys(types))},
	}}
}

func specificity(e *jsonschema.ValidationError) int {
	if _, ok := e.ErrorKind.(*kind.AdditionalProperties); ok {
		return len(e.InstanceLocation) + 1
	}
	return len(e.InstanceLocation)
}

// violation says in words what the schema has against a place.
func violation(e *jsonschema.ValidationError, find func([]string) *place) []fault {
	place := find(e.InstanceLocation)
	if place == nil {
		return nil // left to the loader
	}
	one := func(message, hint string) []fault {
		return []fault{{Problem: Problem{Path: place.path, Message: message, Hint: hint}, place: place}}
	}
	switch k := e.ErrorKind.(type) {
	case *kind.AdditionalProperties:
		var faults []fault
		for _, key := range k.Properties[:min(len(k.Properties), maxTold+1)] {
			faults = append(faults, unknownKey(find, e.InstanceLocation, key, knownKeys(e.SchemaURL))...)
		}
		return faults
	case *kind.FalseSchema:
		// What no part of a schema knows. A key with a wrong value is one of those, too.
		in, key := e.InstanceLocation[:len(e.InstanceLocation)-1], e.InstanceLocation[len(e.InstanceLocation)-1]
		if known := knownKeys(strings.TrimSuffix(e.SchemaURL, "/unevaluatedProperties")); !slices.Contains(known, key) {
			return unknownKey(find, in, key, known)
		}
		return nil
	case *kind.Type:
		hint := ""
		if place.node.Kind == yaml.ScalarNode && slices.Contains(k.Want, "string") {
			hint = "put it in quotes"
		}
		return one("must be "+wanted(k.Want)+", but is "+described(place.node), hint)
	case *kind.Enum:
		var all []string
		for _, want := range k.Want {
			all = append(all, fmt.Sprint(want))
		}
		hint := ""
		if near := nearest.Name(place.node.Value, all); near != "" {
			hint = "did you mean " + near + "?"
		}
		return one(fmt.Sprintf("must be one of %s, but is %q", strings.Join(all, ", "), place.node.Value), hint)
	case *kind.Format:
		return one(fmt.Sprintf("%q is not a %s", place.node.Value, k.Want), "")
	case *kind.Required:
		return one("needs "+strings.Join(k.Missing, ", "), "")
	case *kind.Pattern:
		return one("does not have the right form", "it has to match "+k.Want)
	case *kind.Minimum:
		return one("must be "+k.Want.RatString()+" or more, but is "+described(place.node), "")
	case *kind.Maximum:
		return one("must be "+k.Want.RatString()+" or less, but is "+described(place.node), "")
	case *kind.UniqueItems:
		return one(fmt.Sprintf("entries %d and %d are the same", k.Duplicates[0], k.Duplicates[1]), "remove one of them")
	}
	return nil // left to the loader, too
}

// unknownKey says what is wrong with a key that its mapping cannot have.
func unknownKey(find func([]string) *place, in []string, key string, known []string) []fault {
	place := find(append(slices.Clone(in), key))
	if place == nil {
		return nil
	}
	f := fault{Problem: Problem{Path: place.path}, place: place}
	f.Message, f.Hint = "is not a known key", "correct its spelling, or remove it"
	near := nearest.Name(key, known)
	switch {
	case len(in) == 1 && slices.Contains([]string{"services", "networks", "volumes", "secrets", "configs", "models", "jobs"}, in[0]):
		f.Message, f.Hint = "is not a name", nameHint
	case near != "":
		f.Hint = "did you mean " + near + "?"
	case len(in) == 0 && (lookup(place.node, "image") != nil || lookup(place.node, "build") != nil):
		f.Hint = "services stand under the key services"
	}
	return []fault{f}
}

const nameHint = "use letters, digits, '.', '-' and '_'"

// knownKeys gives the keys that a mapping can have, sorted, by the address of its
// schema. A thousand services may ask for the same.
func knownKeys(url string) []string {
	if value, _ := collectedKeys.Load(url); value != nil {
		known, _ := value.([]string)
		return known
	}
	_, written := specification()
	known := map[string]bool{}
	collectKeys(written, resolve(written, url), known, 0)
	sorted := slices.Sorted(maps.Keys(known))
	collectedKeys.Store(url, sorted)
	return sorted
}

// collectedKeys are those that knownKeys has given, by address.
var collectedKeys sync.Map

// resolve gives the schema at an address within the whole.
func resolve(written any, url string) any {
	node := written
	_, pointer, _ := strings.Cut(url, "#/")
	for key := range strings.SplitSeq(pointer, "/") {
		if key == "" {
			return node
		}
		switch in := node.(type) {
		case map[string]any:
			node = in[strings.NewReplacer("~1", "/", "~0", "~").Replace(key)]
		case []any:
			if at := number(key); at < len(in) {
				node = in[at]
			}
		}
	}
	return node
}

// collectKeys adds the keys of a schema, and of those that it is put together from.
func collectKeys(written, schema any, known map[string]bool, depth int) {
	of, _ := schema.(map[string]any)
	if depth > 8 { // deeper than any that is put together
		return
	}
	properties, _ := of["properties"].(map[string]any)
	for key := range properties {
		known[key] = true
	}
	if reference, ok := of["$ref"].(string); ok {
		collectKeys(written, resolve(written, reference), known, depth+1)
	}
	for _, combined := range []string{"allOf", "anyOf", "oneOf"} {
		parts, _ := of[combined].([]any)
		for _, part := range parts {
			collectKeys(written, part, known, depth+1)
		}
	}
}

// typeWords are the schema's types in people's words.
var typeWords = map[string]string{
	"object": "a mapping", "array": "a list", "string": "text", "number": "a number", "integer": "a whole number",
	"boolean": "true or false", "null": "empty",
}

func wanted(types []string) string {
	var words []string
	for _, t := range types {
		if t == "integer" && slices.Contains(types, "number") {
			continue
		}
		words = append(words, typeWords[t])
	}
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// described says what stands in a place, without its value, which may be a secret.
func described(n *yaml.Node) string {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.ShortTag() {
	case "!!null":
		return "empty"
	case "!!bool":
		return "true or false"
	case "!!int", "!!float":
		return "a number"
	case "!!timestamp":
		return "a date"
	}
	return "text"
}
