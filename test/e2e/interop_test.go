//go:build e2e

package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// render writes the compose file of the stack into the test's folder.
func (s *stage) render() string {
	s.t.Helper()
	text := s.run(0, "render").stdout
	path := filepath.Join(s.dir, "compose.yml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// forCompose makes the rendered file one that Docker Compose runs on this engine:
// Compose refuses start_interval on engines that do not know it.
func (s *stage) forCompose(file string) {
	s.t.Helper()
	info, err := s.engine.Info(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	if info.KnowsStartInterval {
		return
	}
	refused := s.exec(os.Getenv("COMPOSE"), "-p", s.project, "-f", file, "up", "-d")
	if !strings.Contains(refused.stderr, "can't set healthcheck.start_interval") {
		s.t.Fatal("Compose takes start_interval on this engine: there is nothing to take out of the file")
	}
	text, err := os.ReadFile(file)
	if err != nil {
		s.t.Fatal(err)
	}
	text = regexp.MustCompile(`(?m)^ *start_interval: .*\n`).ReplaceAll(text, nil)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// Docker Compose works on a stack that stackctl brought up, without any file.
func TestComposeOnOurStack(t *testing.T) {
	s := newStage(t)
	s.run(0, "up")
	ps := s.compose("ps", "--format", "{{.Service}} {{.Name}} {{.State}}")
	for _, service := range []string{"cache", "database", "webapp"} {
		if want := service + " " + s.project + "-" + service + "-1 running"; !strings.Contains(ps.stdout, want) {
			t.Errorf("compose ps does not list %q", want)
		}
	}
	if logs := s.compose("logs", "database"); !strings.Contains(logs.stdout, "database system is ready to accept connections") {
		t.Error("compose logs does not show the database's log")
	}
	s.compose("stop", "cache")
	if c := s.containers()["cache"]; c.State != "exited" {
		t.Errorf("after compose stop the cache is %s", c.State)
	}
	if code, health := s.get("/health"); code != http.StatusServiceUnavailable || health["status"] != "degraded" {
		t.Errorf("GET /health without the cache: %d %v", code, health)
	}
	s.run(0, "up")
	if code, _ := s.get("/health"); code != http.StatusOK {
		t.Errorf("GET /health after up: %d", code)
	}
	s.compose("down", "--volumes")
	if left := s.resources(); len(left) > 0 {
		t.Errorf("compose down left %v", left)
	}
}

// Docker Compose accepts the rendered file and runs it, and takes over what
// stackctl brought up; stackctl takes over what Docker Compose brought up. The
// data stays through all of it.
func TestTakeTurns(t *testing.T) {
	s := newStage(t)
	file := s.render()
	s.run(0, "up") // makes the password, which both take from .env
	s.compose("-f", file, "config", "-q")
	s.addUser("ada")
	s.forCompose(file)

	s.compose("-f", file, "up", "-d", "--wait")
	if diff := cmp.Diff([]string{"ada"}, s.users()); diff != "" {
		t.Errorf("users after Compose took over (-want +got):\n%s", diff)
	}
	s.addUser("grace")

	s.run(0, "up")
	s.run(0, "status", "--exit-code")
	if diff := cmp.Diff([]string{"ada", "grace"}, s.users()); diff != "" {
		t.Errorf("users after stackctl took over (-want +got):\n%s", diff)
	}

	s.run(0, "down")
	s.compose("-f", file, "up", "-d", "--wait")
	if logs := s.run(0, "logs", "--tail", "5", "webapp"); !strings.Contains(logs.stdout, "webapp-1") {
		t.Error("logs shows nothing of a container that Compose made")
	}
	s.run(0, "down", "-v")
	if left := s.resources(); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}
