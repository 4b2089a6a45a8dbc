package executor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/containerd/errdefs"

	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/plan"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// exec runs one operation. Calls that change something get a context of their
// own, which the end of the run does not cut.
func (r *run) exec(ctx context.Context, n plan.Node, accepted func()) (note string, err error) {
	whole, cancel := context.WithTimeout(context.WithoutCancel(ctx), mutationTimeout)
	defer cancel()
	switch op := n.Op.(type) {
	case plan.CreateNetwork:
		return "", r.Engine.CreateNetwork(whole, op.Network)
	case plan.CreateVolume:
		return "", r.Engine.CreateVolume(whole, op.Volume)
	case plan.PullImage:
		return r.execPull(ctx, n, op, accepted)
	case plan.LoadImage:
		return "", r.execLoad(ctx, n, op)
	case plan.BuildImage:
		return r.execBuild(ctx, n, op)
	case plan.CreateContainer:
		return "", r.execCreate(whole, op.Container)
	case plan.ReplaceContainer:
		return r.execReplace(ctx, op)
	case plan.RenameContainer:
		r.setID(op.New.Name, op.Old.ID)
		return "", r.Engine.RenameContainer(whole, op.Old.ID, op.New.Name)
	case plan.StartContainer:
		return r.execStart(whole, op)
	case plan.WaitReady:
		return r.execWait(ctx, op)
	case plan.StopContainer:
		return "", r.stop(ctx, op.Container.ID, op.Grace)
	case plan.RemoveContainer:
		return "", r.execRemoveContainer(whole, op)
	case plan.RemoveNetwork:
		return "", r.Engine.RemoveNetwork(whole, op.Network.ID)
	case plan.RemoveVolume:
		return "", r.Engine.RemoveVolume(whole, op.Volume.Name)
	case plan.RemoveImage:
		return r.execRemoveImage(whole, op)
	}
	return "", fmt.Errorf("no way to run %T", n.Op) // the set of operations is sealed
}

// execPull pulls an image. The registry has accepted as soon as it talks of a
// layer.
func (r *run) execPull(ctx context.Context, n plan.Node, op plan.PullImage, accepted func()) (string, error) {
	var whole meter
	err := r.Engine.Pull(ctx, op.Image, op.Platform, func(p engine.Progress) {
		if p.Phase != "" {
			accepted()
		}
		if e, worth := whole.take(p, r.Now()); worth {
			r.emit(n, e)
		}
	})
	if err != nil {
		return "", err
	}
	return "", r.lookUpImage(ctx, op.Image)
}

func (r *run) execBuild(ctx context.Context, n plan.Node, op plan.BuildImage) (string, error) {
	note, err := r.Builder.Build(ctx, r.project, op.Service, r.progress(n))
	if err != nil {
		return "", err
	}
	return note, r.lookUpImage(ctx, op.Image)
}

func (r *run) lookUpImage(ctx context.Context, ref string) error {
	image, err := r.Engine.Image(ctx, ref)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.images[ref] = image
	return nil
}

// imageID gives the id of the image that a reference means now.
func (r *run) imageID(ref string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.images[ref].ID
}

func (r *run) setID(name, id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ids[name] = id
}

// setKept notes that a container was not replaced, since its image is the same.
func (r *run) setKept(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept[name] = true
}

func (r *run) isKept(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.kept[name]
}

// containerID gives the id of a container: that of one made in this run, or the
// one that the plan knew.
func (r *run) containerID(name, known string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if id, made := r.ids[name]; made {
		return id
	}
	return known
}

func (r *run) execCreate(ctx context.Context, c state.ContainerSpec) error {
	id, err := r.Engine.CreateContainer(ctx, engine.CreateContainer{Spec: c, Labels: r.imageLabel(c.Image)})
	if err != nil {
		return err
	}
	r.setID(c.Name, id)
	return nil
}

func (r *run) imageLabel(ref string) map[string]string {
	if id := r.imageID(ref); id != "" {
		return map[string]string{state.LabelImage: id}
	}
	return nil
}

// execReplace makes the new container beside the old one, under a name of its
// own, so that the service is away only between stop and start. A run that is
// cut here leaves containers that the next one tells apart by their labels.
func (r *run) execReplace(ctx context.Context, op plan.ReplaceContainer) (string, error) {
	if op.IfImageChanged && op.Old.ImageID == r.imageID(op.New.Image) {
		r.setID(op.New.Name, op.Old.ID)
		r.setKept(op.New.Name)
		return "image unchanged, kept", nil
	}
	whole, cancel := context.WithTimeout(context.WithoutCancel(ctx), mutationTimeout)
	defer cancel()
	temporary := shortID(op.Old.ID) + "_" + op.New.Name
	if op.Old.Name == temporary {
		temporary += "_"
	}
	labels := r.imageLabel(op.New.Image)
	if labels == nil {
		labels = map[string]string{}
	}
	labels[state.LabelReplace] = op.Old.Name
	carried := anonymous(op.Old, op.New)
	if len(op.New.Config.VolumesFrom) == 0 { // else some may be another container's
		labels[state.LabelCarried] = names(carried)
	}
	id, err := r.Engine.CreateContainer(whole, engine.CreateContainer{
		Spec: op.New, Name: temporary, Labels: labels, Keep: carried,
	})
	if err != nil {
		return "", err
	}
	if err := r.stop(ctx, op.Old.ID, nil); err != nil {
		return "", err
	}
	after, cancelAfter := context.WithTimeout(context.WithoutCancel(ctx), mutationTimeout)
	defer cancelAfter()
	if err := r.Engine.RemoveContainer(after, op.Old.ID, false); err != nil {
		return "", err
	}
	r.setID(op.New.Name, id)
	return "", r.Engine.RenameContainer(after, id, op.New.Name)
}

// longestGrace bounds the stop of a container that sets its own grace period,
// which a list does not tell.
const longestGrace = 10 * time.Minute

// stop stops a container. An interrupt does not cut it: the engine would go on,
// and what is said to be left running would end a moment later.
func (r *run) stop(ctx context.Context, id string, grace *time.Duration) error {
	bound := longestGrace
	if grace != nil {
		bound = *grace
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), bound+mutationTimeout)
	defer cancel()
	return r.Engine.StopContainer(ctx, id, grace)
}

// names lists the volumes of mounts, separated by commas.
func names(mounts []state.Mount) string {
	var out []string
	for _, m := range mounts {
		out = append(out, m.Name)
	}
	return strings.Join(out, ",")
}

// anonymous gives the old container's volumes without a name, which its image or
// its definition asks for, less those that the new definition has something else
// for. A named one that the definition does not mount any more is none of them.
func anonymous(old state.Container, spec state.ContainerSpec) []state.Mount {
	declared := map[string]bool{}
	for _, v := range spec.Config.Volumes {
		if v.Type != types.VolumeTypeVolume || v.Source != "" {
			declared[v.Target] = true
		}
	}
	for _, target := range spec.Config.Tmpfs {
		path, _, _ := strings.Cut(target, ":")
		declared[path] = true
	}
	named := map[string]bool{}
	for _, name := range spec.VolumeNames {
		named[name] = true
	}
	return slices.DeleteFunc(slices.Clone(old.Mounts), func(m state.Mount) bool {
		return !m.Anonymous() || declared[m.Target] || named[m.Name]
	})
}

func (r *run) execStart(ctx context.Context, op plan.StartContainer) (string, error) {
	if op.IfReplaced && r.isKept(op.Container.Name) {
		return "has done its work", nil
	}
	if hasPortRange(op.Container) {
		r.ranges.Lock()
		defer r.ranges.Unlock()
	}
	return "", r.Engine.StartContainer(ctx, r.containerID(op.Container.Name, op.ID))
}

func hasPortRange(c state.ContainerSpec) bool {
	for _, p := range c.Config.Ports {
		if strings.Contains(p.Published, "-") {
			return true
		}
	}
	return false
}

func (r *run) execWait(ctx context.Context, op plan.WaitReady) (string, error) {
	result, err := r.Waiter.Wait(ctx, r.containerID(op.Container.Name, op.ID), op.Condition)
	switch {
	case err != nil:
		return "", err
	case result.Completed:
		return "completed", nil
	case result.Probes > 0:
		return "by our own probe", nil
	}
	return "", nil
}

// execRemoveContainer removes the anonymous volumes, too, that the container has
// from the one it replaced.
func (r *run) execRemoveContainer(ctx context.Context, op plan.RemoveContainer) error {
	if err := r.Engine.RemoveContainer(ctx, op.Container.ID, op.Volumes); err != nil || !op.Volumes {
		return err
	}
	for _, volume := range op.Container.Carried {
		if err := r.Engine.RemoveVolume(ctx, volume); err != nil && !errdefs.IsConflict(err) {
			return err // a conflict says that another container uses it
		}
	}
	return nil
}

// execRemoveImage leaves an image that others use: it is no failure of `down`.
func (r *run) execRemoveImage(ctx context.Context, op plan.RemoveImage) (string, error) {
	err := r.Engine.RemoveImage(ctx, op.Image)
	if errdefs.IsConflict(err) {
		return "kept, another container uses it", nil
	}
	return "", err
}

func shortID(id string) string {
	if len(id) > 12 {
		return id[:12]
	}
	return id
}
