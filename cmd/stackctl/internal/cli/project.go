package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/spf13/cobra"

	"github.com/stackctl/stackctl/cmd/stackctl/internal/display"
	"github.com/stackctl/stackctl/pkg/runner"
	"github.com/stackctl/stackctl/pkg/runner/bundle"
	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/state"
	"github.com/stackctl/stackctl/pkg/spec"
)

// source is where a command's stack comes from, and the variables that it is
// loaded with. Nothing but the source_*.go files knows which sources there are.
type source struct {
	// stack is the built-in one; nil for a stack that was written by the user.
	stack *spec.Stack
	// options load a stack that is not the built-in one, outline is what is known
	// of it without the values of its variables.
	options spec.LoadOptions
	outline *spec.Outline
	// project is the loaded stack, or fault why it cannot be loaded, with the options
	// as they are; both are nil before it is loaded.
	project *types.Project
	fault   error
	// origins say in words where it comes from.
	origins []string
	// bundle is what the stack is in, with its images; nil for any other.
	bundle *bundle.Bundle
	// assumed says that a project was named and no stack was found: it may be any
	// project, though the built-in stack is taken for it.
	assumed bool
	// byLabels says that the command goes by the labels of such a project alone.
	byLabels bool

	// scale sets the number of containers of services by name.
	scale map[string]int
	// envFiles are the absolute paths of files with variables that were named.
	envFiles []string

	// dir is the folder that paths start from, base the one that the command runs
	// in.
	dir, base string
	// name is the project's.
	name      string
	variables map[string]string
}

// standIn takes the place of a password that nobody knows, for commands that
// need none. It is never printed, compared or given to a container.
const standIn = "stand-in"

// projectNameVariable names the project where -p does not.
const projectNameVariable = "COMPOSE_PROJECT_NAME"

// sourceToLoad finds the stack as source does, for a command that loads it: what a
// stack is made of is read from the loaded one, which saves reading its files twice.
// The services are those that the command is about: naming one turns its profiles on,
// and a stack that cannot be loaded without them may be loaded with them.
func (g *globalOptions) sourceToLoad(ctx context.Context, services ...string) (*source, error) {
	g.loads, g.chooses = true, len(services) > 0
	return g.source(ctx)
}

// source finds the stack that flags, environment and folders name, and reads its
// variables. It does not load the stack: that is done with values for all of them.
func (g *globalOptions) source(ctx context.Context) (*source, error) {
	s, err := g.findSource(ctx)
	if err != nil {
		return nil, err
	}
	g.current = s
	return s, nil
}

// builtInSource is the compiled-in stack.
func (g *globalOptions) builtInSource(dir string) (*source, error) {
	variables, err := g.readVariables(dir, nil, passwordVariable)
	if files := g.variableFiles(); len(files) > 0 {
		variables, err = g.readVariables(g.app.Dir, files, passwordVariable)
	}
	if err != nil {
		return nil, err
	}
	if err := checkProjectName(variables[projectNameVariable], projectNameVariable+"="); err != nil {
		return nil, err
	}
	stack := builtIn(g.projectName)
	return &source{
		stack: stack, dir: dir, base: g.app.Dir, variables: variables,
		name: cmp.Or(g.projectName, variables[projectNameVariable], stack.Name), scale: g.scale,
		options: spec.LoadOptions{Cache: g.cache()},
	}, nil
}

// checkProjectName refuses what no project can be called; origin is what was
// written before the name.
func checkProjectName(name, origin string) error {
	better := loader.NormalizeProjectName(name)
	if better == name {
		return nil
	}
	hint := "use lower-case letters, digits, '-' and '_', with a letter or digit first"
	if better != "" {
		hint = origin + better
	}
	return &usageError{text: fmt.Sprintf("%q is not the name of a project", name), hint: hint}
}

// builtIn is the compiled-in stack, under its own name unless there is another.
func builtIn(name string) *spec.Stack {
	stack := spec.WebStack(spec.WebStackOptions{})
	stack.Name = cmp.Or(name, stack.Name)
	return stack
}

// described says where the stack comes from, for people and for programs.
func (s *source) described() display.Source {
	d := display.Source{Project: s.name, Files: s.options.Files, Profiles: s.options.Profiles}
	if s.byLabels {
		d.Text = "project " + s.name + ", from its labels"
		return d
	}
	d.Text = "stack " + s.name
	if s.stack != nil {
		d.Text += ", built in"
		return d
	}
	d.Text += " from " + strings.Join(s.origins, ", ")
	switch profiles := s.options.Profiles; {
	case slices.Contains(profiles, "*"):
		d.Text += " (all profiles)"
	case len(profiles) == 1:
		d.Text += " (profile " + profiles[0] + ")"
	case len(profiles) > 1:
		d.Text += " (profiles " + strings.Join(profiles, ", ") + ")"
	}
	return d
}

// knowsPassword says that the variables hold all that the built-in stack cannot
// do without. Others name what they need when they are loaded.
func (s *source) knowsPassword() bool {
	return s.stack == nil || s.variables[passwordVariable] != ""
}

// load makes the project, the built-in one with a stand-in for a password that is
// not known.
func (s *source) load(ctx context.Context) (*types.Project, error) {
	if s.stack == nil {
		s.loadOnce(ctx)
		return s.project, s.located(s.fault)
	}
	variables := s.variables
	if !s.knowsPassword() {
		variables = maps.Clone(variables)
		variables[passwordVariable] = standIn
	}
	return s.stack.Project(ctx, spec.WithEnv(variables), spec.WithWorkingDir(s.dir), spec.WithName(s.name), spec.WithScale(s.scale), spec.WithCache(s.options.Cache))
}

// loadOnce loads a stack that is not the built-in one, unless that is done.
func (s *source) loadOnce(ctx context.Context) {
	if s.project != nil || s.fault != nil {
		return
	}
	s.options.Scale = s.scale
	s.project, s.fault = spec.Load(ctx, s.options)
	if s.fault != nil || len(s.envFiles) == 0 {
		return
	}
	for name, service := range s.project.Services {
		service.CustomLabels = types.Labels{state.LabelEnvFiles: strings.Join(s.envFiles, ",")}
		s.project.Services[name] = service
	}
}

// texts gives what is written in the compose files: the stack's own, and others.
func (s *source) texts(others []string) []byte {
	var all []byte
	for _, file := range append(slices.Clone(s.options.Files), others...) {
		text, given := s.options.Contents[file]
		if !given {
			text, _ = os.ReadFile(file) // the loader says so
		}
		all = append(append(all, text...), '\n')
	}
	return all
}

// hooks gives the commands around starts and stops. A stack that cannot be loaded
// has none: what is done by labels alone goes on without it.
func (s *source) hooks(ctx context.Context) map[string]runner.Hooks {
	if s.stack != nil || s.assumed {
		return nil
	}
	p, err := s.load(ctx)
	if err != nil {
		return nil
	}
	return runner.HooksOf(p)
}

// merge gives the compose file of a stack that is not the built-in one, with its
// variables as they are.
func (s *source) merge(ctx context.Context, asJSON bool) ([]byte, error) {
	merge := spec.Merge
	if asJSON {
		merge = spec.MergeJSON
	}
	text, err := merge(ctx, s.options)
	return text, s.located(err)
}

// located names the files in problems as the user sees them.
func (s *source) located(err error) error {
	var invalid *spec.ValidationError
	if !errors.As(err, &invalid) {
		return err
	}
	problems := slices.Clone(invalid.Problems)
	for i := range problems {
		p := &problems[i]
		at := s.seen(spec.Position{File: p.File, Line: p.Line, Column: p.Column})
		p.File, p.Line, p.Column = at.File, at.Line, at.Column
	}
	return &spec.ValidationError{Problems: problems}
}

// seen names the file of a position as the user sees it.
func (s *source) seen(p spec.Position) spec.Position {
	at := slices.Index(s.options.Files, p.File)
	switch {
	case at < 0 && p.File != "":
		p.File = shown(s.base, p.File)
	case at < 0:
	case s.isProgram(at):
		// What it printed is seen by nobody, so its lines say nothing.
		p = spec.Position{File: s.origins[at]}
	case p.File == standardInput:
		p.File = "<stdin>"
	default:
		p.File = s.origins[at]
	}
	return p
}

// services names the services of the stack, in its order, those of inactive
// profiles too.
func (s *source) services() []string {
	if s.stack == nil {
		return slices.Sorted(maps.Keys(s.outline.Services))
	}
	var out []string
	for _, service := range s.stack.Services {
		out = append(out, service.Name)
	}
	return out
}

// isForeign says that the project which is assumed to be the built-in stack has
// containers, and that they are none of that.
func (s *source) isForeign(ctx context.Context, e engine.Observer) (bool, error) {
	containers, err := e.Containers(ctx, s.name)
	isOurs := func(c state.Container) bool { return slices.Contains(s.services(), c.Service) }
	return len(containers) > 0 && !slices.ContainsFunc(containers, isOurs), err
}

// owned names the services whose containers belong to the stack; nil when that is
// for the labels alone to say.
func (s *source) owned() []string {
	if s.assumed {
		return nil
	}
	return s.services()
}

// dependencies names the services that one of the stack depends on.
func (s *source) dependencies(name string) []string {
	if s.stack == nil {
		return s.outline.Services[name].DependsOn
	}
	var out []string
	for _, service := range s.stack.Services {
		if service.Name == name {
			for _, dep := range service.DependsOn {
				out = append(out, dep.Service.Name)
			}
		}
	}
	return out
}

// withDependencies adds what services depend on; none means all.
func (s *source) withDependencies(names []string) []string {
	known := s.services()
	chosen := map[string]bool{}
	var choose func(string)
	choose = func(name string) {
		if chosen[name] || !slices.Contains(known, name) {
			return
		}
		chosen[name] = true
		for _, dependency := range s.dependencies(name) {
			choose(dependency)
		}
	}
	for _, name := range names {
		choose(name)
	}
	return slices.Sorted(maps.Keys(chosen))
}

// choose refuses services that the stack does not have, and turns the profiles of
// the others on, as naming a service does.
func (s *source) choose(names []string) error {
	for _, name := range names {
		if !slices.Contains(s.services(), name) {
			return s.unknown(name)
		}
		if s.stack != nil {
			continue
		}
		profiles := s.outline.Services[name].Profiles
		isActive := func(p string) bool { return p == "*" || slices.Contains(profiles, p) }
		if len(profiles) > 0 && !slices.ContainsFunc(s.options.Profiles, isActive) {
			s.options.Profiles = append(s.options.Profiles, profiles...)
			s.project, s.fault = nil, nil
		}
	}
	return nil
}

func (s *source) unknown(service string) error {
	return fmt.Errorf("%w: %s (the stack has %s)", runner.ErrUnknownService, service, strings.Join(s.services(), ", "))
}

// setBuildContext says where the source of the built-in stack's own app is.
func (s *source) setBuildContext(dir string) {
	name := s.stack.Name
	s.stack = spec.WebStack(spec.WebStackOptions{Context: dir})
	s.stack.Name = name
}

// portVariables name the variable that sets the host port of each service of the
// built-in stack.
func (s *source) portVariables() map[string]string {
	if s == nil || s.stack == nil {
		return nil
	}
	return map[string]string{"webapp": "WEBAPP_PORT", "database": "POSTGRES_PORT", "cache": "REDIS_PORT"}
}

// databaseVolume gives the engine's name of the volume that keeps the password.
func databaseVolume(p *types.Project) string { return p.Volumes["postgres-storage"].Name }

// missingPassword is the fault of a stack that has to be run or printed with its
// password, and has none.
func missingPassword(hint string) error {
	return &spec.ValidationError{Problems: []spec.Problem{{
		Path: "secrets.postgres-password.environment", Message: "variable " + passwordVariable + " is not set", Hint: hint,
	}}}
}

// completeServices completes the names of services.
func (g *globalOptions) completeServices(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	s, err := g.source(cmd.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return s.services(), cobra.ShellCompDirectiveNoFileComp
}

// shown gives a path as it is told to whoever works in a folder: from there, when
// that is shorter.
func shown(dir, path string) string {
	if relative, err := filepath.Rel(dir, path); err == nil && len(relative) < len(path) {
		return relative
	}
	return path
}
