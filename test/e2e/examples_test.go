//go:build e2e

package e2e

import (
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackctl/stackctl/pkg/runner"
	"github.com/stackctl/stackctl/pkg/runner/state"
	"github.com/stackctl/stackctl/pkg/spec"
)

// example brings one of the examples up, and up again, which changes nothing.
func example(t *testing.T, name string, env map[string]string) *stage {
	t.Helper()
	s := newStage(t)
	variables := map[string]string{"WEB_PORT": s.web, "DB_PASSWORD": "it's $secret"}
	for key, value := range env {
		variables[key] = value
	}
	p, err := spec.Load(t.Context(), spec.LoadOptions{
		Files: []string{filepath.Join("..", "..", "examples", name, "compose.yaml")},
		Env:   variables, Name: s.project,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.runner.Up(t.Context(), p, runner.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	first := s.starts()
	again, err := s.runner.Up(t.Context(), p, runner.UpOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first, s.starts()); diff != "" {
		t.Errorf("up again has changed containers (-first +second):\n%s\n%s", diff, again.Plan)
	}
	return s
}

// starts tells of each container when it was started.
func (s *stage) starts() map[string]time.Time {
	s.t.Helper()
	all, err := s.engine.Containers(s.t.Context(), s.project)
	if err != nil {
		s.t.Fatal(err)
	}
	out := map[string]time.Time{}
	for _, c := range all {
		look, err := s.engine.Inspect(s.t.Context(), c.ID)
		if err != nil {
			s.t.Fatal(err)
		}
		out[c.Name+" "+c.ID] = look.StartedAt
	}
	return out
}

// text is what a path of the example's front door answers.
func (s *stage) text(path string) string {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url(path), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		s.t.Fatalf("GET %s: %s %s", path, response.Status, text)
	}
	return strings.TrimSpace(string(text))
}

// says waits until a service has logged a line.
func (s *stage) says(service, line string) {
	s.t.Helper()
	s.eventually(service+" says "+line, func() bool {
		r := s.run(0, "logs", "--no-color", service)
		return strings.Contains(r.stdout, line)
	})
}

func (s *stage) replicas(service string) []state.Container {
	s.t.Helper()
	all, err := s.engine.Containers(s.t.Context(), s.project)
	if err != nil {
		s.t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(c state.Container) bool { return c.Service != service })
}

// Three replicas share the requests to one port.
func TestExampleReplicas(t *testing.T) {
	s := example(t, "replicas", nil)
	if n := len(s.replicas("app")); n != 3 {
		t.Fatalf("%d replicas", n)
	}
	seen := map[string]bool{}
	s.eventually("each replica has answered", func() bool {
		seen[s.text("/")] = true
		return len(seen) == 3
	})
	for _, c := range s.replicas("app") {
		if !seen[c.ID[:12]] {
			t.Errorf("%s did not answer; these did: %v", c.ID[:12], seen)
		}
	}
}

// The app starts after the job, on what the job has made, and the job is done.
func TestExampleMigration(t *testing.T) {
	s := example(t, "migration", nil)
	s.says("app", "orders: 2")
	type container struct {
		State struct{ Status, StartedAt, FinishedAt string }
	}
	inspect := func(service string) container {
		var out container
		s.ask(http.MethodGet, "/containers/"+s.containers()[service].ID+"/json", nil, &out)
		return out
	}
	job, app := inspect("migrate").State, inspect("app").State
	// Both are times in UTC of one form, so they compare as text.
	if job.Status != "exited" || app.StartedAt < job.FinishedAt {
		t.Errorf("the job is %+v, the app %+v", job, app)
	}
}

// A password reaches who it is for, and is in no container's definition.
func TestExampleSecretsAndConfigs(t *testing.T) {
	s := example(t, "secrets-and-configs", map[string]string{"GREETING": "Guten Tag"})
	s.says("report", "articles: 3")
	if got := s.text("/"); got != "<h1>Guten Tag</h1>" {
		t.Errorf("the page is %q", got)
	}
	for service, c := range s.containers() {
		var definition any
		s.ask(http.MethodGet, "/containers/"+c.ID+"/json", nil, &definition)
		if holds(definition, "it's $secret") {
			t.Errorf("the password is in the definition of %s", service)
		}
	}
}

// holds tells whether a text is anywhere in a JSON document.
func holds(document any, text string) bool {
	switch v := document.(type) {
	case string:
		return strings.Contains(v, text)
	case []any:
		return slices.ContainsFunc(v, func(one any) bool { return holds(one, text) })
	case map[string]any:
		for _, one := range v {
			if holds(one, text) {
				return true
			}
		}
	}
	return false
}

// A stack of the usual size from a plain file works as a whole.
func TestExampleFiveServices(t *testing.T) {
	s := example(t, "five-services", nil)
	if got := s.text("/api/"); got != `{"status": "ok"}` {
		t.Errorf("the API answers %q", got)
	}
	r := s.exec("docker", "exec", s.containers()["cache"].ID, "redis-cli", "rpush", "jobs", "polish")
	if r.code != 0 {
		t.Fatal(r.stderr)
	}
	s.says("worker", "done: polish")
}
