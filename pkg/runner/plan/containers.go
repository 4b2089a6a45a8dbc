package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stackctl/stackctl/pkg/runner/state"
)

func (r *reconciler) reconcileOrphans() {
	known := map[string]bool{}
	for _, s := range r.desired.Services {
		known[s.Name] = true
	}
	for _, name := range r.desired.Inactive {
		known[name] = true
	}
	var left []string
	for _, c := range r.observed.Containers {
		switch {
		case known[c.Service]:
		case r.opts.RemoveOrphans:
			r.planRemove(c, "no service of the stack, and asked for with --remove-orphans")
		default:
			left = append(left, c.Name)
		}
	}
	if len(left) > 0 {
		r.plan.warn("containers of no service in the stack: %s; --remove-orphans removes them", strings.Join(left, ", "))
	}
}

// reconcileSurplus removes containers beyond the number that is wanted, the
// highest numbers.
func (r *reconciler) reconcileSurplus() {
	for _, s := range r.services {
		for _, c := range r.observed.Containers {
			if c.Service == s.Name && isSurplus(c, s) {
				r.planRemove(c, fmt.Sprintf("%s is scaled to %d", s.Name, len(s.Containers)))
			}
		}
	}
}

func isSurplus(c state.Container, s *state.ServiceSpec) bool {
	return c.Number < 1 || c.Number > len(s.Containers)
}

func (r *reconciler) planRemove(c state.Container, cause string) int {
	r.handled[c.ID], r.removed[c.ID] = true, true
	var stop int
	if c.Running() {
		if stop = r.stops[c.ID]; stop == 0 { // unless it gives up a port before
			stop = r.plan.add(r.stop(c), cause)
			r.stops[c.ID] = stop
		}
	}
	remove := r.plan.add(RemoveContainer{Container: c}, cause, stop)
	r.names[c.Name] = remove
	return remove
}

// stop makes the operation that stops a container, with the hooks of its service.
func (r *reconciler) stop(c state.Container) StopContainer {
	op := StopContainer{Container: c, Grace: r.opts.Grace}
	if s, known := r.desired.Service(c.Service); known {
		op.Hooks = s.Config.PreStop
	}
	return op
}

// reconcileService decides for each container of a service.
func (r *reconciler) reconcileService(s *state.ServiceSpec) {
	seen := map[int][]state.Container{}
	for _, c := range r.observed.Containers {
		if c.Service == s.Name && !isSurplus(c, s) {
			seen[c.Number] = append(seen[c.Number], c)
		}
	}
	for _, want := range s.Containers {
		current, extra := pick(seen[want.Number], want)
		var removed []int
		for _, c := range extra {
			removed = append(removed, r.planRemove(c, "left over beside "+current.Name))
		}
		r.reconcileContainer(s, want, current, removed)
	}
}

// reconcileContainer decides for one container; current is nil when there is
// none, and removed are the nodes that clear its name.
func (r *reconciler) reconcileContainer(s *state.ServiceSpec, want state.ContainerSpec, current *state.Container, removed []int) {
	ports := r.portsGivenUp(want)
	depends, after := r.dependencies(s)
	parts := slices.Concat(r.resources(s, want), removed, []int{r.names[want.Name]})
	if current != nil {
		parts = append(parts, r.aside[current.ID])
	}
	needs := slices.Concat(parts, depends, ports)
	if current == nil {
		r.first[s.Name] = r.first[s.Name] || want.Number == 1
		create := r.plan.add(CreateContainer{want}, "does not exist", parts...)
		start := r.plan.add(StartContainer{Container: want}, "created in this run", slices.Concat(depends, ports, []int{create})...)
		r.plan.after(start, after...)
		r.started(s, want, "", start, nil)
		return
	}
	if cause := r.diverged(s, want, current); cause != "" {
		r.handled[current.ID] = true
		r.replaced[s.Name] = true
		replace := r.plan.add(ReplaceContainer{
			Old: *current, New: want, RenewVolumes: r.opts.RenewVolumes, Grace: r.opts.Grace,
		}, cause, append(needs, r.stops[current.ID])...)
		r.plan.after(replace, after...)
		start := StartContainer{Container: want}
		if !r.opts.Rollback {
			start.Replaced = current
		}
		r.started(s, want, "", r.plan.add(start, "replaced in this run", replace), current)
		return
	}
	r.keepContainer(s, want, current, needs, after)
}

// keepContainer decides for a container that stays, unless its image turns out to
// have changed.
func (r *reconciler) keepContainer(s *state.ServiceSpec, want state.ContainerSpec, current *state.Container, needs, after []int) {
	before := r.reconnect(*current, want.Networks)
	if current.Name != want.Name {
		before = append(before, r.plan.add(RenameContainer{*current, want}, "was left as "+current.Name, needs...))
	}
	if cause, replace := r.perhapsReplaced(s, want, current); cause != "" {
		r.perhaps[s.Name] = nameOf(r.perhaps[s.Name], want.Name)
		id := r.plan.add(replace, cause, slices.Concat(needs, before)...)
		r.plan.after(id, after...)
		start := StartContainer{Container: want}
		if r.isDone(s, current) {
			start.IfReplaced = want.Name
		}
		if !r.opts.Rollback {
			start.Replaced = current
		}
		r.started(s, want, "", r.plan.add(start, cause, id), current)
		return
	}
	dep, ifReplaced := r.restartsWith(s)
	switch {
	case r.isDone(s, current):
	case !isStarted(current):
		start := r.plan.add(StartContainer{Container: want, ID: current.ID}, "is "+current.State, slices.Concat(needs, before)...)
		r.plan.after(start, after...)
		if current.State != "paused" {
			r.begins[s.Name] = ""
		}
		r.started(s, want, current.ID, start, nil)
	case dep != "":
		// Also when it is not ready, which may be for want of what is replaced.
		cause := "restarts with " + dep
		stop := r.stop(*current)
		stop.IfReplaced = ifReplaced
		if ifReplaced != "" { // which is known only then
			before = append(before, needs...)
		}
		id := r.plan.add(stop, cause, before...)
		if ifReplaced != "" {
			r.plan.after(id, after...)
		}
		start := r.plan.add(StartContainer{Container: want, ID: current.ID, IfReplaced: ifReplaced}, cause, append(needs, id)...)
		r.plan.after(start, after...)
		if _, begins := r.begins[s.Name]; !begins {
			r.begins[s.Name] = ifReplaced
		}
		r.started(s, want, current.ID, start, nil)
	case current.State == "restarting", hasHealthcheck(s) && current.Health != "healthy",
		r.needed[s.Name][types.ServiceConditionCompletedSuccessfully]:
		// It was started, and is not ready or not at its end.
		r.made[s.Name] = append(r.made[s.Name], before...)
		r.planWait(s, want, current.ID, before, nil)
	default:
		r.made[s.Name] = append(r.made[s.Name], before...)
	}
}

// perhapsReplaced gives the replacement of a container that depends on what
// happens before: on its image, or on a container whose namespaces it shares.
func (r *reconciler) perhapsReplaced(s *state.ServiceSpec, want state.ContainerSpec, current *state.Container) (string, ReplaceContainer) {
	op := ReplaceContainer{Old: *current, New: want, RenewVolumes: r.opts.RenewVolumes, Grace: r.opts.Grace}
	if r.opts.NoRecreate {
		return "", op
	}
	cause := ""
	for _, dep := range shares(s.Config) {
		if name := r.perhaps[dep]; name != "" {
			op.IfReplaced, cause = name, "goes with "+dep+", whose image may have changed"
		}
	}
	if r.images[s.Image] != 0 {
		op.IfImageChanged, cause = true, "its image may have changed"
	}
	return cause, op
}

// restartsWith names a dependency that is replaced and whose dependents restart
// with it, or one that starts and whose namespaces are shared; empty when there is
// none. The second is the container that has to have
// been replaced, where that is not for sure.
func (r *reconciler) restartsWith(s *state.ServiceSpec) (dependency, ifReplaced string) {
	for _, dep := range s.DependsOn {
		if dep.Restart && r.replaced[dep.Service] {
			return dep.Service, ""
		}
	}
	for _, dep := range s.DependsOn {
		if name := r.perhaps[dep.Service]; dep.Restart && name != "" {
			return dep.Service, name
		}
	}
	for _, dep := range namespaces(s.Config) {
		if name, begins := r.begins[dep]; begins {
			return dep, name
		}
	}
	return "", ""
}

// isDone says that a container has ended well and was only there to do so: some
// service waits for its completion.
func (r *reconciler) isDone(s *state.ServiceSpec, c *state.Container) bool {
	return c.State == "exited" && c.ExitCode == 0 && r.needed[s.Name][types.ServiceConditionCompletedSuccessfully]
}

// started notes that a container runs after a node, and plans the waits for it.
func (r *reconciler) started(s *state.ServiceSpec, want state.ContainerSpec, id string, start int, replaced *state.Container) {
	r.made[s.Name] = append(r.made[s.Name], start)
	if !r.opts.Rollback {
		replaced = nil // the start removes it
	}
	r.planWait(s, want, id, []int{start}, replaced)
}

// planWait adds the waits for a container that starts in this run, or runs and
// is not ready. The last one removes the container that it has replaced.
func (r *reconciler) planWait(s *state.ServiceSpec, want state.ContainerSpec, id string, after []int, replaced *state.Container) {
	needed := r.needed[s.Name]
	add := func(condition state.Condition, cause string, last bool) {
		key := s.Name + "/" + string(condition)
		op := WaitReady{Container: want, ID: id, Condition: condition}
		if last {
			op.Replaced = replaced
		}
		r.waits[key] = append(r.waits[key], r.plan.add(op, cause, after...))
	}
	if needed[types.ServiceConditionCompletedSuccessfully] {
		both := needed[types.ServiceConditionHealthy]
		add(state.Completed, "others start when it has completed", !both)
		if !both {
			return
		}
	}
	switch {
	case needed[types.ServiceConditionHealthy]:
		add(state.Healthy, "others start when it is healthy", true)
	case r.opts.NoWait && replaced == nil:
	case hasHealthcheck(s):
		add(state.Healthy, "up ends when it is healthy", true)
	case replaced != nil:
		add(state.Stable, "the one before goes when it stays up", true)
	default:
		add(state.Running, "up ends when it runs", true)
	}
}

// resources are the nodes that make what a container is made of.
func (r *reconciler) resources(s *state.ServiceSpec, want state.ContainerSpec) []int {
	needs := []int{r.images[s.Image]}
	for _, a := range want.Networks {
		needs = append(needs, r.networks[a.Network])
	}
	for _, v := range s.Config.Volumes {
		needs = append(needs, r.volumes[v.Source])
	}
	for _, dep := range refersTo(s.Config) {
		needs = append(needs, r.made[dep]...)
	}
	if r.opts.Rollback { // there must be something to go back to if that is not ready
		for _, dep := range shares(s.Config) {
			for _, condition := range []state.Condition{state.Running, state.Stable, state.Healthy, state.Completed} {
				needs = append(needs, r.waits[dep+"/"+string(condition)]...)
			}
		}
	}
	return needs
}

// dependencies are the nodes that must have succeeded before a container of the
// service starts, and those that must have ended.
func (r *reconciler) dependencies(s *state.ServiceSpec) (needs, after []int) {
	for _, dep := range s.DependsOn {
		var nodes []int
		switch dep.Condition {
		case types.ServiceConditionHealthy:
			nodes = r.waits[dep.Service+"/"+string(state.Healthy)]
		case types.ServiceConditionCompletedSuccessfully:
			nodes = r.waits[dep.Service+"/"+string(state.Completed)]
		default:
			nodes = r.made[dep.Service]
		}
		if dep.Required {
			needs = append(needs, nodes...)
		} else {
			after = append(after, nodes...)
		}
	}
	return needs, after
}

func hasHealthcheck(s *state.ServiceSpec) bool {
	return s.Config.HealthCheck != nil && !s.Config.HealthCheck.Disable
}

// isStarted says that a container needs no start.
func isStarted(c *state.Container) bool { return c.State == "running" || c.State == "restarting" }

func nameOf(first, otherwise string) string {
	if first != "" {
		return first
	}
	return otherwise
}
