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
	"github.com/stackctl/stackctl/pkg/runner/backup"
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

// report tells how a command, such as "volume backup", ended and gives its exit code.
func (g *globalOptions) report(ctx context.Context, verb string, err error) int {
	if err == nil {
		return exitDone
	}
	v := judge(ctx, verb, err, g.current.portVariables())
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
// never by text. verb is the command that failed; ports name the variable that sets
// the host port of a service.
func judge(ctx context.Context, verb string, err error, ports map[string]string) verdict {
	var (
		silent      silentError
		usage       *usageError
		envFile     *envFileError
		refused     *refusedError
		invalid     *spec.ValidationError
		unsupported *runner.UnsupportedError
		address     *addressError
		strict      *strictError
		unreachable *engine.UnreachableError
		lost        *engine.LostError
		unanswered  *engine.UnansweredError
		version     *engine.VersionError
		odd         *engine.AnswerError
		taken       *runner.PortsError
		program     *programError
		missing     *runner.MissingImagesError
		damaged     *bundle.DamagedError
		exists      *backup.ExistsError
		spoilt      *backup.DamagedError
		notEmpty    *runner.NotEmptyError
		noImage     *runner.NoImageError
		platform    *bundle.PlatformError
		failed      *runner.FailedError
		interrupted *runner.InterruptedError
		password    *runner.PasswordError
		notRunning  *runner.NotRunningError
		locked      *runner.LockedError
	)
	v := verdict{code: exitFailed, lines: []string{err.Error()}}
	switch {
	case errors.As(err, &silent):
		v.code, v.lines = int(silent), nil
	case errors.As(err, &interrupted):
		return judgeInterrupt(ctx, interrupted)
	case errors.As(err, &failed):
		return judgeFailure(verb, failed)
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
	case errors.Is(err, runner.ErrUnknownVolume):
		v.code, v.hint = exitUsage, "`stackctl volume ls` lists the volumes"
	case errors.As(err, &exists):
		v.code, v.lines, v.hint = exitRefused, each(err), "name another folder"
	case errors.As(err, &notEmpty):
		v.code, v.lines = exitRefused, each(err)
		v.hint = "empty or remove that volume first (`stackctl down -v` removes all of the project); restore before `stackctl up`, which makes a new one"
	case errors.As(err, &spoilt):
		v.lines, v.hint = each(err), "copy it again, or take another backup"
	case errors.As(err, &noImage):
		v.hint = "run this where the stack's file is, after `stackctl pull`"
	case errors.Is(err, runner.ErrUnknownService):
		v.code, v.hint = exitUsage, "`stackctl status` lists the services"
	case errors.Is(err, runner.ErrNoContainer):
		v.hint = "`stackctl up` makes it and starts it"
	case errors.Is(err, plan.ErrIncomplete):
		v.lines, v.hint = each(err), "`stackctl up` makes it anew and starts it"
	case errors.As(err, &notRunning):
		v.hint = "`stackctl up " + notRunning.Service + "` starts it"
		if notRunning.State == "restarting" {
			v.hint = "`stackctl logs " + notRunning.Service + "` shows why it does not stay up"
		}
	case errors.As(err, &locked):
		v.hint = lockedHint(locked)
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
	case errors.As(err, &strict):
		v.code, v.hint = exitInvalid, "mend them, or allow what is meant: `stackctl validate --help` says how"
	case errors.As(err, &unreachable):
		v.code, v.hint = exitUnreachable, reachHint(unreachable)
	case errors.As(err, &lost):
		v.code, v.hint = exitUnreachable, "the engine was stopped or restarted; `stackctl status` shows what runs"
	case errors.As(err, &unanswered):
		v.code, v.hint = exitUnreachable, silentHint
	case errors.As(err, &odd):
		v.code, v.hint = exitUnreachable, "check the engine's address, and that no proxy stands between: -H or --context names another engine"
	case errors.As(err, &version):
		v.code, v.hint = exitUnreachable, "update the engine, or name another one with -H or --context"
	case errors.As(err, &address):
		v.code, v.hint = exitUnreachable, "check -H, --context, DOCKER_HOST and DOCKER_CONTEXT; `docker context ls` lists contexts"
	case errors.As(err, &program):
		v.code, v.hint = exitInvalid, program.hint()
	case errors.As(err, &password):
		v.code, v.hint = exitRefused, passwordHint(password)
	case errors.As(err, &missing):
		v.lines, v.hint = strings.Split(err.Error(), "\n"), missingHint
	case errors.Is(err, plan.ErrMissing), errors.Is(err, plan.ErrConflict), errors.Is(err, plan.ErrKeepsData), errors.Is(err, plan.ErrInUse):
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

// lockedHint says what to do about a command that is at work for too long.
func lockedHint(e *runner.LockedError) string {
	if e.Holder.PID == 0 {
		return "look what it waits for, or end it; then run this again"
	}
	return fmt.Sprintf("look what it waits for, or end it with `kill %d`; then run this again", e.Holder.PID)
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
	for _, class := range []error{plan.ErrMissing, plan.ErrConflict, plan.ErrKeepsData, plan.ErrInUse, plan.ErrIncomplete} {
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
func judgeFailure(verb string, failed *runner.FailedError) verdict {
	if failed.Engine != nil {
		return judgeLost(verb, failed)
	}
	v := verdict{code: exitNotReady}
	var hints []string
	for _, f := range failed.Failures {
		v.lines = append(v.lines, f.Err.Error())
		if len(f.Log) > 0 {
			v.log = append(v.log, logTail{f.Node.Op.Ref().Name, f.Log})
		}
		var (
			notReady   *runner.NotReadyError
			unanswered *engine.UnansweredError
			password   *runner.PasswordError
		)
		switch {
		case errors.As(f.Err, &unanswered):
			v.code, hints = exitUnreachable, []string{silentHint}
			continue
		case errors.As(f.Err, &password) && len(failed.Failures) == 1:
			v.code, v.log = exitRefused, nil // its log says nothing of it
			hints = append(hints, passwordHint(password))
		case !errors.As(f.Err, &notReady):
			v.code = exitFailed
		}
		if hint := failureHint(verb, f); hint != "" {
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

// silentHint says what to do about an engine that is there and does not answer.
const silentHint = "the engine hangs or has too much to do: `docker info` shows whether it answers, its log shows why; then run this again"

// judgeLost tells of a run during which the engine went away. What failed only for
// that is not told beside it.
func judgeLost(verb string, failed *runner.FailedError) verdict {
	v := verdict{code: exitUnreachable, hint: againHint(verb)}
	for _, f := range failed.Failures {
		var lost *engine.LostError
		if !errors.As(f.Err, &lost) {
			v.lines = append(v.lines, f.Err.Error())
		}
	}
	v.lines = append(v.lines, failed.Engine.Error())
	var unreachable *engine.UnreachableError
	if errors.As(failed.Engine, &unreachable) {
		v.hint = reachHint(unreachable) + "; then " + v.hint
	}
	return v
}

// passwordHint says how a password is changed.
func passwordHint(e *runner.PasswordError) string {
	command := "`stackctl exec " + e.Service + ` psql -U ` + shellWord(e.User) + ` -d postgres -c '\password'` + "`"
	return "give it the password of before, or tell PostgreSQL the new one: " + command + " asks for it"
}

// failureHint says what to do after a node of a plan failed.
func failureHint(verb string, f runner.Failure) string {
	if hint := reasonHint(verb, f); hint != "" {
		return hint
	}
	var notReady *runner.NotReadyError
	switch op := f.Node.Op.(type) {
	case plan.StartContainer:
		if len(f.Log) == 0 { // it never ran, so its log shows nothing
			return correctHint(verb)
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
		return createHint(verb, op.Container, f.Err)
	case plan.ReplaceContainer:
		return createHint(verb, op.New, f.Err)
	case plan.RemoveNetwork:
		if name := op.Network.Name; errdefs.IsConflict(f.Err) || errdefs.IsPermissionDenied(f.Err) {
			return "`docker network inspect " + name + "` names the containers that are on it, and `docker network disconnect " + name + " CONTAINER` takes one off"
		}
	case plan.RemoveVolume:
		if errdefs.IsConflict(f.Err) {
			return "`docker ps -a --filter volume=" + op.Volume.Name + "` names the containers that use it"
		}
	case plan.BackupVolume:
		return "nothing is removed; mend that and run this again, or `stackctl up` starts what has stopped"
	case plan.RestoreVolume:
		return "mend that, and restore again"
	}
	return againHint(verb)
}

// reasonHint says what to do about a failure whose reason is known, whatever it was
// that failed; empty for others.
func reasonHint(verb string, f runner.Failure) string {
	var (
		notReady *runner.NotReadyError
		noSpace  *engine.NoSpaceError
		foreign  *runner.ForeignImageError
		subnet   *runner.SubnetError
		taken    *runner.PortsError
	)
	switch {
	case errors.As(f.Err, &noSpace):
		return "free space on the engine's disk: `docker system df` shows what takes it, `docker image prune` removes images without a name; " + againHint(verb)
	case errors.As(f.Err, &foreign):
		return fmt.Sprintf("give service %s an image for %s: `platform: %s` and a pull, or a build for it; or have the engine's machine emulate %s",
			f.Service, foreign.Engine, foreign.Engine, foreign.Platform)
	case errors.As(f.Err, &subnet):
		hint := "choose another subnet"
		if subnet.Free != "" {
			hint += ", such as `subnet: " + subnet.Free + "`"
		}
		hint += ", or leave the choice to the engine"
		if subnet.Other != "bridge" { // which is the engine's own
			hint += "; `docker network rm " + subnet.Other + "` removes the other one if nobody needs it"
		}
		return hint
	case errors.As(f.Err, &taken):
		return "stop what holds the port, or choose another one; " + againHint(verb)
	case errors.As(f.Err, &notReady) && notReady.OOMKilled:
		more := "; `stackctl logs " + f.Service + "` shows more"
		wait, _ := f.Node.Op.(plan.WaitReady)
		if limit := memoryLimit(wait.Container); limit != "" {
			return "let it have more memory than " + limit + more
		}
		return "the engine's machine has too little memory for it" + more
	}
	return ""
}

// memoryLimit is how much memory a container may use, with the key that says so;
// empty when none does.
func memoryLimit(c state.ContainerSpec) string {
	if c.Config.MemLimit > 0 {
		return "mem_limit: " + megabytes(int64(c.Config.MemLimit))
	}
	if d := c.Config.Deploy; d != nil && d.Resources.Limits != nil && d.Resources.Limits.MemoryBytes > 0 {
		return "deploy.resources.limits.memory: " + megabytes(int64(d.Resources.Limits.MemoryBytes))
	}
	return ""
}

// megabytes writes a limit as a compose file may have it.
func megabytes(bytes int64) string {
	if bytes%(1<<20) != 0 {
		return strconv.FormatInt(bytes, 10)
	}
	return strconv.FormatInt(bytes>>20, 10) + "m"
}

// againHint says that a command is to be given once more.
func againHint(verb string) string {
	switch verb {
	case "up", "down", "start", "stop":
		return "`stackctl " + verb + "` again goes on from here"
	case "restart":
		return "run this again, or `stackctl start` starts what has stopped"
	}
	return "run this again"
}

// correctHint says what to do about a container that cannot be as the stack has it.
func correctHint(verb string) string {
	if verb == "up" || verb == "run" {
		return "correct that in the stack; " + againHint(verb)
	}
	return "correct that in the stack; `stackctl up` makes the container anew"
}

// createHint says what to do about a container that the engine does not make.
func createHint(verb string, c state.ContainerSpec, err error) string {
	if errdefs.IsConflict(err) {
		return "`docker rm " + c.Name + "` removes the container that has the name, if nobody needs it; or give the service another container_name"
	}
	for _, f := range c.Files {
		if _, missing := os.Stat(f.Source); f.Source != "" && errors.Is(missing, fs.ErrNotExist) {
			return "there is no file " + f.Source + ", which is a config or a secret: write it, or correct its path"
		}
	}
	if errdefs.IsInvalidArgument(err) {
		return correctHint(verb)
	}
	return againHint(verb)
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
	case e.Lost:
		return "see why the engine has stopped (`sudo journalctl -u docker`, or Docker Desktop), and start it again"
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
