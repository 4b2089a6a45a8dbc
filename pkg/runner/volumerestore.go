package runner

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stackctl/stackctl/pkg/runner/backup"
	"github.com/stackctl/stackctl/pkg/runner/event"
	"github.com/stackctl/stackctl/pkg/runner/plan"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// RestoreOptions say what RestoreVolumes writes, and from where.
type RestoreOptions struct {
	// From is a folder with backups, or a file of one.
	From string
	// Volumes are names, the project's or the engine's; none means all that From has.
	Volumes []string
	// Images, Grace, Hooks and WaitTimeout are as in BackupOptions.
	Images      []string
	Grace       *time.Duration
	Hooks       map[string]Hooks
	WaitTimeout time.Duration
}

// RestoreVolumes writes backups into volumes, which have to be empty or missing:
// a missing one is made as it was, with its labels, for the project that is named.
// Backups are read to their end before anything is changed. Containers stop and
// start as for BackupVolumes.
//
// A restore that was cut leaves no volume that looks whole: one that was made for
// it is removed, and when that was not possible, Up and Start refuse to use it. To
// restore again completes it, without those volumes that are whole by then, and once
// the owner of one whose data stays has emptied it: an external one, or one that is
// mounted from elsewhere.
//
// The error is a *FailedError, an *InterruptedError, a *backup.DamagedError, a
// *NotEmptyError, a *NoImageError, or wraps [ErrUnknownVolume], [plan.ErrConflict],
// [plan.ErrMissing], [plan.ErrKeepsData] or [plan.ErrInUse].
func (r *Runner) RestoreVolumes(ctx context.Context, project string, o RestoreOptions) (*Report, error) {
	began := r.now()
	info, err := r.engine.Info(ctx)
	if err != nil {
		return nil, err
	}
	release, err := r.hold(ctx, info, project, "volume restore")
	if err != nil {
		return nil, err
	}
	defer release()
	observed, todo, backups, err := r.planRestore(ctx, project, o)
	if err != nil {
		return nil, err
	}
	report := &Report{Plan: todo}
	copier, err := r.newCopier(ctx, observed, o.Images)
	if err != nil {
		return report, err
	}
	copier.backups = backups
	if err := r.readyToRestore(ctx, copier, todo); err != nil {
		return report, err
	}
	err = r.whileStopped(ctx, report, observed, info, copier, o.Hooks, o.WaitTimeout)
	r.removeUntried(ctx, copier, report.Outcomes)
	r.signAgain(ctx, project, report.Outcomes)
	report.Elapsed = r.now().Sub(began)
	return report, err
}

// removeUntried removes volumes that were made for a restore which then did not
// begin, since the run was ended in between.
func (r *Runner) removeUntried(ctx context.Context, copier *volumeCopier, outcomes []Outcome) {
	made := map[string]bool{}
	for _, o := range outcomes {
		switch op := o.Node.Op.(type) {
		case plan.CreateVolume:
			made[op.Volume.Name] = o.Status == Done
		case plan.RestoreVolume:
			if !made[op.Volume.Name] || slices.Contains(copier.tried, op.Volume.Name) {
				continue
			}
			if err := copier.removeMade(ctx, op); err != nil {
				r.warn("volume %s was made for the restore and stays, empty: %v", op.Volume.Name, err)
			}
		}
	}
}

// PlanRestore says what RestoreVolumes would do before the containers that it stops
// are started again, and changes nothing. Neither backups nor volumes are read.
func (r *Runner) PlanRestore(ctx context.Context, project string, o RestoreOptions) (*plan.Plan, error) {
	_, todo, _, err := r.planRestore(ctx, project, o)
	return todo, err
}

func (r *Runner) planRestore(
	ctx context.Context, project string, o RestoreOptions,
) (observed state.Observed, todo *plan.Plan, backups map[string]*backup.Backup, err error) {
	all, err := backup.Find(o.From)
	if err != nil {
		return observed, nil, nil, err
	}
	specs, backups, err := chooseBackups(all, project, o)
	if err != nil {
		return observed, nil, nil, err
	}
	observed, err = r.observeVolumes(ctx, project, slices.Collect(maps.Keys(backups))...)
	if err != nil {
		return observed, nil, nil, err
	}
	todo, err = plan.Restore(observed, specs, plan.VolumeOptions{Grace: o.Grace, Hooks: o.Hooks})
	return observed, todo, backups, err
}

// readyToRestore reads the backups, and looks whether the volumes that are there
// are empty: before anything is stopped.
func (r *Runner) readyToRestore(ctx context.Context, copier *volumeCopier, todo *plan.Plan) error {
	var problems []error
	for _, n := range todo.Nodes {
		op, ok := n.Op.(plan.RestoreVolume)
		if !ok {
			continue
		}
		if !op.Made {
			if err := copier.looksEmpty(ctx, op.Volume.Name); err != nil {
				problems = append(problems, err)
				continue
			}
		}
		problems = append(problems, r.verify(ctx, op.Ref().String(), copier.backups[op.Volume.Name]))
	}
	return errors.Join(problems...)
}

// verify reads a backup, which takes a while for a large one.
func (r *Runner) verify(ctx context.Context, resource string, b *backup.Backup) error {
	began := r.now()
	e := event.Event{Kind: event.Started, Time: began, Resource: resource, Action: "verify"}
	r.sink.Emit(e)
	err := b.Verify(ctx)
	e.Kind, e.Time, e.Err = event.Done, r.now(), err
	e.Elapsed = e.Time.Sub(began)
	if err != nil {
		e.Kind = event.Failed
	}
	r.sink.Emit(e)
	return err
}

// chooseBackups gives the volumes to restore as they are to be, and the backup of
// each by its name.
func chooseBackups(all []*backup.Backup, project string, o RestoreOptions) ([]state.VolumeSpec, map[string]*backup.Backup, error) {
	if project == "" {
		return nil, nil, errors.New("volumes: no project named")
	}
	var specs []state.VolumeSpec
	backups := map[string]*backup.Backup{}
	var known []state.Volume
	for _, b := range all {
		known = append(known, state.Volume{Name: b.Volume, Key: b.Key})
		spec := specOf(b.Manifest, project)
		named := func(name string) bool { return name == b.Key || name == b.Volume || name == spec.Name }
		if len(o.Volumes) > 0 && !slices.ContainsFunc(o.Volumes, named) {
			continue
		}
		if other, twice := backups[spec.Name]; twice {
			return nil, nil, fmt.Errorf("the backups of %s and of %s would both become volume %s: name one of them", other.Volume, b.Volume, spec.Name)
		}
		specs, backups[spec.Name] = append(specs, spec), b
	}
	for _, name := range o.Volumes {
		if !slices.ContainsFunc(specs, func(v state.VolumeSpec) bool {
			return name == v.Key || name == v.Name || name == backups[v.Name].Volume
		}) {
			return nil, nil, fmt.Errorf("%w: %s (%s has %s)", ErrUnknownVolume, name, o.From, volumeNames(known))
		}
	}
	return specs, backups, nil
}

// specOf gives a volume as it was, for a project. One that was named after its
// project is named after this one.
func specOf(m backup.Manifest, project string) state.VolumeSpec {
	v := state.VolumeSpec{Key: m.Key, Name: m.Volume, Labels: maps.Clone(m.Labels)}
	v.Config.Name, v.Config.Driver, v.Config.DriverOpts = m.Volume, m.Driver, m.Options
	v.Config.External = types.External(m.Project == "")
	if m.Project == "" || m.Project == project {
		return v
	}
	if m.Volume == m.Project+"_"+m.Key {
		v.Name = project + "_" + m.Key
		v.Config.Name = v.Name
	}
	if v.Labels == nil {
		v.Labels = map[string]string{}
	}
	v.Labels[state.LabelProject] = project
	return v
}
