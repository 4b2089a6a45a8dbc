package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/stackctl/stackctl/pkg/runner"
	"github.com/stackctl/stackctl/pkg/runner/plan"
)

type downOptions struct {
	*globalOptions
	volumes       bool
	timeout       *time.Duration
	removeOrphans bool
	images        plan.RemoveImages
	dryRun        bool
}

func newDownCommand(g *globalOptions) *cobra.Command {
	opts := &downOptions{globalOptions: g}
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Stop the stack and remove its containers and networks",
		Long: `Stop the stack and remove its containers and networks.

Volumes stay, and with them the data, unless --volumes is given. Only what has
the project's label is removed.`,
		Example: `  # Stop; the next up finds the data again
  stackctl down

  # The data too
  stackctl down -v

  # And the image that was built
  stackctl down -v --rmi local`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runDown(cmd.Context(), opts) },
	}
	flags := cmd.Flags()
	flags.BoolVarP(&opts.volumes, "volumes", "v", false, "remove the project's volumes and the data in them, too")
	flags.VarP(newSpan(&opts.timeout), "timeout", "t", "`seconds` between stop signal and kill; default: each container's own")
	flags.BoolVar(&opts.removeOrphans, "remove-orphans", false, "remove containers of services that the stack does not have, too")
	flags.Var(newChoice(&opts.images, runner.RemoveLocalImages, runner.RemoveAllImages), "rmi", "remove images: local (what was built here) or all")
	flags.BoolVar(&opts.dryRun, "dry-run", false, "print what would be done, and do nothing")
	return cmd
}

func runDown(ctx context.Context, o *downOptions) error {
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
	if o.dryRun {
		if _, err := e.Info(ctx); err != nil {
			return err
		}
		return o.showPlan(runner.New(e).PlanDown(ctx, s.name, options))
	}
	report, err := o.perform(e, s.name, func(r *runner.Runner) (*runner.Report, error) { return r.Down(ctx, s.name, options) })
	if err != nil {
		return err
	}
	if report.Plan.Empty() {
		o.progressNote("nothing to remove in project %s", s.name)
	}
	return nil
}
