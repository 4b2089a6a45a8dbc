package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
)

func newCompletionCommand(g *globalOptions) *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use:   "completion bash|zsh|fish|powershell",
		Short: "Print a script with which a shell completes stackctl's words",
		Example: `  # bash, now
  source <(stackctl completion bash)

  # zsh, for good
  stackctl completion zsh > "${fpath[1]}/_stackctl"

  # fish, for good
  stackctl completion fish > ~/.config/fish/completions/stackctl.fish`,
		ValidArgs: shells,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return &usageError{text: "completion takes the name of one shell", hint: "bash, zsh, fish or powershell"}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return runCompletion(cmd.Context(), g.app, cmd.Root(), args[0])
		},
	}
}

func runCompletion(_ context.Context, app *App, root *cobra.Command, shell string) error {
	switch shell {
	case "bash":
		return root.GenBashCompletionV2(app.Out, true)
	case "zsh":
		return root.GenZshCompletion(app.Out)
	case "fish":
		return root.GenFishCompletion(app.Out, true)
	case "powershell":
		return root.GenPowerShellCompletionWithDesc(app.Out)
	}
	return &usageError{text: fmt.Sprintf("%q is not a shell that can be completed", shell), hint: "bash, zsh, fish or powershell"}
}
