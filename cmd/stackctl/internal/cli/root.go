package cli

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/stackctl/stackctl/cmd/stackctl/internal/display"
	"github.com/stackctl/stackctl/pkg/runner/bundle"
)

// globalOptions are the flags that every command has.
type globalOptions struct {
	app *App

	files            []string
	builtin          bool
	projectDirectory string
	profiles         []string
	bundle           string
	offline          bool
	projectName      string
	envFiles         []string
	host             string
	context          string
	progress         display.Mode
	noColor          bool
	// scale has the numbers of containers that the command line sets.
	scale map[string]int
	// steps has every step of a build shown, where progress is plain.
	steps bool

	// overwrites says that an empty compose file may be the one that the command's
	// output is about to be written to, so it is not one to read.
	overwrites bool
	// loads says that the command loads its stack.
	loads bool
	// chooses says that it names services of the stack.
	chooses bool
	// opened is the bundle that --bundle names; nil until it is read.
	opened *bundle.Bundle
	// unnamed says that the command's output is nothing but its result, without a line
	// that names the stack.
	unnamed bool
	// keepsLogged says that the command tells itself what loading remarks on, which is
	// in kept then.
	keepsLogged bool
	kept        []string
	// versioned are the files that have a version, which means nothing any more.
	versioned []string
	// written is the text of all compose files, by which what they say is told from what
	// files with variables hold; nil before they are known.
	written []byte
	// told are the warnings of files with variables that logged has passed on.
	told []string
	// current is the source that the command works with; nil until it is known.
	current *source
	named   sync.Once // guards the line that names it
}

// newRootCommand makes the whole tree. Without a command it prints the help, as
// docker does, and ends with 0.
func newRootCommand(g *globalOptions) *cobra.Command {
	var version bool
	cmd := &cobra.Command{
		Use:   "stackctl",
		Short: "Bring a stack of containers up on a Docker Engine, and down again",
		Long: `stackctl brings a stack of containers up on a Docker Engine, and down again.

The stack is what the compose file in this folder or above it says, with the
override file beside it, or what -f names: compose files, "-" for the standard
input, or the folder of a Go program that describes it. Where there is none, it is
the built-in stack: a web app in Go, PostgreSQL 15 and Redis 7. Containers,
networks and volumes carry the names and labels of Docker Compose, so docker
compose can work on the same stack.

Exit codes: 0 done; 1 failed; 2 wrong usage; 3 invalid stack; 4 the engine
cannot be reached; 5 refused, needs consent; 6 not ready in time; 128+n ended by
signal n (130 for Ctrl-C).`,
		Example: `  # Start everything and wait until it is healthy
  stackctl up

  # What runs, and where
  stackctl status

  # Stop and remove everything, the data too
  stackctl down -v

  # Of a compose file elsewhere, with a second one over it
  stackctl -f shop/compose.yaml -f shop/debug.yaml up

  # The built-in stack as a compose file
  stackctl --builtin render > compose.yml`,
		SilenceErrors: true,
		SilenceUsage:  true,
		// What cobra takes for similar: two letters apart.
		SuggestionsMinimumDistance: 2,
		// A flag belongs to the command that it follows: -p before `run` is the
		// project, and behind it a port.
		TraverseChildren:  true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if version {
				return runVersion(cmd.Context(), g.app, &versionOptions{format: formatText})
			}
			return cmd.Help()
		},
		PersistentPreRunE: func(*cobra.Command, []string) error { return g.check() },
	}
	// What stands before the command's name is the root's to parse: -f names a file
	// there, and means --follow after logs.
	cmd.TraverseChildren = true
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		// `stackctl upp -d` is a wrong command before it is a wrong flag.
		if args := cmd.Flags().Args(); !cmd.HasParent() && len(args) > 0 {
			return unknownCommand(cmd, args[0])
		}
		return &usageError{text: err.Error(), command: cmd.CommandPath()}
	})
	g.progress = display.Auto
	g.scale = map[string]int{}
	flags := cmd.PersistentFlags()
	flags.StringArrayVarP(&g.files, "file", "f", nil, "compose `file`, - for the standard input, or a Go program's folder; may be repeated, later ones win [$COMPOSE_FILE]")
	flags.BoolVar(&g.builtin, "builtin", false, "the built-in stack, though there is a compose file")
	flags.StringVar(&g.bundle, "bundle", "", "stack and images of a `file` that stackctl bundle wrote")
	flags.StringVar(&g.projectDirectory, "project-directory", "", "`folder` that paths in the stack start from; default: the first file's")
	flags.StringArrayVar(&g.profiles, "profile", nil, "active `profile`, * for all; may be repeated [$COMPOSE_PROFILES]")
	flags.StringVarP(&g.projectName, "project-name", "p", "", "project `name`; default: the stack's own [$COMPOSE_PROJECT_NAME]")
	flags.StringArrayVar(&g.envFiles, "env-file", nil, "`file` with variables instead of .env; may be repeated, later ones win [$COMPOSE_ENV_FILES]")
	flags.StringVarP(&g.host, "host", "H", "", "engine to connect to: a unix://, tcp:// or ssh:// `address` [$DOCKER_HOST]")
	flags.StringVar(&g.context, "context", "", "Docker context to use, by `name` [$DOCKER_CONTEXT]")
	flags.BoolVar(&g.offline, "offline", false, "ask no registry for anything; images that are missing are named at once")
	flags.Var(newChoice(&g.progress, display.Auto, display.TTY, display.Plain, display.JSON, display.Quiet), "progress", "how to show progress: auto, tty, plain, json or quiet")
	flags.BoolVar(&g.noColor, "no-color", false, "no colours [$NO_COLOR]")
	flags.SortFlags = false
	completeChoices(cmd, flags)
	// The root's own flags have to be known before one of its commands is looked for.
	cmd.Flags().SortFlags = false
	cmd.Flags().AddFlagSet(flags)
	cmd.Flags().BoolVarP(&version, "version", "v", false, "print the version of stackctl")

	cmd.AddGroup(&cobra.Group{ID: "run", Title: "Run:"}, &cobra.Group{ID: "stack", Title: "Look at the stack:"}, &cobra.Group{ID: "other", Title: "Other:"})
	add := func(group string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = group
			c.Flags().SortFlags = false
			if c.Flags().ShorthandLookup("f") != nil {
				// The command's own -f; without this the two would clash.
				file := *flags.Lookup("file")
				file.Shorthand = ""
				c.Flags().AddFlag(&file)
			}
			completeChoices(c, c.Flags())
			cmd.AddCommand(c)
		}
	}
	add("run", newUpCommand(g), newDownCommand(g), newStatusCommand(g), newLogsCommand(g))
	add("stack", newPlanCommand(g), newRenderCommand(g), newValidateCommand(g), newInitCommand(g), newBundleCommand(g))
	add("run", newStartCommand(g), newStopCommand(g), newRestartCommand(g), newPullCommand(g), newBuildCommand(g), newEventsCommand(g), newListCommand(g), newExecCommand(g), newRunCommand(g), newVolumeCommand(g))
	add("other", newVersionCommand(g), newCompletionCommand(g))
	cmd.SetHelpCommand(newHelpCommand())
	cmd.SetHelpCommandGroupID("other")
	return cmd
}

// check looks at the global flags together.
func (g *globalOptions) check() error {
	if g.host != "" && g.context != "" {
		return &usageError{text: "--host and --context both name an engine", hint: "keep one of them"}
	}
	if g.builtin && len(g.files) > 0 {
		return &usageError{text: "-f and --builtin both name a stack", hint: "keep one of them"}
	}
	if g.bundle != "" && (g.builtin || len(g.files) > 0) {
		return &usageError{text: "--bundle holds a stack, and -f or --builtin names another", hint: "keep one of them"}
	}
	return checkProjectName(g.projectName, "-p ")
}

// composeCommands are those of Docker Compose that are not written again, since it
// does them on the projects of stackctl, too.
var composeCommands = []string{
	"attach", "commit", "cp", "export", "images", "kill", "pause", "port", "push", "rm", "stats", "top", "unpause", "wait", "watch",
}

func unknownCommand(cmd *cobra.Command, name string) error {
	e := &usageError{text: fmt.Sprintf("there is no command %q", name), command: cmd.CommandPath()}
	switch {
	case slices.Contains(composeCommands, name):
		e.hint = "`docker compose -p PROJECT " + name + "` does it on stackctl's projects, too"
		return e
	case name == "scale":
		e.hint = "`stackctl up --scale SERVICE=NUMBER` sets the number of containers"
		return e
	case name == "volumes":
		e.hint = "`stackctl volume ls` lists them"
		return e
	case name == "create":
		e.hint = "`stackctl up` makes containers, and starts them"
		return e
	}
	if similar := cmd.SuggestionsFor(name); len(similar) > 0 {
		slices.Sort(similar)
		e.hint = "did you mean `" + cmd.CommandPath() + " " + strings.Join(similar, "` or `"+cmd.CommandPath()+" ") + "`?"
	}
	return e
}

// noArgs refuses arguments in our words.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return &usageError{text: fmt.Sprintf("%s takes no arguments, and got %q", cmd.Name(), args[0]), command: cmd.CommandPath()}
	}
	return nil
}

// newHelpCommand replaces cobra's, which ends with 0 for a command that is not
// there.
func newHelpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Help about any command",
		RunE: func(cmd *cobra.Command, args []string) error {
			found, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return unknownCommand(cmd.Root(), args[0])
			}
			return found.Help()
		},
	}
}

// completeChoices lets the shell complete the values of flags that have a few.
func completeChoices(cmd *cobra.Command, flags *pflag.FlagSet) {
	flags.VisitAll(func(f *pflag.Flag) {
		if c, ok := f.Value.(interface{ choices() []string }); ok {
			// It fails for a flag that is registered already, which these are not.
			_ = cmd.RegisterFlagCompletionFunc(f.Name, cobra.FixedCompletions(c.choices(), cobra.ShellCompDirectiveNoFileComp))
		}
	})
}
