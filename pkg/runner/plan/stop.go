package plan

import (
	"slices"
	"time"

	"github.com/stackctl/stackctl/pkg/runner/state"
)

// StopOptions change what [Stop] decides.
type StopOptions struct {
	// Services limits the stop to these; empty means all.
	Services []string
	// Grace is the time between stop signal and kill; nil for each container's own.
	Grace *time.Duration
	// Hooks are those of each service; nil runs none.
	Hooks map[string]Hooks
}

// Stop decides which containers have to stop, each after those that depend on
// it. Nothing is removed.
func Stop(o state.Observed, opts StopOptions) *Plan {
	p := &Plan{Project: o.Project}
	chosen := slices.DeleteFunc(slices.Clone(o.Containers), func(c state.Container) bool {
		return len(opts.Services) > 0 && !slices.Contains(opts.Services, c.Service)
	})
	order, g := stopOrder(chosen)
	stopped := map[string][]int{} // service -> nodes after which it has stopped
	for _, service := range order {
		var dependents []int
		for name, deps := range g {
			if slices.Contains(deps, service) {
				dependents = append(dependents, stopped[name]...)
			}
		}
		for _, c := range chosen {
			if c.Service == service && c.Running() {
				stopped[service] = append(stopped[service], p.add(StopContainer{Container: c, Grace: opts.Grace, Hooks: opts.Hooks[c.Service].PreStop}, "stop", dependents...))
			}
		}
		if len(stopped[service]) == 0 { // what depends on it is still to be waited for
			stopped[service] = dependents
		}
	}
	return p
}

// stopOrder gives the services of containers, each after those that depend on
// it, and what each depends on, by the containers' labels.
func stopOrder(containers []state.Container) ([]string, graph) {
	g := graph{}
	for _, c := range containers {
		deps := g[c.Service]
		for _, dep := range c.DependsOn {
			deps = append(deps, dep.Service)
		}
		g[c.Service] = deps
	}
	order, err := g.order()
	if err != nil {
		// Labels of a stack that was changed half-way can contradict each other:
		// an order is a kindness to the services, not a condition.
		o := state.Observed{Containers: containers}
		order, g = o.Services(), graph{}
	}
	slices.Reverse(order)
	return order, g
}
