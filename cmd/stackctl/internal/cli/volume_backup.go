package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/stackctl/stackctl/pkg/runner"
	"github.com/stackctl/stackctl/pkg/runner/event"
)

type volumeBackupOptions struct {
	*globalOptions
	dir     string
	volumes []string
	timeout *time.Duration
	dryRun  bool
}

func newVolumeBackupCommand(g *globalOptions) *cobra.Command {
	opts := &volumeBackupOptions{globalOptions: g}
	cmd := &cobra.Command{
		Use:   "backup FOLDER [VOLUME...]",
		Short: "Write volumes to a folder",
		Long: `Write volumes to a folder, all of the stack unless some are named.

The containers of the stack that use them stop before, each after those that depend
on it, and start again afterwards, also when the backup fails or Ctrl-C comes: so
nobody writes meanwhile, and a database is as a clean shutdown leaves it. While a
container of somebody else uses a volume, there is no backup of it.

Each volume becomes VOLUME.tar.gz, VOLUME.json (what it takes to make it again) and
VOLUME.sha256 (for sha256sum -c, too), for their owner alone. The archive is read
again to its end before it gets its name, and nothing is ever overwritten: name a
folder for each backup.`,
		Example: `  # All volumes
  stackctl volume backup backups/$(date +%F)

  # One of a project of Docker Compose
  stackctl -p shop volume backup backups/today data`,
		Args:              needFolder,
		ValidArgsFunction: g.completeVolumes,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.dir, opts.volumes = args[0], args[1:]
			return runVolumeBackup(cmd.Context(), opts)
		},
	}
	flags := cmd.Flags()
	flags.VarP(newSpan(&opts.timeout), "timeout", "t", "`seconds` between stop signal and kill; default: each container's own")
	flags.BoolVar(&opts.dryRun, "dry-run", false, "print what would be done before the containers start again, and do nothing")
	return cmd
}

func runVolumeBackup(ctx context.Context, o *volumeBackupOptions) error {
	s, err := o.source(ctx)
	if err != nil {
		return err
	}
	e, closeEngine, err := o.reach(ctx)
	if err != nil {
		return err
	}
	defer closeEngine()
	s.byLabels = s.assumed
	options := runner.BackupOptions{
		Dir: within(o.app.Dir, o.dir), Volumes: o.volumes, Images: s.images(ctx), Grace: o.timeout, Hooks: s.hooks(ctx),
	}
	if o.dryRun {
		return o.showPlan(runner.New(e).PlanBackup(ctx, s.name, options))
	}
	var report *runner.BackupReport
	err = o.watched(s.name, func(sink event.Sink) error {
		report, err = o.newRunner(e, sink).BackupVolumes(ctx, s.name, options)
		return err
	})
	if err != nil {
		return err
	}
	o.tellBackups(report.Backups)
	if len(report.Backups) == 0 {
		o.progressNote("project %s has no volumes to back up", s.name)
	}
	return nil
}
