package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stackctl/stackctl/pkg/runner/state"
)

// RemoveImages says which images `down` removes.
type RemoveImages string

// The choices.
const (
	// RemoveNoImages keeps all; it is the zero value.
	RemoveNoImages RemoveImages = ""
	// RemoveLocalImages removes what was built for the project under its own name.
	RemoveLocalImages RemoveImages = "local"
	// RemoveAllImages removes every image that a container of the project runs.
	RemoveAllImages RemoveImages = "all"
)

// DownOptions change what [Teardown] decides.
type DownOptions struct {
	// Services are the services of the stack; containers of others are orphans.
	// Nil means that the stack is not known: then nothing is an orphan, and the
	// images of services without a container stay.
	Services []string
	// RemoveOrphans removes orphans too.
	RemoveOrphans bool
	// Volumes removes the project's volumes with their data, and the anonymous
	// volumes of the containers.
	Volumes bool
	// Backup writes each volume to a backup before, once all containers have stopped.
	// Nothing is removed before all of them are written, and anonymous volumes, which
	// have no name to be restored by, stay.
	Backup bool
	// Grace is the time between stop signal and kill; nil for each container's own.
	Grace *time.Duration
	// Images says which images go.
	Images RemoveImages
	// Hooks are those of each service; nil runs none.
	Hooks map[string]Hooks
}

// Teardown decides what has to go. It works on what is there alone: labels say
// what belongs to the project and what depends on what. Containers stop after
// those that depend on them, otherwise all at once.
func Teardown(o state.Observed, opts DownOptions) (*Plan, error) {
	p := &Plan{Project: o.Project}
	var gone, orphans, left []state.Container
	for _, c := range slices.Concat(o.Containers, o.OneOffs) {
		if c.Helper != "" {
			left = append(left, c)
			continue
		}
		if opts.Services != nil && !opts.RemoveOrphans && !slices.Contains(opts.Services, c.Service) {
			orphans = append(orphans, c)
			continue
		}
		gone = append(gone, c)
	}
	var volumes []state.Volume
	var stay []string
	if opts.Volumes {
		volumes, stay = removable(o, orphans)
	}
	if opts.Backup {
		for _, v := range volumes {
			if len(cutRestores(o, v.Name)) > 0 {
				return nil, problemf(ErrKeepsData, "volume %s holds a part of a backup only: %s, or take it down without a backup", v.Name, cutHint)
			}
		}
	}
	var helpers []int
	var signs []state.Container // of restores that were cut, which go with their volumes
	for _, c := range left {
		goes := slices.ContainsFunc(volumes, func(v state.Volume) bool { return c.MountsVolume(v.Name) })
		if c.Helper == state.HelperRestore && goes {
			signs = append(signs, c)
			continue
		}
		helpers = append(helpers, p.removeHelper(c))
	}
	order, g := stopOrder(gone)

	stopped := map[string][]int{} // service -> nodes after which it has stopped
	removed := helpers
	var stops []int
	var removals []removal // in their order
	for _, service := range order {
		var dependents []int
		for name, deps := range g {
			if slices.Contains(deps, service) {
				dependents = append(dependents, stopped[name]...)
			}
		}
		for _, c := range gone {
			if c.Service != service {
				continue
			}
			var stop int
			needs := dependents
			if c.Running() {
				stop = p.add(StopContainer{Container: c, Grace: opts.Grace, Hooks: opts.Hooks[c.Service].PreStop}, "down", dependents...)
				stopped[service] = append(stopped[service], stop)
				stops = append(stops, stop)
				needs = []int{stop}
			} else {
				stopped[service] = append(stopped[service], dependents...)
			}
			if opts.Backup {
				removals = append(removals, removal{c, needs})
				continue
			}
			id := p.add(RemoveContainer{Container: c, Volumes: opts.Volumes}, "down", needs...)
			p.Nodes[id-1].Destructive = opts.Volumes && len(c.DataVolumes()) > 0
			removed = append(removed, id)
		}
	}
	if opts.Backup {
		backups := p.backUp(volumes, append(helpers, stops...))
		for _, r := range removals {
			p.warnAnonymous(r.container)
			removed = append(removed, p.add(RemoveContainer{Container: r.container}, "down", append(backups, r.needs...)...))
		}
		removed = append(removed, backups...)
	}
	for _, c := range signs {
		removed = append(removed, p.add(RemoveContainer{Container: c, Volumes: true}, "left by a run that was cut", removed...))
	}

	for _, n := range o.Networks {
		switch users := usersOfNetwork(orphans, n); {
		case n.Project != o.Project:
		case len(users) > 0:
			p.warn("network %s stays: %s is on it", n.Name, strings.Join(users, ", "))
		default:
			p.add(RemoveNetwork{n}, "down", removed...)
		}
	}
	p.Warnings = append(p.Warnings, stay...)
	for _, v := range volumes {
		id := p.add(RemoveVolume{v}, "down --volumes", removed...)
		p.Nodes[id-1].Destructive = true
	}
	if opts.Images != RemoveNoImages {
		for _, image := range imagesOf(o, gone, opts) {
			p.add(RemoveImage{image}, "down --rmi "+string(opts.Images), removed...)
		}
	}
	p.removeRemnants(o)
	if len(orphans) > 0 {
		p.warn("containers of no service in the stack stay: %s; --remove-orphans removes them", strings.Join(names(orphans), ", "))
	}
	return p, nil
}

// removal is a container that is removed after others have stopped.
type removal struct {
	container state.Container
	needs     []int
}

// removable gives the project's volumes, less those that a container uses which
// stays, whoever it belongs to: why tells of them.
func removable(o state.Observed, orphans []state.Container) (out []state.Volume, why []string) {
	for _, v := range o.Volumes {
		users, strangers := usersOfVolume(orphans, v), usersOfVolume(o.Strangers, v)
		switch {
		case v.Project != o.Project:
		case len(users) > 0:
			why = append(why, fmt.Sprintf("volume %s stays: %s uses it", v.Name, strings.Join(users, ", ")))
		case len(strangers) > 0:
			why = append(why, fmt.Sprintf("volume %s stays: %s, which is not of this project, uses it", v.Name, strings.Join(strangers, ", ")))
		default:
			out = append(out, v)
		}
	}
	return out, why
}

// warnAnonymous tells of volumes that are in no backup, and stay for that.
func (p *Plan) warnAnonymous(c state.Container) {
	for _, m := range c.DataVolumes() {
		p.warn("volume %s stays: it is anonymous, and in no backup; %s has it at %s", m.Name, c.Name, m.Target)
	}
}

// imagesOf names the images to remove, sorted. Those of services without a
// container, which an earlier `down` has removed, go too.
func imagesOf(o state.Observed, gone []state.Container, opts DownOptions) []string {
	var out []string
	for _, c := range gone {
		if opts.Images == RemoveAllImages || c.Image == LocalImage(o.Project, c.Service) && isBuilt(o, c.Image) {
			out = append(out, c.Image)
		}
	}
	for _, service := range opts.Services {
		if image := LocalImage(o.Project, service); isBuilt(o, image) {
			out = append(out, image)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// LocalImage is Compose's default name for what is built for a service that
// names no image.
func LocalImage(project, service string) string { return project + "-" + service }

func hasImage(o state.Observed, ref string) bool {
	_, there := o.Images[ref]
	return there
}

// isBuilt says that an image was built for the project, which its label says: the
// service b-c of a project a has an image of the same name as c of a-b.
func isBuilt(o state.Observed, ref string) bool {
	image, there := o.Images[ref]
	return there && image.Labels[state.LabelProject] == o.Project
}

func usersOfNetwork(containers []state.Container, n state.Network) []string {
	var out []string
	for _, c := range containers {
		if _, on := c.Networks[n.Name]; on {
			out = append(out, c.Name)
		}
	}
	return out
}

func usersOfVolume(containers []state.Container, v state.Volume) []string {
	var out []string
	for _, c := range containers {
		if c.MountsVolume(v.Name) {
			out = append(out, c.Name)
		}
	}
	return out
}

func names(containers []state.Container) []string {
	var out []string
	for _, c := range containers {
		out = append(out, c.Name)
	}
	return out
}
