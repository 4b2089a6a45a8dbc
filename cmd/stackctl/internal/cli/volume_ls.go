package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stackctl/stackctl/cmd/stackctl/internal/display"
	"github.com/stackctl/stackctl/pkg/runner"
)

type volumeListOptions struct {
	*globalOptions
	size   bool
	format format
	quiet  bool
}

func newVolumeListCommand(g *globalOptions) *cobra.Command {
	opts := &volumeListOptions{globalOptions: g, format: formatTable}
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List the volumes that the stack has on the engine",
		Long: `List the volumes that the stack has on the engine, and external ones that its
containers use. Labels say what belongs to it, so it works on any project.`,
		Example: `  # Which there are
  stackctl volume ls

  # How large they are, for which the engine looks at all their files
  stackctl volume ls --size

  # For a script
  stackctl -p shop volume ls --format json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runVolumeList(cmd.Context(), g.app, opts) },
	}
	flags := cmd.Flags()
	flags.BoolVarP(&opts.size, "size", "s", false, "sizes, too: the engine looks at all files for that")
	flags.Var(newChoice(&opts.format, formatTable, formatJSON), "format", "how to print: table or json")
	flags.BoolVarP(&opts.quiet, "quiet", "q", false, "the engine's names only")
	return cmd
}

func runVolumeList(ctx context.Context, app *App, o *volumeListOptions) error {
	s, err := o.source(ctx)
	if err != nil {
		return err
	}
	e, closeEngine, err := o.reach(ctx)
	if err != nil {
		return err
	}
	defer closeEngine()
	volumes, err := runner.New(e).Volumes(ctx, s.name, runner.VolumesOptions{Sizes: o.size})
	if err != nil {
		return err
	}
	if len(volumes) == 0 && o.format != formatJSON && !o.quiet {
		o.note("project %s has no volumes on this engine", s.name)
		return nil
	}
	return o.printVolumes(app.Out, volumes)
}

func (o *volumeListOptions) printVolumes(w io.Writer, volumes []runner.Volume) error {
	if o.quiet {
		for _, v := range volumes {
			if _, err := fmt.Fprintln(w, v.Name); err != nil {
				return err
			}
		}
		return nil
	}
	type view struct {
		Name, Key, Driver string
		CreatedAt         time.Time
		External          bool
		Services          []string
		Size              *int64 `json:",omitempty"`
	}
	views, rows := []view{}, [][]string{}
	for _, v := range volumes {
		views = append(views, view{v.Name, v.Key, v.Driver, v.Created.UTC(), v.External, append([]string{}, v.Services...), v.Size})
		row := []string{v.Key, v.Name, v.Driver, "", v.Created.In(o.app.Now().Location()).Format(time.DateTime), strings.Join(v.Services, ", ")}
		if v.External {
			row[0] = "(external)"
		}
		if v.Size != nil {
			row[3] = display.Size(*v.Size)
		}
		rows = append(rows, row)
	}
	if o.format == formatJSON {
		return json.NewEncoder(w).Encode(views)
	}
	style := o.outColor()
	return display.Table(w, []string{"VOLUME", "NAME", "DRIVER", "SIZE", "CREATED", "USED BY"}, rows, func(row, _ int, text string) string {
		if row < 0 {
			return style.Bold(text)
		}
		return text
	})
}
