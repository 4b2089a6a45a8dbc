package runner

import (
	"context"
	"errors"
	"time"

	"github.com/stackctl/stackctl/pkg/runner/backup"
	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/internal/executor"
	"github.com/stackctl/stackctl/pkg/runner/plan"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// BackupOptions say what BackupVolumes writes, and where.
type BackupOptions struct {
	// Dir is the folder that gets the backups. It is made when it is missing.
	Dir string
	// Volumes are names, the project's or the engine's; none means all that the
	// project has or uses.
	Volumes []string
	// Images are references of which one is enough, for a project without containers:
	// the engine needs an image, whatever is in it, to read a volume.
	Images []string
	// Grace is the time between stop signal and kill; nil for each container's own.
	Grace *time.Duration
	// Hooks are those of each service; nil runs none.
	Hooks map[string]Hooks
	// WaitTimeout bounds the wait for each container that is started again; zero is
	// DefaultWaitTimeout.
	WaitTimeout time.Duration
}

// BackupReport says what was written.
type BackupReport struct {
	Report
	Backups []*backup.Backup
}

// BackupVolumes writes a project's volumes to a folder, in the form of package
// backup. The project's containers that use them stop before, each after those that
// depend on it, and start again after, whatever became of the backup and though ctx
// has ended. What was written has been read again.
//
// The error is a *FailedError, an *InterruptedError, a *backup.ExistsError, a
// *NoImageError, or wraps [ErrUnknownVolume] or [plan.ErrInUse].
func (r *Runner) BackupVolumes(ctx context.Context, project string, o BackupOptions) (*BackupReport, error) {
	began := r.now()
	info, err := r.engine.Info(ctx)
	if err != nil {
		return nil, err
	}
	release, err := r.hold(ctx, info, project, "volume backup")
	if err != nil {
		return nil, err
	}
	defer release()
	observed, todo, err := r.planBackup(ctx, project, o)
	if err != nil {
		return nil, err
	}
	report := &BackupReport{Report: Report{Plan: todo}}
	copier, err := r.copierTo(ctx, observed, todo, o.Dir, o.Images)
	if err != nil || copier == nil {
		return report, err
	}
	err = r.whileStopped(ctx, &report.Report, observed, info, copier, o.Hooks, o.WaitTimeout)
	report.Backups = copier.written
	report.Elapsed = r.now().Sub(began)
	return report, err
}

// PlanBackup says what BackupVolumes would do before the containers that it stops
// are started again, and changes nothing.
func (r *Runner) PlanBackup(ctx context.Context, project string, o BackupOptions) (*plan.Plan, error) {
	_, todo, err := r.planBackup(ctx, project, o)
	return todo, err
}

func (r *Runner) planBackup(ctx context.Context, project string, o BackupOptions) (state.Observed, *plan.Plan, error) {
	observed, err := r.observeVolumes(ctx, project)
	if err != nil {
		return observed, nil, err
	}
	volumes, err := chooseVolumes(observed, o.Volumes)
	if err != nil {
		return observed, nil, err
	}
	todo, err := plan.Backup(observed, volumes, plan.VolumeOptions{Grace: o.Grace, Hooks: o.Hooks})
	return observed, todo, err
}

// copierTo gives what carries out the backups of a plan, after a look whether they
// can be written; nil for a plan without any.
func (r *Runner) copierTo(ctx context.Context, observed state.Observed, todo *plan.Plan, dir string, images []string) (*volumeCopier, error) {
	var problems []error
	backups := 0
	for _, n := range todo.Nodes {
		if op, ok := n.Op.(plan.BackupVolume); ok {
			backups++
			problems = append(problems, backup.Check(dir, op.Volume.Name))
		}
	}
	if err := errors.Join(problems...); err != nil || backups == 0 {
		return nil, err
	}
	copier, err := r.newCopier(ctx, observed, images)
	if err != nil {
		return nil, err
	}
	copier.dir = dir
	return copier, nil
}

// whileStopped carries out a plan that stops containers, and starts them again.
func (r *Runner) whileStopped(
	ctx context.Context, report *Report, observed state.Observed, info engine.Info, copier *volumeCopier, hooks map[string]Hooks, timeout time.Duration,
) error {
	details, err := r.details(ctx, observed.Containers)
	if err != nil {
		return err
	}
	r.warnAll(report.Plan)
	x := &executor.Executor{Engine: r.engine, Sink: r.sink, Now: r.now, Volumes: copier}
	report.Outcomes = x.Run(ctx, report.Plan)
	failed := fail(report.Outcomes)

	stopped := &plan.Plan{Project: report.Plan.Project}
	for _, o := range report.Outcomes {
		if _, isStop := o.Node.Op.(plan.StopContainer); isStop && o.Status != Skipped { // else it needs no start
			stopped.Nodes = append(stopped.Nodes, o.Node)
		}
	}
	again, err := plan.StartAgain(observed, stopped, copier.partial, details, hooks)
	if err != nil {
		return errors.Join(r.explain(ctx, observed.Project, failed), err)
	}
	after := context.WithoutCancel(ctx)
	wait, end := r.waiter(after, again, info, timeout)
	defer end()
	starter := &executor.Executor{Engine: r.engine, Waiter: wait, Sink: r.sink, Now: r.now}
	started := starter.Run(after, again)
	report.Outcomes = append(report.Outcomes, started...)
	if e := fail(started); e != nil {
		failed = fail(report.Outcomes)
	}
	return r.explain(ctx, observed.Project, failed)
}
