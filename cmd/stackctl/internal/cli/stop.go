package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/stackctl/stackctl/pkg/runner"
)

type stopOptions struct {
	*globalOptions
	services []string
	timeout  *time.Duration
	dryRun   bool
}

func newStopCommand(g *globalOptions) *cobra.Command {
	opts := &stopOptions{globalOptions: g}
	cmd := &cobra.Command{
		Use:   "stop [SERVICE...]",
		Short: "Stop containers and keep them",
		Long: `Stop containers, each after those that depend on it, and keep them: start
and up start them again, with all that is in them. With services named, only they
are stopped.`,
		Example: `  # Everything
  stackctl stop

  # One service, with five seconds to end
  stackctl stop -t 5 webapp

  # A project of Docker Compose
  stackctl -p shop stop`,
		ValidArgsFunction: g.completeServices,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.services = args
			return runStop(cmd.Context(), opts)
		},
	}
	flags := cmd.Flags()
	flags.VarP(newSpan(&opts.timeout), "timeout", "t", "`seconds` between stop signal and kill; default: each container's own")
	flags.BoolVar(&opts.dryRun, "dry-run", false, "print what would be done, and do nothing")
	return cmd
}

func runStop(ctx context.Context, o *stopOptions) error {
	s, e, closeEngine, err := o.reachContainers(ctx, o.services)
	if err != nil {
		return err
	}
	defer closeEngine()
	options := runner.StopOptions{Services: o.services, Grace: o.timeout, Hooks: s.hooks(ctx)}
	if o.dryRun {
		return o.showPlan(runner.New(e).PlanStop(ctx, s.name, options))
	}
	report, err := o.perform(e, s.name, func(r *runner.Runner) (*runner.Report, error) { return r.Stop(ctx, s.name, options) })
	if err != nil {
		return err
	}
	if report.Plan.Empty() {
		o.progressNote("nothing to stop in project %s", s.name)
	}
	return nil
}
