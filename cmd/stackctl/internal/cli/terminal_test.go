package cli_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/stackctl/stackctl/cmd/stackctl/internal/cli"
	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/engine/enginetest"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// terminal is the user's, which a test changes the size of.
type terminal struct {
	columns atomic.Int64
	changes chan struct{}
	raw     bool // now
	rawly   int  // how often it has been
}

func newTerminal(app *cli.App) *terminal {
	t := &terminal{changes: make(chan struct{})}
	t.columns.Store(80)
	app.InTTY, app.OutTTY, app.ErrTTY = true, true, true
	app.Size = func() (int, int) { return int(t.columns.Load()), 24 }
	app.Raw = func() (func(), error) {
		t.raw = true
		t.rawly++
		return func() { t.raw = false }, nil
	}
	app.Resizes = func() (<-chan struct{}, func()) {
		return t.changes, func() { close(t.changes) }
	}
	return t
}

// A command has the terminal's size from the start and every later one, and the
// keys as they are until it ends, whatever its end is.
func TestCommandOnATerminal(t *testing.T) {
	for _, test := range []struct {
		name string
		args []string
		code int
	}{
		{"exec", []string{"exec", "cache", "sh"}, 7},
		{"run", []string{"run", "--no-deps", "--rm", "cache", "sh"}, 7},
		{"exec that fails", []string{"exec", "cache", "sh"}, 1},
		{"run that fails", []string{"run", "--no-deps", "--rm", "cache", "sh"}, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			t.Cleanup(func() { goleak.VerifyNone(t, before) })
			s := newSession(t)
			s.AddContainer(state.Container{Project: "multi-service-app", Service: "cache", Number: 1, Name: "multi-service-app-cache-1"})
			var out, errOut bytes.Buffer
			app := newApp(s.Engine, s.dir, &out, &errOut)
			app.Environ = []string{"POSTGRES_PASSWORD=x"}
			app.In = strings.NewReader("")
			user := newTerminal(app)
			var sizes []engine.Size
			s.Behave("cache", enginetest.Behaviour{Program: func(_ context.Context, p enginetest.Process) int {
				sizes = append(sizes, p.Terminal.Size)
				if !user.raw {
					t.Error("the terminal is not in raw mode")
				}
				user.columns.Store(100)
				user.changes <- struct{}{}
				sizes = append(sizes, <-p.Terminal.Resized)
				return 7
			}})
			if test.code == 1 {
				s.FailWith(func(c enginetest.Call) error {
					if strings.HasSuffix(c.Method, "Attached") {
						return errors.New("out of sorts")
					}
					return nil
				})
			}
			if code := app.Run(t.Context(), test.args); code != test.code {
				t.Errorf("exit code %d, want %d\n%s", code, test.code, &errOut)
			}
			if user.raw || user.rawly != 1 {
				t.Errorf("raw mode at the end: %t; entered %d times", user.raw, user.rawly)
			}
			if test.code == 7 && (len(sizes) != 2 || sizes[0] != engine.Size{Columns: 80, Rows: 24} || sizes[1] != engine.Size{Columns: 100, Rows: 24}) {
				t.Errorf("sizes %v", sizes)
			}
		})
	}
}

// A terminal that cannot be put into raw mode is told of.
func TestTerminalWithoutRawMode(t *testing.T) {
	s := newSession(t)
	var errOut bytes.Buffer
	app := newApp(s.Engine, s.dir, io.Discard, &errOut)
	app.Environ = []string{"POSTGRES_PASSWORD=x"}
	newTerminal(app)
	app.Raw = func() (func(), error) { return nil, errors.New("no such mode") }
	if code := app.Run(t.Context(), []string{"exec", "cache", "sh"}); code != 1 {
		t.Errorf("exec: exit code %d", code)
	}
	if code := app.Run(t.Context(), []string{"run", "--no-deps", "cache", "sh"}); code != 0 {
		t.Errorf("run: exit code %d", code)
	}
	if got := strings.Count(errOut.String(), "put the terminal into raw mode: no such mode"); got != 2 {
		t.Errorf("told %d times:\n%s", got, &errOut)
	}
}
