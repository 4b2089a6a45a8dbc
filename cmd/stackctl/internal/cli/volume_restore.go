package cli

import (
	"cmp"
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/stackctl/stackctl/cmd/stackctl/internal/display"
	"github.com/stackctl/stackctl/pkg/runner"
	"github.com/stackctl/stackctl/pkg/runner/backup"
)

type volumeRestoreOptions struct {
	*globalOptions
	from    string
	volumes []string
	timeout *time.Duration
	dryRun  bool
}

func newVolumeRestoreCommand(g *globalOptions) *cobra.Command {
	opts := &volumeRestoreOptions{globalOptions: g}
	cmd := &cobra.Command{
		Use:   "restore FOLDER|FILE [VOLUME...]",
		Short: "Write backups into volumes that are empty or missing",
		Long: `Write backups into volumes that are empty or missing: all in the folder, or one by
its file, or those that are named.

Restore before the first up, which would begin with an empty database: a volume that
is missing is made as it was, with its labels, for this project (-p names another
one). A volume that holds anything is refused. Backups are read to their end before
anything is changed.

A restore that is cut leaves no volume that looks whole: one that was made for it is
removed, and where that was not possible up refuses it. To restore again completes
it. External volumes have to be there and empty; they are never made or removed.`,
		Example: `  # What down -v has removed
  stackctl down -v --backup backups/today
  stackctl volume restore backups/today
  stackctl up

  # Into a copy of the stack
  stackctl -p staging volume restore backups/today`,
		Args:              needFolder,
		ValidArgsFunction: g.completeBackups,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.from, opts.volumes = args[0], args[1:]
			return runVolumeRestore(cmd.Context(), opts)
		},
	}
	flags := cmd.Flags()
	flags.VarP(newSpan(&opts.timeout), "timeout", "t", "`seconds` between stop signal and kill; default: each container's own")
	flags.BoolVar(&opts.dryRun, "dry-run", false, "print what would be done before the containers start again, and do nothing")
	return cmd
}

// completeBackups completes the volumes that the folder has backups of.
func (g *globalOptions) completeBackups(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 { // the folder
		return nil, cobra.ShellCompDirectiveDefault
	}
	backups, err := backup.Find(within(g.app.Dir, args[0]))
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var out []string
	for _, b := range backups {
		out = append(out, cmp.Or(b.Key, b.Volume))
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

func runVolumeRestore(ctx context.Context, o *volumeRestoreOptions) error {
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
	options := runner.RestoreOptions{
		From: within(o.app.Dir, o.from), Volumes: o.volumes, Images: s.images(ctx), Grace: o.timeout, Hooks: s.hooks(ctx),
	}
	if o.dryRun {
		return o.showPlan(runner.New(e).PlanRestore(ctx, s.name, options))
	}
	report, err := o.perform(e, s.name, func(r *runner.Runner) (*runner.Report, error) { return r.RestoreVolumes(ctx, s.name, options) })
	if err != nil {
		return err
	}
	o.progressNote("restored in %s; `stackctl up` goes on from here", display.Elapsed(report.Elapsed))
	return nil
}
