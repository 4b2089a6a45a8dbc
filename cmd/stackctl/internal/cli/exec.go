package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/stackctl/stackctl/pkg/runner"
	"github.com/stackctl/stackctl/pkg/runner/engine"
)

type execOptions struct {
	*globalOptions
	service    string
	command    []string
	detach     bool
	env        []string
	index      uint
	terminal   terminalFlags
	user       string
	workingDir string
	privileged bool
}

func newExecCommand(g *globalOptions) *cobra.Command {
	opts := &execOptions{globalOptions: g}
	cmd := &cobra.Command{
		Use:                   "exec [flags] SERVICE COMMAND [ARG...]",
		DisableFlagsInUseLine: true,
		Short:                 "Run a command in a running container of a service",
		Long: `Run a command in a running container of a service.

The command gets the terminal when standard input and output both are one, and
its exit code is that of stackctl. Ctrl-P Ctrl-Q lets go of a terminal and leaves
the command running. Without a terminal, Ctrl-C ends stackctl; the engine has no
way to end the command.`,
		Example: `  # A shell
  stackctl exec webapp sh

  # A query
  stackctl exec database psql -U postgres -c 'SELECT 1'

  # A dump, and back
  stackctl exec database pg_dump -U postgres mydb > mydb.sql
  stackctl exec database psql -U postgres mydb < mydb.sql

  # As another user, in the second container of the service
  stackctl exec -u nobody --index 2 webapp id`,
		ValidArgsFunction: g.completeFirstService,
		Args:              needsArgs(2, "a service and a command"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.service, opts.command = args[0], args[1:]
			return runExec(cmd.Context(), g.app, opts)
		},
	}
	flags := cmd.Flags()
	flags.SetInterspersed(false)
	flags.BoolVarP(&opts.detach, "detach", "d", false, "start the command and leave it alone")
	flags.StringArrayVarP(&opts.env, "env", "e", nil, "a variable for the command, as `NAME=value`; NAME alone takes it from here; may be repeated")
	flags.UintVar(&opts.index, "index", 0, "`number` of the container, from 1; default: the first that runs")
	opts.terminal.add(flags)
	flags.StringVarP(&opts.user, "user", "u", "", "run as `user`, by name or number, with :group if need be")
	flags.StringVarP(&opts.workingDir, "workdir", "w", "", "run in `folder`, an absolute path in the container")
	flags.BoolVar(&opts.privileged, "privileged", false, "give the command all rights on the host")
	return cmd
}

func runExec(ctx context.Context, app *App, o *execOptions) error {
	s, err := o.source(ctx)
	if err != nil {
		return err
	}
	env, err := commandEnv(o.env, s.variables)
	if err != nil {
		return err
	}
	e, closeEngine, err := o.reach(ctx)
	if err != nil {
		return err
	}
	defer closeEngine()
	options := runner.ExecOptions{
		Command: engine.Command{
			Args: o.command, User: o.user, WorkingDir: o.workingDir, Env: env.list(), Privileged: o.privileged,
		},
		Index: int(o.index), Detach: o.detach,
	}
	if !o.detach {
		options.Streams = app.commandStreams(o.terminal.wanted(), o.terminal.input)
		release, err := app.lendTerminal(options.Streams.Terminal)
		if err != nil {
			return err
		}
		defer release()
	}
	result, err := runner.New(e).Exec(ctx, s.name, o.service, options)
	var notRunning *runner.NotRunningError
	if errors.As(err, &notRunning) && notRunning.Container == "" && notRunning.Index == 0 {
		// A service that nobody knows is a slip of the pen.
		if unknown := s.choose([]string{o.service}); unknown != nil {
			return unknown
		}
	}
	switch {
	case err != nil:
		return err
	case result.Detached:
		o.progressNote("detached; the command goes on in %s", result.Container)
	case result.ExitCode != 0:
		return silentError(result.ExitCode)
	}
	return nil
}

// terminalFlags say what a command gets of the user's input.
type terminalFlags struct{ none, terminal, input bool }

// add defines the flags. That there is a terminal needs no flag, but fingers type
// -it.
func (t *terminalFlags) add(flags *pflag.FlagSet) {
	flags.BoolVarP(&t.none, "no-tty", "T", false, "no terminal for the command, though there is one")
	flags.BoolVarP(&t.input, "interactive", "i", true, "pass the standard input on")
	flags.BoolVarP(&t.terminal, "tty", "t", true, "a terminal for the command")
	_ = flags.MarkHidden("tty") // it fails for a flag that is not there
	flags.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "no-TTY" { // what Compose calls it up to version 2
			name = "no-tty"
		}
		return pflag.NormalizedName(name)
	})
}

func (t terminalFlags) wanted() bool { return t.terminal && !t.none }

// needsArgs refuses fewer arguments than a command cannot do without.
func needsArgs(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < n {
			return &usageError{text: fmt.Sprintf("%s needs %s", cmd.Name(), what), command: cmd.CommandPath()}
		}
		return nil
	}
}

// variables are those of a command: the names in the order given.
type commandVariables struct {
	names  []string
	values map[string]string
}

func (v *commandVariables) set(name, value string) {
	if _, again := v.values[name]; !again {
		v.names = append(v.names, name)
	}
	v.values[name] = value
}

// list gives them as "NAME=value".
func (v *commandVariables) list() []string {
	var out []string
	for _, name := range v.names {
		out = append(out, name+"="+v.values[name])
	}
	return out
}

// commandEnv reads variables as they are given to -e. A name alone takes the value
// that it has here, and is left out where it has none.
func commandEnv(entries []string, here map[string]string) (*commandVariables, error) {
	out := &commandVariables{values: map[string]string{}}
	for _, entry := range entries {
		name, value, given := strings.Cut(entry, "=")
		if name == "" {
			return nil, &usageError{text: fmt.Sprintf("-e %q names no variable", entry), hint: "use -e NAME=value"}
		}
		if !given {
			if value, given = here[name]; !given {
				continue
			}
		}
		out.set(name, value)
	}
	return out, nil
}

// completeFirstService completes the service, and leaves what follows to the shell.
func (g *globalOptions) completeFirstService(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return g.completeServices(cmd, args, typed)
}
