package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/stackctl/stackctl/cmd/stackctl/internal/display"
	"github.com/stackctl/stackctl/pkg/runner"
	"github.com/stackctl/stackctl/pkg/runner/event"
	"github.com/stackctl/stackctl/pkg/runner/plan"
)

type planOptions struct {
	*globalOptions
	format   format
	exitCode bool
}

func newPlanCommand(g *globalOptions) *cobra.Command {
	opts := &planOptions{globalOptions: g, format: formatText}
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Show what up would do, and why",
		Long: `Show what up would do, and why. Nothing is changed.

With --exit-code the exit code is 0 when up would change nothing, and 1 when it
would change something.`,
		Example: `  # What would happen
  stackctl plan

  # The images that would be built or pulled
  stackctl plan --format json | jq -r '.nodes[] | select(.kind=="image") | .name'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runPlan(cmd.Context(), g.app, opts) },
	}
	cmd.Flags().Var(newChoice(&opts.format, formatText, formatJSON), "format", "how to print: text or json")
	cmd.Flags().BoolVar(&opts.exitCode, "exit-code", false, "exit with 1 when something would be changed")
	return cmd
}

func runPlan(ctx context.Context, app *App, o *planOptions) error {
	o.unnamed = o.format == formatJSON
	todo, err := planUp(ctx, o.globalOptions, runner.UpOptions{})
	if err != nil {
		return err
	}
	if o.format == formatJSON {
		err = writeJSON(app.Out, todo)
	} else {
		err = display.Plan(app.Out, todo, o.outColor())
	}
	if err == nil && o.exitCode && todo.Changes() > 0 {
		err = silentError(exitFailed)
	}
	return err
}

// planUp plans without changing anything, on the engine or here.
func planUp(ctx context.Context, g *globalOptions, o runner.UpOptions) (*plan.Plan, error) {
	s, err := g.sourceToLoad(ctx, o.Services...)
	if err != nil {
		return nil, err
	}
	o = g.withoutRegistry(s, o)
	if err := s.choose(o.Services); err != nil {
		return nil, err
	}
	p, err := s.load(ctx)
	if err != nil {
		return nil, err
	}
	e, closeEngine, err := g.reach(ctx)
	if err != nil {
		return nil, err
	}
	defer closeEngine()
	if !s.knowsPassword() {
		o.SkipDefinitions = true
		if volume, err := findVolume(ctx, e, databaseVolume(p)); err != nil {
			return nil, err
		} else if volume {
			g.warn("up would refuse: " + passwordRefused(databaseVolume(p)).Error())
		}
	}
	todo, err := g.newRunner(e, event.Discard).Plan(ctx, p, o)
	if err != nil {
		return nil, err
	}
	g.announce()
	for _, warning := range todo.Warnings {
		g.warn(warning)
	}
	return todo, nil
}
