// Package observer takes the one snapshot that a plan is made from.
package observer

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/containerd/errdefs"
	"golang.org/x/sync/errgroup"

	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// Want says what to look for beside what has the project's label.
type Want struct {
	Project string
	// Networks and Volumes are names, Images are references.
	Networks, Volumes, Images []string
	// Strangers asks for the containers of no or another project, too.
	Strangers bool
}

// WantOf collects what a project names.
func WantOf(d state.Desired) Want {
	w := Want{Project: d.Project}
	for _, n := range d.Networks {
		w.Networks = append(w.Networks, n.Name)
	}
	for _, v := range d.Volumes {
		w.Volumes = append(w.Volumes, v.Name)
	}
	for _, s := range d.Services {
		if !slices.Contains(w.Images, s.Image) {
			w.Images = append(w.Images, s.Image)
		}
	}
	return w
}

// Compare looks closer at what the lists leave open: containers that were made
// from another definition than today's, or by another tool, and who is on a
// network that has to be replaced.
func Compare(ctx context.Context, e engine.Observer, d state.Desired, o *state.Observed) error {
	g, ctx := errgroup.WithContext(ctx)
	for i := range o.Containers {
		c := &o.Containers[i]
		s, known := d.Service(c.Service)
		if !known || c.Number < 1 || c.Number > len(s.Containers) || state.SameHash(*c, *s) {
			continue
		}
		if _, there := o.Images[s.Image]; !there {
			continue // it is replaced with its image
		}
		g.Go(func() error {
			differences, err := e.Compare(ctx, c.ID, engine.CreateContainer{Spec: s.Containers[c.Number-1]})
			if errdefs.IsNotFound(err) {
				return nil // it has gone since the list was made
			}
			c.Compared, c.Differences = true, differences
			return err
		})
	}
	if slices.ContainsFunc(d.Networks, func(n state.NetworkSpec) bool { return o.Replaces(n) }) {
		g.Go(func() error {
			all, err := e.Containers(ctx, "")
			for _, c := range all {
				if c.Project != d.Project && len(c.Networks) > 0 {
					o.Strangers = append(o.Strangers, c)
				}
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return fmt.Errorf("observe project %s: %w", d.Project, err)
	}
	return nil
}

// Observe asks the engine for everything at once: one call for containers, one
// for networks, one for volumes and one for each image.
func Observe(ctx context.Context, e engine.Observer, w Want) (state.Observed, error) {
	o := state.Observed{Project: w.Project, Images: map[string]state.Image{}}
	var mu sync.Mutex // guards Images
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		project := w.Project
		if w.Strangers {
			project = ""
		}
		all, err := e.Containers(ctx, project)
		for _, c := range all {
			switch {
			case c.Project != w.Project:
				o.Strangers = append(o.Strangers, c)
			case c.OneOff:
				o.OneOffs = append(o.OneOffs, c)
			default:
				o.Containers = append(o.Containers, c)
			}
		}
		return err
	})
	g.Go(func() error {
		all, err := e.Networks(ctx)
		for _, n := range all {
			if n.Project == w.Project || slices.Contains(w.Networks, n.Name) {
				o.Networks = append(o.Networks, n)
			}
		}
		return err
	})
	g.Go(func() error {
		all, err := e.Volumes(ctx)
		for _, v := range all {
			remnants, is := v.Remnants()
			switch {
			case is && v.Project == w.Project:
				o.Remnants = append(o.Remnants, remnants)
			case is: // another project's
			case v.Project == w.Project || slices.Contains(w.Volumes, v.Name):
				o.Volumes = append(o.Volumes, v)
			}
		}
		return err
	})
	for _, ref := range w.Images {
		g.Go(func() error {
			image, err := e.Image(ctx, ref)
			switch {
			case errdefs.IsNotFound(err):
				return nil
			case err != nil:
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			o.Images[ref] = image
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return state.Observed{}, fmt.Errorf("observe project %s: %w", w.Project, err)
	}
	byService := func(a, b state.Container) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Number, b.Number), cmp.Compare(a.Name, b.Name))
	}
	slices.SortFunc(o.Containers, byService)
	slices.SortFunc(o.OneOffs, byService)
	slices.SortFunc(o.Strangers, byService)
	slices.SortFunc(o.Networks, func(a, b state.Network) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	slices.SortFunc(o.Volumes, func(a, b state.Volume) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(o.Remnants, func(a, b state.Remnants) int { return cmp.Compare(a.Note, b.Note) })
	return o, nil
}
