package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// graph gives for each name the names that it depends on.
type graph map[string][]string

// order gives every name after all that it depends on, and otherwise in
// alphabetical order. Names that nothing describes are left out. A cycle is an
// error that names its members in order.
func (g graph) order() ([]string, error) {
	var (
		out  []string
		done = map[string]bool{}
		path []string
		walk func(name string) error
	)
	walk = func(name string) error {
		if done[name] {
			return nil
		}
		if i := slices.Index(path, name); i >= 0 {
			return fmt.Errorf("dependency cycle: %s", strings.Join(append(path[i:], name), " -> "))
		}
		path = append(path, name)
		for _, dep := range slices.Sorted(slices.Values(g[name])) {
			if _, known := g[dep]; !known {
				continue
			}
			if err := walk(dep); err != nil {
				return err
			}
		}
		path = path[:len(path)-1]
		done[name] = true
		out = append(out, name)
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(g)) {
		if err := walk(name); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// closure gives the names and all that they depend on.
func (g graph) closure(names []string) map[string]bool {
	out := map[string]bool{}
	var walk func(string)
	walk = func(name string) {
		if _, known := g[name]; !known || out[name] {
			return
		}
		out[name] = true
		for _, dep := range g[name] {
			walk(dep)
		}
	}
	for _, name := range names {
		walk(name)
	}
	return out
}
