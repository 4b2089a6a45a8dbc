//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackctl/stackctl/pkg/runner"
	"github.com/stackctl/stackctl/pkg/runner/engine"
)

// upText brings compose text up as the stage's project.
func (s *stage) upText(text string, o runner.UpOptions) (*runner.Report, error) {
	s.t.Helper()
	return s.runner.Up(s.t.Context(), s.load(text), o)
}

// mustUp is upText that has to end well; it gives the causes of the plan's first
// node for each container.
func (s *stage) mustUp(text string, o runner.UpOptions) map[string]string {
	s.t.Helper()
	report, err := s.upText(text, o)
	if err != nil {
		s.t.Fatal(err)
	}
	causes := map[string]string{}
	for _, n := range report.Plan.Nodes {
		name := strings.TrimPrefix(n.Op.Ref().Name, s.project+"-")
		if causes[name] == "" {
			causes[name] = n.Op.Verb() + ": " + n.Cause
		}
	}
	return causes
}

// output runs a command in a service's container and gives what it wrote.
func (s *stage) output(service string, args ...string) string {
	s.t.Helper()
	r, err := s.engine.Exec(s.t.Context(), s.containers()[service].ID, engine.Command{Args: args})
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.TrimSpace(r.Output)
}

// A change of one field, of a file's content or of an image is the cause, in the
// words of the compose file, and nothing else is replaced.
func TestWhatChanged(t *testing.T) {
	s := newStage(t)
	s.write("app.env", "LOG_LEVEL=info\n")
	s.write("app.conf", "one")
	const base = `
services:
  web:
    image: alpine:latest
    command: [sleep, "600"]
    init: true
    env_file: [app.env]
    configs: [conf]
    secrets: [token]
    environment: {API_TOKEN: first}
  other: {image: alpine:latest, command: [sleep, "600"], init: true}
configs: {conf: {file: ./app.conf}}
secrets: {token: {environment: TOKEN_NOT_SET_HERE}}
`
	text := strings.ReplaceAll(base, "environment: TOKEN_NOT_SET_HERE", "file: ./token")
	s.write("token", "x")
	s.mustUp(text, runner.UpOptions{})
	for _, step := range []struct {
		name   string
		change func()
		want   string
	}{
		{"nothing", func() {}, ""},
		{"env_file", func() { s.write("app.env", "LOG_LEVEL=debug\n") }, "replace: environment.LOG_LEVEL: info → debug"},
		{"a secret variable", func() { text = strings.Replace(text, "first", "second", 1) }, "replace: environment.API_TOKEN changed"},
		{"a config's content", func() { s.write("app.conf", "two") }, "replace: configs.conf changed"},
		{"a secret's content", func() { s.write("token", "y") }, "replace: secrets.token changed"},
		{"two fields", func() {
			text = strings.Replace(text, "init: true\n", "init: true\n    user: \"1\"\n    mem_limit: 64m\n", 1)
		}, "replace: mem_limit: 64m is new, user: 1 is new"},
		{"the spelling", func() { text = strings.Replace(text, `command: [sleep, "600"]`, "command: sleep 600", 1) }, ""},
		{"a dependency", func() { text = strings.Replace(text, "    configs:", "    depends_on: [other]\n    configs:", 1) }, ""},
	} {
		before := s.containers()
		step.change()
		causes := s.mustUp(text, runner.UpOptions{})
		if causes["web-1"] != step.want {
			t.Errorf("%s: %q, want %q", step.name, causes["web-1"], step.want)
		}
		after := s.containers()
		if after["other"].ID != before["other"].ID || (after["web"].ID != before["web"].ID) != (step.want != "") {
			t.Errorf("%s: web %s → %s, other %s → %s", step.name, before["web"].ID, after["web"].ID, before["other"].ID, after["other"].ID)
		}
	}
}

// A network that changed is made anew under running containers: they stay, find
// each other by their names, and their ports answer.
func TestNetworkMadeAnew(t *testing.T) {
	s := newStage(t)
	text := fmt.Sprintf(`
services:
  web:
    image: alpine:latest
    command: [httpd, -f, -p, "80", -h, /etc]
    ports: ["127.0.0.1:%s:80"]
    networks: {back: {aliases: [www]}, front: {}}
    init: true
  client: {image: alpine:latest, command: [sleep, "600"], init: true, networks: [back]}
  stopped: {image: alpine:latest, command: [sleep, "600"], init: true, networks: [back]}
networks:
  back: {}
  front: {}
`, s.web)
	s.mustUp(text, runner.UpOptions{})
	if err := s.engine.StopContainer(t.Context(), s.containers()["stopped"].ID, nil); err != nil {
		t.Fatal(err)
	}
	s.waitState("stopped", "exited") // an engine's list can be a moment late
	before := s.containers()
	text = strings.Replace(text, "\n  back: {}", "\n  back: {driver_opts: {com.docker.network.bridge.enable_icc: \"true\"}}", 1)
	causes := s.mustUp(text, runner.UpOptions{})
	if got := causes[s.project+"_back"]; !strings.HasPrefix(got, "remove: driver_opts.com.docker.network.bridge.enable_icc: true is new") {
		t.Errorf("cause %q", got)
	}
	after := s.containers()
	for _, service := range []string{"web", "client", "stopped"} {
		if after[service].ID != before[service].ID || after[service].Networks[s.project+"_back"] == before[service].Networks[s.project+"_back"] {
			t.Errorf("%s: %s on %v, was %s on %v", service, after[service].ID, after[service].Networks, before[service].ID, before[service].Networks)
		}
		if after[service].State != "running" {
			t.Errorf("%s is %s", service, after[service].State)
		}
	}
	for _, name := range []string{"web", "www", s.project + "-web-1"} {
		if got := s.output("client", "wget", "-qO-", "http://"+name+"/hostname"); !strings.HasPrefix(after["web"].ID, got) || got == "" {
			t.Errorf("client asks %s and gets %q", name, got)
		}
	}
	response, err := http.Get("http://127.0.0.1:" + s.web + "/hostname")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("the port answers %s", response.Status)
	}
	if again := s.mustUp(text, runner.UpOptions{}); len(again) != 0 {
		t.Errorf("another up has something to do: %v", again)
	}
}

// up never deletes a volume, and says what to do about one that differs.
func TestChangedVolume(t *testing.T) {
	s := newStage(t)
	const text = `
services: {web: {image: alpine:latest, command: [sleep, "600"], init: true, volumes: ["data:/data"]}}
volumes: {data: {}}
`
	s.mustUp(text, runner.UpOptions{})
	s.output("web", "sh", "-c", "echo canary >/data/x")
	before := s.runs()
	_, err := s.upText(strings.Replace(text, "data: {}", "data: {driver_opts: {type: tmpfs, device: tmpfs}}", 1),
		runner.UpOptions{ForceRecreate: true, RenewVolumes: true, RemoveOrphans: true})
	if err == nil || !strings.Contains(err.Error(), "driver_opts.device: tmpfs is new") {
		t.Errorf("got %v", err)
	}
	if diff := cmp.Diff(before, s.runs()); diff != "" {
		t.Errorf("the refused up changed something (-before +after):\n%s", diff)
	}
	s.mustUp(strings.NewReplacer("data:/data", "other:/data", "data: {}", "other: {}").Replace(text), runner.UpOptions{})
	s.mustUp(text, runner.UpOptions{})
	if got := s.output("web", "cat", "/data/x"); got != "canary" {
		t.Errorf("the volume holds %q", got)
	}
}

// With --rollback, what did not get ready gives its place back.
func TestRollback(t *testing.T) {
	s := newStage(t)
	const text = `
services:
  web:
    image: alpine:latest
    command: [sh, -c, "echo here >/tmp/x; exec sleep 600"]
    init: true
    healthcheck: {test: [CMD, test, -e, /tmp/x], interval: 1s, start_period: 10s}
`
	s.mustUp(text, runner.UpOptions{})
	before := s.containers()["web"]
	for name, broken := range map[string]string{
		"ends":        "exit 3",
		"not healthy": "echo no >/tmp/y; exec sleep 600",
	} {
		_, err := s.upText(strings.Replace(text, "echo here >/tmp/x; exec sleep 600", broken, 1), runner.UpOptions{Rollback: true, WaitTimeout: 3e9})
		var failed *runner.FailedError
		if !errors.As(err, &failed) || len(failed.RolledBack) != 1 || failed.Rollback != nil {
			t.Errorf("%s: got %v", name, err)
		}
		if now := s.containers()["web"]; now.ID != before.ID || now.Name != before.Name || now.State != "running" {
			t.Errorf("%s: web is %s %s %s, want %s", name, now.ID, now.Name, now.State, before.ID)
		}
	}
	if again := s.mustUp(text, runner.UpOptions{}); again["web-1"] != "" && !strings.HasPrefix(again["web-1"], "wait") {
		t.Errorf("after the rollback up has to do %v", again)
	}
}

// Hooks run in the container, after its start and before its stop.
func TestHooks(t *testing.T) {
	s := newStage(t)
	text := `
services:
  web:
    image: alpine:latest
    command: [sleep, "600"]
    init: true
    volumes: ["log:/log"]
    post_start: [{command: [sh, -c, "echo started as $$(id -u) $$A in $$PWD >>/log/x"], user: "1000", environment: [A=b], working_dir: /tmp}]
    pre_stop: [{command: [sh, -c, "echo stopping >>/log/x"]}]
  init: {image: alpine:latest, command: [chmod, "777", /log], volumes: ["log:/log"], restart: "no"}
volumes: {log: {}}
`
	text = strings.Replace(text, "    post_start", "    depends_on: {init: {condition: service_completed_successfully}}\n    post_start", 1)
	s.mustUp(text, runner.UpOptions{})
	s.mustUp(text, runner.UpOptions{})
	s.mustUp(text, runner.UpOptions{ForceRecreate: true, Services: []string{"web"}})
	const want = "started as 1000 b in /tmp\nstopping\nstarted as 1000 b in /tmp"
	if got := s.output("web", "cat", "/log/x"); got != want {
		t.Errorf("the hooks wrote:\n%s", got)
	}
}

// A dependency that is not required may fail.
func TestOptionalDependency(t *testing.T) {
	s := newStage(t)
	s.mustUp(`
services:
  web: {image: alpine:latest, command: [sleep, "600"], init: true, depends_on: {metrics: {condition: service_healthy, required: false}}}
  metrics: {image: alpine:latest, command: ["false"], healthcheck: {test: [CMD, "true"]}}
`, runner.UpOptions{})
	s.waitState("web", "running")
}
