package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// ExecOptions say what runs in a container of a service, and how.
type ExecOptions struct {
	// Command is what runs; it needs Args.
	engine.Command
	// Index is the number of the container, from 1; zero takes the first one that
	// runs.
	Index int
	// Detach starts the command and leaves it alone. Streams do not count then.
	Detach bool
	// Streams connect the command with the caller.
	Streams engine.Streams
}

// ExecResult is the end of a command.
type ExecResult struct {
	// Container is the name of the container that it ran in.
	Container string
	// ExitCode is the command's own; zero for one that goes on.
	ExitCode int
	// Detached says that the user has let go of the command, which goes on.
	Detached bool
}

// NotRunningError says that no container of a service runs in which a command
// could.
type NotRunningError struct {
	Project, Service string
	// Index is the number that was asked for; zero for any.
	Index int
	// Container and State are the container that comes nearest; empty when the
	// service has none.
	Container, State string
}

func (e *NotRunningError) Error() string {
	switch {
	case e.Container != "":
		return fmt.Sprintf("service %s does not run: container %s is %s", e.Service, e.Container, e.State)
	case e.Index != 0:
		return fmt.Sprintf("service %s has no container %d in project %s", e.Service, e.Index, e.Project)
	}
	return fmt.Sprintf("service %s does not run: it has no container in project %s", e.Service, e.Project)
}

// Exec runs a command in a running container of a service, which it finds by
// labels. An exit code other than 0 is no error. The error is a *NotRunningError
// when there is no container to run it in. When ctx ends, Exec returns with its
// cause and the command goes on: the engine has no call to end it.
func (r *Runner) Exec(ctx context.Context, project, service string, o ExecOptions) (ExecResult, error) {
	if len(o.Args) == 0 {
		return ExecResult{}, fmt.Errorf("exec in service %s: no command", service)
	}
	c, err := r.running(ctx, project, service, o.Index)
	if err != nil {
		return ExecResult{}, err
	}
	result := ExecResult{Container: c.Name}
	if o.Detach {
		return result, r.engine.ExecDetached(ctx, c.ID, o.Command)
	}
	result.ExitCode, err = r.engine.ExecAttached(ctx, c.ID, o.Command, o.Streams)
	if errors.Is(err, engine.ErrDetached) {
		result.Detached, err = true, nil
	}
	return result, err
}

// running finds a running container of a service.
func (r *Runner) running(ctx context.Context, project, service string, index int) (state.Container, error) {
	if project == "" {
		return state.Container{}, errors.New("exec: no project named")
	}
	all, err := r.engine.Containers(ctx, project)
	if err != nil {
		return state.Container{}, err
	}
	all = slices.DeleteFunc(all, func(c state.Container) bool {
		return c.Service != service || c.OneOff || index != 0 && c.Number != index
	})
	slices.SortFunc(all, func(a, b state.Container) int {
		return cmp.Or(cmp.Compare(a.Number, b.Number), cmp.Compare(a.Name, b.Name))
	})
	for _, c := range all {
		if c.State == "running" {
			return c, nil
		}
	}
	e := &NotRunningError{Project: project, Service: service, Index: index}
	if len(all) > 0 {
		e.Container, e.State = all[0].Name, all[0].State
	}
	return state.Container{}, e
}
