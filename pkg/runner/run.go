package runner

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/containerd/errdefs"

	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/internal/observer"
	"github.com/stackctl/stackctl/pkg/runner/plan"
	"github.com/stackctl/stackctl/pkg/runner/state"
	"github.com/stackctl/stackctl/pkg/runner/support"
)

// RunOptions say what a container of a service runs for once. The zero value
// runs the service's own command without input, throws its output away and keeps
// the container.
type RunOptions struct {
	// Name is the container's; empty for <project>-<service>-run-<random digits>.
	Name string
	// Args replace the service's command; none keep it.
	Args []string
	// Entrypoint replaces the service's, and with it the command when there are no
	// Args; nil keeps it, and an empty one means none.
	Entrypoint []string
	// Env is added to the service's variables.
	Env map[string]string
	// User and WorkingDir replace the service's; empty keeps them.
	User, WorkingDir string
	// CapAdd and CapDrop are added to the service's.
	CapAdd, CapDrop []string
	// Labels are added to the service's.
	Labels map[string]string
	// Volumes are mounted besides the service's; one at the same target takes its
	// place. Paths on the host are absolute.
	Volumes []types.ServiceVolumeConfig
	// ServicePorts publishes the service's ports, which are left out otherwise.
	// Ports are published in any case.
	ServicePorts bool
	Ports        []types.ServicePortConfig
	// UseAliases gives the container the service's names on its networks.
	UseAliases bool
	// NoDeps leaves alone what the service depends on.
	NoDeps bool
	// Build, Builder, Pull, RemoveOrphans and WaitTimeout are as in UpOptions, for
	// the service's image and for what it depends on.
	Build         bool
	Builder       BuilderMode
	Pull          PullPolicy
	RemoveOrphans bool
	WaitTimeout   time.Duration
	// Remove removes the container at its end.
	Remove bool
	// Detach ends when the container has started. Streams do not count then.
	Detach bool
	// Streams connect the container with the caller.
	Streams engine.Streams
	// Created is called when all is made and before the container starts: no event
	// comes after that. May be nil.
	Created func(container string)
	// Signal gives the signal, such as "SIGINT", that the container gets when ctx
	// ends while it runs, for the cause of that; Run goes on until the container has
	// ended then. With nil, or an empty answer, the container is stopped.
	Signal func(cause error) string
}

// RunResult is the end of a container that was made for one command.
type RunResult struct {
	Report
	// Container is its name, ID the engine's id.
	Container, ID string
	// ExitCode is the command's own; zero for one that goes on.
	ExitCode int
	// Detached says that the user has let go of the container, which goes on.
	Detached bool
}

// Run makes a container of a service for one command, after bringing up what the
// service depends on, and waits for its end. An exit code other than 0 is no
// error. Errors are those of Up, and a container that never ran is removed.
func (r *Runner) Run(ctx context.Context, p *types.Project, service string, o RunOptions) (*RunResult, error) {
	began := r.now()
	info, err := r.engine.Info(ctx)
	if err != nil {
		return nil, err
	}
	desired, spec, err := oneOff(p, service, o)
	if err != nil {
		return nil, err
	}
	warnings, err := support.Check(p, info.APIVersion)
	if err != nil {
		return nil, err
	}
	for _, warning := range warnings {
		r.warn("%s", warning)
	}
	release, err := r.hold(ctx, info, p.Name, "run")
	if err != nil {
		return nil, err
	}
	defer release()
	observed, err := observer.Observe(ctx, r.engine, observer.WantOf(desired))
	if err == nil {
		err = observer.Compare(ctx, r.engine, desired, &observed)
	}
	if err != nil {
		return nil, err
	}
	todo, err := plan.OneOff(desired, observed, spec, plan.Options{Build: o.Build, Pull: o.Pull, RemoveOrphans: o.RemoveOrphans})
	if err != nil {
		return nil, err
	}
	result := &RunResult{Report: Report{Plan: todo}, Container: spec.Name}
	if err := r.preflight(ctx, info, todo); err != nil {
		return result, err
	}
	err = r.execute(ctx, &result.Report, todo, observed, info, UpOptions{Builder: o.Builder, WaitTimeout: o.WaitTimeout})
	result.Elapsed = r.now().Sub(began)
	if (err != nil || ctx.Err() != nil) && isCreated(result.Outcomes, spec.Name) {
		r.discard(ctx, spec.Name, true)
	}
	if err := r.explain(ctx, p.Name, err); err != nil {
		return result, err
	}
	made, err := r.engine.Inspect(ctx, spec.Name)
	if err != nil {
		return result, err
	}
	result.ID = made.ID
	if o.Created != nil {
		o.Created(spec.Name)
	}
	if o.Detach {
		err = r.engine.StartContainer(context.WithoutCancel(ctx), spec.Name)
	} else {
		result.ExitCode, err = r.attend(ctx, spec.Name, o, release) // it may go on for days
	}
	switch {
	case errors.Is(err, engine.ErrDetached):
		result.Detached, err = true, nil
	case err != nil:
		r.discard(ctx, made.ID, o.Remove)
	}
	result.Elapsed = r.now().Sub(began)
	return result, err
}

// isCreated says that the plan has made the container, and nobody else.
func isCreated(outcomes []Outcome, name string) bool {
	return slices.ContainsFunc(outcomes, func(out Outcome) bool {
		create, ok := out.Node.Op.(plan.CreateContainer)
		return ok && create.Container.Name == name && out.Status == Done
	})
}

// attend starts a container, calls started, and stays until it ends. The end of ctx
// becomes a signal for the container; without one it is the end of the stay.
func (r *Runner) attend(ctx context.Context, name string, o RunOptions, started func()) (int, error) {
	stay, leave := context.WithCancelCause(context.WithoutCancel(ctx))
	defer leave(nil)
	over := make(chan struct{})
	var forwarding sync.WaitGroup
	forwarding.Go(func() {
		select {
		case <-over:
			return
		case <-ctx.Done():
		}
		signal := ""
		if o.Signal != nil {
			signal = o.Signal(context.Cause(ctx))
		}
		if signal == "" {
			leave(context.Cause(ctx))
			return
		}
		if err := r.forward(stay, name, signal, over); err != nil {
			leave(err)
		}
	})
	code, err := r.engine.StartAttached(stay, name, o.Streams, started)
	close(over)
	forwarding.Wait()
	return code, err
}

// forwardPause is the time between two tries to send a signal to a container
// that does not run yet.
const forwardPause = 20 * time.Millisecond

// forward sends a signal to a container. One that does not run yet gets it when
// it does.
func (r *Runner) forward(ctx context.Context, name, signal string, over <-chan struct{}) error {
	for {
		err := r.engine.SignalContainer(ctx, name, signal)
		switch {
		case errdefs.IsNotFound(err): // it has ended, and is removed
			return nil
		case !errdefs.IsConflict(err):
			return err
		}
		select {
		case <-over:
			return nil
		case <-time.After(forwardPause):
		}
	}
}

// discardTimeout leaves a container its own grace period, which is not known here.
const discardTimeout = 10 * time.Minute

// discard stops a container that nobody stays with. It removes one that is not to
// be kept, or never ran. What goes wrong is not told: it is the sequel of an error
// that is.
func (r *Runner) discard(ctx context.Context, container string, remove bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), discardTimeout)
	defer cancel()
	if look, err := r.engine.Inspect(ctx, container); err == nil && look.State == "created" {
		remove = true
	} else {
		_ = r.engine.StopContainer(ctx, container, nil)
	}
	if remove {
		_ = r.engine.RemoveContainer(ctx, container, true)
	}
}

// oneOff flattens the project with the service as the options want it, and gives
// the one container to make of it.
func oneOff(p *types.Project, service string, o RunOptions) (state.Desired, state.ContainerSpec, error) {
	fail := func(err error) (state.Desired, state.ContainerSpec, error) {
		return state.Desired{}, state.ContainerSpec{}, err
	}
	if _, inactive := p.DisabledServices[service]; inactive {
		// To name a service is to ask for its profiles.
		enabled, err := p.WithServicesEnabled(service)
		if err != nil {
			return fail(fmt.Errorf("enable service %s: %w", service, err))
		}
		p = enabled
	}
	config, known := p.Services[service]
	if !known {
		return fail(fmt.Errorf("%w: %s", ErrUnknownService, service))
	}
	slug := newSlug()
	name := o.Name
	if name == "" {
		name = fmt.Sprintf("%s-%s-run-%s", p.Name, service, slug[:12])
	}
	changed := *p // of which only the map of services is another
	changed.Services = maps.Clone(p.Services)
	changed.Services[service] = oneOffConfig(config, name, o)
	desired, err := state.Flatten(&changed)
	if err != nil {
		return fail(err)
	}
	s, _ := desired.Service(service)
	spec := s.Containers[0]
	spec.OneOff = &state.OneOff{AutoRemove: o.Remove, AttachStdin: !o.Detach && o.Streams.In != nil}
	spec.Labels = maps.Clone(spec.Labels)
	spec.Labels[state.LabelOneOff] = "True"
	spec.Labels[state.LabelSlug] = slug
	if !o.UseAliases {
		spec.Networks = slices.Clone(spec.Networks)
		for i := range spec.Networks {
			spec.Networks[i].Aliases = []string{name}
		}
	}
	return desired, spec, nil
}

// newSlug gives 64 random hexadecimal digits.
func newSlug() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// oneOffConfig is the definition of a service as one container has it that is
// made for one command. It shares nothing with the service that it changes.
func oneOffConfig(c types.ServiceConfig, name string, o RunOptions) types.ServiceConfig {
	one := 1
	c.ContainerName, c.Scale, c.Restart = name, &one, ""
	if c.Deploy != nil {
		deploy := *c.Deploy
		deploy.Replicas, deploy.RestartPolicy = &one, nil
		c.Deploy = &deploy
	}
	if !o.Detach { // what stays with the caller has the caller's input and terminal
		c.StdinOpen, c.Tty = o.Streams.In != nil, o.Streams.Terminal != nil
	}
	if o.Entrypoint != nil {
		c.Entrypoint, c.Command = o.Entrypoint, []string{}
	}
	if len(o.Args) > 0 {
		c.Command = o.Args
	}
	if o.User != "" {
		c.User = o.User
	}
	if o.WorkingDir != "" {
		c.WorkingDir = o.WorkingDir
	}
	c.CapAdd, c.CapDrop = slices.Concat(c.CapAdd, o.CapAdd), slices.Concat(c.CapDrop, o.CapDrop)
	env := types.MappingWithEquals{}
	maps.Copy(env, c.Environment)
	for key, value := range o.Env {
		env[key] = &value
	}
	c.Environment = env
	labels := types.Labels{}
	maps.Copy(labels, c.Labels)
	maps.Copy(labels, o.Labels)
	c.Labels = labels
	c.Volumes = slices.Concat(slices.DeleteFunc(slices.Clone(c.Volumes), func(v types.ServiceVolumeConfig) bool {
		return slices.ContainsFunc(o.Volumes, func(added types.ServiceVolumeConfig) bool { return added.Target == v.Target })
	}), o.Volumes)
	if !o.ServicePorts {
		c.Ports = nil
	}
	c.Ports = slices.Concat(c.Ports, o.Ports)
	if o.NoDeps {
		c.DependsOn = nil
	}
	return c
}
