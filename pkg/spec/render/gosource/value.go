package gosource

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// plain returns text without references as Go has it, with single dollar signs;
// false for anything else.
func plain(n *yaml.Node) (string, bool) {
	if !isText(n) {
		return "", false
	}
	text, ok := unescape(n.Value)
	if !ok {
		return "", false
	}
	return text, true
}

// unescape makes one of each two dollar signs; false if there is a single one.
func unescape(s string) (string, bool) {
	alone := strings.ReplaceAll(s, "$$", "")
	return strings.ReplaceAll(s, "$$", "$"), !strings.Contains(alone, "$")
}

// value returns text as a spec.Value: constants and references, joined by +.
func value(text string) string {
	parts := []string{}
	literal := ""
	flush := func() {
		if literal != "" {
			parts = append(parts, quote(literal))
		}
		literal = ""
	}
	for rest := text; rest != ""; {
		before, after, found := strings.Cut(rest, "$")
		literal += before
		if !found {
			break
		}
		if tail, doubled := strings.CutPrefix(after, "$"); doubled {
			literal += "$"
			rest = tail
			continue
		}
		inside, tail, closed := strings.Cut(strings.TrimPrefix(after, "{"), "}")
		call, known := reference(inside)
		if !strings.HasPrefix(after, "{") || !closed || !known {
			return "spec.Interpolated(" + quote(text) + ")"
		}
		flush()
		parts = append(parts, call)
		rest = tail
	}
	flush()
	if len(parts) == 0 {
		return `""`
	}
	return strings.Join(parts, " + ")
}

// referenceForm is a reference that package spec has a function for.
var referenceForm = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_]*)(?::([-?])([^{}\n\r]*))?$`)

// reference returns the call for what is between ${ and }.
func reference(inside string) (string, bool) {
	parts := referenceForm.FindStringSubmatch(inside)
	if parts == nil {
		return "", false
	}
	text, isPlain := unescape(parts[3])
	if !isPlain {
		return "", false
	}
	switch name := quote(parts[1]); parts[2] {
	case "-":
		return "spec.FromEnvOr(" + name + ", " + quote(text) + ")", true
	case "?":
		return "spec.RequiredEnv(" + name + ", " + quote(text) + ")", true
	default:
		return "spec.FromEnv(" + name + ")", true
	}
}

// duration returns a time as Go code says it.
func (p *writer) duration(n *yaml.Node) (expr, bool) {
	if !isText(n) {
		return expr{}, false
	}
	t, err := time.ParseDuration(n.Value)
	if err != nil || t <= 0 {
		return expr{}, false
	}
	p.usesTime = true
	for _, unit := range []struct {
		name string
		of   time.Duration
	}{{"time.Hour", time.Hour}, {"time.Minute", time.Minute}, {"time.Second", time.Second}, {"time.Millisecond", time.Millisecond}, {"time.Microsecond", time.Microsecond}, {"time.Nanosecond", time.Nanosecond}} {
		switch {
		case t == unit.of:
			return atom(unit.name), true
		case t%unit.of == 0:
			return atom(strconv.FormatInt(int64(t/unit.of), 10) + " * " + unit.name), true
		}
	}
	return expr{}, false
}

// literal returns a value of any kind as Go code that YAML is written from
// again.
func literal(n *yaml.Node) (expr, error) {
	switch n.Kind {
	case yaml.MappingNode:
		var fields []field
		for _, key := range asObject(n).keys() {
			one, err := literal(asObject(n).get(key))
			if err != nil {
				return expr{}, fmt.Errorf("%s: %w", key, err)
			}
			fields = append(fields, field{key: quote(key), value: one})
		}
		return composite("map[string]any", fields...), nil
	case yaml.SequenceNode:
		goType := "[]string"
		var all []expr
		for i, item := range n.Content {
			if !isText(item) {
				goType = "[]any"
			}
			one, err := literal(item)
			if err != nil {
				return expr{}, fmt.Errorf("[%d]: %w", i, err)
			}
			all = append(all, one)
		}
		return list(goType, all), nil
	}
	switch tag := n.ShortTag(); tag {
	case "!!str":
		return atom(quote(n.Value)), nil
	case "!!null":
		return atom("nil"), nil
	case "!!bool":
		return atom(n.Value), nil
	case "!!int":
		if _, err := strconv.ParseInt(n.Value, 10, 64); err == nil {
			return atom(n.Value), nil
		}
		if _, err := strconv.ParseUint(n.Value, 10, 64); err == nil {
			return atom("uint64(" + n.Value + ")"), nil
		}
		return expr{}, fmt.Errorf("%s is not a number that Go can hold", n.Value)
	case "!!float":
		if strings.ContainsAny(n.Value, "infaINFA") {
			return expr{}, fmt.Errorf("%s is not a number that Go can write", n.Value)
		}
		return atom(n.Value), nil
	default:
		return expr{}, fmt.Errorf("the tag %s cannot be written", tag)
	}
}

// extras collects the keys that have no field.
type extras struct {
	of   []object
	keys []string
}

func (e *extras) add(o object, key string) {
	e.of = append(e.of, o)
	e.keys = append(e.keys, key)
}

// fields returns the Extra field, none if nothing was added.
func (e *extras) fields() ([]field, error) {
	if e.keys == nil {
		return nil, nil
	}
	var fields []field
	for i, key := range e.keys {
		one, err := literal(e.of[i].get(key))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		fields = append(fields, field{key: quote(key), value: one, comment: e.of[i].above(key)})
	}
	return []field{{key: "Extra", value: composite("map[string]any", fields...)}}, nil
}
