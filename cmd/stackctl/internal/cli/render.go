package cli

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/stackctl/stackctl/pkg/spec/render/compose"
)

type renderOptions struct {
	*globalOptions
	output  string
	format  format
	resolve bool
}

func newRenderCommand(g *globalOptions) *cobra.Command {
	opts := &renderOptions{globalOptions: g, format: formatYAML}
	cmd := &cobra.Command{
		Use:     "render",
		Aliases: []string{"config"},
		Short:   "Print the stack as a compose file",
		Long: `Print the stack as a compose file, which Docker Compose runs as it is.

Variables stay ${VARIABLES}, so there is no secret in the file. With --resolve
they have their values, the password too.`,
		Example: `  # A file for Docker Compose
  stackctl render > compose.yml

  # What this machine would run
  stackctl render --resolve`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runRender(cmd.Context(), g.app, opts) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&opts.output, "output", "o", "", "write to a `file` instead of the standard output")
	flags.Var(newChoice(&opts.format, formatYAML, formatJSON), "format", "how to print: yaml or json")
	flags.BoolVar(&opts.resolve, "resolve", false, "fill in the values of variables, secrets too")
	_ = cmd.MarkFlagFilename("output")
	return cmd
}

func runRender(ctx context.Context, app *App, o *renderOptions) error {
	o.overwrites, o.unnamed = true, true
	text, err := o.text(ctx)
	if err != nil {
		return err
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
