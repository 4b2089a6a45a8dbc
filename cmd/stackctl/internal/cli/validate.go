package cli

import (
	"context"
	"fmt"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/spf13/cobra"

	"github.com/stackctl/stackctl/pkg/runner"
)

func newValidateCommand(g *globalOptions) *cobra.Command {
	return &cobra.Command{
		Use:   "validate",
		Short: "Check the stack, and report everything that is wrong with it",
		Long: `Check the stack with the variables as they are, and report everything that is
wrong with it, one fault a line, each with what mends it; so are fields that one
engine cannot do. The exit code is 3 when there is a fault. The engine is not
needed.`,
		Example: `  stackctl validate
  WEBAPP_PORT=5432 stackctl validate`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runValidate(cmd.Context(), g.app, g) },
	}
}

func runValidate(ctx context.Context, app *App, g *globalOptions) error {
	s, err := g.sourceToLoad(ctx)
	if err != nil {
		return err
	}
	p, err := s.load(ctx)
	if err != nil {
		return err
	}
	g.announce()
	for _, file := range g.versioned {
		g.warn(file + ": version means nothing any more, and can be left out")
	}
	if err := g.checkFields(p); err != nil {
		return err
	}
	number := fmt.Sprintf("%d services", len(p.Services))
	if len(p.Services) == 1 {
		number = "1 service"
	}
	_, err = fmt.Fprintf(app.Out, "valid: project %s with %s\n", p.Name, number)
	return err
}

// checkFields warns of fields that mean nothing to one engine, and refuses those
// that it cannot do.
func (g *globalOptions) checkFields(p *types.Project) error {
	warnings, err := runner.CheckFields(p)
	for _, warning := range warnings {
		g.warn(warning)
	}
	return err
}
