package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/stackctl/stackctl/cmd/stackctl/internal/display"
	"github.com/stackctl/stackctl/pkg/runner"
)

type restartOptions struct {
	*globalOptions
	services []string
	noDeps   bool
	timeout  *time.Duration
	dryRun   bool
}

func newRestartCommand(g *globalOptions) *cobra.Command {
	opts := &restartOptions{globalOptions: g}
	cmd := &cobra.Command{
		Use:   "restart [SERVICE...]",
		Short: "Stop containers and start them again",
		Long: `Stop containers and start them again, in the order of what depends on what.

With services named, only they restart, and the services whose depends_on asks for
it with restart: true. A change of the stack does not reach a container by a
restart: up does that.`,
		Example: `  # Everything
  stackctl restart

  # One service, and none that would restart with it
  stackctl restart --no-deps database`,
		ValidArgsFunction: g.completeServices,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.services = args
			return runRestart(cmd.Context(), opts)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&opts.noDeps, "no-deps", false, "do not restart what depends on the services")
	flags.VarP(newSpan(&opts.timeout), "timeout", "t", "`seconds` between stop signal and kill; default: each container's own")
	flags.BoolVar(&opts.dryRun, "dry-run", false, "print what would be done, and do nothing")
	return cmd
}

func runRestart(ctx context.Context, o *restartOptions) error {
	s, e, closeEngine, err := o.reachContainers(ctx, o.services)
	if err != nil {
		return err
	}
	defer closeEngine()
	options := runner.RestartOptions{Services: o.services, NoDeps: o.noDeps, Grace: o.timeout, Hooks: s.hooks(ctx)}
	if o.dryRun {
		return o.showPlan(runner.New(e).PlanRestart(ctx, s.name, options))
	}
	report, err := o.perform(e, s.name, func(r *runner.Runner) (*runner.Report, error) { return r.Restart(ctx, s.name, options) })
	if err != nil {
		return err
	}
	if report.Plan.Empty() {
		o.progressNote("nothing to restart in project %s", s.name)
		return nil
	}
	o.progressNote("restarted in %s", display.Elapsed(report.Elapsed))
	return nil
}
