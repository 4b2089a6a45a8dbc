package safety

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"
)

// Rule is the id of a rule: it is what a finding ends with and what a stack allows.
// Ids stay as they are from one release to the next.
type Rule string

// Finding is one unsafe thing in a stack.
type Finding struct {
	Rule Rule
	// Service is the one that it is found in.
	Service string
	// Path says where, as in the compose file: services.web.ports[0].
	Path string
	// Message says what is found, in lower case and without a full stop. It never
	// holds the value of a variable.
	Message string
	// Hint says what to write instead.
	Hint string
	// Allowed is set where the stack says that it is meant, and Reason is why; empty
	// when the stack does not say.
	Allowed bool
	Reason  string
}

// Check finds what is unsafe in a loaded project, by service and in the order of the
// rules. Services whose profile is not active are not looked at.
func Check(p *types.Project) []Finding {
	var findings []Finding
	everywhere := allowed(p.Extensions)
	built := builtImages(p)
	for _, name := range slices.Sorted(maps.Keys(p.Services)) {
		here := allowed(p.Services[name].Extensions)
		for _, r := range table() {
			s := look{project: p, service: p.Services[name], path: "services." + name, built: built}
			r.find(&s)
			for _, hit := range s.hits {
				f := Finding{Rule: r.id, Service: name, Path: s.path + hit.path, Message: hit.message, Hint: cmp.Or(hit.hint, r.instead)}
				if reason, ok := here[string(r.id)]; ok {
					f.Allowed, f.Reason = true, reason
				} else if reason, ok := everywhere[string(r.id)]; ok {
					f.Allowed, f.Reason = true, reason
				}
				findings = append(findings, f)
			}
		}
	}
	return findings
}

// Known reports whether there is a rule of this id.
func Known(id string) bool {
	return slices.ContainsFunc(table(), func(r rule) bool { return string(r.id) == id })
}

// rule is one row of the table.
type rule struct {
	id Rule
	// what it finds, why that is unsafe, and what to write instead: sentences for
	// the documentation, the last one for hints, too.
	what, why, instead string
	find               func(*look)
}

// look is one service while a rule looks at it.
type look struct {
	project *types.Project
	service types.ServiceConfig
	path    string
	built   map[string]bool // images that services of the project build
	hits    []hit
}

type hit struct{ path, message, hint string }

// found notes what a rule finds at a path below the service, with the rule's own hint.
func (s *look) found(path, format string, args ...any) {
	s.hits = append(s.hits, hit{path: path, message: fmt.Sprintf(format, args...)})
}

// instead replaces the hint of what was found last.
func (s *look) instead(format string, args ...any) {
	s.hits[len(s.hits)-1].hint = fmt.Sprintf(format, args...)
}

func builtImages(p *types.Project) map[string]bool {
	built := map[string]bool{}
	for _, s := range p.Services {
		if s.Build != nil && s.Image != "" {
			built[s.Image] = true
		}
	}
	return built
}
