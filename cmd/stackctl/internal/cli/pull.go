package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/stackctl/stackctl/cmd/stackctl/internal/display"
	"github.com/stackctl/stackctl/pkg/runner"
)

type pullOptions struct {
	*globalOptions
	services        []string
	ignoreFailures  bool
	ignoreBuildable bool
	includeDeps     bool
	policy          runner.PullPolicy
	quiet           bool
	dryRun          bool
}

func newPullCommand(g *globalOptions) *cobra.Command {
	opts := &pullOptions{globalOptions: g}
	cmd := &cobra.Command{
		Use:   "pull [SERVICE...]",
		Short: "Fetch the stack's images",
		Long: `Fetch the stack's images from their registries, all at a time. What runs stays
as it is: up replaces the containers whose image has changed.`,
		Example: `  # Everything
  stackctl pull

  # What is not on the engine yet
  stackctl pull --policy missing

  # What can be had
  stackctl pull --ignore-pull-failures`,
		ValidArgsFunction: g.completeServices,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.services = args
			return runPull(cmd.Context(), opts)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&opts.ignoreBuildable, "ignore-buildable", false, "leave out images that can be built")
	flags.BoolVar(&opts.ignoreFailures, "ignore-pull-failures", false, "pull what can be had, and warn of the rest")
	flags.BoolVar(&opts.includeDeps, "include-deps", false, "pull for what the services depend on, too")
	flags.Var(newChoice(&opts.policy, runner.PullMissing, runner.PullAlways), "policy", "when to pull images: missing or always; default: each service's own, or always")
	flags.BoolVarP(&opts.quiet, "quiet", "q", false, "show no progress")
	flags.BoolVar(&opts.dryRun, "dry-run", false, "print what would be done, and do nothing")
	return cmd
}

func runPull(ctx context.Context, o *pullOptions) error {
	if o.quiet {
		o.progress = display.Quiet
	}
	s, err := o.sourceToLoad(ctx, o.services...)
	if err != nil {
		return err
	}
	if err := s.choose(o.services); err != nil {
		return err
	}
	p, err := s.load(ctx)
	if err != nil {
		return err
	}
	e, closeEngine, err := o.connect()
	if err != nil {
		return err
	}
	defer closeEngine()
	options := runner.PullOptions{
		Services: o.services, Dependencies: o.includeDeps, Policy: o.policy,
		IgnoreBuildable: o.ignoreBuildable, IgnoreFailures: o.ignoreFailures,
	}
	if o.dryRun {
		if _, err := e.Info(ctx); err != nil {
			return err
		}
		return o.showPlan(runner.New(e).PlanPull(ctx, p, options))
	}
	report, err := o.perform(e, s.name, func(r *runner.Runner) (*runner.Report, error) { return r.Pull(ctx, p, options) })
	if err != nil {
		return err
	}
	if report.Plan.Empty() {
		o.progressNote("nothing to pull in project %s", s.name)
	}
	return nil
}
