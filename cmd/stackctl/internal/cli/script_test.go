package cli_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/stackctl/stackctl/cmd/stackctl/internal/cli"
	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/engine/docker"
	"github.com/stackctl/stackctl/pkg/runner/engine/enginetest"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

var update = flag.Bool("update", false, "write what commands print into the scripts")

// TestScripts runs commands in this process, against an engine in memory that a
// script has for itself. Beside testscript's own there are the commands
//
//	stackctl ARG...        which has to end with 0
//	exit CODE ARG...       stackctl, which has to end with that code
//	interrupt METHOD ARG...
//	                       stackctl, with Ctrl-C at the engine's first such call;
//	                       has to end with 130
//	engine WORD...         see engineCommand
//
// A script sees the environment through the variables in passed. TTY=1 makes
// terminals of the standard input, output and error, and TTY="in out" of those alone;
// STDIN names the file that is the standard input.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           filepath.Join("testdata", "script"),
		UpdateScripts: *update,
		Setup: func(env *testscript.Env) error {
			e := enginetest.New()
			// The one that probes itself, so that readiness needs no events.
			e.SetInfo(engine.Info{Endpoint: "unix:///fake.sock", APIVersion: "1.41"})
			for _, image := range []string{"postgres:15-alpine", "redis:7-alpine"} {
				e.AddImage(image, "sha256:"+image)
			}
			e.AddBuilt("multi-service-app-webapp", "sha256:multi-service-app-webapp", "multi-service-app")
			env.Values[engineKey{}] = e
			// A script has a home of its own, where Go would begin with nothing.
			env.Vars = append(env.Vars, goEnv()...)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"stackctl": func(ts *testscript.TestScript, neg bool, args []string) {
				noNegation(ts, neg)
				run(ts, context.Background(), 0, args)
			},
			"exit": func(ts *testscript.TestScript, neg bool, args []string) {
				noNegation(ts, neg)
				code, err := strconv.Atoi(args[0])
				ts.Check(err)
				run(ts, context.Background(), code, args[1:])
			},
			"interrupt": func(ts *testscript.TestScript, neg bool, args []string) {
				noNegation(ts, neg)
				ctx, cancel := context.WithCancelCause(context.Background())
				defer cancel(nil)
				e := engineOf(ts)
				e.FailWith(func(c enginetest.Call) error {
					if c.Method == args[0] {
						cancel(&cli.SignalError{Signal: syscall.SIGINT})
					}
					return nil
				})
				defer e.FailWith(nil)
				run(ts, ctx, 130, args[1:])
			},
			"engine": engineCommand,
		},
	})
}

// goEnv is where the Go toolchain keeps what it has made before.
var goEnv = sync.OnceValue(func() []string {
	names := []string{"GOCACHE", "GOMODCACHE", "GOPATH", "GOFLAGS"}
	out, err := exec.Command("go", append([]string{"env"}, names...)...).Output()
	if err != nil {
		return nil
	}
	values := strings.Split(string(out), "\n")
	for i := range names {
		names[i] += "=" + values[i]
	}
	return names
})

type engineKey struct{}

func engineOf(ts *testscript.TestScript) *enginetest.Engine {
	return ts.Value(engineKey{}).(*enginetest.Engine)
}

func noNegation(ts *testscript.TestScript, neg bool) {
	if neg {
		ts.Fatalf("use: exit CODE ARG...")
	}
}

// passed are the variables that commands see when a script sets them.
var passed = []string{
	"PATH", "HOME", "TERM", "NO_COLOR", "COMPOSE_PROJECT_NAME", "DOCKER_HOST", "DOCKER_CONTEXT",
	"POSTGRES_PASSWORD", "POSTGRES_PORT", "POSTGRES_DB", "POSTGRES_USER", "WEBAPP_PORT", "REDIS_PORT",
	"GIT_CEILING_DIRECTORIES", "GOCACHE", "GOMODCACHE", "GOPATH", "GOFLAGS",
	"COMPOSE_FILE", "COMPOSE_PATH_SEPARATOR", "COMPOSE_PROFILES", "COMPOSE_ENV_FILES", "COMPOSE_DISABLE_ENV_FILE",
	"LEVEL", "TAG", "STACKCTL_CONFIRM",
}

// theTime is the time of day in all scripts.
var theTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func run(ts *testscript.TestScript, ctx context.Context, want int, args []string) {
	out := &marked{Writer: ts.Stdout()}
	errOut := &marked{Writer: ts.Stderr()}
	defer settle(ts, out, errOut)
	app := newApp(engineOf(ts), ts.MkAbs("."), out, errOut)
	app.CacheDir = func() (string, error) { return ts.MkAbs(".cache"), nil }
	for _, name := range passed {
		if value := ts.Getenv(name); value != "" {
			app.Environ = append(app.Environ, name+"="+value)
		}
	}
	if name := ts.Getenv("STDIN"); name != "" {
		app.In = strings.NewReader(ts.ReadFile(name))
	}
	terminals := strings.Fields(ts.Getenv("TTY"))
	is := func(name string) bool { return slices.Contains(terminals, name) || slices.Contains(terminals, "1") }
	app.InTTY, app.OutTTY, app.ErrTTY = is("in"), is("out"), is("err")
	if got := app.Run(ctx, args); got != want {
		ts.Fatalf("stackctl %s: exit code %d, want %d", strings.Join(args, " "), got, want)
	}
}

// marked knows whether something was written.
type marked struct {
	io.Writer
	wrote bool
}

func (m *marked) Write(p []byte) (int, error) {
	m.wrote = true
	return m.Writer.Write(p)
}

// settle makes testscript forget what the command before has printed, which it
// does only when this one has printed something. An empty line matches no `.`.
func settle(ts *testscript.TestScript, writers ...*marked) {
	for _, w := range writers {
		if w.wrote {
			return
		}
	}
	fmt.Fprintln(ts.Stdout())
}

func newApp(e engine.Engine, dir string, out, err io.Writer) *cli.App {
	return &cli.App{
		Streams:  cli.Streams{In: strings.NewReader(""), Out: out, Err: err},
		Dir:      dir,
		CacheDir: func() (string, error) { return filepath.Join(dir, ".cache"), nil },
		NewEngine: func(o docker.Options) (engine.Engine, error) {
			if o.Context == "nope" {
				return nil, fmt.Errorf("context %q: not found", o.Context)
			}
			return e, nil
		},
		Now:     func() time.Time { return theTime },
		Version: "1.2.3",
	}
}

// engineCommand works on the script's engine:
//
//	engine dump                     prints what is on it
//	engine calls                    prints the calls that changed something, and forgets them
//	engine volume NAME [PROJECT]    adds a volume
//	engine fill VOLUME NAME TEXT    puts a file into a volume
//	engine contents VOLUME          prints the files in a volume
//	engine uses PROJECT SERVICE VOLUME
//	                                adds a running container that uses a volume
//	engine gone CONTAINER           removes a container
//	engine container PROJECT SERVICE [HOSTPORT]
//	                                adds a running container
//	engine unhealthy SERVICE OUTPUT lets all probes of a service fail
//	engine logs SERVICE LINE...     lets a service write lines
//	engine kill CONTAINER           ends a container
//	engine program SERVICE          lets a service's containers run commands; see program
//	engine fail METHOD              lets calls of a method fail
//	engine unreachable              lets nothing reach it
//	engine forget IMAGE             takes an image from it
//	engine remote IMAGE             puts an image into the registry
//	engine image REF                adds an image
//	engine label CONTAINER LABEL    prints a label
//	engine remote IMAGE             puts an image into the registry
//	engine later SPAN               sets its clock forward
func engineCommand(ts *testscript.TestScript, neg bool, args []string) {
	noNegation(ts, neg)
	e := engineOf(ts)
	out := &marked{Writer: ts.Stdout()}
	defer settle(ts, out)
	switch word, args := args[0], append(args[1:], "", "", ""); word {
	case "dump":
		fmt.Fprint(out, e.Dump())
	case "calls":
		for _, c := range e.Calls() {
			fmt.Fprintln(out, c)
		}
		e.ForgetCalls()
	case "volume":
		e.AddVolume(args[0], args[1])
	case "fill":
		e.FillVolume(args[0], map[string]string{args[1]: args[2]})
	case "contents":
		contents := e.VolumeContents(args[0])
		for _, name := range slices.Sorted(maps.Keys(contents)) {
			fmt.Fprintf(out, "%s: %s\n", name, contents[name])
		}
	case "uses":
		e.AddContainer(state.Container{
			Project: args[0], Service: args[1], Number: 1, Name: args[0] + "-" + args[1] + "-1", Image: "other:1",
			Mounts: []state.Mount{{Type: "volume", Name: args[2], Target: "/data"}},
		})
	case "gone":
		ts.Check(e.RemoveContainer(context.Background(), args[0], false))
	case "container":
		c := state.Container{Project: args[0], Service: args[1], Number: 1, Name: args[0] + "-" + args[1] + "-1", Image: "other:1"}
		c.ComposeHash, c.ConfigFiles = "other", []string{"/srv/" + args[0] + "/compose.yaml"}
		if port, err := strconv.Atoi(args[2]); err == nil {
			c.Ports = []state.Port{{HostIP: "0.0.0.0", HostPort: port, ContainerPort: 80, Protocol: "tcp"}}
		}
		e.AddContainer(c)
	case "unhealthy":
		e.Behave(args[0], enginetest.Behaviour{FailingProbes: -1, ProbeOutput: args[1], Log: []string{"starting", "FATAL: out of luck"}})
	case "logs":
		e.Behave(args[0], enginetest.Behaviour{Log: slices.DeleteFunc(args[1:], func(s string) bool { return s == "" })})
	case "program":
		e.Behave(args[0], enginetest.Behaviour{Program: program})
	case "kill":
		ts.Check(e.Kill(args[0], 137))
	case "fail":
		e.FailWith(func(c enginetest.Call) error {
			if c.Method == args[0] {
				return errors.New("the engine is out of sorts")
			}
			return nil
		})
	case "unreachable":
		e.FailWith(func(enginetest.Call) error {
			return &engine.UnreachableError{Endpoint: "unix:///fake.sock", Source: "default", Err: fs.ErrNotExist}
		})
	case "image":
		e.AddImage(args[0], "sha256:"+args[0])
	case "label":
		labels, err := e.Labels(args[0])
		ts.Check(err)
		fmt.Fprintln(out, labels[args[1]])
	case "remote":
		e.AddRemote(args[0], "sha256:new-"+args[0])
	case "later":
		span, err := time.ParseDuration(args[0])
		ts.Check(err)
		e.Advance(span)
	case "forget":
		ts.Check(e.RemoveImage(context.Background(), args[0]))
	default:
		ts.Fatalf("unknown: engine %s", word)
	}
}

// program runs the commands of scripts in containers:
//
//	echo WORD...   writes them
//	warn WORD...   writes them to the standard error
//	cat            writes what it reads
//	fail CODE      ends with an exit code
//	show           tells what it was given
//	wait           waits for a signal, tells of it and ends with 130
func program(_ context.Context, p enginetest.Process) int {
	word, rest := p.Args[0], p.Args[1:]
	switch word {
	case "echo":
		fmt.Fprintln(p.Out, strings.Join(rest, " "))
	case "warn":
		fmt.Fprintln(p.Err, strings.Join(rest, " "))
	case "cat":
		_, _ = io.Copy(p.Out, p.In)
	case "fail":
		code, _ := strconv.Atoi(rest[0])
		return code
	case "show":
		fmt.Fprintf(p.Out, "env %q user %q dir %q privileged %t terminal %t\n", p.Env, p.User, p.WorkingDir, p.Privileged, p.Terminal != nil)
	case "wait":
		fmt.Fprintln(p.Out, "got", <-p.Signals)
		return 130
	default:
		fmt.Fprintf(p.Err, "%s: not found\n", word)
		return 127
	}
	return 0
}

// output is a writer that two goroutines may use, and that tells of each write.
type output struct {
	mu    sync.Mutex
	text  bytes.Buffer
	wrote func(all string)
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Write(p)
	if o.wrote != nil {
		o.wrote(o.text.String())
	}
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// session is one engine in memory with the commands that run on it.
type session struct {
	*enginetest.Engine
	dir string
}

func newSession(t *testing.T) *session {
	t.Helper()
	e := enginetest.New()
	e.SetInfo(engine.Info{Endpoint: "unix:///fake.sock", APIVersion: "1.41"})
	for _, image := range []string{"postgres:15-alpine", "redis:7-alpine", "multi-service-app-webapp"} {
		e.AddImage(image, "sha256:"+image)
	}
	return &session{e, t.TempDir()}
}

// run runs a command to its end, which out can bring about by ending ctx.
func (s *session) run(ctx context.Context, out, err io.Writer, args ...string) int {
	app := newApp(s.Engine, s.dir, out, err)
	app.Environ = append(os.Environ(), "POSTGRES_PASSWORD=x")
	return app.Run(ctx, args)
}
