package cli

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

type versionOptions struct {
	format format
}

func newVersionCommand(g *globalOptions) *cobra.Command {
	opts := &versionOptions{format: formatText}
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version of stackctl",
		Long:  `Print the version of stackctl. The engine is not asked for its own.`,
		Example: `  stackctl version
  stackctl version --format json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runVersion(cmd.Context(), g.app, opts) },
	}
	cmd.Flags().Var(newChoice(&opts.format, formatText, formatJSON), "format", "how to print: text or json")
	return cmd
}

// versionInfo is the JSON form.
type versionInfo struct {
	Version string `json:"version"`
	// Commit is what the binary was built from; empty when that is not known.
	Commit string `json:"commit"`
	Go     string `json:"go"`
	OS     string `json:"os"`
	Arch   string `json:"arch"`
}

func runVersion(_ context.Context, app *App, o *versionOptions) error {
	info := versionInfo{app.Version, commit(), runtime.Version(), runtime.GOOS, runtime.GOARCH}
	if o.format == formatJSON {
		return writeJSON(app.Out, info)
	}
	_, err := fmt.Fprintf(app.Out, "stackctl %s (%s, %s/%s)\n", info.Version, info.Go, info.OS, info.Arch)
	return err
}

// commit is what the go command has noted in the binary.
func commit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return ""
}
