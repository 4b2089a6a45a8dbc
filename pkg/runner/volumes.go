package runner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stackctl/stackctl/pkg/runner/internal/observer"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// ErrUnknownVolume is in the error for a volume that a project does not have.
var ErrUnknownVolume = errors.New("no such volume")

// Volume is a volume that a project has or uses.
type Volume struct {
	// Name is the engine's, Key the project's own; Key is empty for an external one.
	Name, Key string
	Driver    string
	Created   time.Time
	// External says that the volume does not belong to the project: it is never made
	// or removed by it.
	External bool
	// Services are those whose containers use it, sorted.
	Services []string
	// Size is in bytes; nil when it was not asked for, or the engine does not tell.
	Size *int64
}

// VolumesOptions change what Volumes tells.
type VolumesOptions struct {
	// Sizes asks for the sizes, for which the engine walks through all files.
	Sizes bool
}

// Volumes lists the named volumes that a project has, and the external ones that
// its containers use, sorted by name. It needs no compose file.
func (r *Runner) Volumes(ctx context.Context, project string, o VolumesOptions) ([]Volume, error) {
	observed, err := r.observeVolumes(ctx, project)
	if err != nil {
		return nil, err
	}
	var sizes map[string]int64
	if o.Sizes {
		if sizes, err = r.engine.VolumeSizes(ctx); err != nil {
			return nil, err
		}
	}
	var out []Volume
	for _, v := range observed.Volumes {
		view := Volume{Name: v.Name, Key: v.Key, Driver: v.Driver, Created: v.Created, External: v.Project != project}
		if view.External {
			view.Key = ""
		}
		for _, c := range observed.Containers { // sorted by service
			if c.MountsVolume(v.Name) && !slices.Contains(view.Services, c.Service) {
				view.Services = append(view.Services, c.Service)
			}
		}
		if size, known := sizes[v.Name]; known {
			view.Size = &size
		}
		out = append(out, view)
	}
	return out, nil
}

// observeVolumes takes a snapshot with the volumes that belong to a project, those
// that its containers use, those of names, and with everybody's containers.
func (r *Runner) observeVolumes(ctx context.Context, project string, names ...string) (state.Observed, error) {
	if project == "" {
		return state.Observed{}, errors.New("volumes: no project named")
	}
	observed, err := observer.Observe(ctx, r.engine, observer.Want{Project: project, Volumes: names, Strangers: true})
	if err != nil {
		return observed, err
	}
	// Anonymous ones have the labels of nobody, and are nobody's to name.
	observed.Volumes = slices.DeleteFunc(observed.Volumes, func(v state.Volume) bool {
		return state.Mount{Type: "volume", Name: v.Name}.Anonymous()
	})
	var missing []string
	for _, c := range observed.Containers {
		for _, m := range c.Mounts {
			if _, known := observed.Volume(m.Name); !known && m.Type == "volume" && !m.Anonymous() {
				missing = append(missing, m.Name)
			}
		}
	}
	if len(missing) == 0 {
		return observed, nil
	}
	all, err := r.engine.Volumes(ctx)
	if err != nil {
		return observed, err
	}
	for _, v := range all {
		if slices.Contains(missing, v.Name) {
			observed.Volumes = append(observed.Volumes, v)
		}
	}
	slices.SortFunc(observed.Volumes, func(a, b state.Volume) int { return strings.Compare(a.Name, b.Name) })
	return observed, nil
}

// chooseVolumes gives the volumes of names, which are the project's or the
// engine's; all for none.
func chooseVolumes(o state.Observed, names []string) ([]state.Volume, error) {
	if len(names) == 0 {
		return o.Volumes, nil
	}
	var out []state.Volume
	for _, name := range names {
		i := slices.IndexFunc(o.Volumes, func(v state.Volume) bool {
			return v.Name == name || v.Key == name && v.Project == o.Project
		})
		if i < 0 {
			return nil, fmt.Errorf("%w: %s (project %s has %s)", ErrUnknownVolume, name, o.Project, volumeNames(o.Volumes))
		}
		if !slices.ContainsFunc(out, func(v state.Volume) bool { return v.Name == o.Volumes[i].Name }) {
			out = append(out, o.Volumes[i])
		}
	}
	return out, nil
}

func volumeNames(volumes []state.Volume) string {
	var names []string
	for _, v := range volumes {
		if v.Key != "" {
			names = append(names, v.Key)
		} else {
			names = append(names, v.Name)
		}
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
