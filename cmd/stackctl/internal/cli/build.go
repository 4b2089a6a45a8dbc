package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/spf13/cobra"

	"github.com/stackctl/stackctl/cmd/stackctl/internal/display"
	"github.com/stackctl/stackctl/pkg/runner"
)

type buildOptions struct {
	*globalOptions
	services         []string
	args             []string
	builder          runner.BuilderMode
	noCache          bool
	pull             bool
	quiet            bool
	withDependencies bool
	dryRun           bool
}

func newBuildCommand(g *globalOptions) *cobra.Command {
	opts := &buildOptions{globalOptions: g, builder: runner.BuilderAuto}
	cmd := &cobra.Command{
		Use:   "build [SERVICE...]",
		Short: "Build the stack's images",
		Long: `Build the images of the services that have a build section, all at a time. What
runs stays as it is: up replaces the containers whose image has changed.`,
		Example: `  # Everything
  stackctl build

  # Every step anew, from base images as they are now
  stackctl build --no-cache --pull

  # With a build argument; one without a value takes it from the environment
  stackctl build --build-arg VERSION=1.2.3 --build-arg HTTP_PROXY webapp`,
		ValidArgsFunction: g.completeServices,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.services = args
			return runBuild(cmd.Context(), opts)
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&opts.args, "build-arg", nil, "a build argument as `NAME=value`; may be repeated")
	flags.Var(newChoice(&opts.builder, runner.BuilderAuto, runner.BuilderGo, runner.BuilderEngine), "builder", "what builds: auto, go (the host's Go toolchain) or engine (the Dockerfile)")
	flags.BoolVar(&opts.noCache, "no-cache", false, "run every step anew")
	flags.BoolVar(&opts.pull, "pull", false, "look for newer base images")
	flags.BoolVarP(&opts.quiet, "quiet", "q", false, "show no progress")
	flags.BoolVar(&opts.withDependencies, "with-dependencies", false, "build for what the services depend on, too")
	flags.BoolVar(&opts.dryRun, "dry-run", false, "print what would be done, and do nothing")
	return cmd
}

// buildArgs reads the build arguments. One without a value takes it from the
// environment, and is not sent when it has none there either.
func (o *buildOptions) buildArgs() (types.MappingWithEquals, error) {
	args := types.MappingWithEquals{}
	for _, setting := range o.args {
		name, value, given := strings.Cut(setting, "=")
		if name == "" {
			return nil, &usageError{text: fmt.Sprintf("--build-arg %q names no argument", setting), hint: "--build-arg NAME=value"}
		}
		if !given {
			value, given = o.app.lookupEnv(name)
		}
		args[name] = nil
		if given {
			args[name] = &value
		}
	}
	if len(args) > 0 && o.builder == runner.BuilderGo {
		return nil, &usageError{text: "--builder go takes no --build-arg: the Go toolchain reads no Dockerfile", hint: "--builder engine builds the Dockerfile"}
	}
	return args, nil
}

func runBuild(ctx context.Context, o *buildOptions) error {
	args, err := o.buildArgs()
	if err != nil {
		return err
	}
	o.steps = true
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
	if !o.dryRun {
		if err := o.locateSource(ctx, s); err != nil {
			return err
		}
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
	options := runner.BuildOptions{
		Services: o.services, Dependencies: o.withDependencies, Builder: o.builder,
		NoCache: o.noCache, Pull: o.pull, Args: args,
	}
	if o.dryRun {
		return o.showPlan(runner.New(e).PlanBuild(p, options))
	}
	report, err := o.perform(e, s.name, func(r *runner.Runner) (*runner.Report, error) { return r.Build(ctx, p, options) })
	if err != nil {
		return err
	}
	if report.Plan.Empty() {
		o.progressNote("nothing to build in project %s", s.name)
	}
	return nil
}
