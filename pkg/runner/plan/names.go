package plan

import (
	"slices"

	"github.com/stackctl/stackctl/pkg/runner/state"
)

// reconcileNames frees the names that containers are to have and that others of the
// project hold: one that is removed goes before, one that is to have another name
// is put aside until then, so that two can change names. Any other stays, and so
// does its name.
func (r *reconciler) reconcileNames() {
	for _, s := range r.services {
		for _, want := range s.Containers {
			for _, c := range slices.Concat(r.observed.Containers, r.observed.OneOffs) {
				if c.Name == want.Name && !r.isFor(c, want) && !r.removed[c.ID] {
					r.freeName(c, want)
				}
			}
		}
	}
}

func (r *reconciler) freeName(c state.Container, want state.ContainerSpec) {
	i := slices.IndexFunc(r.services, func(s *state.ServiceSpec) bool { return s.Name == c.Service })
	if c.OneOff {
		r.problem(ErrConflict, "the name %s is in use by a container of service %s that was run for one command; remove it with `docker rm %[1]s`", c.Name, c.Service)
		return
	}
	if i < 0 {
		r.problem(ErrConflict, "the name %s is in use by a container of service %s, which the stack does not have; --remove-orphans removes it", c.Name, c.Service)
		return
	}
	own := r.services[i].Containers[c.Number-1]
	own.Name = c.ID[:min(len(c.ID), 12)] + "_" + c.Name
	r.aside[c.ID] = r.plan.add(RenameContainer{c, own}, "gives its name to "+want.Service)
	r.names[c.Name] = r.aside[c.ID]
}

// isFor says that a container has the place of a wanted one.
func (r *reconciler) isFor(c state.Container, want state.ContainerSpec) bool {
	return c.Service == want.Service && c.Number == want.Number && !c.OneOff
}
