package runner

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/containerd/errdefs"

	"github.com/stackctl/stackctl/pkg/runner/backup"
	"github.com/stackctl/stackctl/pkg/runner/internal/executor"
	"github.com/stackctl/stackctl/pkg/runner/internal/observer"
	"github.com/stackctl/stackctl/pkg/runner/plan"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// DownOptions change what Down removes. The zero value removes containers and
// networks and keeps volumes and images.
type DownOptions struct {
	// Services are the services of the stack; containers of others are orphans.
	// Nil means that the stack is not known: then nothing is an orphan, and the
	// images of services without a container stay.
	Services []string
	// RemoveOrphans removes orphans too.
	RemoveOrphans bool
	// Volumes removes the project's volumes with their data, and the anonymous
	// volumes of the containers. One that another project's container uses stays.
	Volumes bool
	// BackupDir is a folder that gets a backup of each volume before anything is
	// removed, in the form of package backup; empty for none. Anonymous volumes, which
	// have no name to be restored by, stay then.
	BackupDir string
	// HelperImages are references of which one is enough, for backups of a project
	// without containers; see BackupOptions.
	HelperImages []string
	// Confirm is asked before anything is done, when the plan deletes data: its nodes
	// say what. An error ends Down with nothing changed. Nil agrees.
	Confirm func(context.Context, *plan.Plan) error
	// Grace is the time between stop signal and kill; nil for each container's own.
	Grace *time.Duration
	// Images says which images go.
	Images plan.RemoveImages
	// Hooks are those of each service; nil runs none.
	Hooks map[string]Hooks
}

// Which images Down removes.
const (
	RemoveNoImages    = plan.RemoveNoImages
	RemoveLocalImages = plan.RemoveLocalImages
	RemoveAllImages   = plan.RemoveAllImages
)

// DownReport says how a Down went.
type DownReport struct {
	Report
	// Backups are those that were written.
	Backups []*backup.Backup
}

// Down stops and removes what has the project's label. It needs no compose file:
// labels say what belongs to the project and in which order it stops. With a
// BackupDir the errors are those of BackupVolumes, too.
func (r *Runner) Down(ctx context.Context, project string, o DownOptions) (*DownReport, error) {
	began := r.now()
	info, err := r.engine.Info(ctx)
	if err != nil {
		return nil, err
	}
	release, err := r.hold(ctx, info, project, "down")
	if err != nil {
		return nil, err
	}
	defer release()
	observed, todo, err := r.planDown(ctx, project, o)
	if err != nil {
		return nil, err
	}
	report := &DownReport{Report: Report{Plan: todo}}
	copier, err := r.copierTo(ctx, observed, todo, o.BackupDir, o.HelperImages)
	if err != nil {
		return report, err
	}
	deletes := slices.ContainsFunc(todo.Nodes, func(n plan.Node) bool { return n.Destructive })
	if deletes && o.Confirm != nil {
		if err := o.Confirm(ctx, todo); err != nil {
			return report, err
		}
	}
	r.warnAll(todo)
	x := &executor.Executor{Engine: r.engine, Sink: r.sink, Now: r.now}
	if copier != nil {
		x.Volumes = copier
	}
	report.Outcomes = x.Run(ctx, todo)
	r.signAgain(ctx, project, report.Outcomes)
	if copier != nil {
		report.Backups = copier.written
	}
	report.Elapsed = r.now().Sub(began)
	return report, r.explain(ctx, project, fail(report.Outcomes))
}

// PlanDown says what Down would do, and changes nothing.
func (r *Runner) PlanDown(ctx context.Context, project string, o DownOptions) (*plan.Plan, error) {
	_, todo, err := r.planDown(ctx, project, o)
	return todo, err
}

func (r *Runner) planDown(ctx context.Context, project string, o DownOptions) (state.Observed, *plan.Plan, error) {
	if project == "" {
		return state.Observed{}, nil, errors.New("down: no project named")
	}
	want := observer.Want{Project: project, Strangers: o.Volumes}
	if o.Images != RemoveNoImages {
		for _, service := range o.Services {
			want.Images = append(want.Images, plan.LocalImage(project, service))
		}
	}
	observed, err := observer.Observe(ctx, r.engine, want)
	if err != nil {
		return observed, nil, err
	}
	if o.Images == RemoveLocalImages {
		if err := r.addLocalImages(ctx, &observed); err != nil {
			return observed, nil, err
		}
	}
	todo, err := plan.Teardown(observed, plan.DownOptions{
		Services: o.Services, RemoveOrphans: o.RemoveOrphans, Volumes: o.Volumes, Backup: o.Volumes && o.BackupDir != "",
		Grace: o.Grace, Images: o.Images, Hooks: o.Hooks,
	})
	return observed, todo, err
}

// addLocalImages looks at the images that containers run and that have the name of
// one which was built for the project: whether it was is in their labels.
func (r *Runner) addLocalImages(ctx context.Context, o *state.Observed) error {
	for _, c := range slices.Concat(o.Containers, o.OneOffs) {
		if _, known := o.Images[c.Image]; known || c.Image != plan.LocalImage(o.Project, c.Service) {
			continue
		}
		image, err := r.engine.Image(ctx, c.Image)
		switch {
		case errdefs.IsNotFound(err):
		case err != nil:
			return err
		default:
			o.Images[c.Image] = image
		}
	}
	return nil
}
