package plan

import (
	"fmt"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stackctl/stackctl/pkg/runner/state"
)

// reconcilePorts stops containers that have a host port which their service no
// longer wants and another one does, and that are replaced anyway: the other one
// cannot start before. One that stays keeps its port, such as one of a range.
func (r *reconciler) reconcilePorts() {
	for _, s := range r.services {
		for _, c := range r.observed.Containers {
			if c.Service != s.Name || isSurplus(c, s) || !c.Running() {
				continue
			}
			for _, p := range c.Ports {
				heir := r.wants(p)
				if heir != "" && heir != s.Name && !wantsPort(s, p) && r.diverged(s, s.Containers[c.Number-1], &c) != "" {
					r.stops[c.ID] = r.plan.add(r.stop(c), fmt.Sprintf("gives port %d to %s", p.HostPort, heir))
					break
				}
			}
		}
	}
}

// wants names a chosen service that wants a host port.
func (r *reconciler) wants(p state.Port) string {
	for _, s := range r.services {
		if wantsPort(s, p) {
			return s.Name
		}
	}
	return ""
}

func wantsPort(s *state.ServiceSpec, p state.Port) bool {
	return slices.ContainsFunc(s.Config.Ports, func(want types.ServicePortConfig) bool {
		fixed, ok := state.FixedPort(want)
		return ok && fixed.Overlaps(p)
	})
}

// portsGivenUp are the nodes after which the host ports of a container are free.
func (r *reconciler) portsGivenUp(want state.ContainerSpec) []int {
	var needs []int
	for _, c := range r.observed.Containers {
		stop := r.stops[c.ID]
		if stop == 0 {
			continue
		}
		for _, port := range want.Config.Ports {
			fixed, ok := state.FixedPort(port)
			if ok && slices.ContainsFunc(c.Ports, fixed.Overlaps) {
				needs = append(needs, stop)
			}
		}
	}
	return needs
}
