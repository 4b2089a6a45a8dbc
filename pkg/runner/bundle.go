package runner

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stackctl/stackctl/pkg/runner/bundle"
	"github.com/stackctl/stackctl/pkg/runner/event"
	"github.com/stackctl/stackctl/pkg/runner/plan"
)

// BundleOptions change what Bundle writes. The zero value takes all services, and
// makes or fetches the images that are missing.
type BundleOptions struct {
	// Services limits the bundle to these and what they depend on.
	Services []string
	// Sources and Profiles go into the bundle as they are; see bundle.Manifest.
	Sources, Profiles []string
	// Compose is the compose text, Files what it refers to in the bundle.
	Compose []byte
	Files   []bundle.File
	// TempDir is where layers are kept for a moment; empty for the system's.
	TempDir string
	// Build, Builder, Pull and Offline are as for Up.
	Build   bool
	Builder BuilderMode
	Pull    PullPolicy
	Offline bool
}

// Bundle writes a project with all its images. Images that are missing are built
// or pulled first. The errors are those of Up.
func (r *Runner) Bundle(ctx context.Context, p *types.Project, o BundleOptions, w io.Writer) (*bundle.Manifest, error) {
	up := UpOptions{Services: o.Services, Build: o.Build, Builder: o.Builder, Pull: o.Pull, Offline: o.Offline}
	info, err := r.engine.Info(ctx)
	if err != nil {
		return nil, err
	}
	desired, observed, opts, err := r.prepare(ctx, p, up)
	if err != nil {
		return nil, err
	}
	todo, err := plan.Images(desired, observed, opts)
	if err != nil {
		return nil, err
	}
	used := map[string]bool{}
	chosen, err := plan.Chosen(desired, o.Services)
	if err != nil {
		return nil, err
	}
	for _, s := range chosen {
		if _, err := bundle.Tag(s.Image); err != nil {
			return nil, fmt.Errorf("service %s: %w: give it a tag, such as `docker tag` does", s.Name, err)
		}
		used[s.Image] = true
	}
	platform, err := r.engine.Platform(ctx)
	if err != nil {
		return nil, err
	}
	report := &Report{Plan: todo}
	if err := r.execute(ctx, report, todo, observed, info, up); err != nil {
		return nil, err
	}
	if ctx.Err() != nil { // what was cut short has not failed
		return nil, context.Cause(ctx)
	}
	m := &bundle.Manifest{
		Project: p.Name, Sources: o.Sources, Services: o.Services, Profiles: o.Profiles,
		Platform: platform.String(),
	}
	var total int64
	for _, ref := range slices.Sorted(maps.Keys(used)) {
		image, err := r.engine.Image(ctx, ref)
		if err != nil {
			return nil, err
		}
		total += image.Size
		m.Images = append(m.Images, bundle.Image{
			Ref: ref, ID: image.ID, Platform: image.Platform, Digests: slices.Sorted(slices.Values(image.Digests)), Size: image.Size,
		})
	}
	return m, r.saveBundle(ctx, m, total, o, w)
}

func (r *Runner) saveBundle(ctx context.Context, m *bundle.Manifest, total int64, o BundleOptions, w io.Writer) error {
	began := r.now()
	emit := func(e event.Event) {
		e.Time, e.Resource, e.Action = r.now(), "bundle "+m.Project, "save"
		r.sink.Emit(e)
	}
	emit(event.Event{Kind: event.Started})
	files := append([]bundle.File{{Name: bundle.ComposeFile, Mode: 0o644, Content: o.Compose}}, o.Files...)
	out := &written{w: w, now: r.now, tell: func(n int64) {
		emit(event.Event{Kind: event.Progress, Current: min(n, total), Total: total})
	}}
	save := func(ref string, w io.Writer) error { return r.engine.SaveImages(ctx, []string{ref}, w) }
	err := bundle.Write(out, *m, files, save, o.TempDir)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		err = fmt.Errorf("save bundle of project %s: %w", m.Project, err)
		emit(event.Event{Kind: event.Failed, Err: err, Elapsed: r.now().Sub(began)})
		return err
	}
	emit(event.Event{Kind: event.Done, Elapsed: r.now().Sub(began)})
	return nil
}

// written tells how much has been written, now and then.
type written struct {
	w    io.Writer
	now  func() time.Time
	tell func(n int64)
	n    int64
	told time.Time
}

func (w *written) Write(p []byte) (int, error) {
	n, err := w.w.Write(p)
	w.n += int64(n)
	if now := w.now(); now.Sub(w.told) >= 100*time.Millisecond {
		w.told = now
		w.tell(w.n)
	}
	return n, err
}
