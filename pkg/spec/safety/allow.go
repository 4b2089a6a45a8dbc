package safety

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stackctl/stackctl/internal/nearest"
)

// Extension is the key, of a service or of the whole file, and ExtensionAllow the one
// below it, under which a stack says which findings are meant: a mapping of rules to
// reasons, or a list of rules.
const (
	Extension      = "x-stackctl"
	ExtensionAllow = "allow"
)

// ExtensionReadOnly is another key below Extension, of services alone, which is not
// about findings: see package spec.
const ExtensionReadOnly = "read_only"

// Fault is an entry under Extension that means nothing.
type Fault struct {
	// Path says where: services.web.x-stackctl.allow.privileged.
	Path string
	// Message says what is wrong, Hint what to write instead.
	Message string
	Hint    string
}

// CheckAllowed finds the faults of what a project allows: rules that are not there, and
// what is neither a mapping nor a list. They are no reason not to run a stack, for a
// later release may know the rule.
func CheckAllowed(p *types.Project) []Fault {
	faults := faultsOf(Extension, p.Extensions, ExtensionAllow)
	for _, name := range slices.Sorted(maps.Keys(p.Services)) {
		faults = append(faults, faultsOf("services."+name+"."+Extension, p.Services[name].Extensions, ExtensionAllow, ExtensionReadOnly)...)
	}
	return faults
}

func faultsOf(path string, extensions types.Extensions, known ...string) []Fault {
	value, ok := extensions[Extension]
	if !ok {
		return nil
	}
	const form = `write allow: {RULE: "the reason"}, or allow: [RULE]`
	keys, ok := value.(map[string]any)
	if !ok {
		return []Fault{{Path: path, Message: "is not a mapping", Hint: form}}
	}
	var faults []Fault
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if !slices.Contains(known, key) {
			hint := "the keys are " + strings.Join(known, ", ")
			faults = append(faults, Fault{Path: path + "." + key, Message: "is not a known key", Hint: hint})
		}
	}
	path += "." + ExtensionAllow
	switch entries := keys[ExtensionAllow].(type) {
	case nil:
	case map[string]any:
		for _, id := range slices.Sorted(maps.Keys(entries)) {
			switch entries[id].(type) {
			case nil, string:
			default:
				faults = append(faults, Fault{Path: path + "." + id, Message: "the reason is not a text", Hint: form})
			}
			if !Known(id) {
				faults = append(faults, Unknown(path+"."+id, id))
			}
		}
	case []any:
		for i, entry := range entries {
			if id, _ := entry.(string); !Known(id) {
				faults = append(faults, Unknown(fmt.Sprintf("%s[%d]", path, i), fmt.Sprint(entry)))
			}
		}
	default:
		faults = append(faults, Fault{Path: path, Message: "is neither a mapping nor a list", Hint: form})
	}
	return faults
}

// Unknown is the fault of an id that no rule has; the hint names the nearest that there
// is, or all of them.
func Unknown(path, id string) Fault {
	f := Fault{Path: path, Message: fmt.Sprintf("there is no rule %q", id)}
	var all []string
	for _, r := range table() {
		all = append(all, string(r.id))
	}
	f.Hint = "the rules are " + strings.Join(all, ", ")
	if near := nearest.Name(id, all); near != "" {
		f.Hint = "did you mean " + near + "?"
	}
	return f
}

// allowed gives rules with the reasons why they may be broken. What is not in one of
// the two forms allows nothing.
func allowed(extensions types.Extensions) map[string]string {
	keys, _ := extensions[Extension].(map[string]any)
	reasons := map[string]string{}
	switch entries := keys[ExtensionAllow].(type) {
	case map[string]any:
		for id, reason := range entries {
			reasons[id], _ = reason.(string)
		}
	case []any:
		for _, entry := range entries {
			if id, ok := entry.(string); ok {
				reasons[id] = ""
			}
		}
	}
	return reasons
}
