//go:build e2e

package e2e

import (
	"bytes"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"
)

// render writes the compose file of the stack into the test's folder, under a name
// that stackctl does not find by itself: it goes on with the built-in stack.
func (s *stage) render() string {
	s.t.Helper()
	text := s.run(0, "render").stdout
	path := filepath.Join(s.dir, "rendered.yml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// forCompose makes the rendered file one that Docker Compose runs on this engine:
// Compose refuses start_interval on engines that do not know it. They look for
// the first time after a whole interval, which is made shorter.
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
	if refused.code == 0 || !strings.Contains(refused.stderr, "can't set healthcheck.start_interval as feature require Docker Engine v25 or later") {
		s.t.Fatal("Compose takes start_interval on this engine: there is nothing to take out of the file")
	}
	text, err := os.ReadFile(file)
	if err != nil {
		s.t.Fatal(err)
	}
	text = regexp.MustCompile(`(?m)^ *start_interval: .*\n`).ReplaceAll(text, nil)
	text = regexp.MustCompile(`(?m)^( *interval): 10s$`).ReplaceAll(text, []byte("$1: 1s"))
	if err := os.WriteFile(file, text, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// What is rendered is YAML alone, the same each time and under both names of the
// command; it holds no password, and Docker Compose takes it.
func TestRender(t *testing.T) {
	s := newStage(t)
	s.env = append(s.env, "POSTGRES_PASSWORD=canary")
	file := s.render()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var rendered struct {
		Name     string
		Services map[string]any
	}
	if err := yaml.Unmarshal(text, &rendered); err != nil {
		t.Fatal(err)
	}
	services := slices.Sorted(maps.Keys(rendered.Services))
	if diff := cmp.Diff([]string{"cache", "database", "webapp"}, services); diff != "" || rendered.Name != s.project {
		t.Errorf("name %q, services (-want +got):\n%s", rendered.Name, diff)
	}
	if bytes.Contains(text, []byte("canary")) {
		t.Error("it holds the password")
	}
	if again := s.run(0, "config").stdout; again != string(text) {
		t.Errorf("config gives another text:\n%s", cmp.Diff(string(text), again))
	}
	s.run(0, "render", "-o", "other.yml")
	if other, err := os.ReadFile(filepath.Join(s.dir, "other.yml")); err != nil || !bytes.Equal(other, text) {
		t.Errorf("-o wrote another text: %v", err)
	}
	if got := s.compose("-f", file, "config", "-q"); got.stdout != "" || got.stderr != "" {
		t.Error("Compose has something to say")
	}
	if made := s.resources(); len(made) > 0 {
		t.Errorf("made %v", made)
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
	s.waitState("cache", "exited")
	if code, health := s.get("/health"); code != http.StatusServiceUnavailable || health["status"] != "degraded" {
		t.Errorf("GET /health without the cache: %d %v", code, health)
	}
	s.compose("start", "cache")
	s.eventually("the app finds its cache again", func() bool {
		code, _ := s.get("/health")
		return code == http.StatusOK
	})
	s.compose("stop")
	s.run(0, "up")
	if code, _ := s.get("/health"); code != http.StatusOK {
		t.Errorf("GET /health after up: %d", code)
	}
	s.compose("down", "--volumes")
	if left := s.resources(); len(left) > 0 {
		t.Errorf("compose down left %v", left)
	}
}

// Docker Compose runs the rendered file and takes over what stackctl brought up.
// The data stays.
func TestComposeTakesOver(t *testing.T) {
	s := newStage(t)
	file := s.render()
	s.run(0, "up") // makes the password, which both take from .env
	s.addUser("ada")
	s.forCompose(file)
	s.compose("-f", file, "up", "-d", "--wait")
	if diff := cmp.Diff([]string{"ada"}, s.users()); diff != "" {
		t.Errorf("users after Compose took over (-want +got):\n%s", diff)
	}
	if code, _ := s.get("/health"); code != http.StatusOK {
		t.Errorf("GET /health: %d", code)
	}
	s.compose("-f", file, "down", "--volumes")
	if left := s.resources(); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}

// stackctl takes over what Docker Compose brought up: every command works on it,
// the data stays, and what up made of it is as the stack has it.
func TestStackctlTakesOver(t *testing.T) {
	s := newStage(t)
	file := s.render()
	s.run(0, "up", "--no-wait") // makes the password, and the app's image
	s.run(0, "down", "-v")
	s.forCompose(file)
	s.compose("-f", file, "up", "-d", "--wait")
	s.addUser("ada")

	if got := s.run(0, "status", "--exit-code"); strings.Count(got.stdout, "running") != 3 {
		t.Error("status does not show what Compose made")
	}
	if got := s.run(0, "logs", "database"); !strings.Contains(got.stdout, "database-1  | ") {
		t.Error("logs does not show what a container of Compose wrote")
	}
	s.run(0, "up")
	if diff := cmp.Diff([]string{"ada"}, s.users()); diff != "" {
		t.Errorf("users after stackctl took over (-want +got):\n%s", diff)
	}
	s.waitHealthy()
	s.run(0, "plan", "--exit-code")

	s.run(0, "down")
	s.compose("-f", file, "up", "-d")
	s.run(0, "down", "-v")
	if left := s.resources(); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}
