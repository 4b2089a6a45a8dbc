package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/stackctl/stackctl/cmd/stackctl/internal/display"
	"github.com/stackctl/stackctl/pkg/runner"
	"github.com/stackctl/stackctl/pkg/runner/backup"
)

func newVolumeCommand(g *globalOptions) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "volume COMMAND",
		Short: "List the stack's volumes, back them up and restore them",
		Long: `List the stack's volumes, back them up and restore them.

The engine reads and writes a volume through a container that is never started, made
from an image of the stack that is there already. So any volume and any image will
do, and owners, modes, times (in whole seconds), links and capabilities stay as they
are; of other extended attributes, and of holes in files, an engine knows nothing.`,
		Example: `  # Keep the data elsewhere, and bring it back
  stackctl down -v --backup backups/before-upgrade
  stackctl volume restore backups/before-upgrade
  stackctl up`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return cmd.Help()
		},
	}
	for _, c := range []*cobra.Command{newVolumeListCommand(g), newVolumeBackupCommand(g), newVolumeRestoreCommand(g)} {
		c.Flags().SortFlags = false
		completeChoices(c, c.Flags())
		cmd.AddCommand(c)
	}
	return cmd
}

// images names images of the stack; none where it cannot be loaded, for the images
// of its containers will do as well.
func (s *source) images(ctx context.Context) []string {
	p, err := s.load(ctx)
	if err != nil {
		return nil
	}
	var out []string
	for _, name := range slices.Sorted(maps.Keys(p.Services)) {
		if image := p.Services[name].Image; image != "" {
			out = append(out, image)
		} else {
			out = append(out, p.Name+"-"+name)
		}
	}
	return out
}

// tellBackups tells what was written.
func (g *globalOptions) tellBackups(backups []*backup.Backup) {
	for _, b := range backups {
		g.progressNote("wrote %s: %s of volume %s, %d entries, read again; `stackctl volume restore` brings it back",
			shown(g.app.Dir, b.Archive), display.Size(b.Size), b.Volume, b.Entries)
	}
}

// completeVolumes completes the names of the volumes that the project has.
func (g *globalOptions) completeVolumes(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 { // the folder
		return nil, cobra.ShellCompDirectiveDefault
	}
	fail := func() ([]string, cobra.ShellCompDirective) { return nil, cobra.ShellCompDirectiveNoFileComp }
	s, err := g.source(cmd.Context())
	if err != nil {
		return fail()
	}
	e, closeEngine, err := g.connect()
	if err != nil {
		return fail()
	}
	defer closeEngine()
	volumes, err := runner.New(e).Volumes(cmd.Context(), s.name, runner.VolumesOptions{})
	if err != nil {
		return fail()
	}
	var out []string
	for _, v := range volumes {
		if v.Key != "" {
			out = append(out, v.Key)
		} else {
			out = append(out, v.Name)
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

// needFolder takes the first argument, which names where backups are.
func needFolder(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return &usageError{text: fmt.Sprintf("volume %s needs a folder", cmd.Name()), command: cmd.CommandPath()}
	}
	return nil
}
