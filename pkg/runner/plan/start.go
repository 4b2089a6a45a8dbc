package plan

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stackctl/stackctl/pkg/runner/state"
)

// ErrNoContainer is wrapped by the error for a project or a service that has no
// container which could be started.
var ErrNoContainer = errors.New("no container")

// ErrIncomplete is wrapped by the error for a container that cannot be started as it
// is, since it may lack a part of what it is to have.
var ErrIncomplete = errors.New("incomplete")

// Detail is what a list of containers does not tell of one, and a start has to
// know.
type Detail struct {
	// Healthcheck says that the container has one.
	Healthcheck bool
	// Published are the host ports as they were asked for: "8080", "8000-8010".
	Published []string
}

// StartOptions change what [Start] decides. The zero value starts all and waits
// only where another container needs it.
type StartOptions struct {
	// Services limits the start to these and what they depend on.
	Services []string
	// Wait adds the wait until each container runs or is healthy.
	Wait bool
	// Details has what is known of containers, by id.
	Details map[string]Detail
	// Hooks are those of each service; nil runs none.
	Hooks map[string]Hooks
}

// Start decides which of the containers that are there have to be started, each
// after what it depends on. It works from labels alone. What has done its work,
// for others that wait for its completion, is started only when it is named. What runs
// in the network of one that starts has lost it, and stops and starts with that one.
func Start(o state.Observed, opts StartOptions) (*Plan, error) {
	g := dependencies(o.Containers)
	if err := errors.Join(checkStartable(o, g, opts.Services), checkRestores(o)); err != nil {
		return nil, err
	}
	chosen := g.closure(opts.Services)
	if len(opts.Services) == 0 {
		chosen = g.closure(o.Services())
	}
	s := newStarter(o, opts.Details, opts.Hooks)
	starts := func(c state.Container) bool {
		return chosen[c.Service] && (c.State == "paused" || !c.Running() && !s.isDone(c, opts.Services))
	}
	var startable []state.Container
	causes := map[string]string{} // of starts, by id
	for _, c := range o.Containers {
		if starts(c) {
			s.need(c)
			startable = append(startable, c)
			causes[c.ID] = "is " + c.State
		}
	}
	if err := checkComplete(startable); err != nil {
		return nil, err
	}
	for _, c := range o.Containers {
		for _, other := range startable {
			if c.State == "running" && other.State != "paused" && sharesNetwork(c, other) {
				s.need(c)
				causes[c.ID] = "restarts with " + other.Service
				s.stopped[c.ID] = s.plan.add(StopContainer{Container: c, Hooks: opts.Hooks[c.Service].PreStop}, causes[c.ID])
				break
			}
		}
	}
	for _, c := range s.ordered(g) {
		switch {
		case causes[c.ID] != "":
			s.start(c, causes[c.ID], opts.Wait)
		case chosen[c.Service]:
			s.runs(c, opts.Wait)
		}
	}
	s.warnMissing(g)
	return s.plan, nil
}

// sharesNetwork says that a container lives in the network of another one.
func sharesNetwork(c, other state.Container) bool {
	return c.ID != other.ID && (c.SharesNetwork == other.ID || c.SharesNetwork == other.Name)
}

// checkStartable refuses a start of what is not there.
func checkStartable(o state.Observed, g graph, services []string) error {
	if len(o.Containers) == 0 {
		return fmt.Errorf("project %s has %w", o.Project, ErrNoContainer)
	}
	for _, name := range services {
		if _, there := g[name]; !there {
			return fmt.Errorf("service %s of project %s has %w", name, o.Project, ErrNoContainer)
		}
	}
	return nil
}

// checkComplete refuses to start containers that may be without their configs and
// secrets: see isIncomplete, of which this is the part that labels tell.
func checkComplete(containers []state.Container) error {
	var problems []error
	for _, c := range containers {
		if c.State == "created" && len(c.Files) > 0 {
			problems = append(problems, problemf(ErrIncomplete, "container %s was never started, and may lack its configs and secrets, which are copied into it after it is made", c.Name))
		}
	}
	return errors.Join(problems...)
}

// dependencies gives what each service with a container depends on, by the
// containers' labels.
func dependencies(containers []state.Container) graph {
	g := graph{}
	for _, c := range containers {
		deps := g[c.Service]
		for _, dep := range c.DependsOn {
			deps = append(deps, dep.Service)
		}
		g[c.Service] = deps
	}
	return g
}

// starter plans starts of containers that are there.
type starter struct {
	plan       *Plan
	containers []state.Container
	details    map[string]Detail
	hooks      map[string]Hooks
	// jobs names the services whose completion another one waits for.
	jobs map[string]bool
	// needed names the services that others wait for in this run, with the
	// condition.
	needed map[string]map[string]bool
	// made are the last nodes of each service's containers: those that start them;
	// waits are those that wait for them, by service and condition.
	made, waits map[string][]int
	// stopped gives the nodes after which containers, by id, have stopped.
	stopped map[string]int
}

func newStarter(o state.Observed, details map[string]Detail, hooks map[string]Hooks) *starter {
	s := &starter{
		plan: &Plan{Project: o.Project}, containers: o.Containers, details: details, hooks: hooks, jobs: map[string]bool{},
		needed: map[string]map[string]bool{}, made: map[string][]int{}, waits: map[string][]int{}, stopped: map[string]int{},
	}
	for _, c := range o.Containers {
		for _, dep := range c.DependsOn {
			if dep.Condition == types.ServiceConditionCompletedSuccessfully {
				s.jobs[dep.Service] = true
			}
		}
	}
	return s
}

// isDone says that a container has ended well, was there only to do so, and is
// not among the named ones.
func (s *starter) isDone(c state.Container, named []string) bool {
	return s.jobs[c.Service] && c.State == "exited" && c.ExitCode == 0 && !slices.Contains(named, c.Service)
}

// need notes what a container that starts waits for.
func (s *starter) need(c state.Container) {
	for _, dep := range c.DependsOn {
		if s.needed[dep.Service] == nil {
			s.needed[dep.Service] = map[string]bool{}
		}
		s.needed[dep.Service][dep.Condition] = true
	}
}

// ordered gives the containers, each after those that it depends on.
func (s *starter) ordered(g graph) []state.Container {
	order, err := g.order()
	if err != nil {
		// Labels of a stack that was changed half-way can contradict each other.
		s.plan.warn("the containers' labels contradict each other, so they start in no order: %v", err)
		order = slices.Sorted(maps.Keys(g))
	}
	var out []state.Container
	for _, service := range order {
		for _, c := range s.containers {
			if c.Service == service {
				out = append(out, c)
			}
		}
	}
	return out
}

// start plans the start of a container after what it depends on, and the waits
// for it.
func (s *starter) start(c state.Container, cause string, wait bool) {
	needs := []int{s.stopped[c.ID]}
	for _, dep := range c.DependsOn {
		switch dep.Condition {
		case types.ServiceConditionHealthy:
			needs = append(needs, s.waits[dep.Service+"/"+string(state.Healthy)]...)
		case types.ServiceConditionCompletedSuccessfully:
			needs = append(needs, s.waits[dep.Service+"/"+string(state.Completed)]...)
		default:
			needs = append(needs, s.made[dep.Service]...)
		}
	}
	id := s.plan.add(StartContainer{Container: s.spec(c), ID: c.ID}, cause, needs...)
	s.made[c.Service] = append(s.made[c.Service], id)
	s.wait(c, id, wait)
}

// runs plans the waits for a container that is left as it is.
func (s *starter) runs(c state.Container, wait bool) {
	ready := c.State == "running" && (c.Health == "" || c.Health == "healthy")
	switch {
	case !c.Running():
	case !ready:
		s.wait(c, 0, wait)
	case s.needed[c.Service][types.ServiceConditionCompletedSuccessfully]:
		s.wait(c, 0, false)
	}
}

// wait plans the waits for a container that starts with a node, or runs when that
// is 0.
func (s *starter) wait(c state.Container, after int, asked bool) {
	add := func(condition state.Condition, cause string) {
		key := c.Service + "/" + string(condition)
		s.waits[key] = append(s.waits[key], s.plan.add(WaitReady{Container: s.spec(c), ID: c.ID, Condition: condition}, cause, after))
	}
	needed := s.needed[c.Service]
	if needed[types.ServiceConditionCompletedSuccessfully] {
		add(state.Completed, "others start when it has completed")
	}
	switch {
	case needed[types.ServiceConditionHealthy]:
		add(state.Healthy, "others start when it is healthy")
	case !asked, needed[types.ServiceConditionCompletedSuccessfully]:
	case s.details[c.ID].Healthcheck:
		add(state.Healthy, "asked for with --wait")
	default:
		add(state.Running, "asked for with --wait")
	}
}

// spec gives what is known of a container that is there in the form of one that
// is to be.
func (s *starter) spec(c state.Container) state.ContainerSpec {
	out := state.ContainerSpec{Name: c.Name, Service: c.Service, Number: c.Number, Image: c.Image}
	out.Config.PostStart = s.hooks[c.Service].PostStart
	for _, published := range s.details[c.ID].Published {
		out.Config.Ports = append(out.Config.Ports, types.ServicePortConfig{Published: published})
	}
	return out
}

// warnMissing tells of dependencies of what starts that have no container.
func (s *starter) warnMissing(g graph) {
	for _, name := range slices.Sorted(maps.Keys(s.needed)) {
		if _, there := g[name]; !there {
			s.plan.warn("service %s, which others depend on, has no container; `stackctl up` makes it", name)
		}
	}
}
