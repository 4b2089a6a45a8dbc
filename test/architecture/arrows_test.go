// Package architecture holds the tests of the project's structure.
package architecture

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/stackctl/stackctl"

// arrows says what each package may import of ours, without tests. A name that
// ends in "/..." covers what is below it. What is not listed may import nothing.
var arrows = map[string][]string{
	"":                                {},
	"cmd/stackctl":                    {"cmd/stackctl/internal/cli"},
	"cmd/stackctl/internal/cli":       {"", "internal/sensitive", "cmd/stackctl/internal/display", "pkg/spec", "pkg/spec/render/...", "pkg/spec/safety", "pkg/runner", "pkg/runner/backup", "pkg/runner/bundle", "pkg/runner/engine", "pkg/runner/engine/docker", "pkg/runner/event", "pkg/runner/plan", "pkg/runner/state", "templates"},
	"cmd/stackctl/internal/display":   {"pkg/runner/event", "pkg/runner/plan"},
	"pkg/spec":                        {"internal/nearest", "internal/sensitive", "pkg/internal/memory", "pkg/spec/render/compose", "pkg/spec/safety"},
	"pkg/spec/safety":                 {"internal/dockerignore", "internal/nearest", "internal/sensitive"},
	"pkg/spec/render/compose":         {},
	"pkg/spec/render/gosource":        {"pkg/spec/render/compose", "pkg/spec/safety"},
	"pkg/runner":                      {"pkg/internal/memory", "pkg/runner/..."},
	"pkg/internal/memory":             {},
	"internal/dockerignore":           {},
	"internal/nearest":                {},
	"internal/sensitive":              {},
	"pkg/runner/backup":               {"pkg/runner/internal/lock"},
	"pkg/runner/bundle":               {},
	"pkg/runner/internal/observer":    {"pkg/runner/engine", "pkg/runner/state"},
	"pkg/runner/internal/executor":    {"pkg/runner/engine", "pkg/runner/event", "pkg/runner/plan", "pkg/runner/probe", "pkg/runner/state"},
	"pkg/runner/internal/lock":        {},
	"pkg/runner/internal/preflight":   {"pkg/runner/plan", "pkg/runner/state"},
	"pkg/runner/internal/image":       {"pkg/runner/engine", "pkg/runner/state", "pkg/runner/support"},
	"pkg/runner/internal/projecttest": {},
	"pkg/runner/probe":                {"pkg/runner/engine", "pkg/runner/state"},
	"pkg/runner/plan":                 {"pkg/runner/state"},
	"pkg/runner/engine":               {"pkg/runner/state"},
	"pkg/runner/engine/docker":        {"internal/dockerignore", "pkg/runner/engine", "pkg/runner/state", "pkg/runner/support"},
	"pkg/runner/engine/enginetest":    {"pkg/runner/engine", "pkg/runner/state"},
	"pkg/runner/state":                {"internal/sensitive"},
	"pkg/runner/support":              {},
	"pkg/runner/event":                {},
	"templates":                       {},
	"webapp":                          {},
	"bench/...":                       {},
	"examples/...":                    {"pkg/..."},
	"test/...":                        {"pkg/...", "test/..."},
}

// walls says which packages alone may import a foreign one.
var walls = map[string][]string{
	"github.com/docker/docker/":     {"pkg/runner/engine/docker"},
	"github.com/docker/cli/":        {"pkg/runner/engine/docker"},
	"github.com/spf13/cobra":        {"cmd/..."},
	"github.com/sirupsen/logrus":    {"cmd/..."},
	"github.com/compose-spec/":      {"cmd/...", "pkg/spec/...", "pkg/runner/...", "examples/...", "test/..."},
	"gopkg.in/yaml.v3":              {"cmd/...", "pkg/spec/...", "pkg/runner/..."},
	"github.com/jackc/":             {"webapp", "bench/webapp", "test/..."},
	"github.com/redis/":             {"webapp", "bench/webapp", "test/..."},
	"github.com/shirou/gopsutil/":   {"pkg/runner/internal/preflight"},
	"github.com/prometheus/client_": {"webapp"},
}

type listed struct {
	ImportPath string
	Imports    []string
}

func list(t *testing.T) []listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", module+"/...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	var packages []listed
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
	if len(packages) < 10 {
		t.Fatalf("go list gave only %d packages", len(packages))
	}
	return packages
}

func local(path string) string {
	return strings.TrimPrefix(strings.TrimPrefix(path, module), "/")
}

func covers(pattern, name string) bool {
	if prefix, tree := strings.CutSuffix(pattern, "/..."); tree {
		return name == prefix || strings.HasPrefix(name, prefix+"/")
	}
	return pattern == name
}

func anyCovers(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return covers(p, name) })
}

// allowed gives what a package may import; false for one that nothing is said of.
func allowed(name string) ([]string, bool) {
	for pattern, to := range arrows {
		if covers(pattern, name) {
			return to, true
		}
	}
	return nil, false
}

// Every import of ours follows an arrow.
func TestArrows(t *testing.T) {
	for _, p := range list(t) {
		from := local(p.ImportPath)
		to, known := allowed(from)
		if !known {
			t.Errorf("package %q has no entry in arrows", from)
			continue
		}
		for _, imported := range p.Imports {
			if imported != module && !strings.HasPrefix(imported, module+"/") {
				continue
			}
			if !anyCovers(to, local(imported)) {
				t.Errorf("%s imports %s, against the arrows", p.ImportPath, imported)
			}
		}
	}
}

// Foreign packages with a wall around them are imported behind it only.
func TestWalls(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range list(t) {
		for _, imported := range p.Imports {
			for prefix, behind := range walls {
				if !strings.HasPrefix(imported, prefix) {
					continue
				}
				seen[prefix] = true
				if !anyCovers(behind, local(p.ImportPath)) {
					t.Errorf("%s imports %s, which is for %s only", p.ImportPath, imported, fmt.Sprint(behind))
				}
			}
		}
	}
	for prefix := range walls {
		if !seen[prefix] {
			t.Errorf("nothing imports %s: its wall can go", prefix)
		}
	}
}
