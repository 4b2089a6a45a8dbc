package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/spf13/cobra"

	"github.com/stackctl/stackctl/pkg/runner"
	"github.com/stackctl/stackctl/pkg/runner/state"
	"github.com/stackctl/stackctl/pkg/spec/render/compose"
	"github.com/stackctl/stackctl/pkg/spec/render/gosource"
)

type renderOptions struct {
	*globalOptions
	output  string
	format  format
	resolve bool
	// quiet prints nothing, services and images print names in place of the stack.
	quiet, services, images bool
}

func newRenderCommand(g *globalOptions) *cobra.Command {
	opts := &renderOptions{globalOptions: g, format: formatYAML}
	cmd := &cobra.Command{
		Use:     "render",
		Aliases: []string{"config"},
		Short:   "Print the stack as a compose file or a Go program",
		Long: `Print the stack as a compose file, which Docker Compose runs as it is, or with
--format go as a Go program that builds the same stack with the package
github.com/stackctl/stackctl/pkg/spec and prints that file.

Variables stay ${VARIABLES}, so there is no secret in the file. With --resolve
they have their values, passwords too, unless they are secrets of the stack, as
that of the built-in one is: such a one is read where the file is run.

The names alone, and --quiet, are of the services whose profile is active, with
the variables as they are.`,
		Example: `  # A file for Docker Compose
  stackctl render > compose.yml

  # A Go program to go on with
  stackctl render --format go > main.go

  # What this machine would run
  stackctl render --resolve

  # The services, one a line, for a script
  stackctl config --services`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runRender(cmd.Context(), g.app, opts) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&opts.output, "output", "o", "", "write to a `file` instead of the standard output")
	flags.Var(newChoice(&opts.format, formatYAML, formatJSON, formatGo), "format", "how to print: yaml, json, or go for a Go program")
	flags.BoolVar(&opts.resolve, "resolve", false, "fill in the values of variables, which may be secret")
	flags.BoolVarP(&opts.quiet, "quiet", "q", false, "check the stack and print nothing")
	flags.BoolVar(&opts.services, "services", false, "print the names of the services, one a line")
	flags.BoolVar(&opts.images, "images", false, "print the names of the images, one a line")
	_ = cmd.MarkFlagFilename("output")
	return cmd
}

// check looks at the flags together.
func (o *renderOptions) check() error {
	var parts int
	for _, part := range []bool{o.quiet, o.services, o.images} {
		if part {
			parts++
		}
	}
	switch {
	case parts > 1:
		return &usageError{text: "--quiet, --services and --images print different things", hint: "keep one of them"}
	case parts > 0 && (o.output != "" || o.format != formatYAML || o.resolve):
		return &usageError{text: "--quiet, --services and --images do not print the stack", hint: "leave --output, --format and --resolve out"}
	}
	return nil
}

func runRender(ctx context.Context, app *App, o *renderOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	o.overwrites, o.unnamed = true, true
	if o.quiet || o.services || o.images {
		return o.printParts(ctx, app)
	}
	text, err := o.text(ctx)
	if err != nil {
		return err
	}
	if o.format == formatGo {
		if text, err = gosource.Program(text); err != nil {
			return err
		}
	}
	if o.output == "" {
		_, err := app.Out.Write(text)
		return err
	}
	mode := os.FileMode(0o644)
	if o.resolve {
		mode = 0o600 // it holds the password
	}
	if err := writeWhole(within(app.Dir, o.output), text, mode); err != nil {
		return fmt.Errorf("write the compose file: %w", err)
	}
	return nil
}

// checkFields warns of fields that mean nothing to one engine, and refuses those
// that it cannot do.
func (g *globalOptions) checkFields(p *types.Project) error {
	warnings, err := runner.CheckFields(p)
	for _, warning := range warnings {
		g.warn(warning.String())
	}
	return err
}

// printParts prints what a script wants to know of the stack, a name a line.
func (o *renderOptions) printParts(ctx context.Context, app *App) error {
	s, err := o.sourceToLoad(ctx)
	if err != nil {
		return err
	}
	p, err := s.load(ctx)
	if err != nil {
		return err
	}
	var lines []string
	switch {
	case o.quiet:
		return o.checkFields(p)
	case o.services:
		lines = p.ServiceNames()
	case o.images:
		desired, err := state.Flatten(p)
		if err != nil {
			return err
		}
		for _, service := range desired.Services {
			lines = append(lines, service.Image)
		}
		slices.Sort(lines)
		lines = slices.Compact(lines)
	}
	for _, line := range lines {
		if _, err := fmt.Fprintln(app.Out, line); err != nil {
			return err
		}
	}
	return nil
}

// text gives the compose file, as JSON if that is the format.
func (o *renderOptions) text(ctx context.Context) ([]byte, error) {
	s, err := o.source(ctx)
	if err != nil {
		return nil, err
	}
	if !o.resolve && s.stack == nil {
		return s.merge(ctx, o.format == formatJSON)
	}
	if !o.resolve {
		// The file is for other machines, too: the source is where the file is.
		if !isCheckout(s.dir) {
			o.note("to build webapp from it, keep the file in a checkout of %s", modulePath)
		}
		if o.format == formatJSON {
			return s.stack.ComposeJSON()
		}
		return s.stack.Compose()
	}
	if !s.knowsPassword() {
		return nil, missingPassword(fmt.Sprintf("set it in the environment or in %s; `stackctl up` makes one at the first start", dotenvName))
	}
	if err := o.locateSource(ctx, s); err != nil {
		return nil, err
	}
	p, err := s.load(ctx)
	if err != nil {
		return nil, err
	}
	if o.format == formatJSON {
		return compose.ProjectJSON(p)
	}
	return compose.Project(p)
}

// writeWhole writes a file. A device, such as /dev/stdout, is written to and not
// replaced.
func writeWhole(path string, content []byte, mode os.FileMode) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	if info, err := file.Stat(); err == nil && info.Mode().IsRegular() && mode == 0o600 {
		if err := file.Chmod(mode); err != nil {
			_ = file.Close()
			return err
		}
	}
	_, err = io.Writer(file).Write(content)
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	return err
}
