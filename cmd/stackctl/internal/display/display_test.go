package display

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/stackctl/stackctl/pkg/runner/event"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// ev makes an event so many milliseconds after the start.
func ev(ms int, kind event.Kind, node int, resource, action string, more ...func(*event.Event)) event.Event {
	e := event.Event{Time: start.Add(time.Duration(ms) * time.Millisecond), Kind: kind, Node: node, Resource: resource, Action: action}
	for _, change := range more {
		change(&e)
	}
	return e
}

func took(ms int) func(*event.Event) {
	return func(e *event.Event) { e.Elapsed = time.Duration(ms) * time.Millisecond }
}
func says(text string) func(*event.Event) { return func(e *event.Event) { e.Message = text } }
func layersOf(done, all int) func(*event.Event) {
	return func(e *event.Event) { e.LayersDone, e.Layers = done, all }
}

func bytesOf(n, total int64) func(*event.Event) {
	return func(e *event.Event) { e.Current, e.Total = n, total }
}
func because(err error) func(*event.Event) { return func(e *event.Event) { e.Err = err } }

// aRun is a start of a stack with everything in it.
func aRun() []event.Event {
	return []event.Event{
		{Time: start, Kind: event.Warning, Message: "volume old exists and\nbelongs to no project"},
		ev(0, event.Started, 1, "network shop_back", "create"),
		ev(0, event.Started, 2, "image shop-web", "build"),
		ev(0, event.Started, 3, "image redis:7-alpine", "pull"),
		ev(100, event.Done, 1, "network shop_back", "create", took(100)),
		ev(150, event.Progress, 2, "image shop-web", "build", says("go build ./webapp")),
		ev(200, event.Progress, 3, "image redis:7-alpine", "pull", says("downloading"), bytesOf(500_000, 1_000_000), layersOf(0, 2)),
		ev(210, event.Progress, 3, "image redis:7-alpine", "pull", says("downloading"), bytesOf(1_500_000, 4_000_000), layersOf(0, 2)),
		ev(220, event.Progress, 3, "image redis:7-alpine", "pull", says("downloading"), bytesOf(2_000_000, 4_000_000), layersOf(1, 2)),
		ev(300, event.Started, 4, "container shop-db-1", "create"),
		ev(350, event.Done, 4, "container shop-db-1", "create", took(50)),
		ev(350, event.Started, 5, "container shop-db-1", "start"),
		ev(450, event.Done, 5, "container shop-db-1", "start", took(100)),
		ev(450, event.Started, 6, "container shop-db-1", "wait until healthy"),
	}
}

func theEnd() []event.Event {
	return []event.Event{
		ev(2100, event.Done, 6, "container shop-db-1", "wait until healthy", took(1650), says("by our own probe")),
		ev(2200, event.Done, 2, "image shop-web", "build", took(2200), says("Go toolchain")),
		ev(2300, event.Failed, 3, "image redis:7-alpine", "pull", took(2300), because(errors.New("no such image"))),
		ev(2310, event.Skipped, 7, "container shop-cache-1", "create", says("because of #3")),
		ev(2310, event.Skipped, 8, "container shop-cache-1", "start", says("because of #3")),
	}
}

// show runs a whole display.
func show(o Options, events ...event.Event) string {
	var out bytes.Buffer
	var hub event.Hub
	sub := hub.Subscribe()
	for _, e := range events {
		hub.Emit(e)
	}
	hub.Close()
	o.W, o.Project = &out, "shop"
	o.Now = func() time.Time { return start.Add(time.Second) }
	Show(sub, o)
	return out.String()
}

func TestPlain(t *testing.T) {
	got := show(Options{Mode: Plain}, append(aRun(), theEnd()...)...)
	want := `warning: volume old exists and belongs to no project
 … image      web               building
 … image      redis:7-alpine    pulling
 ✓ network    back              created    0.1s
 ✓ container  db-1              healthy    1.8s
 ✓ image      web               built      2.2s  Go toolchain
 ✗ image      redis:7-alpine    not pulled  2.3s
 - container  cache-1           skipped
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// With Steps, a build tells each of its steps and what they write, once.
func TestPlainSteps(t *testing.T) {
	build := func(ms int, kind event.Kind, change ...func(*event.Event)) event.Event {
		return ev(ms, kind, 1, "image shop-web", "build", change...)
	}
	events := []event.Event{
		build(0, event.Started),
		build(10, event.Progress, says("[internal] load build definition from Dockerfile")),
		build(11, event.Progress, says("transferring dockerfile:"), bytesOf(32, 0)),
		build(20, event.Progress, says("[2/2] RUN make")),
		build(20, event.Progress, says("[2/2] RUN make")),
		build(30, event.Progress, says("cc main.c\x1b[K")),
		build(40, event.Progress, says("")),
		build(100, event.Done, took(100), says("Dockerfile")),
	}
	want := ` … image      web               building
   web | [internal] load build definition from Dockerfile
   web | [2/2] RUN make
   web | cc main.c [K
 ✓ image      web               built      0.1s  Dockerfile
`
	if diff := cmp.Diff(want, show(Options{Mode: Plain, Steps: true}, events...)); diff != "" {
		t.Error(diff)
	}
	want = ` … image      web               building
 ✓ image      web               built      0.1s  Dockerfile
`
	if diff := cmp.Diff(want, show(Options{Mode: Plain}, events...)); diff != "" {
		t.Errorf("without: %s", diff)
	}
}

// What was not waited for is told at the end, with what became of it.
func TestPlainWithoutWait(t *testing.T) {
	got := show(Options{Mode: Plain},
		ev(0, event.Started, 1, "container shop-web-1", "create"),
		ev(60, event.Done, 1, "container shop-web-1", "create", took(60)),
		ev(60, event.Started, 2, "container shop-web-1", "start"),
		ev(120, event.Done, 2, "container shop-web-1", "start", took(60)),
	)
	if want := " ✓ container  web-1             started    0.1s\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A display that has a colour to use uses it for the mark and the state.
func TestPlainColour(t *testing.T) {
	got := show(Options{Mode: Plain, Color: true}, ev(0, event.Done, 1, "network shop_back", "create", took(100)))
	want := " \x1b[32m✓\x1b[0m network    back              \x1b[32mcreated\x1b[0m    \x1b[2m0.1s\x1b[0m\n"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestQuietShowsWarningsOnly(t *testing.T) {
	got := show(Options{Mode: Quiet}, append(aRun(), theEnd()...)...)
	if want := "warning: volume old exists and belongs to no project\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestJSON(t *testing.T) {
	got := show(Options{Mode: JSON}, aRun()[6], theEnd()[0], theEnd()[2], aRun()[0])
	want := `{"time":"2026-01-02T03:04:05.2Z","event":"progress","node":3,"kind":"image","name":"redis:7-alpine","action":"pull","message":"downloading","current":500000,"total":1000000,"layers":2}
{"time":"2026-01-02T03:04:07.1Z","event":"done","node":6,"kind":"container","name":"shop-db-1","action":"wait until healthy","message":"by our own probe","elapsed_ms":1650}
{"time":"2026-01-02T03:04:07.3Z","event":"failed","node":3,"kind":"image","name":"redis:7-alpine","action":"pull","elapsed_ms":2300,"error":"no such image"}
{"time":"2026-01-02T03:04:05Z","event":"warning","message":"volume old exists and\nbelongs to no project"}
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// screen is what a terminal shows of what was written to it.
type screen struct {
	rows     []string
	row, col int
}

var sequence = regexp.MustCompile(`\x1b\[(\d*)([A-Za-z])|\n|\r|[^\x1b\n\r]+`)

func (s *screen) Write(p []byte) (int, error) {
	for _, m := range sequence.FindAllStringSubmatch(string(p), -1) {
		for len(s.rows) <= s.row {
			s.rows = append(s.rows, "")
		}
		line := []rune(s.rows[s.row])
		switch {
		case m[0] == "\n":
			s.row, s.col = s.row+1, 0
		case m[0] == "\r":
			s.col = 0
		case m[2] == "A":
			n, _ := strconv.Atoi(m[1])
			if s.row -= n; s.row < 0 {
				panic("the cursor left the screen")
			}
		case m[2] == "K":
			s.rows[s.row] = string(line[:min(s.col, len(line))])
		case m[2] == "J":
			s.rows = append(s.rows[:s.row], string(line[:min(s.col, len(line))]))
		case m[2] != "": // colours
		default:
			text := []rune(m[0])
			rest := line[min(len(line), s.col+len(text)):]
			s.rows[s.row] = string(line[:min(s.col, len(line))]) + m[0] + string(rest)
			s.col += len(text)
		}
	}
	return len(p), nil
}

func (s *screen) String() string { return strings.TrimRight(strings.Join(s.rows, "\n"), "\n") + "\n" }

func testTerminal(columns, rows int, color bool) (*terminal, *screen, *time.Time) {
	now := start
	s := &screen{}
	return &terminal{
		w: s, size: func() (int, int) { return columns, rows }, now: func() time.Time { return now },
		tracker: newTracker("shop"), lines: newLines(Style(color)),
	}, s, &now
}

// What is finished stays above, what goes on is drawn over, and at the end
// everything has its last line.
func TestTerminalFrames(t *testing.T) {
	for _, color := range []bool{false, true} {
		t.Run(fmt.Sprintf("color %v", color), func(t *testing.T) {
			term, screen, now := testTerminal(80, 24, color)
			term.draw()
			if got := screen.String(); got != "\n" {
				t.Fatalf("before the first event: %q", got)
			}
			for i, e := range aRun() {
				term.take(e)
				if i%3 == 0 {
					*now = e.Time
					term.draw()
				}
			}
			*now = start.Add(time.Second)
			term.draw()
			want := `warning: volume old exists and belongs to no project
 ✓ network    back              created    0.1s
 ⠦ image      web               building   1.0s  go build ./webapp
 ⠦ image      redis:7-alpine    pulling    1.0s  2.0MB/4.0MB, 1/2 layers
 ⠦ container  db-1              waiting    0.7s
`
			if diff := cmp.Diff(want, screen.String()); diff != "" {
				t.Fatal(diff)
			}
			for _, e := range theEnd() {
				term.take(e)
			}
			term.draw()
			term.end()
			want = `warning: volume old exists and belongs to no project
 ✓ network    back              created    0.1s
 ✓ container  db-1              healthy    1.8s
 ✓ image      web               built      2.2s  Go toolchain
 ✗ image      redis:7-alpine    not pulled  2.3s
 - container  cache-1           skipped
`
			if diff := cmp.Diff(want, screen.String()); diff != "" {
				t.Fatal(diff)
			}
		})
	}
}

// Lines never wrap, and never are more than the terminal has rows, or the next
// frame would be drawn in the wrong place.
func TestTerminalFits(t *testing.T) {
	for _, size := range [][2]int{{80, 5}, {40, 24}, {20, 4}, {5, 2}, {1, 1}} {
		term, screen, _ := testTerminal(size[0], size[1], false)
		for i := range 30 {
			term.take(ev(0, event.Started, i+1, fmt.Sprintf("image registry.example.com/some/where/app-%d:1.0", i), "pull"))
		}
		for range 3 {
			term.draw()
		}
		lines := strings.Split(strings.TrimSuffix(screen.String(), "\n"), "\n")
		if limit := max(1, size[1]-1); len(lines) > limit {
			t.Errorf("%v: %d lines", size, len(lines))
		}
		for _, line := range lines {
			if n := len([]rune(line)); n > max(size[0]-1, 3) && !strings.Contains(line, "more") {
				t.Errorf("%v: line of %d characters: %q", size, n, line)
			}
		}
	}
}

// The last line is there when Show returns, however the writer fares.
func TestShowWritesTheEnd(t *testing.T) {
	for _, mode := range []Mode{TTY, Plain, JSON} {
		got := show(Options{Mode: mode}, append(aRun(), theEnd()...)...)
		if !strings.Contains(got, "cache-1") {
			t.Errorf("%s: the last event is missing in %q", mode, got)
		}
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

// A reader that has gone is no reason to stop, and an ended subscription ends
// every display.
func TestShowSurvivesItsWriter(t *testing.T) {
	for _, mode := range []Mode{TTY, Plain, JSON, Quiet} {
		var hub event.Hub
		sub := hub.Subscribe()
		shown := make(chan struct{})
		go func() {
			defer close(shown)
			Show(sub, Options{W: brokenPipe{}, Mode: mode})
		}()
		for _, e := range append(aRun(), theEnd()...) {
			hub.Emit(e)
		}
		hub.Close()
		<-shown
	}
}

func TestModeOn(t *testing.T) {
	for _, c := range []struct {
		mode     Mode
		terminal bool
		want     Mode
	}{
		{Auto, true, TTY}, {Auto, false, Plain}, {"", false, Plain}, {TTY, false, TTY}, {Quiet, true, Quiet},
	} {
		if got := c.mode.On(c.terminal); got != c.want {
			t.Errorf("%q on a terminal %v: got %s, want %s", c.mode, c.terminal, got, c.want)
		}
	}
}

func TestWords(t *testing.T) {
	for action, want := range map[string][3]string{
		"create":             {"creating", "created", "not created"},
		"replace":            {"replacing", "replaced", "not replaced"},
		"rename":             {"renaming", "renamed", "not renamed"},
		"start":              {"starting", "started", "not started"},
		"stop":               {"stopping", "stopped", "not stopped"},
		"remove":             {"removing", "removed", "not removed"},
		"pull":               {"pulling", "pulled", "not pulled"},
		"load":               {"loading", "loaded", "not loaded"},
		"save":               {"saving", "saved", "not saved"},
		"build":              {"building", "built", "not built"},
		"wait until healthy": {"waiting", "healthy", "not healthy"},
	} {
		going, gone, not := words(action)
		if got := [3]string{going, gone, not}; got != want {
			t.Errorf("%s: got %v, want %v", action, got, want)
		}
	}
}

func TestShortName(t *testing.T) {
	for _, c := range [][3]string{
		{"shop", "shop-db-1", "db-1"},
		{"shop", "shop_data", "data"},
		{"shop", "shopping-1", "shopping-1"},
		{"", "shop-db-1", "shop-db-1"},
		{"shop", "shop-", "shop-"},
	} {
		if got := ShortName(c[0], c[1]); got != c[2] {
			t.Errorf("ShortName(%q, %q) = %q, want %q", c[0], c[1], got, c[2])
		}
	}
}

func TestTable(t *testing.T) {
	var out bytes.Buffer
	err := Table(&out, []string{"NAME", "NOTHING", "STATE", "LAST"}, [][]string{{"a", "", "running", "x"}, {"längere", "", "up", ""}},
		func(row, column int, text string) string {
			if row == 0 && column == 2 {
				return Style(true).Green(text)
			}
			return text
		})
	if err != nil {
		t.Fatal(err)
	}
	want := "NAME     STATE    LAST\na        \x1b[32mrunning\x1b[0m  x\nlängere  up\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestElapsedAndSize(t *testing.T) {
	for d, want := range map[time.Duration]string{
		40 * time.Millisecond: "0.0s", 1840 * time.Millisecond: "1.8s", 72 * time.Second: "1m12s", 61*time.Minute + 400*time.Millisecond: "1h1m0s",
	} {
		if got := Elapsed(d); got != want {
			t.Errorf("Elapsed(%d) = %s, want %s", d, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0B", 999: "999B", 1000: "1.0kB", 12_345_678: "12.3MB", 2_000_000_000_000_000: "2000.0TB"} {
		if got := size(n); got != want {
			t.Errorf("size(%d) = %s, want %s", n, got, want)
		}
	}
}
