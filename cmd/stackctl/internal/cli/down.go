package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/stackctl/stackctl/pkg/runner"
	"github.com/stackctl/stackctl/pkg/runner/event"
	"github.com/stackctl/stackctl/pkg/runner/plan"
)

type downOptions struct {
	*globalOptions
	volumes       bool
	timeout       *time.Duration
	removeOrphans bool
	images        plan.RemoveImages
	backup        string
	yes           bool
	dryRun        bool
}

func newDownCommand(g *globalOptions) *cobra.Command {
	opts := &downOptions{globalOptions: g}
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Stop the stack and remove its containers and networks",
		Long: `Stop the stack and remove its containers and networks.

Volumes stay, and with them the data, unless --volumes is given: then they are
listed first. When the standard input is a terminal, down asks once whether to go on,
unless --yes is given: on the standard error, or on the standard output if only that
is a terminal; where neither is, nothing is removed. Without a terminal it goes on,
unless STACKCTL_CONFIRM=1 makes --yes a must. With --backup each volume is written to
a folder first, as volume backup does, and read again; nothing is removed before all
of them are. Only what has the project's label is removed, and no volume that
somebody else's container uses.`,
		Example: `  # Stop; the next up finds the data again
  stackctl down

  # The data too
  stackctl down -v

  # The data too, once it is safe: volume restore brings it back
  stackctl down -v --backup backups/$(date +%F)

  # And the image that was built
  stackctl down -v --rmi local`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runDown(cmd.Context(), opts) },
	}
	flags := cmd.Flags()
	flags.BoolVarP(&opts.volumes, "volumes", "v", false, "remove the project's volumes and the data in them, too")
	flags.StringVar(&opts.backup, "backup", "", "`folder` to write each volume to before it is removed; with --volumes")
	flags.BoolVarP(&opts.yes, "yes", "y", false, "do not ask before volumes are removed")
	flags.VarP(newSpan(&opts.timeout), "timeout", "t", "`seconds` between stop signal and kill; default: each container's own")
	flags.BoolVar(&opts.removeOrphans, "remove-orphans", false, "remove containers of services that the stack does not have, too")
	flags.Var(newChoice(&opts.images, runner.RemoveLocalImages, runner.RemoveAllImages), "rmi", "remove images: local (what was built here) or all")
	flags.BoolVar(&opts.dryRun, "dry-run", false, "print what would be done, and do nothing")
	return cmd
}

// check looks at the flags together.
func (o *downOptions) check() error {
	if o.backup != "" && !o.volumes {
		return &usageError{text: "--backup is for volumes that are removed, and without --volumes they stay", hint: "add -v, or use `stackctl volume backup`"}
	}
	return nil
}

func runDown(ctx context.Context, o *downOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	s, err := o.source(ctx)
	if err != nil {
		return err
	}
	e, closeEngine, err := o.connect()
	if err != nil {
		return err
	}
	defer closeEngine()
	s.byLabels = s.assumed
	options := runner.DownOptions{
		Services: s.owned(), RemoveOrphans: o.removeOrphans,
		Volumes: o.volumes, Grace: o.timeout, Images: o.images, Hooks: s.hooks(ctx),
	}
	if o.backup != "" {
		options.BackupDir, options.HelperImages = within(o.app.Dir, o.backup), s.images(ctx)
	}
	if o.dryRun {
		if _, err := e.Info(ctx); err != nil {
			return err
		}
		return o.showPlan(runner.New(e).PlanDown(ctx, s.name, options))
	}
	options.Confirm = o.confirmRemoval(e, s.name)
	var report *runner.DownReport
	err = o.watched(s.name, func(sink event.Sink) error {
		report, err = o.newRunner(e, sink).Down(ctx, s.name, options)
		return err
	})
	if err != nil {
		return err
	}
	o.tellBackups(report.Backups)
	if report.Plan.Empty() {
		o.progressNote("nothing to remove in project %s", s.name)
	}
	return nil
}
