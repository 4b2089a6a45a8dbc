package plan

import (
	"fmt"
	"slices"

	"github.com/stackctl/stackctl/pkg/runner/state"
)

// OneOff decides what has to happen so that a container which is made for one
// command can start: what its service depends on is there and ready, and so are
// its image, networks and volumes. The last thing is to make the container; to
// start it is the caller's. The service's own containers are left alone.
//
// The container takes the place of its service's in d, whose definition may
// differ for it. Services and NoWait of opts do not count.
func OneOff(d state.Desired, o state.Observed, c state.ContainerSpec, opts Options) (*Plan, error) {
	d.Services = slices.Clone(d.Services)
	s, known := d.Service(c.Service)
	if !known {
		return nil, fmt.Errorf("%w: %s", ErrUnknownService, c.Service)
	}
	s.Containers = []state.ContainerSpec{c}
	o.Containers = slices.DeleteFunc(slices.Clone(o.Containers), func(there state.Container) bool {
		return there.Service == c.Service
	})
	// One command is no reason to make networks anew under what runs.
	o.Networks = slices.Clone(o.Networks)
	for i := range o.Networks {
		for _, want := range d.Networks {
			if want.Name == o.Networks[i].Name {
				o.Networks[i].Hash = want.Labels[state.LabelHash]
			}
		}
	}
	opts.Services, opts.NoWait = []string{c.Service}, true
	p, err := Reconcile(d, o, opts)
	if err != nil {
		return nil, err
	}
	p.drop(func(n Node) bool {
		switch op := n.Op.(type) {
		case StartContainer:
			return op.Container.Name == c.Name
		case WaitReady:
			return op.Container.Name == c.Name
		}
		return false
	})
	for i, n := range p.Nodes {
		if create, ok := n.Op.(CreateContainer); ok && create.Container.Name == c.Name {
			p.Nodes[i].Cause = "for one command"
		}
	}
	return p, nil
}

// drop takes nodes out. The others keep their order and are numbered anew.
func (p *Plan) drop(which func(Node) bool) {
	renumbered := map[int]int{}
	var kept []Node
	for _, n := range p.Nodes {
		if which(n) {
			continue
		}
		renumbered[n.ID] = len(kept) + 1
		n.ID, n.Needs, n.After = len(kept)+1, renumber(n.Needs, renumbered), renumber(n.After, renumbered)
		kept = append(kept, n)
	}
	p.Nodes = kept
}

// renumber gives the new ids of nodes, less those that were taken out.
func renumber(ids []int, renumbered map[int]int) []int {
	var out []int
	for _, id := range ids { // which stand before it in the plan
		if id, stays := renumbered[id]; stays {
			out = append(out, id)
		}
	}
	return out
}
