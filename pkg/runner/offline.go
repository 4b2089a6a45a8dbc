package runner

import (
	"context"
	"maps"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/containerd/errdefs"

	"github.com/stackctl/stackctl/pkg/runner/bundle"
	"github.com/stackctl/stackctl/pkg/runner/internal/executor"
	"github.com/stackctl/stackctl/pkg/runner/internal/image"
	"github.com/stackctl/stackctl/pkg/runner/plan"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// MissingImagesError names all images that are needed and that nobody may be
// asked for. Nothing was changed.
type MissingImagesError = plan.MissingImagesError

// Archive holds images that Up loads where the engine lacks them. A
// *bundle.Bundle is one.
type Archive interface {
	executor.Archive
	// Platform is what the images are for: "linux/amd64".
	Platform() string
	// IDs gives the ids of the images by reference.
	IDs() map[string]string
	// Verify reads images to see whether they are whole.
	Verify(ctx context.Context, refs []string) error
}

// prepare flattens a project, looks at the engine, and completes what is decided by.
func (r *Runner) prepare(ctx context.Context, p *types.Project, o UpOptions) (state.Desired, state.Observed, plan.Options, error) {
	opts := o.reconcile(r.now())
	none := func(err error) (state.Desired, state.Observed, plan.Options, error) {
		return state.Desired{}, state.Observed{}, opts, err
	}
	if o.Archive != nil {
		there, err := r.engine.Platform(ctx)
		if err != nil {
			return none(err)
		}
		if o.Archive.Platform() != there.String() {
			return none(&bundle.PlatformError{Bundle: o.Archive.Platform(), Engine: there.String()})
		}
		opts.Archived = o.Archive.IDs()
	}
	desired, observed, err := r.observe(ctx, p, o.SkipDefinitions)
	if err != nil || !o.Offline || o.Archive != nil {
		return desired, observed, opts, err
	}
	if opts.Bases, err = r.bases(ctx, desired, observed, o); err != nil {
		return none(err)
	}
	return desired, observed, opts, nil
}

// bases gives the images that builds of the chosen services would start from, by the image that is built,
// and adds those that the engine has to what was observed.
func (r *Runner) bases(ctx context.Context, d state.Desired, observed state.Observed, o UpOptions) (map[string][]string, error) {
	chosen, err := plan.Chosen(d, o.Services)
	if err != nil {
		return nil, err
	}
	platform, err := r.engine.Platform(ctx)
	if err != nil {
		return nil, err
	}
	builder := &image.Builder{Mode: o.Builder, OS: platform.OS, Arch: platform.Arch, Offline: o.Offline}
	out := map[string][]string{}
	for _, s := range chosen {
		_, there := observed.Images[s.Image]
		if s.Config.Build == nil || there && !o.Build && s.Config.PullPolicy != types.PullPolicyBuild {
			continue
		}
		names, err := builder.Bases(ctx, s.Config)
		if err != nil {
			return nil, err
		}
		out[s.Image] = names
		for _, name := range names {
			found, err := r.engine.Image(ctx, name)
			switch {
			case errdefs.IsNotFound(err):
			case err != nil:
				return nil, err
			default:
				observed.Images[name] = found
			}
		}
	}
	return out, nil
}

// verify reads what the plan loads from the archive, so that a damaged one is
// known before anything is changed.
func verify(ctx context.Context, todo *plan.Plan, archive Archive) error {
	refs := map[string]bool{}
	for _, n := range todo.Nodes {
		if load, ok := n.Op.(plan.LoadImage); ok {
			refs[load.Image] = true
		}
	}
	if len(refs) == 0 {
		return nil
	}
	return archive.Verify(ctx, slices.Sorted(maps.Keys(refs)))
}
