package plan

import (
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
	var gone, orphans []state.Container
	for _, c := range slices.Concat(o.Containers, o.OneOffs) {
		if opts.Services != nil && !opts.RemoveOrphans && !slices.Contains(opts.Services, c.Service) {
			orphans = append(orphans, c)
			continue
		}
		gone = append(gone, c)
	}
	order, g := stopOrder(gone)

	stopped := map[string][]int{} // service -> nodes after which it has stopped
	var removed []int
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
				needs = []int{stop}
			} else {
				stopped[service] = append(stopped[service], dependents...)
			}
			removed = append(removed, p.add(RemoveContainer{Container: c, Volumes: opts.Volumes}, "down", needs...))
		}
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
	if opts.Volumes {
		for _, v := range o.Volumes {
			switch users := usersOfVolume(orphans, v); {
			case v.Project != o.Project:
			case len(users) > 0:
				p.warn("volume %s stays: %s uses it", v.Name, strings.Join(users, ", "))
			default:
				id := p.add(RemoveVolume{v}, "down --volumes", removed...)
				p.Nodes[id-1].Destructive = true
			}
		}
	}
	if opts.Images != RemoveNoImages {
		for _, image := range imagesOf(o, gone, opts) {
			p.add(RemoveImage{image}, "down --rmi "+string(opts.Images), removed...)
		}
	}
	if len(orphans) > 0 {
		p.warn("containers of no service in the stack stay: %s; --remove-orphans removes them", strings.Join(names(orphans), ", "))
	}
	return p, nil
}

// imagesOf names the images to remove, sorted. Those of services without a
// container, which an earlier `down` has removed, go too.
func imagesOf(o state.Observed, gone []state.Container, opts DownOptions) []string {
	var out []string
	for _, c := range gone {
		if opts.Images == RemoveAllImages || c.Image == LocalImage(o.Project, c.Service) {
			out = append(out, c.Image)
		}
	}
	for _, service := range opts.Services {
		if image := LocalImage(o.Project, service); hasImage(o, image) {
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
		if slices.ContainsFunc(c.Mounts, func(m state.Mount) bool { return m.Name == v.Name }) {
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
