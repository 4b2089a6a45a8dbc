// Package cli is the command line: it reads flags and the environment, prints,
// asks, and turns errors into exit codes. What is done is done by the library.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/stackctl/stackctl/cmd/stackctl/internal/display"
	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/engine/docker"
	"github.com/stackctl/stackctl/pkg/runner/event"
)

// Streams are where a command reads and writes.
type Streams struct {
	In  io.Reader
	Out io.Writer
	Err io.Writer
	// InTTY, OutTTY and ErrTTY say which of them are terminals.
	InTTY, OutTTY, ErrTTY bool
	// Size gives the columns and rows of the terminal; nil for 80 by 24.
	Size func() (columns, rows int)
	// Raw lets every key of the terminal reach the reader of In as it is, until
	// restore is called; nil for a terminal that has no such mode.
	Raw func() (restore func(), err error)
	// Resizes tells of each change of the terminal's size until stop is called; nil
	// where nothing tells of it.
	Resizes func() (changes <-chan struct{}, stop func())
}

// App is every outside thing that a command touches.
type App struct {
	Streams
	// Environ holds the environment as "NAME=value".
	Environ []string
	// Dir is the working directory, absolute.
	Dir string
	// CacheDir gives the folder for what can be made again.
	CacheDir func() (string, error)
	// NewEngine gives the engine that flags and environment ask for, without
	// speaking to it yet.
	NewEngine func(docker.Options) (engine.Engine, error)
	Now       func() time.Time
	// Version is stackctl's own.
	Version string
	// Executable is the path of the running program; empty when it is not known.
	Executable string
}

// SignalError is the cause of a context that a signal has ended.
type SignalError struct{ Signal syscall.Signal }

func (e *SignalError) Error() string { return e.Signal.String() }

// Main runs stackctl in this process and gives its exit code.
func Main(ctx context.Context, streams Streams, args, environ []string, version string) int {
	app := &App{
		Streams: streams, Environ: environ, CacheDir: os.UserCacheDir, Now: time.Now, Version: version,
		NewEngine: func(o docker.Options) (engine.Engine, error) {
			e, err := docker.New(o)
			if err != nil {
				return nil, err // not e: a nil *docker.Engine is no nil engine.Engine
			}
			return e, nil
		},
	}
	var err error
	if app.Dir, err = os.Getwd(); err != nil {
		fmt.Fprintf(streams.Err, "error: which folder this is: %v\n", err)
		return exitFailed
	}
	app.Executable, _ = os.Executable() // for a hint only
	return app.run(ctx, args, redirectLogs)
}

// Run runs one command and gives its exit code.
func (a *App) Run(ctx context.Context, args []string) int {
	return a.run(ctx, args, func(func(string)) {})
}

// run hands the command's way to warn to redirect, before the command begins.
func (a *App) run(ctx context.Context, args []string, redirect func(warn func(string))) int {
	global := &globalOptions{app: a}
	root := newRootCommand(global)
	root.SetArgs(args)
	root.SetIn(a.In)
	root.SetOut(a.Out)
	root.SetErr(a.Err)
	redirect(global.logged)
	command, err := root.ExecuteContextC(ctx)
	return global.report(ctx, strings.TrimPrefix(command.CommandPath(), "stackctl "), asUsage(err))
}

// redirectLogs makes warnings of what compose-go logs. It logs through logrus'
// one global logger, so this is done once in a process.
func redirectLogs(warn func(string)) {
	logrus.SetFormatter(&logrus.TextFormatter{})
	logrus.SetOutput(io.Discard)
	logrus.AddHook(logHook(warn))
}

type logHook func(string)

// Levels implements logrus.Hook.
func (logHook) Levels() []logrus.Level {
	return []logrus.Level{logrus.ErrorLevel, logrus.WarnLevel}
}

// Fire implements logrus.Hook.
func (h logHook) Fire(entry *logrus.Entry) error {
	h(strings.TrimSpace(entry.Message))
	return nil
}

// lookupEnv looks a variable of the environment up. The last of several counts,
// as for os/exec.
func (a *App) lookupEnv(name string) (string, bool) {
	for i := len(a.Environ) - 1; i >= 0; i-- {
		if key, value, ok := strings.Cut(a.Environ[i], "="); ok && key == name {
			return value, true
		}
	}
	return "", false
}

// cache gives stackctl's folder for what can be found out again; empty where there
// is none, and more is done anew.
func (g *globalOptions) cache() string {
	dir, err := g.app.CacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "stackctl")
}

// outColor and errColor say whether the streams may be coloured.
func (g *globalOptions) outColor() display.Style { return display.Style(g.color(g.app.OutTTY)) }
func (g *globalOptions) errColor() display.Style { return display.Style(g.color(g.app.ErrTTY)) }

// color follows NO_COLOR (no-color.org: set and not empty) and TERM.
func (g *globalOptions) color(terminal bool) bool {
	if !terminal || g.noColor || g.isDumb() {
		return false
	}
	value, _ := g.app.lookupEnv("NO_COLOR")
	return value == ""
}

// isDumb says that the terminal understands no control sequences.
func (g *globalOptions) isDumb() bool {
	term, _ := g.app.lookupEnv("TERM")
	return term == "dumb"
}

// displayOptions say how progress and messages are shown.
func (g *globalOptions) displayOptions(project string) display.Options {
	return display.Options{
		W: g.app.Err, Mode: g.progress.On(g.app.ErrTTY && !g.isDumb()), Project: project,
		Color: bool(g.errColor()), Size: g.app.Size, Now: g.app.Now, Steps: g.steps,
	}
}

// warn tells what the user should know and need not act on.
func (g *globalOptions) warn(text string) {
	g.announce()
	display.Message(g.displayOptions(""), event.Warning, text)
}

// obsoleteVersion ends what compose-go logs of a file with a version, which has no
// other sign.
const obsoleteVersion = ": the attribute `version` is obsolete, it will be ignored, please remove it to avoid potential confusion"

// keepDollar ends the warnings of a $ in a file with variables.
const keepDollar = "so nothing stands in its place: single quotes around the value keep it"

// unsetVariable is what compose-go logs of a reference to nothing, be it in a compose
// file or in a file with variables.
var unsetVariable = regexp.MustCompile(`^The "(.*)" variable is not set\. Defaulting to a blank string\.$`)

// refersTo says that a text has a reference to a variable.
func refersTo(text []byte, name string) bool {
	return regexp.MustCompile(`\$\{?` + regexp.QuoteMeta(name) + `\b`).Match(text)
}

// logged warns of what compose-go logs. A version harms nobody, and many files have
// one: only validate tells of it.
func (g *globalOptions) logged(text string) {
	if file, found := strings.CutSuffix(text, obsoleteVersion); found {
		if file == "-" {
			file = "standard input"
		}
		g.versioned = append(g.versioned, shown(g.app.Dir, file))
		return
	}
	if m := unsetVariable.FindStringSubmatch(text); m != nil && g.written != nil && !refersTo(g.written, m[1]) {
		// A piece of a password may follow a $ in a file with variables.
		text = "a $ in a file with variables refers to a variable that is not set, " + keepDollar
	}
	if aboutDollar := strings.Contains(text, keepDollar); aboutDollar && slices.Contains(g.told, text) {
		return // a file may be read twice
	} else if aboutDollar {
		g.told = append(g.told, text)
	}
	if g.keepsLogged {
		g.kept = append(g.kept, text)
		return
	}
	g.warn(text)
}

// note tells what was done beside the command's result.
func (g *globalOptions) note(format string, args ...any) {
	display.Message(g.displayOptions(""), event.Info, fmt.Sprintf(format, args...))
}

// progressNote is a note that is part of the progress: quiet leaves it out.
func (g *globalOptions) progressNote(format string, args ...any) {
	g.announce()
	if g.progress != display.Quiet {
		g.note(format, args...)
	}
}

// announce names the stack that the command works with and where it comes from,
// once, as the first line of its progress.
func (g *globalOptions) announce() {
	if g.current == nil || g.unnamed || g.progress == display.Quiet {
		return
	}
	g.named.Do(func() { display.ShowSource(g.displayOptions(g.current.name), g.current.described()) })
}

// announcer is a sink that names the stack before the first event.
type announcer struct {
	event.Sink
	announce func()
}

// Emit implements event.Sink.
func (a announcer) Emit(e event.Event) {
	a.announce()
	a.Sink.Emit(e)
}

// watched runs f with a sink whose events are shown meanwhile. All is written
// when it returns.
func (g *globalOptions) watched(project string, f func(event.Sink) error) error {
	sink, end := g.watching(project)
	defer end()
	return f(sink)
}

// watching gives a sink whose events are shown until end is called, which may be
// done again. All is written when that returns.
func (g *globalOptions) watching(project string) (sink event.Sink, end func()) {
	hub := &event.Hub{}
	sub := hub.Subscribe()
	shown := make(chan struct{})
	go func() {
		defer close(shown)
		display.Show(sub, g.displayOptions(project))
	}()
	return announcer{hub, g.announce}, sync.OnceFunc(func() {
		hub.Close()
		<-shown
	})
}

// connect gives the engine that is asked for. It does not speak to it yet.
func (g *globalOptions) connect() (engine.Engine, func(), error) {
	e, err := g.app.NewEngine(docker.Options{
		Host: g.host, Context: g.context, LookupEnv: g.app.lookupEnv, UserAgent: "stackctl/" + g.app.Version,
	})
	if err != nil {
		return nil, nil, &addressError{err}
	}
	closer, _ := e.(io.Closer)
	if g.offline || g.bundle != "" {
		e = engine.Offline(e)
	}
	return e, func() {
		if closer != nil {
			_ = closer.Close() // idle connections only
		}
	}, nil
}

// reach gives the engine that is asked for after it has answered.
func (g *globalOptions) reach(ctx context.Context) (engine.Engine, func(), error) {
	e, closeEngine, err := g.connect()
	if err != nil {
		return nil, nil, err
	}
	if _, err := e.Info(ctx); err != nil {
		closeEngine()
		return nil, nil, err
	}
	return e, closeEngine, nil
}

// addressError says that flags and environment name no engine.
type addressError struct{ err error }

func (e *addressError) Error() string { return e.err.Error() }
func (e *addressError) Unwrap() error { return e.err }

// isBrokenPipe says that whoever read our output has gone.
func isBrokenPipe(err error) bool { return errors.Is(err, syscall.EPIPE) }
