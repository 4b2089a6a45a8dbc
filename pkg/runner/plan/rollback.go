package plan

import (
	"maps"
	"slices"

	"github.com/stackctl/stackctl/pkg/runner/state"
)

// Rollback decides how containers come back whose replacement did not work out:
// the new one goes, the old one gets its name and its networks again and is
// started if it ran, after what it depends on. The snapshot is one from after the
// run that failed; the replacements are in the order of their plan. All nodes are
// optional: that one container cannot come back keeps no other from it.
func Rollback(failed []ReplaceContainer, o state.Observed) *Plan {
	p := &Plan{Project: o.Project}
	back := map[string][]int{} // service -> nodes at whose end its containers are back
	for _, op := range failed {
		at := slices.IndexFunc(o.Containers, func(c state.Container) bool { return c.ID == op.Old.ID })
		if at < 0 {
			p.warn("%s cannot be rolled back: the container before it is gone", op.New.Name)
			continue
		}
		old := o.Containers[at]
		// The definition that failed may have another name for it.
		was := op.New
		was.Name = op.Old.Name
		var needs []int
		for _, c := range o.Containers {
			if c.Service != op.New.Service || c.Number != op.New.Number || c.ID == old.ID {
				continue
			}
			const cause = "did not work out"
			stop := 0
			if c.Running() {
				stop = p.add(StopContainer{Container: c, Grace: op.Grace}, cause)
			}
			needs = append(needs, p.add(RemoveContainer{Container: c}, cause, stop))
		}
		const cause = "was there before"
		if old.Name != was.Name {
			needs = append(needs, p.add(RenameContainer{old, was}, cause, needs...))
		}
		for _, name := range slices.Sorted(maps.Keys(op.Old.Networks)) {
			if _, on := old.Networks[name]; !on {
				needs = append(needs, p.add(ConnectContainer{old, attachment(was, name)}, cause, needs...))
			}
		}
		anew := slices.ContainsFunc(namespaces(op.New.Config), func(service string) bool { return back[service] != nil })
		if anew && old.Running() { // it lives in a namespace that is gone
			stop := p.add(StopContainer{Container: old, Grace: op.Grace}, "restarts with what it shares a namespace with", needs...)
			needs = append(needs, stop)
		}
		if op.Old.Running() && (anew || !old.Running()) {
			start := p.add(StartContainer{Container: was, ID: old.ID}, cause, needs...)
			for _, service := range refersTo(op.New.Config) {
				p.after(start, back[service]...)
			}
			for service := range op.New.Config.DependsOn {
				p.after(start, back[service]...)
			}
			back[was.Service] = append(back[was.Service], p.add(WaitReady{Container: was, ID: old.ID, Condition: state.Healthy}, cause, start))
		}
	}
	for i := range p.Nodes {
		p.Nodes[i].Optional = true
	}
	return p
}

// attachment gives a container's place on a network as the definition has it, or
// else one under the names that every container has.
func attachment(c state.ContainerSpec, network string) state.Attachment {
	for _, a := range c.Networks {
		if a.Network == network {
			return a
		}
	}
	return state.Attachment{Network: network, Aliases: []string{c.Service, c.Name}}
}
