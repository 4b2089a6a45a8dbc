package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"strings"
	"syscall"

	"github.com/compose-spec/compose-go/v2/dotenv"
	mount "github.com/compose-spec/compose-go/v2/format"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/spf13/cobra"

	"github.com/stackctl/stackctl/pkg/runner"
	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/event"
)

type runOptions struct {
	*globalOptions
	service       string
	command       []string
	remove        bool
	detach        bool
	name          string
	env           []string
	envFromFiles  []string
	labels        []string
	volumes       []string
	publish       []string
	servicePorts  bool
	useAliases    bool
	noDeps        bool
	entrypoint    string
	ownEntrypoint bool // --entrypoint was given, perhaps as ""
	user          string
	workingDir    string
	capAdd        []string
	capDrop       []string
	terminal      terminalFlags
	build         bool
	builder       runner.BuilderMode
	pull          runner.PullPolicy
	quietPull     bool
	removeOrphans bool
}

func newRunCommand(g *globalOptions) *cobra.Command {
	opts := &runOptions{globalOptions: g, builder: runner.BuilderAuto}
	cmd := &cobra.Command{
		Use:                   "run [flags] SERVICE [COMMAND] [ARG...]",
		DisableFlagsInUseLine: true,
		Short:                 "Run a command in a container of its own",
		Long: `Run a command in a container of its own, made as the service's containers are.

What the service depends on is brought up first, and waited for. The service's
ports are not published unless asked for. The command gets the terminal when
standard input and output both are one, and its exit code is that of stackctl.

Without a terminal, Ctrl-C goes to the command; a second one ends stackctl at
once. Flags for stackctl stand before SERVICE; the project is named before "run",
since -p behind it is a port.`,
		Example: `  # A client of the database
  stackctl run --rm database psql -h database -U postgres

  # The app's own command with another setting, on a port of its own
  stackctl run --rm -e LOG_LEVEL=debug -p 8080:5000 webapp

  # Another command on the service's volumes, and nothing else
  stackctl run --rm --no-deps --entrypoint ls database -l /var/lib/postgresql/data`,
		ValidArgsFunction: g.completeFirstService,
		Args:              needsArgs(1, "a service"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.service, opts.command = args[0], args[1:]
			opts.ownEntrypoint = cmd.Flags().Changed("entrypoint")
			return runRun(cmd.Context(), g.app, opts)
		},
	}
	flags := cmd.Flags()
	flags.SetInterspersed(false)
	flags.BoolVar(&opts.remove, "rm", false, "remove the container at its end")
	flags.BoolVarP(&opts.detach, "detach", "d", false, "start the container, print its id and leave it alone")
	flags.StringVar(&opts.name, "name", "", "`name` of the container")
	flags.StringArrayVarP(&opts.env, "env", "e", nil, "a variable for the command, as `NAME=value`; NAME alone takes it from here; may be repeated")
	flags.StringArrayVar(&opts.envFromFiles, "env-from-file", nil, "`file` with variables for the command; may be repeated, later ones win")
	flags.StringArrayVarP(&opts.labels, "label", "l", nil, "a label for the container, as `name=value`; may be repeated")
	flags.StringArrayVarP(&opts.volumes, "volume", "v", nil, "mount a folder or a volume, as `source:target[:ro]`; may be repeated")
	flags.StringArrayVarP(&opts.publish, "publish", "p", nil, "publish a `port` of the container, as [host:]container; may be repeated")
	flags.BoolVarP(&opts.servicePorts, "service-ports", "P", false, "publish the service's ports, too")
	flags.BoolVar(&opts.useAliases, "use-aliases", false, "give the container the service's names on its networks")
	flags.BoolVar(&opts.noDeps, "no-deps", false, "leave alone what the service depends on")
	flags.StringVar(&opts.entrypoint, "entrypoint", "", "`command` in place of the entrypoint; \"\" for none")
	flags.StringVarP(&opts.user, "user", "u", "", "run as `user`, by name or number, with :group if need be")
	flags.StringVarP(&opts.workingDir, "workdir", "w", "", "run in `folder`, an absolute path in the container")
	flags.StringArrayVar(&opts.capAdd, "cap-add", nil, "a `capability` to add; may be repeated")
	flags.StringArrayVar(&opts.capDrop, "cap-drop", nil, "a `capability` to take away; may be repeated")
	opts.terminal.add(flags)
	flags.BoolVar(&opts.build, "build", false, "build images that are there already, too")
	flags.Var(newChoice(&opts.builder, runner.BuilderAuto, runner.BuilderGo, runner.BuilderEngine), "builder", "what builds: auto, go (the host's Go toolchain) or engine (the Dockerfile)")
	flags.Var(newChoice(&opts.pull, runner.PullMissing, runner.PullAlways, runner.PullNever), "pull", "when to pull images: missing, always or never")
	flags.BoolVar(&opts.quietPull, "quiet-pull", false, "pull without showing how far it is")
	flags.BoolVar(&opts.removeOrphans, "remove-orphans", false, "remove containers of services that the stack does not have")
	// The global flag of that name has the letter that is a port's here.
	flags.StringVar(&g.projectName, "project-name", "", "project `name`; default: the stack's own [$COMPOSE_PROJECT_NAME]")
	return cmd
}

// check looks at the flags together.
func (o *runOptions) check() error {
	if o.workingDir != "" && !strings.HasPrefix(o.workingDir, "/") {
		return &usageError{text: fmt.Sprintf("--workdir %q is no absolute path", o.workingDir), hint: "write it from / on"}
	}
	return nil
}

// runner turns the flags into options; here are the variables that flags may take
// values from.
func (o *runOptions) runner(here map[string]string) (runner.RunOptions, error) {
	out := runner.RunOptions{
		Name: o.name, Args: o.command, User: o.user, WorkingDir: o.workingDir, CapAdd: o.capAdd, CapDrop: o.capDrop,
		ServicePorts: o.servicePorts, UseAliases: o.useAliases, NoDeps: o.noDeps, Build: o.build, Builder: o.builder,
		Pull: o.pull, RemoveOrphans: o.removeOrphans, Remove: o.remove, Detach: o.detach,
	}
	if o.ownEntrypoint {
		var words types.ShellCommand
		if err := words.DecodeMapstructure(o.entrypoint); err != nil {
			return out, &usageError{text: fmt.Sprintf("--entrypoint %q: %v", o.entrypoint, err), hint: "write it as for a shell"}
		}
		out.Entrypoint = append([]string{}, words...)
	}
	env, err := o.readEnvFromFiles(here)
	if err != nil {
		return out, err
	}
	given, err := commandEnv(o.env, here)
	if err != nil {
		return out, err
	}
	maps.Copy(env, given.values)
	out.Env = env
	if len(o.labels) > 0 {
		out.Labels = map[string]string{}
	}
	for _, label := range o.labels {
		name, value, _ := strings.Cut(label, "=")
		if name == "" {
			return out, &usageError{text: fmt.Sprintf("--label %q has no name", label), hint: "use --label name=value"}
		}
		out.Labels[name] = value
	}
	for _, text := range o.volumes {
		v, err := mount.ParseVolume(text)
		if err != nil || v.Target == "" {
			return out, &usageError{text: fmt.Sprintf("--volume %q is no mount", text), hint: "use -v ./folder:/path, -v volume:/path, and :ro behind it for reading only"}
		}
		if v.Type == types.VolumeTypeBind {
			v.Source = within(o.app.Dir, v.Source)
		}
		out.Volumes = append(out.Volumes, v)
	}
	for _, text := range o.publish {
		ports, err := types.ParsePortConfig(text)
		if err != nil {
			return out, &usageError{text: fmt.Sprintf("--publish %q: %v", text, err), hint: "use -p 8080:80, -p 127.0.0.1:8080:80 or -p 80"}
		}
		out.Ports = append(out.Ports, ports...)
	}
	return out, nil
}

// readEnvFromFiles reads the files of --env-from-file, of which later ones win.
func (o *runOptions) readEnvFromFiles(here map[string]string) (map[string]string, error) {
	out := map[string]string{}
	for _, name := range o.envFromFiles {
		content, err := os.ReadFile(within(o.app.Dir, name))
		if err != nil {
			var path *fs.PathError
			if errors.As(err, &path) {
				err = path.Err
			}
			return nil, &usageError{text: fmt.Sprintf("read variables from %s: %v", name, err), hint: "check the path after --env-from-file"}
		}
		values, err := dotenv.ParseWithLookup(bytes.NewReader(content), func(name string) (string, bool) {
			value, ok := here[name]
			return value, ok
		})
		if err != nil {
			return nil, &usageError{text: fmt.Sprintf("read variables from %s: %v", name, err), hint: "it has to be a file with lines NAME=value"}
		}
		maps.Copy(out, values)
	}
	return out, nil
}

func runRun(ctx context.Context, app *App, o *runOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	s, err := o.sourceToLoad(ctx, o.service)
	if err != nil {
		return err
	}
	if err := s.choose([]string{o.service}); err != nil {
		return err
	}
	options, err := o.runner(s.variables)
	if err != nil {
		return err
	}
	if err := o.locateSource(ctx, s); err != nil {
		return err
	}
	e, closeEngine, err := o.connect()
	if err != nil {
		return err
	}
	defer closeEngine()
	p, err := o.loadToRun(ctx, e, s)
	if err != nil {
		return err
	}
	result, err := o.runOnce(ctx, e, s, p, options)
	switch {
	case err != nil:
		return err
	case o.detach:
		_, err = fmt.Fprintln(app.Out, result.ID)
		return err
	case result.Detached:
		o.progressNote("detached; %s goes on", result.Container)
	case result.ExitCode != 0:
		return silentError(result.ExitCode)
	}
	return nil
}

// runOnce shows the progress until the container starts, and gives the streams to
// it from then on.
func (o *runOptions) runOnce(ctx context.Context, e engine.Engine, s *source, p *types.Project, options runner.RunOptions) (*runner.RunResult, error) {
	sink, endProgress := o.watching(s.name)
	defer endProgress()
	if o.quietPull {
		sink = quietPull{sink}
	}
	release := func() {}
	defer func() { release() }()
	if !o.detach {
		options.Streams = o.app.commandStreams(o.terminal.wanted(), o.terminal.input)
	}
	options.Created = func(string) {
		endProgress()
		lent, err := o.app.lendTerminal(options.Streams.Terminal)
		if err != nil {
			o.warn(err.Error()) // the command runs all the same, line by line
			return
		}
		release = lent
	}
	options.Signal = func(cause error) string {
		name := signalName(cause)
		if name != "" {
			o.progressNote("sent %s to the container; Ctrl-C again ends at once", name)
		}
		return name
	}
	return o.newRunner(e, sink).Run(ctx, p, o.service, options)
}

// signalName gives the name of the signal that has ended a context; empty for
// another cause.
func signalName(cause error) string {
	var signal *SignalError
	if !errors.As(cause, &signal) {
		return ""
	}
	return map[syscall.Signal]string{syscall.SIGINT: "SIGINT", syscall.SIGTERM: "SIGTERM"}[signal.Signal]
}

// quietPull leaves out how far pulls are.
type quietPull struct{ event.Sink }

// Emit implements event.Sink.
func (q quietPull) Emit(e event.Event) {
	if e.Kind != event.Progress || e.Action != "pull" {
		q.Sink.Emit(e)
	}
}
