package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stackctl/stackctl/pkg/runner/state"
)

// diverged says in words why a container has to be replaced; empty when it may
// stay.
func (r *reconciler) diverged(s *state.ServiceSpec, want state.ContainerSpec, c *state.Container) string {
	switch {
	case c.State == "dead" || c.State == "removing":
		return "is " + c.State
	case isIncomplete(want, *c):
		return "was never started, and may lack configs or secrets"
	case r.opts.NoRecreate:
		return ""
	case r.opts.ForceRecreate && r.isTarget(s.Name):
		return "asked for with --force-recreate"
	}
	if cause := r.redefined(s, c); cause != "" {
		return cause
	}
	if image, known := r.observed.Images[s.Image]; known && c.ImageID != "" && c.ImageID != image.ID {
		return "image " + s.Image + " changed"
	}
	for _, dep := range shares(s.Config) {
		if r.replaced[dep] {
			return "goes with " + dep + ", which is replaced"
		}
		if r.first[dep] {
			return "goes with " + dep + ", which is made"
		}
	}
	if dep, gone := r.offNamespace(s, c); gone {
		return "goes with " + dep + ", whose container is another one now"
	}
	if cause := r.offNetwork(want, c); cause != "" {
		return cause
	}
	return r.offVolume(s, want, c)
}

// isIncomplete says that a container may be without its configs and secrets, which it
// gets after it was made: a run that was cut in between leaves one that looks like any
// other that never ran.
func isIncomplete(want state.ContainerSpec, c state.Container) bool {
	return c.State == "created" && (len(want.Files) > 0 || want.Config.UseAPISocket)
}

// redefined says what of the definition changed since the container was made.
func (r *reconciler) redefined(s *state.ServiceSpec, c *state.Container) string {
	switch {
	case r.opts.SkipDefinitions || state.SameHash(*c, *s):
		return ""
	case !c.Compared:
		return "its definition changed"
	}
	return phrase(c.Differences)
}

// shown is how many differences a cause names.
const shown = 3

// phrase lists differences in one line; empty for none.
func phrase(all []state.Difference) string {
	var parts []string
	for i, d := range all {
		if i == shown && len(all) > shown+1 {
			parts = append(parts, fmt.Sprintf("and %d more", len(all)-i))
			break
		}
		parts = append(parts, d.String())
	}
	return strings.Join(parts, ", ")
}

// offNamespace names the service whose container it should share the network of,
// and says whether it does not: that container is gone, or about to go.
func (r *reconciler) offNamespace(s *state.ServiceSpec, c *state.Container) (service string, gone bool) {
	service, shares := strings.CutPrefix(s.Config.NetworkMode, types.ServicePrefix)
	if !shares || c.SharesNetwork == "" {
		return service, false
	}
	return service, !slices.ContainsFunc(r.observed.Containers, func(other state.Container) bool {
		return other.Service == service && !r.removed[other.ID] && (other.ID == c.SharesNetwork || other.Name == c.SharesNetwork)
	})
}

// offNetwork says which network the container should be on and is not, or the
// other way round.
func (r *reconciler) offNetwork(want state.ContainerSpec, c *state.Container) string {
	for _, a := range want.Networks {
		id, attached := c.Networks[a.Network]
		network, exists := r.observed.Network(a.Network)
		switch {
		case r.anew[a.Network]:
			return "network " + a.Network + " is made anew"
		case !attached:
			return "is not on network " + a.Network
		case exists && id != "" && id != network.ID:
			return "network " + a.Network + " was made anew"
		}
	}
	for _, n := range r.observed.Networks { // sorted, so that the cause is always the same
		_, attached := c.Networks[n.Name]
		wanted := slices.ContainsFunc(want.Networks, func(a state.Attachment) bool { return a.Network == n.Name })
		if attached && !wanted && n.Project == r.desired.Project {
			return "is on network " + n.Name + ", where it should not be"
		}
	}
	return ""
}

// offVolume says which named volume the container should mount and does not.
func (r *reconciler) offVolume(s *state.ServiceSpec, want state.ContainerSpec, c *state.Container) string {
	for _, v := range s.Config.Volumes {
		if v.Type != types.VolumeTypeVolume || v.Source == "" {
			continue
		}
		name := want.VolumeNames[v.Source]
		if r.volumes[v.Source] != 0 {
			return "volume " + name + " is made anew"
		}
		if !slices.ContainsFunc(c.Mounts, func(m state.Mount) bool { return m.Name == name && m.Target == v.Target }) {
			return "does not mount volume " + name
		}
	}
	return ""
}

// pick chooses among several containers with one number: what a run that was
// interrupted leaves. The one made from today's definition is kept, unless it may be
// incomplete, then the one
// with the proper name, then a running one, then the youngest.
func pick(seen []state.Container, want state.ContainerSpec) (*state.Container, []state.Container) {
	if len(seen) == 0 {
		return nil, nil
	}
	hash := want.Labels[state.LabelHash]
	rank := func(c state.Container) int {
		score := 0
		if isIncomplete(want, c) {
			score -= 16
		}
		if c.Hash == hash || c.Compared && len(c.Differences) == 0 {
			score += 8
		}
		if c.Name == want.Name {
			score += 4
		}
		if c.State == "running" {
			score += 2
		}
		return score
	}
	sorted := slices.Clone(seen)
	slices.SortStableFunc(sorted, func(a, b state.Container) int {
		if d := rank(b) - rank(a); d != 0 {
			return d
		}
		return b.Created.Compare(a.Created)
	})
	return &sorted[0], sorted[1:]
}
