package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/containerd/errdefs"
	"github.com/spf13/pflag"

	"github.com/stackctl/stackctl/cmd/stackctl/internal/display"
	"github.com/stackctl/stackctl/pkg/runner"
	"github.com/stackctl/stackctl/pkg/runner/bundle"
	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/plan"
	"github.com/stackctl/stackctl/pkg/runner/state"
	"github.com/stackctl/stackctl/pkg/spec"
)

// Exit codes. A process that a signal n has ended has 128+n.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInvalid     = 3
	exitUnreachable = 4
	exitRefused     = 5
	exitNotReady    = 6
	exitSignal      = 128
)

// usageError says that the command line is wrong.
type usageError struct {
	text string
	// hint says what to write instead; empty to point to the command's help.
	hint string
	// command is the path of the command whose help says more.
	command string
}

func (e *usageError) Error() string { return e.text }

// asUsage makes a usage error of a flag in front of the command's name that cannot
// be parsed; flags after it are the command's own, which does so by itself.
func asUsage(err error) error {
	var (
		unknown *pflag.NotExistError
		missing *pflag.ValueRequiredError
		invalid *pflag.InvalidValueError
		broken  *pflag.InvalidSyntaxError
	)
	if errors.As(err, &unknown) || errors.As(err, &missing) || errors.As(err, &invalid) || errors.As(err, &broken) {
		return &usageError{text: err.Error(), command: "stackctl"}
	}
	return err
}

// silentError ends a command with a code that is part of its result, so there is
// nothing to say about it.
type silentError int

func (e silentError) Error() string { return "exit code " + strconv.Itoa(int(e)) }

// verdict is what a person is told at the end of a command that failed.
type verdict struct {
	code int
	// lines say what failed, one for each failure. Further lines of one, such as
	// what a compiler said, follow it after line ends.
	lines []string
	// hint says what to do.
	hint string
	// log holds the last lines of each container that failed.
	log []logTail
	// plainly leaves the word "error" out.
	plainly bool
}

type logTail struct {
	container string
	lines     []engine.LogLine
}

// report tells how a command ended and gives its exit code.
func (g *globalOptions) report(ctx context.Context, err error) int {
	if err == nil {
		return exitDone
	}
	v := judge(ctx, err, g.current.portVariables())
	v.hint = g.addressed(v.hint)
	for i := range v.lines {
		if v.plainly {
			v.lines[i] = g.addressed(v.lines[i])
		}
	}
	if len(v.lines) == 0 && v.hint == "" {
		return v.code
	}
	o := g.displayOptions("")
	if o.Mode == display.JSON {
		f := display.Failure{Error: strings.Join(v.lines, "\n"), Hint: v.hint, ExitCode: v.code}
		for _, tail := range v.log {
			for _, line := range tail.lines {
				f.Log = append(f.Log, tail.container+": "+line.Text)
			}
		}
		display.WriteFailure(g.app.Err, g.app.Now(), f)
		return v.code
	}
	style := g.errColor()
	for _, tail := range v.log {
		for _, line := range tail.lines {
			fmt.Fprintf(g.app.Err, "    %s %s\n", style.Dim(tail.container+" |"), line.Text)
		}
	}
	for _, line := range v.lines {
		if v.plainly {
			fmt.Fprintln(g.app.Err, line)
			continue
		}
		first, more, _ := strings.Cut(strings.TrimRight(line, "\n"), "\n")
		fmt.Fprintf(g.app.Err, "%s %s\n", style.Red("error:"), first)
		for line := range strings.Lines(more) {
			fmt.Fprintf(g.app.Err, "  %s\n", strings.TrimRight(line, "\n"))
		}
	}
	if v.hint != "" {
		fmt.Fprintf(g.app.Err, "%s %s\n", style.Cyan("hint:"), v.hint)
	}
	return v.code
}

// judge is the one table from errors to exit codes and hints. It goes by type,
// never by text. ports name the variable that sets the host port of a service.
func judge(ctx context.Context, err error, ports map[string]string) verdict {
	var (
		silent      silentError
		usage       *usageError
		envFile     *envFileError
		refused     *refusedError
		invalid     *spec.ValidationError
		unsupported *runner.UnsupportedError
		address     *addressError
		unreachable *engine.UnreachableError
		version     *engine.VersionError
		taken       *runner.PortsError
		program     *programError
		missing     *runner.MissingImagesError
		damaged     *bundle.DamagedError
		platform    *bundle.PlatformError
		failed      *runner.FailedError
		interrupted *runner.InterruptedError
		notRunning  *runner.NotRunningError
	)
	v := verdict{code: exitFailed, lines: []string{err.Error()}}
	switch {
	case errors.As(err, &silent):
		v.code, v.lines = int(silent), nil
	case errors.As(err, &interrupted):
		return judgeInterrupt(ctx, interrupted)
	case errors.As(err, &failed):
		return judgeFailure(failed)
	case ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.Cause(ctx))):
		v.code, v.lines = signalCode(ctx), nil
	case isBrokenPipe(err):
		v.code, v.lines = exitSignal+int(syscall.SIGPIPE), nil
	case errors.As(err, &usage):
		v.code, v.hint = exitUsage, usage.hint
		if v.hint == "" && usage.command != "" {
			v.hint = fmt.Sprintf("`%s --help` shows what there is", usage.command)
		}
	case isFlagError(err): // before the command's name, where cobra does not ask us
		v.code, v.hint = exitUsage, "`stackctl --help` shows what there is"
	case errors.As(err, &envFile):
		v.code, v.hint = exitUsage, "it has to be a file with lines NAME=value"
		if errors.Is(err, fs.ErrNotExist) {
			v.hint = "check the path after --env-file"
		}
	case errors.Is(err, runner.ErrUnknownService):
		v.code, v.hint = exitUsage, "`stackctl status` lists the services"
	case errors.Is(err, runner.ErrNoContainer):
		v.hint = "`stackctl up` makes it and starts it"
	case errors.As(err, &notRunning):
		v.hint = "`stackctl up " + notRunning.Service + "` starts it"
		if notRunning.State == "restarting" {
			v.hint = "`stackctl logs " + notRunning.Service + "` shows why it does not stay up"
		}
	case errors.As(err, &refused):
		v.code, v.hint = exitRefused, refused.hint
	case errors.As(err, &invalid):
		v.code = exitInvalid
		v.lines = nil
		for _, p := range invalid.Problems {
			v.lines = append(v.lines, p.String())
		}
	case errors.As(err, &unsupported):
		v.code = exitInvalid
		v.lines = nil
		for _, p := range unsupported.Problems {
			v.lines = append(v.lines, p.String())
		}
	case errors.As(err, &unreachable):
		v.code, v.hint = exitUnreachable, reachHint(unreachable)
	case errors.As(err, &version):
		v.code, v.hint = exitUnreachable, "update the engine, or name another one with -H or --context"
	case errors.As(err, &address):
		v.code, v.hint = exitUnreachable, "check -H, --context, DOCKER_HOST and DOCKER_CONTEXT; `docker context ls` lists contexts"
	case errors.As(err, &program):
		v.code, v.hint = exitInvalid, program.hint()
	case errors.As(err, &missing):
		v.lines, v.hint = strings.Split(err.Error(), "\n"), missingHint
	case errors.Is(err, plan.ErrMissing), errors.Is(err, plan.ErrConflict), errors.Is(err, plan.ErrKeepsData):
		v.lines = each(err)
	case errors.As(err, &damaged):
		v.hint = "copy it again, or make it anew with `stackctl bundle`"
	case errors.As(err, &platform):
		v.hint = "make the bundle on an engine for " + platform.Engine + ", or name another engine with -H or --context"
	case errors.As(err, &taken):
		v.lines = strings.Split(taken.Error(), "\n")
		v.hint = "stop what holds the port, or choose another one"
		if len(taken.Conflicts) > 1 {
			v.hint = "stop what holds the ports, or choose others"
		}
		if better := portsHint(taken, ports); better != "" {
			v.hint += ": " + better
		}
	}
	return v
}

// each gives the texts of errors that [errors.Join] has joined, or of the one
// that err is, without the word for the class of what stands in a plan's way.
func each(err error) []string {
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		var lines []string
		for _, err := range joined.Unwrap() {
			lines = append(lines, each(err)...)
		}
		return lines
	}
	text := err.Error()
	for _, class := range []error{plan.ErrMissing, plan.ErrConflict, plan.ErrKeepsData} {
		if errors.Is(err, class) {
			text = strings.TrimPrefix(text, class.Error()+": ")
		}
	}
	return []string{text}
}

// isFlagError says that a flag could not be read.
func isFlagError(err error) bool {
	var (
		unknown  *pflag.NotExistError
		bare     *pflag.ValueRequiredError
		value    *pflag.InvalidValueError
		misspelt *pflag.InvalidSyntaxError
	)
	return errors.As(err, &unknown) || errors.As(err, &bare) || errors.As(err, &value) || errors.As(err, &misspelt)
}

// judgeFailure tells each failure of a run. When it is for lack of readiness
// alone, the code says so.
func judgeFailure(failed *runner.FailedError) verdict {
	v := verdict{code: exitNotReady}
	var hints []string
	for _, f := range failed.Failures {
		v.lines = append(v.lines, f.Err.Error())
		if len(f.Log) > 0 {
			v.log = append(v.log, logTail{f.Node.Op.Ref().Name, f.Log})
		}
		var notReady *runner.NotReadyError
		if !errors.As(f.Err, &notReady) {
			v.code = exitFailed
		}
		if hint := failureHint(f); hint != "" {
			hints = append(hints, hint)
		}
	}
	if len(hints) > 0 {
		v.hint = hints[0]
	}
	if failed.Rollback != nil {
		v.lines = append(v.lines, failed.Rollback.Error())
	}
	if len(failed.RolledBack) > 0 {
		v.hint = strings.TrimSuffix(list(failed.RolledBack)+" rolled back to what was there before; "+v.hint, "; ")
	}
	return v
}

// failureHint says what to do after a node of a plan failed.
func failureHint(f runner.Failure) string {
	var notReady *runner.NotReadyError
	switch op := f.Node.Op.(type) {
	case plan.StartContainer:
		if len(f.Log) == 0 { // it never ran, so its log shows nothing
			return "correct that in the stack; " + againHint
		}
		return "`stackctl logs " + f.Service + "` shows more"
	case plan.WaitReady:
		hint := "`stackctl logs " + f.Service + "` shows more"
		if errors.As(f.Err, &notReady) && notReady.TimedOut {
			hint += "; --wait-timeout gives it more time"
		}
		return hint
	case plan.PullImage:
		return pullHint(f.Err)
	case plan.BuildImage:
		if op.Service != nil && op.Service.Config.Build != nil && op.Service.Config.Build.Extensions[spec.BuildExtension] != nil {
			return "mend the build, or try the other builder: --builder go or --builder engine"
		}
		return "mend the Dockerfile or what it copies, and run this again"
	case plan.CreateContainer:
		return createHint(op.Container, f.Err)
	case plan.ReplaceContainer:
		return createHint(op.New, f.Err)
	case plan.RemoveNetwork:
		if name := op.Network.Name; errdefs.IsConflict(f.Err) || errdefs.IsPermissionDenied(f.Err) {
			return "`docker network inspect " + name + "` names the containers that are on it, and `docker network disconnect " + name + " CONTAINER` takes one off"
		}
	case plan.RemoveVolume:
		if errdefs.IsConflict(f.Err) {
			return "`docker ps -a --filter volume=" + op.Volume.Name + "` names the containers that use it"
		}
	case plan.StopContainer, plan.RemoveContainer, plan.RemoveImage:
	default:
		return againHint
	}
	return "`stackctl down` again goes on from here"
}

const againHint = "`stackctl up` again goes on from here"

// createHint says what to do about a container that the engine does not make.
func createHint(c state.ContainerSpec, err error) string {
	if errdefs.IsConflict(err) {
		return "`docker rm " + c.Name + "` removes the container that has the name, if nobody needs it; or give the service another container_name"
	}
	for _, f := range c.Files {
		if _, missing := os.Stat(f.Source); f.Source != "" && errors.Is(missing, fs.ErrNotExist) {
			return "there is no file " + f.Source + ", which is a config or a secret: write it, or correct its path"
		}
	}
	if errdefs.IsInvalidArgument(err) {
		return "correct that in the stack; " + againHint
	}
	return againHint
}

// missingHint says what brings images in without a registry.
const missingHint = "`stackctl bundle` on a machine with a registry and `stackctl up --bundle` here bring images in, or `docker load`"

// pullHint says what to do after a pull that failed.
func pullHint(err error) string {
	var pull *engine.PullError
	if !errors.As(err, &pull) {
		return "check the image's name and the network; `docker load` brings an image in without a registry"
	}
	login := "`docker login " + pull.Registry + "`"
	if pull.Registry == "docker.io" {
		login = "`docker login`"
	}
	switch pull.Reason {
	case engine.PullUnauthorized:
		return login + " gives the credentials for it"
	case engine.PullNotFound:
		return "check the image's name and tag; for an image that not everybody may see, " + login + " first"
	case engine.PullNoHost:
		return "check the image's name and the engine's name server; " + missingHint
	case engine.PullNoAnswer:
		return "check that the registry runs and that the engine's network leads there; " + missingHint
	case engine.PullPlainHTTP:
		return "add \"" + pull.Registry + "\" to insecure-registries in the engine's daemon.json, or give the registry a certificate"
	case engine.PullLimited:
		return login + " raises the limit, and waiting helps"
	case engine.PullCredentials:
		return "check credsStore and credHelpers in Docker's config.json, and that the helper is on the PATH"
	case engine.PullOffline:
		return missingHint
	case engine.PullFailed:
	}
	return "check the image's name and the network; `docker load` brings an image in without a registry"
}

// judgeInterrupt says in one line what is left running.
func judgeInterrupt(ctx context.Context, e *runner.InterruptedError) verdict {
	v := verdict{code: signalCode(ctx), plainly: true}
	switch {
	case e.Unknown != nil:
		v.lines = []string{fmt.Sprintf("interrupted: what is left running is not known: %v", e.Unknown)}
	case len(e.Running) == 0:
		v.lines = []string{"interrupted: nothing is left running"}
	default:
		v.lines = []string{fmt.Sprintf("interrupted: %s left running (`stackctl up` goes on, `stackctl down` removes)", list(e.Running))}
	}
	return v
}

// list joins names as a sentence does.
func list(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// signalCode is the exit code of a command that its context has ended.
func signalCode(ctx context.Context) int {
	var signal *SignalError
	if errors.As(context.Cause(ctx), &signal) {
		return exitSignal + int(signal.Signal)
	}
	return exitFailed
}

func reachHint(e *engine.UnreachableError) string {
	switch {
	case errors.Is(e.Err, fs.ErrPermission):
		return "`sudo usermod -aG docker $USER` and a new login give access, or use sudo"
	case e.Source == "DOCKER_HOST":
		return "check DOCKER_HOST, or unset it to use the local engine"
	case strings.HasPrefix(e.Source, "context"):
		return "`docker context use default` goes back to the local engine; -H names another one"
	case e.Source == "-H":
		return "check the address after -H, and that the engine listens there"
	}
	return "start Docker (`sudo systemctl start docker`, or Docker Desktop), or name another engine with -H or DOCKER_HOST"
}

// portsHint gives the command that takes the ports after those that are taken;
// empty when a port has no variable.
func portsHint(e *runner.PortsError, variables map[string]string) string {
	var settings []string
	for _, c := range e.Conflicts {
		port, err := strconv.Atoi(c.Address[strings.LastIndex(c.Address, ":")+1:])
		name := variables[c.Service]
		if err != nil || name == "" {
			return ""
		}
		settings = append(settings, fmt.Sprintf("%s=%d", name, port+1))
	}
	return "`" + strings.Join(settings, " ") + " stackctl up`"
}
