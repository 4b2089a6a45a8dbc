// Package examples holds the test of all examples that are compose files; those
// that are Go programs have their own.
package examples

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/stackctl/stackctl/pkg/spec"
	"github.com/stackctl/stackctl/pkg/spec/safety"
)

// Each example loads, with no more than the variables that it says it needs, and has
// nothing that validate warns of.
func TestExamplesLoad(t *testing.T) {
	services := map[string][]string{
		"custom-stack":        {"api", "db", "door", "migrate", "worker"},
		"five-services":       {"api", "cache", "db", "web", "worker"},
		"migration":           {"app", "db", "migrate"},
		"replicas":            {"app", "web"},
		"secrets-and-configs": {"db", "report", "web"},
	}
	variables := map[string]map[string]string{
		"custom-stack":        {"POSTGRES_PASSWORD": "x", "SHOP_RELEASE": "1"},
		"five-services":       {"DB_PASSWORD": "x"},
		"migration":           {"DB_PASSWORD": "x"},
		"secrets-and-configs": {"DB_PASSWORD": "x"},
	}
	paths, err := filepath.Glob("*/compose.y*ml")
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) != len(services) {
		t.Errorf("the examples are %q", paths)
	}
	for _, path := range paths {
		name := filepath.Dir(path)
		t.Run(name, func(t *testing.T) {
			p, err := spec.Load(t.Context(), spec.LoadOptions{Files: []string{path}, Env: variables[name]})
			if err != nil {
				t.Fatal(err)
			}
			if got := slices.Sorted(slices.Values(p.ServiceNames())); !slices.Equal(got, services[name]) {
				t.Errorf("services %q, want %q", got, services[name])
			}
			for _, f := range safety.Check(p) {
				if !f.Allowed {
					t.Errorf("%s: %s [%s]", f.Path, f.Message, f.Rule)
				}
			}
			if variables[name] == nil {
				return
			}
			if _, err := spec.Load(t.Context(), spec.LoadOptions{Files: []string{path}}); err == nil {
				t.Error("it loads without its password")
			}
		})
	}
}
