//go:build e2e

package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackctl/stackctl/pkg/runner/state"
)

// file writes a file in the test's folder.
func (s *stage) file(name, text string) {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// labels gives what a service's container says of where it comes from.
func (s *stage) labels(service string) map[string]string {
	s.t.Helper()
	var seen struct {
		Config struct{ Labels map[string]string }
	}
	s.ask(http.MethodGet, "/containers/"+s.containers()[service].ID+"/json", nil, &seen)
	return map[string]string{
		"files":  seen.Config.Labels[state.LabelConfigFiles],
		"folder": seen.Config.Labels[state.LabelWorkingDir],
	}
}

const shopFile = `
services:
  web:
    image: alpine
    command: sh -c "echo $$GREETING; sleep 600"
    stop_signal: SIGKILL
    environment:
      GREETING: ${GREETING:?say what}
    depends_on:
      store: {condition: service_healthy}
  store:
    image: alpine
    command: sleep 600
    stop_signal: SIGKILL
    healthcheck: {test: ["CMD", "true"], interval: 1s}
  later:
    image: alpine
    command: sleep 600
    stop_signal: SIGKILL
    profiles: [later]
`

// A compose file with its override is brought up, from its folder or one below,
// with the labels that Docker Compose gives it; every command works on it.
func TestComposeFile(t *testing.T) {
	s := newStage(t)
	s.file("compose.yaml", shopFile)
	s.file("compose.override.yaml", "services:\n  web:\n    hostname: over\n")
	s.file(".env", "GREETING=hello\n")
	s.file("deep/down/readme", "")
	s.compose("up", "-d")
	want := s.labels("web")
	s.compose("down")

	above := s.dir
	s.dir = filepath.Join(s.dir, "deep", "down")
	up := s.run(0, "up")
	line := "stack " + s.project + " from ../../compose.yaml, ../../compose.override.yaml"
	if first, _, _ := strings.Cut(up.stderr, "\n"); first != line {
		t.Errorf("the first line is %q, want %q", first, line)
	}
	if diff := cmp.Diff(want, s.labels("web")); diff != "" {
		t.Errorf("labels (-of Docker Compose +ours):\n%s", diff)
	}
	s.dir = above
	s.run(0, "status", "--exit-code")
	s.run(0, "plan", "--exit-code")
	s.eventually("the log says what .env says", func() bool {
		return s.run(0, "logs", "--no-prefix", "web").stdout == "hello\n"
	})
	s.run(1, "-f", "compose.yaml", "plan", "--exit-code")

	s.run(0, "--profile", "later", "up")
	if c := s.containers()["later"]; c.State != "running" {
		t.Errorf("the service of the profile is %q", c.State)
	}
	if err := os.Remove(filepath.Join(s.dir, ".env")); err != nil {
		t.Fatal(err)
	}
	s.run(3, "up") // the variable has no value any more
	s.run(0, "down")
	if left := s.resources(); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}

// A compose file comes from the standard input, for both tools alike, and is
// taken down without any.
func TestComposeFileFromStandardInput(t *testing.T) {
	s := newStage(t)
	s.env = append(s.env, "GREETING=hello")
	pipe := func(name string, args ...string) {
		t.Helper()
		cmd := s.command(name, append([]string{"-p", s.project, "-f", "-"}, args...)...)
		cmd.Stdin = strings.NewReader(shopFile)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", cmd, err, out)
		}
	}
	pipe(os.Getenv("COMPOSE"), "up", "-d")
	want := s.labels("web")
	pipe(os.Getenv("COMPOSE"), "down")
	pipe(binary, "up")
	if diff := cmp.Diff(want, s.labels("web")); diff != "" {
		t.Errorf("labels (-of Docker Compose +ours):\n%s", diff)
	}
	s.run(0, "down")
	if left := s.resources(); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}

// A Go program outside of this module is a stack; a compose file goes over it.
func TestGoProgram(t *testing.T) {
	s := newStage(t)
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	s.file("shop/go.mod", "module shop\n\ngo 1.26.0\n")
	s.file("shop/go.work", "go 1.26.0\n\nuse (\n\t.\n\t"+root+"\n)\n")
	s.file("shop/main.go", `package main

import "github.com/stackctl/stackctl/pkg/spec"

func main() {
	store := &spec.Service{
		Name: "store", Image: "alpine", Command: []spec.Value{"sleep", "600"}, StopSignal: "SIGKILL",
		Healthcheck: spec.NewHealthcheck(spec.CmdTest("true")),
	}
	web := &spec.Service{
		Name: "web", Image: "alpine", Command: []spec.Value{"sleep", "600"}, StopSignal: "SIGKILL",
		DependsOn: []spec.Dependency{spec.Healthy(store)},
	}
	spec.Main(spec.New("shop", store, web))
}
`)
	s.file("over.yaml", "services:\n  web:\n    hostname: over\n")
	up := s.run(0, "-f", "shop", "up")
	line := "stack " + s.project + " from the Go program in shop\n"
	if !strings.HasPrefix(up.stderr, line) {
		t.Errorf("up does not begin with %q", line)
	}
	s.run(0, "-f", "shop", "status", "--exit-code")
	folder := filepath.Join(s.dir, "shop")
	if diff := cmp.Diff(map[string]string{"files": folder, "folder": folder}, s.labels("web")); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	before := s.runs()
	s.run(0, "-f", "shop", "-f", "over.yaml", "up")
	if after := s.runs(); after["store"] != before["store"] || after["web"].ID == before["web"].ID {
		t.Errorf("before %v, after %v: web alone was to be replaced", before, after)
	}
	s.run(0, "-f", "shop", "down")
	if left := s.resources(); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}
