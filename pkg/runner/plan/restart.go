package plan

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/stackctl/stackctl/pkg/runner/state"
)

// RestartOptions change what [Restart] decides. The zero value restarts all.
type RestartOptions struct {
	// Services limits the restart to these, and those that restart with them.
	Services []string
	// NoDeps leaves out the services that ask, with `restart: true` in depends_on,
	// to be restarted with one that they depend on.
	NoDeps bool
	// Grace is the time between stop signal and kill; nil for each container's own.
	Grace *time.Duration
	// Details has what is known of containers, by id.
	Details map[string]Detail
	// Hooks are those of each service; nil runs none.
	Hooks map[string]Hooks
}

// Restart decides how containers that are there stop, each after those that
// depend on it, and start again, each after what it depends on. One that does not
// run is started. What has done its work, for others that wait for its
// completion, is left alone unless it is named.
func Restart(o state.Observed, opts RestartOptions) (*Plan, error) {
	g := dependencies(o.Containers)
	if err := errors.Join(checkStartable(o, g, opts.Services), checkRestores(o)); err != nil {
		return nil, err
	}
	causes := restartCauses(o, opts)
	s := newStarter(o, opts.Details, opts.Hooks)
	s.containers = slices.DeleteFunc(slices.Clone(o.Containers), func(c state.Container) bool {
		return causes[c.Service] == "" || s.isDone(c, opts.Services)
	})
	if err := checkComplete(s.containers); err != nil {
		return nil, err
	}
	for _, c := range s.containers {
		s.need(c)
	}
	g = dependencies(s.containers)
	ordered := s.ordered(g)
	stopped := map[string][]int{} // service -> nodes after which it has stopped
	for i := len(ordered) - 1; i >= 0; i-- {
		c := ordered[i]
		var dependents []int
		for name, deps := range g {
			if slices.Contains(deps, c.Service) {
				dependents = append(dependents, stopped[name]...)
			}
		}
		if !c.Running() { // what depends on it is still to be waited for
			stopped[c.Service] = append(stopped[c.Service], dependents...)
			continue
		}
		s.stopped[c.ID] = s.plan.add(StopContainer{Container: c, Grace: opts.Grace, Hooks: opts.Hooks[c.Service].PreStop}, causes[c.Service], dependents...)
		stopped[c.Service] = append(stopped[c.Service], s.stopped[c.ID])
	}
	for _, c := range ordered {
		cause := causes[c.Service]
		if !c.Running() {
			cause = "is " + c.State
		}
		s.start(c, cause, false)
	}
	return s.plan, nil
}

// restartCauses names the services that restart, each with its reason.
func restartCauses(o state.Observed, opts RestartOptions) map[string]string {
	causes := map[string]string{}
	if len(opts.Services) == 0 {
		for _, name := range o.Services() {
			causes[name] = "restart"
		}
		return causes
	}
	for _, name := range opts.Services {
		causes[name] = "restart"
	}
	for more := !opts.NoDeps; more; {
		more = false
		for _, c := range o.Containers { // sorted, so that the reason is always the same
			for _, dep := range c.DependsOn {
				if dep.Restart && causes[dep.Service] != "" && causes[c.Service] == "" {
					causes[c.Service] = fmt.Sprintf("restarts with %s", dep.Service)
					more = true
				}
			}
		}
	}
	return causes
}
