//go:build e2e && linux

package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// endings are the ways in which an engine goes away: it is stopped, with its
// containers, or it dies.
var endings = []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL}

const talking = `
services:
  db:
    image: alpine
    command: [sh, -c, "i=0; while :; do i=$$((i+1)); echo line $$i; sleep 0.1; done"]
    stop_signal: SIGKILL
    healthcheck: {test: [CMD, "true"], interval: 1s}
`

// gone is the sentence about an engine that was there a moment ago.
var gone = regexp.MustCompile(`(?m)^(error|warning): .*(the engine at \S+ does not answer any more: |the connection to the engine was lost: )`)

// What goes on for long ends with the reason when the engine goes away, or waits
// for it: a status is whole again after it.
func TestEngineGoesAwayWhileWatched(t *testing.T) {
	t.Parallel()
	for _, signal := range endings {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			e := newOwnEngine(t, 0, "alpine")
			s := e.stage()
			s.write("compose.yaml", talking)
			s.run(0, "up")
			logs, events, status := s.start("logs", "-f"), s.start("events"), s.start("status", "-w")
			s.eventually("all three show something", func() bool {
				return logs.stdout.contains("line 1\n") && events.stdout.contains("exec_die") && status.stdout.contains("running")
			})
			e.end(signal)
			for _, b := range []*background{logs, events} {
				got := b.wait()
				if got.code != 4 || !gone.MatchString(got.stderr) || !strings.Contains(got.stderr, "hint: ") {
					t.Errorf("%s: exit code %d, want 4 and the reason", b.cmd, got.code)
				}
			}
			if last := lastLine(logs.stdout.String()); !strings.HasPrefix(last, "db-1  | line ") {
				t.Errorf("logs -f ended its output with %q", last)
			}
			s.eventually("status -w says that the engine is away", func() bool { return gone.MatchString(status.stderr.String()) })

			before := len(status.stdout.String())
			e.start()
			s.eventually("status -w shows a table again", func() bool { return strings.Contains(status.stdout.String()[before:], "exited") })
			s.run(0, "up")
			s.eventually("status -w shows what runs", func() bool { return strings.Contains(status.stdout.String()[before:], "healthy") })
			if got := status.end(syscall.SIGINT); got.code != 130 || strings.Count(got.stderr, "waiting for it") != 1 {
				t.Errorf("status -w: exit code %d, want 130 and one warning", got.code)
			}
			s.run(0, "status", "--exit-code")
		})
	}
}

const gated = `
services:
  db:
    image: alpine
    command: [sleep, "600"]
    stop_signal: SIGKILL
    volumes: [./gate:/gate]
    healthcheck: {test: [CMD, test, -e, /gate/open], interval: 1s}
  web:
    image: alpine
    command: [sleep, "600"]
    stop_signal: SIGKILL
    depends_on: {db: {condition: service_healthy}}
`

// An up during which the engine goes away says so, and the next one converges.
func TestEngineGoesAwayDuringUp(t *testing.T) {
	t.Parallel()
	for _, signal := range endings {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			e := newOwnEngine(t, 0, "alpine")
			s := e.stage()
			s.write("compose.yaml", gated)
			if err := os.Mkdir(filepath.Join(s.dir, "gate"), 0o755); err != nil {
				t.Fatal(err)
			}
			up := s.start("up")
			s.eventually("the database starts", func() bool { return s.containers()["db"].State == "running" })
			e.end(signal)
			got := up.wait()
			if got.code != 4 || !gone.MatchString(got.stderr) {
				t.Errorf("exit code %d, want 4 and the reason", got.code)
			}
			if !strings.Contains(got.stderr, "up` again goes on from here") {
				t.Error("it does not say what to do")
			}
			if id := regexp.MustCompile(`[0-9a-f]{64}`).FindString(got.stderr); id != "" {
				t.Errorf("it names a container by its id: %s", id)
			}
			e.start()
			s.write("gate/open", "")
			s.run(0, "up")
			s.run(0, "status", "--exit-code")
			if c := s.containers()["web"]; c.State != "running" {
				t.Errorf("web is %s", c.State)
			}
		})
	}
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}
