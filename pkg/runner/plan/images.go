package plan

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/stackctl/stackctl/pkg/runner/state"
)

// MissingImagesError names every image that is needed, that the engine does not
// have and that no registry may be asked for. It wraps [ErrMissing].
type MissingImagesError struct {
	// Images has at least one entry, in the order in which they were found out.
	Images []MissingImage
}

// MissingImage is one image that is needed.
type MissingImage struct {
	Image string
	// Services need it.
	Services []string
	// Base says that their builds start from it; else they run it.
	Base bool
}

func (e *MissingImagesError) Error() string {
	var lines []string
	for _, m := range e.Images {
		verb, noun := "runs it", "service "
		if len(m.Services) > 1 {
			verb, noun = "run it", "services "
		}
		use := noun + strings.Join(m.Services, ", ") + " " + verb
		if m.Base {
			use = "the build of " + noun + strings.Join(m.Services, ", ") + " starts from it"
		}
		lines = append(lines, fmt.Sprintf("image %s is not on the engine: %s", m.Image, use))
	}
	return strings.Join(lines, "\n")
}

func (e *MissingImagesError) Unwrap() error { return ErrMissing }

// Images decides what has to be built, pulled or loaded so that the engine has
// the images of the chosen services, as [Reconcile] would. Other options than
// those about images and services do not count.
func Images(d state.Desired, o state.Observed, opts Options) (*Plan, error) {
	r := newReconciler(&d, &o, opts)
	if err := r.choose(); err != nil {
		return nil, err
	}
	r.reconcileImages()
	if err := errors.Join(r.problems...); err != nil {
		return nil, err
	}
	return r.plan, nil
}

// Chosen gives the services that are named and what they depend on, in the order
// of their dependencies; all when none is named.
func Chosen(d state.Desired, names []string) ([]*state.ServiceSpec, error) {
	r := newReconciler(&d, &state.Observed{}, Options{Services: names})
	err := r.choose()
	return r.services, err
}

// reconcileWithout decides on an image that no registry may be asked for.
func (r *reconciler) reconcileWithout(s *state.ServiceSpec) {
	seen, there := r.observed.Images[s.Image]
	id, archived := r.opts.Archived[s.Image]
	switch {
	case archived && !there:
		r.images[s.Image] = r.plan.add(LoadImage{s.Image}, "is not on the engine")
	case archived && seen.ID != id:
		r.images[s.Image] = r.plan.add(LoadImage{s.Image}, "is another one in the bundle")
	case !there:
		r.miss(s.Image, s.Name, false)
	}
}

// miss notes an image that is nowhere to be had.
func (r *reconciler) miss(image, service string, base bool) {
	for i := range r.missing {
		m := &r.missing[i]
		if m.Image == image && m.Base == base {
			if !slices.Contains(m.Services, service) {
				m.Services = append(m.Services, service)
			}
			return
		}
	}
	r.missing = append(r.missing, MissingImage{Image: image, Services: []string{service}, Base: base})
}
