package runner

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stackctl/stackctl/pkg/runner/state"
)

// Project is a project that an engine has containers of, whoever made them.
type Project struct {
	Name string
	// States counts its containers by state, sorted by that.
	States []StateCount
	// ConfigFiles are the files that it was loaded from, as its containers' labels
	// say; none for a stack that came from no file.
	ConfigFiles []string
}

// StateCount is how many containers are in a state.
type StateCount struct {
	// State is the engine's: running, exited ...
	State string
	Count int
}

// Status gives Docker Compose's form: "exited(1), running(2)".
func (p Project) Status() string {
	var out []string
	for _, s := range p.States {
		out = append(out, fmt.Sprintf("%s(%d)", s.State, s.Count))
	}
	return strings.Join(out, ", ")
}

// ProjectsOptions change what Projects lists. The zero value lists what runs.
type ProjectsOptions struct {
	// All counts containers that do not run, too.
	All bool
}

// Projects lists the projects on the engine, sorted by name: stackctl's, Docker
// Compose's and those of any other tool that labels containers in the same way.
func (r *Runner) Projects(ctx context.Context, o ProjectsOptions) ([]Project, error) {
	containers, err := r.engine.Containers(ctx, "")
	if err != nil {
		return nil, err
	}
	slices.SortFunc(containers, func(a, b state.Container) int { return cmp.Compare(a.Name, b.Name) })
	found := map[string]*Project{}
	counts := map[string]map[string]int{}
	for _, c := range containers {
		runs := c.Running()
		if c.Project == "" || c.ComposeHash == "" && c.Hash == "" || !runs && !o.All {
			continue
		}
		p := found[c.Project]
		if p == nil {
			p = &Project{Name: c.Project}
			found[c.Project], counts[c.Project] = p, map[string]int{}
		}
		counts[c.Project][c.State]++
		for _, file := range c.ConfigFiles {
			if !slices.Contains(p.ConfigFiles, file) {
				p.ConfigFiles = append(p.ConfigFiles, file)
			}
		}
	}
	out := []Project{}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		p := found[name]
		for _, s := range slices.Sorted(maps.Keys(counts[name])) {
			p.States = append(p.States, StateCount{s, counts[name][s]})
		}
		out = append(out, *p)
	}
	return out, nil
}
