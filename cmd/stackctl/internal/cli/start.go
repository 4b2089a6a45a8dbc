package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/stackctl/stackctl/cmd/stackctl/internal/display"
	"github.com/stackctl/stackctl/pkg/runner"
)

type startOptions struct {
	*globalOptions
	services    []string
	wait        bool
	waitTimeout *time.Duration
	dryRun      bool
}

func newStartCommand(g *globalOptions) *cobra.Command {
	timeout := runner.DefaultWaitTimeout
	opts := &startOptions{globalOptions: g, waitTimeout: &timeout}
	cmd := &cobra.Command{
		Use:   "start [SERVICE...]",
		Short: "Start containers that were stopped",
		Long: `Start containers that were stopped, each when what it depends on is ready.

Nothing is made: up does that. What to start, and in which order, is on the
containers' labels, so any project can be started by its name. With services
named, only they and what they depend on are started.`,
		Example: `  # Everything
  stackctl start

  # The web app and what it needs, until it is healthy
  stackctl start --wait webapp

  # A project of Docker Compose
  stackctl -p shop start`,
		ValidArgsFunction: g.completeServices,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.services = args
			return runStart(cmd.Context(), opts)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&opts.wait, "wait", false, "wait until everything runs, or is healthy where it has a healthcheck")
	flags.Var(newSpan(&opts.waitTimeout), "wait-timeout", "how long to wait for each container, as `duration` or seconds")
	flags.BoolVar(&opts.dryRun, "dry-run", false, "print what would be done, and do nothing")
	return cmd
}

func runStart(ctx context.Context, o *startOptions) error {
	if *o.waitTimeout == 0 {
		return &usageError{text: "--wait-timeout 0 leaves no time", hint: "leave it out for " + runner.DefaultWaitTimeout.String()}
	}
	s, e, closeEngine, err := o.reachContainers(ctx, o.services)
	if err != nil {
		return err
	}
	defer closeEngine()
	options := runner.StartOptions{Services: o.services, Wait: o.wait, WaitTimeout: *o.waitTimeout, Hooks: s.hooks(ctx)}
	if o.dryRun {
		return o.showPlan(runner.New(e).PlanStart(ctx, s.name, options))
	}
	report, err := o.perform(e, s.name, func(r *runner.Runner) (*runner.Report, error) { return r.Start(ctx, s.name, options) })
	if err != nil {
		return err
	}
	if report.Plan.Empty() {
		o.progressNote("everything runs already in project %s", s.name)
		return nil
	}
	o.progressNote("started in %s", display.Elapsed(report.Elapsed))
	return nil
}
