package executor

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/containerd/errdefs"

	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/event"
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
		return "", r.execCreateNetwork(whole, op)
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
	case plan.ConnectContainer:
		return "", r.Engine.Connect(whole, op.Container.ID, op.Attachment)
	case plan.DisconnectContainer:
		return "", r.Engine.Disconnect(whole, op.Container.ID, op.Network.ID)
	case plan.StartContainer:
		return r.execStart(ctx, op)
	case plan.WaitReady:
		return r.execWait(ctx, op)
	case plan.StopContainer:
		return r.execStop(ctx, op)
	case plan.RemoveContainer:
		return r.execRemoveContainer(whole, op)
	case plan.RemoveNetwork:
		return "", r.Engine.RemoveNetwork(whole, op.Network.ID)
	case plan.RemoveVolume:
		return "", r.Engine.RemoveVolume(whole, op.Volume.Name)
	case plan.RemoveRemnants:
		return r.execRemoveRemnants(whole, op.Remnants)
	case plan.RemoveImage:
		return r.execRemoveImage(whole, op)
	case plan.BackupVolume:
		return "", r.Volumes.Backup(ctx, op.Volume, r.progress(n))
	case plan.RestoreVolume:
		return "", r.Volumes.Restore(ctx, op, r.progress(n))
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

// setKept notes that a container was not replaced after all, and in which state
// it is.
func (r *run) setKept(name, state string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept[name] = state
}

func (r *run) isKept(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, kept := r.kept[name]
	return kept
}

// keptRunning says that a container was not replaced, and runs, so that its start
// does nothing.
func (r *run) keptRunning(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.kept[name] == "running" || r.kept[name] == "restarting"
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
	if op.Conditional() && !r.applies(op) {
		r.setID(op.New.Name, op.Old.ID)
		r.setKept(op.New.Name, op.Old.State)
		return "unchanged, kept", nil
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
	var carried []state.Mount
	if !op.RenewVolumes {
		carried = anonymous(op.Old, op.New)
	}
	if len(op.New.Config.VolumesFrom) == 0 { // else some may be another container's
		labels[state.LabelCarried] = names(carried)
	}
	id, err := r.Engine.CreateContainer(whole, engine.CreateContainer{
		Spec: op.New, Name: temporary, Labels: labels, Keep: carried,
	})
	if err != nil {
		return "", err
	}
	if err := r.stop(ctx, op.Old, op.Grace, op.New.Config.PreStop); err != nil {
		return "", err
	}
	after, cancelAfter := context.WithTimeout(context.WithoutCancel(ctx), mutationTimeout)
	defer cancelAfter()
	if err := r.Engine.RenameContainer(after, op.Old.ID, temporary+"_replaced"); err != nil {
		return "", err
	}
	r.setID(op.New.Name, id)
	return "", r.Engine.RenameContainer(after, id, op.New.Name)
}

// applies says that a replacement is needed after all.
func (r *run) applies(op plan.ReplaceContainer) bool {
	return op.IfImageChanged && op.Old.ImageID != r.imageID(op.New.Image) ||
		op.IfReplaced != "" && !r.isKept(op.IfReplaced)
}

// removeReplaced removes the container whose place another has taken. Its
// anonymous volumes are the other's now, or nobody's: they are kept, but for those of
// secrets that the other does not have.
func (r *run) removeReplaced(ctx context.Context, old *state.Container, by string) error {
	if old == nil || r.isKept(by) {
		return nil
	}
	whole, cancel := context.WithTimeout(context.WithoutCancel(ctx), mutationTimeout)
	defer cancel()
	_, err := r.removeWith(whole, *old, false, old.SecretVolumes())
	return err
}

// removeWith removes a container and, after it, volumes that the engine would leave.
// A note in the engine says which these are until they are gone, for the next run
// in case this one is cut: see [state.Remnants].
func (r *run) removeWith(ctx context.Context, c state.Container, anonymous bool, volumes []string) (note string, err error) {
	if len(volumes) == 0 {
		return "", r.Engine.RemoveContainer(ctx, c.ID, anonymous)
	}
	remnants, volume := state.RemnantsOf(c, volumes)
	if err := r.Engine.CreateVolume(ctx, volume); err != nil {
		return "", err
	}
	if err := r.Engine.RemoveContainer(ctx, c.ID, anonymous); err != nil {
		return "", err // the container may be gone all the same, and the next run sees that
	}
	return r.execRemoveRemnants(ctx, remnants)
}

// execRemoveRemnants removes volumes of a container that is gone, and the note of
// them. One that another container uses stays.
func (r *run) execRemoveRemnants(ctx context.Context, remnants state.Remnants) (note string, err error) {
	note, err = r.removeUnused(ctx, remnants.Volumes)
	if err != nil {
		return "", err
	}
	return note, r.Engine.RemoveVolume(ctx, remnants.Note)
}

// removeUnused removes volumes of a container that is gone; the note names one that
// another uses. Each is tried twice, as an engine may take a container that is just
// gone for one that uses it.
func (r *run) removeUnused(ctx context.Context, volumes []string) (note string, err error) {
	for _, volume := range volumes {
		err := r.Engine.RemoveVolume(ctx, volume)
		if err != nil {
			err = r.Engine.RemoveVolume(ctx, volume)
		}
		switch {
		case errdefs.IsConflict(err):
			note = "its volume " + volume + " stays, another container uses it"
		case err != nil:
			return "", err
		}
	}
	return note, nil
}

// longestHooks bounds the hooks before a stop.
const longestHooks = 10 * time.Minute

func (r *run) execStop(ctx context.Context, op plan.StopContainer) (string, error) {
	if op.IfReplaced != "" && r.isKept(op.IfReplaced) {
		return "kept running", nil
	}
	return "", r.stop(ctx, op.Container, op.Grace, op.Hooks)
}

// stop stops a container, after the hooks of its service. An interrupt does not
// cut it: the engine would go on, and what is said to be left running would end a
// moment later.
func (r *run) stop(ctx context.Context, c state.Container, grace *time.Duration, hooks []types.ServiceHook) error {
	ctx = context.WithoutCancel(ctx)
	if c.State == "running" && len(hooks) > 0 && !r.hasEnded(c.ID) {
		ctx, cancel := context.WithTimeout(ctx, longestHooks)
		defer cancel()
		if err := r.hooks(ctx, "pre_stop", c.Name, c.ID, hooks); err != nil {
			return err
		}
	}
	if grace != nil { // else it is the container's own, which the engine knows
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, *grace+mutationTimeout)
		defer cancel()
	}
	began := time.Now()
	if err := r.Engine.StopContainer(ctx, c.ID, grace); err != nil {
		return err
	}
	if time.Since(began) >= shortestGrace {
		r.tellKilled(ctx, c, grace)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended[c.ID] = true
	return nil
}

// shortestGrace is the shortest grace period that an engine can give. A container
// that has ended before has not been killed, so nobody has to look.
const shortestGrace = time.Second

// sigkilled is the exit code of a process that SIGKILL has ended.
const sigkilled = 137

// tellKilled warns of a container that did not end by itself, and may have lost
// what it had in hand.
func (r *run) tellKilled(ctx context.Context, c state.Container, grace *time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, mutationTimeout)
	defer cancel()
	look, err := r.Engine.Inspect(ctx, c.ID)
	if err != nil || look.State != "exited" || look.ExitCode != sigkilled || look.OOMKilled || look.StopSignal == "SIGKILL" {
		return
	}
	within := look.StopGrace
	if grace != nil {
		within = *grace
	}
	r.Sink.Emit(event.Event{Time: r.Now(), Kind: event.Warning, Message: fmt.Sprintf(
		"container %s did not end within %s of %s and was killed; `init: true`, `exec` in its script or another stop_signal may let it end by itself",
		look.Name, within, look.StopSignal)})
}

// hasEnded says that this run has stopped a container before: one that gave a
// host port to another is stopped once for that and once more to be replaced.
func (r *run) hasEnded(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ended[id]
}

// hooks runs the commands of a service around a start or a stop, one after the
// other.
func (r *run) hooks(ctx context.Context, kind, name, id string, hooks []types.ServiceHook) error {
	for i, hook := range hooks {
		var env []string
		for _, variable := range slices.Sorted(maps.Keys(hook.Environment)) {
			if value := hook.Environment[variable]; value != nil {
				env = append(env, variable+"="+*value)
			}
		}
		end, err := r.Engine.Exec(ctx, id, engine.Command{
			Args: hook.Command, User: hook.User, WorkingDir: hook.WorkingDir, Env: env, Privileged: hook.Privileged,
		})
		if err == nil && end.ExitCode != 0 {
			err = fmt.Errorf("exit code %d: %s", end.ExitCode, strings.TrimSpace(end.Output))
		}
		if err != nil {
			return fmt.Errorf("run %s[%d] of container %s: %w", kind, i, name, err)
		}
	}
	return nil
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
	if op.IfReplaced != "" && r.isKept(op.IfReplaced) {
		return "unchanged, kept", nil
	}
	id := r.containerID(op.Container.Name, op.ID)
	if err := r.start(ctx, op.Container, id); err != nil {
		return "", err
	}
	if !r.keptRunning(op.Container.Name) {
		if err := r.hooks(ctx, "post_start", op.Container.Name, id, op.Container.Config.PostStart); err != nil {
			return "", err
		}
	}
	return "", r.removeReplaced(ctx, op.Replaced, op.Container.Name)
}

func (r *run) start(ctx context.Context, c state.ContainerSpec, id string) error {
	if hasPortRange(c) {
		r.ranges.Lock()
		defer r.ranges.Unlock()
	}
	whole, cancel := context.WithTimeout(context.WithoutCancel(ctx), mutationTimeout)
	defer cancel()
	return r.Engine.StartContainer(whole, id)
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
	id := r.containerID(op.Container.Name, op.ID)
	result, err := r.Waiter.Wait(ctx, id, op.Condition)
	if err == nil && r.Ready != nil && op.Condition == state.Healthy {
		err = r.Ready(ctx, op.Container, id)
	}
	if err == nil {
		err = r.removeReplaced(ctx, op.Replaced, op.Container.Name)
	}
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
// from the one it replaced. Those with its secrets go in any case: nobody would find
// them again, and what is in them would stay on the disk.
func (r *run) execRemoveContainer(ctx context.Context, op plan.RemoveContainer) (note string, err error) {
	if op.Volumes {
		return r.removeWith(ctx, op.Container, true, op.Container.Carried)
	}
	return r.removeWith(ctx, op.Container, false, op.Container.SecretVolumes())
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
