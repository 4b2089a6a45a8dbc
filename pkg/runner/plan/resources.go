package plan

import (
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stackctl/stackctl/pkg/runner/state"
)

func (r *reconciler) reconcileNetworks() {
	used := map[string]bool{}
	for _, s := range r.services {
		for _, c := range s.Containers {
			for _, a := range c.Networks {
				used[a.Network] = true
			}
		}
	}
	for _, n := range r.desired.Networks {
		if !used[n.Name] {
			continue
		}
		seen, exists := r.observed.Network(n.Name)
		switch {
		case n.External() && !exists:
			r.problem(ErrMissing, "network %s is external and does not exist; `docker network create %s` makes it", n.Name, n.Name)
		case n.External():
		case !exists:
			r.networks[n.Name] = r.plan.add(CreateNetwork{Network: n}, "does not exist")
			r.anew[n.Name] = true
		case seen.Project != r.desired.Project:
			r.problem(ErrConflict, "network %s exists and %s; remove it, or declare it `external: true` to use it as it is", n.Name, owner(seen.Project))
		case r.observed.Replaces(n) && !r.opts.SkipDefinitions:
			r.replaceNetwork(n, seen)
		}
	}
}

// replaceNetwork makes a network anew and takes all containers off it before;
// those that stay are connected again where they are decided on.
func (r *reconciler) replaceNetwork(want state.NetworkSpec, seen state.Network) {
	cause := phrase(want.Differences(seen))
	var strangers []string
	for _, c := range r.observed.Strangers {
		if id, on := c.Networks[seen.Name]; on && (id == "" || id == seen.ID) {
			strangers = append(strangers, c.Name)
		}
	}
	if len(strangers) > 0 {
		r.problem(ErrConflict, "network %s has to be made anew (%s), and containers that are not this project's are on it: %s; take them off with `docker network disconnect`, or undo the change",
			want.Name, cause, strings.Join(strangers, ", "))
		return
	}
	var off []int
	var members []ConnectContainer
	for _, c := range slices.Concat(r.observed.Containers, r.observed.OneOffs) {
		if _, on := c.Networks[want.Name]; on {
			off = append(off, r.plan.add(DisconnectContainer{c, seen}, "network "+want.Name+" is made anew"))
			for _, a := range r.attachments(c) {
				if a.Network == want.Name {
					members = append(members, ConnectContainer{c, a})
				}
			}
		}
	}
	remove := r.plan.add(RemoveNetwork{seen}, cause, off...)
	r.networks[want.Name] = r.plan.add(CreateNetwork{Network: want, Before: &seen, Members: members}, cause, remove)
	r.remade[want.Name] = true
}

// reconnect connects a container that stays to the networks that are made anew,
// and gives the nodes.
func (r *reconciler) reconnect(c state.Container, attachments []state.Attachment) []int {
	r.handled[c.ID] = true
	var out []int
	for _, a := range attachments {
		if _, on := c.Networks[a.Network]; on && r.remade[a.Network] {
			out = append(out, r.plan.add(ConnectContainer{c, a}, "network "+a.Network+" is made anew", r.networks[a.Network]))
		}
	}
	return out
}

// reconnectOthers does the same for the project's containers that this run is not
// about: services that were not chosen, orphans, one-offs.
func (r *reconciler) reconnectOthers() {
	for _, c := range slices.Concat(r.observed.Containers, r.observed.OneOffs) {
		if !r.handled[c.ID] {
			r.reconnect(c, r.attachments(c))
		}
	}
}

// attachments gives the places of a container that is there on the networks: as its
// service has them, or else those under the names that every container has.
func (r *reconciler) attachments(c state.Container) []state.Attachment {
	if s, known := r.desired.Service(c.Service); known && !c.OneOff && !isSurplus(c, s) {
		return s.Containers[c.Number-1].Networks
	}
	var out []state.Attachment
	for _, n := range r.observed.Networks { // sorted
		a := state.Attachment{Network: n.Name, Aliases: []string{c.Name}}
		if !c.OneOff {
			a.Aliases = []string{c.Service, c.Name}
		}
		out = append(out, a)
	}
	return out
}

func (r *reconciler) reconcileVolumes() {
	used := map[string]bool{}
	for _, s := range r.services {
		for _, v := range s.Config.Volumes {
			if v.Type == types.VolumeTypeVolume && v.Source != "" {
				used[v.Source] = true
			}
		}
	}
	wanted := map[string]bool{}
	for _, v := range r.desired.Volumes {
		wanted[v.Name] = true
		if !used[v.Key] {
			continue
		}
		seen, exists := r.observed.Volume(v.Name)
		switch {
		case v.External() && !exists:
			r.problem(ErrMissing, "volume %s is external and does not exist; `docker volume create %s` makes it", v.Name, v.Name)
		case v.External():
		case !exists:
			r.volumes[v.Key] = r.plan.add(CreateVolume{v}, "does not exist")
		case seen.Project != r.desired.Project:
			// As Docker Compose does: the data may be meant, so it is used, but it
			// is not ours to remove.
			r.plan.warn("volume %s exists and %s: it is used as it is, and `down -v` will not remove it", v.Name, owner(seen.Project))
		case r.opts.SkipDefinitions:
		default:
			if d := v.Differences(seen); len(d) > 0 {
				r.problem(ErrKeepsData, "volume %s was made otherwise (%s), and `up` never deletes one; undo the change, or give the volume another name, or copy the data away and `docker volume rm %s`",
					v.Name, phrase(d), v.Name)
			} else if d := v.LabelDifferences(seen); len(d) > 0 {
				r.plan.warn("volume %s keeps the labels that it was made with (%s)", v.Name, phrase(d))
			}
		}
	}
	for _, v := range r.observed.Volumes {
		if v.Project == r.desired.Project && !wanted[v.Name] {
			r.plan.warn("volume %s is not in the stack any more; it is kept, and `docker volume rm %s` deletes it", v.Name, v.Name)
		}
	}
}

func (r *reconciler) reconcileImages() {
	// What one service builds, another may only use: it is not pulled then.
	built := map[string]bool{}
	for _, s := range r.services {
		if s.Config.Build == nil || len(s.Containers) == 0 || built[s.Image] || r.opts.Archived != nil {
			continue
		}
		built[s.Image] = true
		_, there := r.observed.Images[s.Image]
		switch {
		case r.opts.Build:
			r.images[s.Image] = r.plan.add(BuildImage{s.Image, s}, "asked for with --build")
		case s.Config.PullPolicy == types.PullPolicyBuild:
			r.images[s.Image] = r.plan.add(BuildImage{s.Image, s}, "its pull_policy is build")
		case !there:
			r.images[s.Image] = r.plan.add(BuildImage{s.Image, s}, "is not on the engine")
		}
	}
	for _, s := range r.services {
		if built[s.Image] || r.images[s.Image] != 0 || len(s.Containers) == 0 {
			continue
		}
		if r.opts.Offline || r.opts.Archived != nil {
			r.reconcileWithout(s)
			continue
		}
		_, there := r.observed.Images[s.Image]
		pull := PullImage{Image: s.Image, Platform: s.Config.Platform}
		policy, stale := r.pullPolicy(s)
		switch {
		case policy == PullAlways:
			r.images[s.Image] = r.plan.add(pull, "its pull policy is always")
		case there && stale != "":
			r.images[s.Image] = r.plan.add(pull, stale)
		case there:
		case policy == PullNever:
			r.problem(ErrMissing, "image %s is not on the engine and may not be pulled; load it with `docker load`, or allow it with --pull missing", s.Image)
		default:
			r.images[s.Image] = r.plan.add(pull, "is not on the engine")
		}
	}
	if r.opts.Offline {
		r.missBases(built)
	}
	if len(r.missing) > 0 {
		r.problems = append(r.problems, &MissingImagesError{r.missing})
	}
}

// missBases notes the images that builds start from and that are not there.
func (r *reconciler) missBases(built map[string]bool) {
	for _, s := range r.services {
		if s.Config.Build == nil || r.images[s.Image] == 0 {
			continue
		}
		for _, base := range r.opts.Bases[s.Image] {
			if _, there := r.observed.Images[base]; !there && !built[base] {
				r.miss(base, s.Name, true)
			}
		}
	}
}

// pullPolicy gives the policy that counts for a service, and why an image that is
// there is too old for it, if it is.
func (r *reconciler) pullPolicy(s *state.ServiceSpec) (policy PullPolicy, stale string) {
	if r.opts.Pull != "" {
		return r.opts.Pull, ""
	}
	name, every, err := s.Config.GetPullPolicy()
	switch {
	case err != nil:
		r.problems = append(r.problems, err)
	case name == types.PullPolicyAlways:
		return PullAlways, ""
	case name == types.PullPolicyNever:
		return PullNever, ""
	case name == types.PullPolicyRefresh:
		if tagged := r.observed.Images[s.Image].Tagged; r.opts.Now.IsZero() || tagged.Add(every).Before(r.opts.Now) {
			return PullMissing, "its pull policy is " + s.Config.PullPolicy
		}
	}
	return PullMissing, ""
}
