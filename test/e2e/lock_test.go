//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stackctl/stackctl/pkg/runner/engine"
)

// slowShop is a stack that is ready when the test says so: an up stays at work.
const slowShop = `
services:
  web: {image: alpine, command: [sleep, "600"], stop_signal: SIGKILL, depends_on: {db: {condition: service_healthy}}}
  db:
    image: alpine
    command: [sleep, "600"]
    stop_signal: SIGKILL
    healthcheck: {test: test -e /tmp/ready, interval: 1s, retries: 600}
`

// atWork begins an up that waits for its database.
func (s *stage) atWork() *background {
	s.t.Helper()
	s.write("compose.yaml", slowShop)
	up := s.start("up")
	s.waitState("db", "running")
	return up
}

// behind begins a command that has to wait for another, and has said so.
func (s *stage) behind(other *background, args ...string) *background {
	s.t.Helper()
	b := s.start(args...)
	said := fmt.Sprintf("waiting for process %d (up, since ", other.cmd.Process.Pid)
	s.eventually("it says for whom it waits", func() bool { return b.stderr.contains(said) })
	return b
}

// Of ten ups at the same moment one makes everything, and nine find nothing to do.
func TestTenUpsAtOnce(t *testing.T) {
	s := newStage(t)
	s.write("compose.yaml", `
services:
  web: {image: alpine, command: [sleep, "600"], stop_signal: SIGKILL, depends_on: [db], volumes: ["data:/data"]}
  db: {image: alpine, command: [sleep, "600"], stop_signal: SIGKILL}
volumes: {data: {}}
`)
	events, err := s.engine.Events(t.Context(), s.project)
	if err != nil {
		t.Fatal(err)
	}
	var ups []*background
	for range 10 {
		ups = append(ups, s.start("up"))
	}
	idle := 0
	for _, up := range ups {
		r := up.wait()
		if r.code != 0 {
			t.Errorf("exit code %d", r.code)
		}
		if strings.Contains(r.stderr, "up to date") {
			idle++
		}
	}
	if idle != 9 {
		t.Errorf("%d of 10 found nothing to do", idle)
	}
	// The event of this end comes after all others.
	if err := s.engine.SignalContainer(t.Context(), s.containers()["web"].ID, "SIGKILL"); err != nil {
		t.Fatal(err)
	}
	var made []string
	for e := range events {
		if e.Err != nil {
			t.Fatal(e.Err)
		}
		if e.Action == "die" {
			break
		}
		if e.Action == "create" || e.Action == "destroy" || e.Action == "rename" {
			made = append(made, e.Action+" "+e.Service)
		}
	}
	if slices.Sort(made); !slices.Equal(made, []string{"create db", "create web"}) {
		t.Errorf("they did %q", made)
	}
}

// A down that comes while an up is at work waits, and then removes what it made.
func TestDownWaitsForUp(t *testing.T) {
	s := newStage(t)
	up := s.atWork()
	down := s.behind(up, "down")
	if _, err := s.engine.Exec(t.Context(), s.containers()["db"].ID, engine.Command{Args: []string{"touch", "/tmp/ready"}}); err != nil {
		t.Fatal(err)
	}
	if r := up.wait(); r.code != 0 || !strings.Contains(r.stderr, "ready in") {
		t.Errorf("up: exit code %d", r.code)
	}
	if r := down.wait(); r.code != 0 {
		t.Errorf("down: exit code %d", r.code)
	}
	if left := s.resources(); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// The lock ends with its holder, however that ends; one that is only stopped keeps it.
func TestKilledHolderLetsTheNextIn(t *testing.T) {
	s := newStage(t)
	up := s.atWork()
	before := s.runs()["db"]
	if err := up.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	next := s.behind(up, "up")
	if r := up.end(syscall.SIGKILL); r.code != -1 {
		t.Errorf("the first: exit code %d", r.code)
	}
	if _, err := s.engine.Exec(t.Context(), s.containers()["db"].ID, engine.Command{Args: []string{"touch", "/tmp/ready"}}); err != nil {
		t.Fatal(err)
	}
	if r := next.wait(); r.code != 0 {
		t.Errorf("the next: exit code %d", r.code)
	}
	if after := s.runs()["db"]; after != before {
		t.Errorf("the database is %v, was %v", after, before)
	}
}

// Whoever waits can be interrupted, and leaves the other alone.
func TestInterruptedWait(t *testing.T) {
	s := newStage(t)
	up := s.atWork()
	if r := s.behind(up, "stop").end(syscall.SIGINT); r.code != 130 {
		t.Errorf("stop: exit code %d", r.code)
	}
	if c := s.containers()["db"]; c.State != "running" {
		t.Errorf("db is %s", c.State)
	}
	if r := up.end(syscall.SIGTERM); r.code != 143 {
		t.Errorf("up: exit code %d", r.code)
	}
}

// While a container of `run` is at its work, other commands do theirs.
func TestRunKeepsNobodyOut(t *testing.T) {
	s := newStage(t)
	s.write("compose.yaml", strings.Replace(slowShop, "depends_on: {db: {condition: service_healthy}}", "", 1))
	b := s.start("run", "--rm", "web", "sh", "-c", "trap 'exit 7' INT; echo here; while :; do sleep 0.1; done")
	s.eventually("the command runs", func() bool { return b.stdout.contains("here\n") })
	s.run(0, "up", "--no-wait", "web")
	if r := b.end(syscall.SIGINT); r.code != 7 {
		t.Errorf("run: exit code %d", r.code)
	}
}
