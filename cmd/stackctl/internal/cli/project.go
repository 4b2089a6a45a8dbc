package cli

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/spf13/cobra"

	"github.com/stackctl/stackctl/pkg/runner"
	"github.com/stackctl/stackctl/pkg/spec"
)

// source is what the global flags say about the stack: the built-in one, and the
// variables that it is loaded with. Nothing but this file knows which sources
// there are.
type source struct {
	stack *spec.Stack
	dir   string
	// name is the project's.
	name      string
	variables map[string]string
}

// standIn takes the place of a password that nobody knows, for commands that
// need none. It is never printed, compared or given to a container.
const standIn = "stand-in"

// source reads the variables. It does not look at the stack.
func (g *globalOptions) source() (*source, error) {
	variables, err := readVariables(g.app.Environ, g.app.Dir, g.envFiles)
	if err != nil {
		return nil, err
	}
	if err := checkProjectName(variables[projectNameVariable], projectNameVariable+"="); err != nil {
		return nil, err
	}
	stack := builtIn(g.projectName)
	return &source{
		stack: stack, dir: g.app.Dir, variables: variables,
		name: cmp.Or(g.projectName, variables[projectNameVariable], stack.Name),
	}, nil
}

// projectNameVariable names the project where -p does not.
const projectNameVariable = "COMPOSE_PROJECT_NAME"

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

// knowsPassword says that the variables hold all that the stack cannot do
// without.
func (s *source) knowsPassword() bool { return s.variables[passwordVariable] != "" }

// load makes the project, with a stand-in for a password that is not known.
func (s *source) load(ctx context.Context) (*types.Project, error) {
	variables := s.variables
	if !s.knowsPassword() {
		variables = maps.Clone(variables)
		variables[passwordVariable] = standIn
	}
	return s.loadWith(ctx, variables)
}

func (s *source) loadWith(ctx context.Context, variables map[string]string) (*types.Project, error) {
	return s.stack.Project(ctx, spec.WithEnv(variables), spec.WithWorkingDir(s.dir), spec.WithName(s.name))
}

// services names the services of the stack, in its order.
func (s *source) services() []string {
	var out []string
	for _, service := range s.stack.Services {
		out = append(out, service.Name)
	}
	return out
}

// withDependencies adds what services depend on; none means all.
func (s *source) withDependencies(names []string) []string {
	chosen := map[string]bool{}
	var choose func(*spec.Service)
	choose = func(service *spec.Service) {
		chosen[service.Name] = true
		for _, dep := range service.DependsOn {
			choose(dep.Service)
		}
	}
	for _, service := range s.stack.Services {
		if slices.Contains(names, service.Name) {
			choose(service)
		}
	}
	return slices.Sorted(maps.Keys(chosen))
}

// checkServices refuses a service that the stack does not have.
func (s *source) checkServices(names []string) error {
	for _, name := range names {
		if !slices.Contains(s.services(), name) {
			return s.unknown(name)
		}
	}
	return nil
}

func (s *source) unknown(service string) error {
	return fmt.Errorf("%w: %s (the stack has %s)", runner.ErrUnknownService, service, strings.Join(s.services(), ", "))
}

// setBuildContext says where the source of the stack's own app is.
func (s *source) setBuildContext(dir string) {
	name := s.stack.Name
	s.stack = spec.WebStack(spec.WebStackOptions{Context: dir})
	s.stack.Name = name
}

// portVariables name the variable that sets the host port of each service.
func (s *source) portVariables() map[string]string {
	return map[string]string{"webapp": "WEBAPP_PORT", "database": "POSTGRES_PORT", "cache": "REDIS_PORT"}
}

// databaseVolume gives the engine's name of the volume that keeps the password.
func databaseVolume(p *types.Project) string { return p.Volumes["postgres-storage"].Name }

// missingPassword is the fault of a stack that has to be run or printed with its
// password, and has none.
func missingPassword(hint string) error {
	return &spec.ValidationError{Problems: []spec.Problem{{
		Path: "services.database.environment." + passwordVariable, Message: "has no value", Hint: hint,
	}}}
}

// completeServices completes the names of services.
func (g *globalOptions) completeServices(_ *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	s := source{stack: builtIn("")}
	return s.services(), cobra.ShellCompDirectiveNoFileComp
}
