package runner

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/containerd/errdefs"

	"github.com/stackctl/stackctl/pkg/runner/backup"
	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/plan"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// helperFolder is where a helper has its volume. No image has anything there, so
// the engine copies nothing into the volume.
const helperFolder = "/stackctl-volume"

// helperTimeout bounds the calls that make and remove a helper, which are not cut. It
// is longer than an engine may be silent on one call, whose error says more.
const helperTimeout = 2 * time.Minute

// NotEmptyError says that a volume holds data, which a restore does not write over.
type NotEmptyError struct {
	Volume string
	// Entry is the first thing in it.
	Entry string
}

func (e *NotEmptyError) Error() string {
	return fmt.Sprintf("volume %s is not empty: it holds %s, and a restore never writes over data", e.Volume, e.Entry)
}

// NoImageError says that there is no image to make a helper from.
type NoImageError struct{ Project string }

func (e *NoImageError) Error() string {
	return fmt.Sprintf("project %s has no container, and none of its images is on the engine: the engine reads and writes a volume through a container, which needs an image", e.Project)
}

// volumeCopier reads and writes volumes through helpers: containers that are made,
// mount a volume and are never started. The engine itself reads and writes the
// files, so any image will do, and owners, modes and links stay as they are.
type volumeCopier struct {
	engine  engine.Engine
	project string
	// image is what helpers are made from.
	image string
	// dir is where backups go.
	dir string
	now func() time.Time
	// backups are those to restore, by the engine's name of the volume.
	backups map[string]*backup.Backup
	// written are those that were made, in their order.
	written []*backup.Backup
	// partial are volumes that hold a part of their backup, by the engine's name.
	partial []string
	// tried are volumes whose restore began, which takes back what it cannot complete.
	tried []string
}

// newCopier finds an image for the helpers: that of a container of the project,
// rather one that uses a volume, or else the first of the references that is there.
func (r *Runner) newCopier(ctx context.Context, o state.Observed, refs []string) (*volumeCopier, error) {
	c := &volumeCopier{engine: r.engine, project: o.Project, now: r.now}
	for _, there := range o.Containers {
		if there.ImageID != "" {
			c.image = there.ImageID
		}
		if len(there.Mounts) > 0 && c.image != "" {
			return c, nil
		}
	}
	for _, ref := range refs {
		if c.image != "" {
			break
		}
		image, err := r.engine.Image(ctx, ref)
		switch {
		case errdefs.IsNotFound(err):
		case err != nil:
			return nil, err
		default:
			c.image = image.ID
		}
	}
	if c.image == "" {
		return nil, &NoImageError{o.Project}
	}
	return c, nil
}

// helper makes a container that mounts a volume.
func (c *volumeCopier) helper(ctx context.Context, kind, volume string) (id string, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), helperTimeout)
	defer cancel()
	slug := newSlug()
	spec := state.ContainerSpec{
		Name: fmt.Sprintf("%s-%s-%s", c.project, kind, slug[:12]), Image: c.image,
		// One of no service: as a one-off, without Compose's hash, it is no part of the
		// stack to Docker Compose, either.
		Labels: map[string]string{
			state.LabelProject: c.project, state.LabelOneOff: "True", state.LabelSlug: slug,
			state.LabelVersion: state.ComposeVersion, state.LabelHelper: kind,
		},
		VolumeNames: map[string]string{volume: volume},
		OneOff:      &state.OneOff{},
	}
	config := &spec.Config
	config.Image, config.NetworkMode = c.image, "none"
	// Not every image has a command, and an engine asks for one.
	config.Entrypoint = types.ShellCommand{"never started"}
	config.Volumes = []types.ServiceVolumeConfig{{
		Type: types.VolumeTypeVolume, Source: volume, Target: helperFolder, ReadOnly: kind == state.HelperBackup,
		Volume: &types.ServiceVolumeVolume{NoCopy: true},
	}}
	id, err = c.engine.CreateContainer(ctx, engine.CreateContainer{Spec: spec})
	if err != nil {
		// It may be there all the same, and that of a restore would say of a volume
		// which nothing was written to that it is not to be used.
		_ = c.remove(ctx, spec.Name) // the error is told already
	}
	return id, err
}

// remove removes a helper, and the anonymous volumes that its image asks for.
func (c *volumeCopier) remove(ctx context.Context, helper string) error {
	return twice(ctx, func(ctx context.Context) error { return c.engine.RemoveContainer(ctx, helper, true) })
}

// twice asks for a removal again that has failed: when only its answer was lost, what
// was to go is gone, and the rest of the copy would be taken for one that was cut.
func twice(ctx context.Context, remove func(context.Context) error) error {
	once := func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), helperTimeout)
		defer cancel()
		return remove(ctx)
	}
	err := once()
	if err != nil {
		err = once()
	}
	return err
}

// Backup implements executor.Volumes.
func (c *volumeCopier) Backup(ctx context.Context, v state.Volume, each func(engine.Progress)) (err error) {
	helper, err := c.helper(ctx, state.HelperBackup, v.Name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.remove(ctx, helper)) }()
	m := backup.Manifest{
		Volume: v.Name, Driver: v.Driver, Options: v.Options, Labels: v.Labels, Created: v.Created, Taken: c.now().UTC(),
	}
	if v.Project == c.project { // an external one is restored as an external one
		m.Key, m.Project = v.Key, v.Project
	}
	b, err := backup.Write(ctx, c.dir, m, func(w io.Writer) error {
		out := &written{w: w, now: c.now, tell: func(n int64) { each(engine.Progress{Current: n}) }}
		return c.engine.ReadFolder(ctx, helper, helperFolder, out)
	})
	if err != nil {
		return err
	}
	c.written = append(c.written, b) // one at a time
	return nil
}

// Restore implements executor.Volumes.
func (c *volumeCopier) Restore(ctx context.Context, op plan.RestoreVolume, each func(engine.Progress)) (err error) {
	c.tried = append(c.tried, op.Volume.Name) // one at a time
	b := c.backups[op.Volume.Name]
	archive, err := b.Open()
	if err != nil {
		return errors.Join(err, c.removeMade(ctx, op))
	}
	defer archive.Close()
	helper, err := c.helper(ctx, state.HelperRestore, op.Volume.Name)
	if err != nil {
		return errors.Join(err, c.removeMade(ctx, op))
	}
	if err := c.checkEmpty(ctx, helper, op.Volume.Name); err != nil {
		var notEmpty *NotEmptyError
		if op.Made && !errors.As(err, &notEmpty) {
			return errors.Join(err, c.takeBack(ctx, helper, op))
		}
		return errors.Join(err, c.remove(ctx, helper))
	}
	in := io.TeeReader(archive, &written{w: io.Discard, now: c.now, tell: func(n int64) { each(engine.Progress{Current: n, Total: b.Size}) }})
	if err := c.engine.WriteFolder(ctx, helper, helperFolder, in); err != nil {
		return errors.Join(err, c.takeBack(ctx, helper, op))
	}
	err = c.remove(ctx, helper)
	if err != nil { // whole, and with the sign on it that it is not
		c.partial = append(c.partial, op.Volume.Name)
	}
	return err
}

// takeBack removes a volume that holds a part of its backup. One that was there
// before stays, and one whose data would, and so does its helper, which is the sign
// that it is not to be used.
func (c *volumeCopier) takeBack(ctx context.Context, helper string, op plan.RestoreVolume) error {
	if !op.Made || op.Volume.KeepsData() {
		c.partial = append(c.partial, op.Volume.Name)
		return nil
	}
	if err := c.remove(ctx, helper); err != nil {
		return err
	}
	err := c.removeMade(ctx, op)
	if err != nil { // it stays, and so has its sign to
		return errors.Join(err, c.sign(ctx, op.Volume.Name))
	}
	return nil
}

// sign makes the helper once more that says of a volume that it is not to be used.
// For one that is gone after all, the engine would make another with it.
func (c *volumeCopier) sign(ctx context.Context, volume string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), helperTimeout)
	defer cancel()
	all, err := c.engine.Volumes(ctx)
	if err != nil || !slices.ContainsFunc(all, func(v state.Volume) bool { return v.Name == volume }) {
		return err
	}
	_, err = c.helper(ctx, state.HelperRestore, volume)
	return err
}

// signAgain signs the volumes that hold a part of a backup and were to be removed, when
// their signs have gone, which go first, and they have not: Up would use them.
func (r *Runner) signAgain(ctx context.Context, project string, outcomes []Outcome) {
	for _, o := range outcomes {
		volume, ok := o.Node.Op.(plan.RemoveVolume)
		if !ok || o.Status == Done {
			continue
		}
		name := volume.Volume.Name
		var sign *state.Container
		for _, o := range outcomes {
			remove, ok := o.Node.Op.(plan.RemoveContainer)
			if ok && o.Status != Skipped && remove.Container.Helper == state.HelperRestore && remove.Container.MountsVolume(name) {
				sign = &remove.Container
			}
		}
		if sign == nil {
			continue
		}
		c := &volumeCopier{engine: r.engine, project: project, image: sign.ImageID, now: r.now}
		if err := c.sign(ctx, name); err != nil {
			r.warn("volume %s holds a part of a backup only, and nothing says so any more: %v", name, err)
		}
	}
}

// removeMade removes a volume that was made for a restore. One that was there before
// stays.
func (c *volumeCopier) removeMade(ctx context.Context, op plan.RestoreVolume) error {
	if !op.Made {
		return nil
	}
	return twice(ctx, func(ctx context.Context) error { return c.engine.RemoveVolume(ctx, op.Volume.Name) })
}

// errSeen ends the reading of an archive of which enough was seen.
var errSeen = errors.New("seen enough")

// checkEmpty gives a *NotEmptyError for a volume that holds something.
func (c *volumeCopier) checkEmpty(ctx context.Context, helper, volume string) error {
	r, w := io.Pipe()
	var failed error
	done := make(chan struct{})
	go func() {
		defer close(done)
		failed = c.engine.ReadFolder(ctx, helper, helperFolder, w)
		_ = w.CloseWithError(failed) // never fails
	}()
	entry, err := firstEntry(r)
	_ = r.CloseWithError(errSeen) // never fails
	<-done
	switch {
	case entry != "":
		return &NotEmptyError{volume, entry}
	case failed != nil && !errors.Is(failed, errSeen):
		return failed
	}
	return err
}

// firstEntry names the first entry of a folder's archive but the folder itself;
// empty for none. What a file system puts into itself does not count.
func firstEntry(r io.Reader) (string, error) {
	archive := tar.NewReader(r)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return "", nil
		}
		if err != nil {
			return "", fmt.Errorf("read what the volume holds: %w", err)
		}
		if name := strings.Trim(strings.TrimPrefix(header.Name, "."), "/"); name != "" && name != "lost+found" {
			return name, nil
		}
	}
}

// looksEmpty looks whether a volume is empty, before anything is stopped for it.
func (c *volumeCopier) looksEmpty(ctx context.Context, volume string) (err error) {
	helper, err := c.helper(ctx, state.HelperBackup, volume)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.remove(ctx, helper)) }()
	return c.checkEmpty(ctx, helper, volume)
}
