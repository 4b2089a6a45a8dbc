package runner_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackctl/stackctl/pkg/runner"
)

// What cannot be done ends Up and Plan before anything is changed, all of it at
// once.
func TestRefusedFieldsEndTheRun(t *testing.T) {
	e := newEngine()
	r := runner.New(e)
	p := project(t, `
services:
  web: {image: web, umask: "022", annotations: {a: b}}
  db: {image: db, models: [llm]}
models: {llm: {model: small}}
`)
	for name, run := range map[string]func() error{
		"up":   func() error { _, err := r.Up(t.Context(), p, runner.UpOptions{}); return err },
		"plan": func() error { _, err := r.Plan(t.Context(), p, runner.UpOptions{}); return err },
	} {
		var refused *runner.UnsupportedError
		if err := run(); !errors.As(err, &refused) {
			t.Fatalf("%s: error is %v", name, err)
		}
		var got []string
		for _, problem := range refused.Problems {
			got = append(got, problem.Path)
		}
		want := []string{"services.db.models", "services.web.annotations", "services.web.umask"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if there, err := e.Containers(t.Context(), ""); err != nil || len(there) != 0 {
		t.Errorf("containers were made: %v, %v", there, err)
	}
}

func TestIgnoredFieldsAreWarnings(t *testing.T) {
	e := newEngine()
	events := &recorder{}
	r := runner.New(e, runner.WithEvents(events))
	p := project(t, "services: {web: {image: web, deploy: {endpoint_mode: vip}}}")
	if _, err := r.Up(t.Context(), p, runner.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	want := "warning   services.web.deploy.endpoint_mode is ignored: it is for a scheduler of many machines, and there is one engine"
	if n := len(slices.DeleteFunc(slices.Clone(events.lines), func(l string) bool { return l != want })); n != 1 {
		t.Errorf("the warning came %d times:\n%q", n, events.lines)
	}
}

// What a build says counts only when something is built: an image that another
// tool has built runs.
func TestRefusedBuildFieldsCountWhenBuilding(t *testing.T) {
	e := newEngine()
	r := runner.New(e)
	p := project(t, "services: {web: {image: web, build: {context: ., privileged: true}}}")
	if _, err := r.Up(t.Context(), p, runner.UpOptions{}); err != nil {
		t.Fatalf("with the image there: %v", err)
	}
	_, err := r.Up(t.Context(), p, runner.UpOptions{Build: true})
	var refused *runner.UnsupportedError
	if !errors.As(err, &refused) || len(refused.Problems) != 1 || refused.Problems[0].Path != "services.web.build.privileged" {
		t.Errorf("with a build: %v", err)
	}
}

// Without an engine the fields of builds count too, and none is too new.
func TestCheckFields(t *testing.T) {
	p := project(t, `
services:
  web: {image: web, umask: "022", annotations: {a: b}, build: {context: ., privileged: true, sbom: true}}
  db: {image: db, deploy: {endpoint_mode: vip}}
`)
	warnings, err := runner.CheckFields(p)
	var refused *runner.UnsupportedError
	if !errors.As(err, &refused) {
		t.Fatalf("error is %v", err)
	}
	var got []string
	for _, problem := range refused.Problems {
		got = append(got, problem.Path)
	}
	for _, warning := range warnings {
		got = append(got, "ignored "+warning.Path)
	}
	want := []string{
		"services.web.umask", "services.web.build.privileged",
		"ignored services.db.deploy.endpoint_mode", "ignored services.web.build.sbom",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if warnings, err := runner.CheckFields(project(t, shop)); err != nil || len(warnings) != 0 {
		t.Errorf("an ordinary stack: %v, error %v", warnings, err)
	}
}
