package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
)

func newValidateCommand(g *globalOptions) *cobra.Command {
	return &cobra.Command{
		Use:   "validate",
		Short: "Check the stack, and report everything that is wrong with it",
		Long: `Check the stack with the variables as they are, and report everything that is
wrong with it, one fault a line, each with what mends it. The exit code is 3 when
there is a fault. The engine is not needed.`,
		Example: `  stackctl validate
  WEBAPP_PORT=5432 stackctl validate`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runValidate(cmd.Context(), g.app, g) },
	}
}

func runValidate(ctx context.Context, app *App, g *globalOptions) error {
	s, err := g.source(ctx)
	if err != nil {
		return err
	}
	p, err := s.load(ctx)
	if err != nil {
		return err
	}
	g.announce()
	_, err = fmt.Fprintf(app.Out, "valid: project %s with %d services\n", p.Name, len(p.Services))
	return err
}
