package spec_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stackctl/stackctl/pkg/spec"
)

// folder makes a folder with files in it.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// parts are files that refer to each other, with variables that nobody sets.
func parts(t *testing.T) string {
	t.Helper()
	return folder(t, map[string]string{
		"compose.yaml": `
name: ${NAME:-My Shop}
x-common: &common
  restart: always
include: [jobs.yaml]
services:
  web:
    <<: *common
    image: web:${TAG:?}
    extends: {file: base.yaml, service: base}
    networks: [front, back]
    depends_on: [db, cache]
    ports: ["${PORT:?}:80", "81:81"]
  db:
    image: db
    command: echo $$HOME
  cache: {image: cache}
networks:
  front:
  back:
`,
		"jobs.yaml": "services:\n  job:\n    image: job\n    profiles: [jobs]\n",
		"base.yaml": "services:\n  base:\n    image: base\n    user: nobody\n",
		"over.yaml": "services:\n  web:\n    user: root\n    networks: [late]\nnetworks: {late: {}}\n",
	})
}

func TestReadOutline(t *testing.T) {
	dir := parts(t)
	opts := spec.LoadOptions{Files: []string{filepath.Join(dir, "compose.yaml")}}
	got, err := spec.ReadOutline(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	want := &spec.Outline{Name: "myshop", Services: map[string]spec.OutlineService{
		"web": {DependsOn: []string{"cache", "db"}}, "db": {}, "cache": {}, "job": {Profiles: []string{"jobs"}},
	}}
	diff(t, got, want)

	opts.Env = map[string]string{"NAME": "other"}
	if got, err = spec.ReadOutline(t.Context(), opts); err != nil || got.Name != "other" {
		t.Errorf("the name with a variable: %v, %v", got, err)
	}
	opts.Name = "given"
	if got, err = spec.ReadOutline(t.Context(), opts); err != nil || got.Name != "given" {
		t.Errorf("the name that is given: %v, %v", got, err)
	}

	// What is included may be named by a variable.
	text := "include: [\"${WHICH}.yaml\"]\nservices: {web: {image: \"x:${TAG:?}\"}}\n"
	got, err = spec.ReadOutline(t.Context(), spec.LoadOptions{
		Content: []byte(text), WorkingDir: dir, Env: map[string]string{"WHICH": "jobs", "TAG": "1"}, Name: "x",
	})
	if err != nil {
		t.Fatal(err)
	}
	diff(t, got.Services["job"], spec.OutlineService{Profiles: []string{"jobs"}})

	_, err = spec.ReadOutline(t.Context(), spec.LoadOptions{Content: []byte("services: {web: {imgae: x}}\n")})
	diff(t, faults(t, err), []string{"services.web.imgae: is not a known key — did you mean image?"})
}

// Merged is one file with all that the others say, variables as they are and
// everything in the order of its author.
func TestMerge(t *testing.T) {
	dir := parts(t)
	got, err := spec.Merge(t.Context(), spec.LoadOptions{
		Files: []string{filepath.Join(dir, "compose.yaml"), filepath.Join(dir, "over.yaml")}, Name: "shop",
		Env: map[string]string{"TAG": "secret"},
	})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "merged.yml", got)
	project, err := spec.Load(t.Context(), spec.LoadOptions{Content: got, Env: map[string]string{"TAG": "1", "PORT": "80"}})
	if err != nil {
		t.Fatal(err)
	}
	diff(t, project.Services["db"].Command, types.ShellCommand{"echo", "$HOME"})

	_, err = spec.Merge(t.Context(), spec.LoadOptions{Content: []byte("services:\n  web:\n    imgae: ${X:?}\n    restart: sometimes\n")})
	diff(t, faults(t, err), []string{
		`services.web.imgae: is not a known key — did you mean image?`,
		`services.web.restart: "sometimes" is not a restart policy — use no, always, on-failure or unless-stopped`,
	})
}

// Text that is in no file comes under the name that it was given.
func TestLoadContents(t *testing.T) {
	dir := folder(t, map[string]string{"over.yaml": "services:\n  web:\n    user: nobody\n"})
	over := filepath.Join(dir, "over.yaml")
	opts := spec.LoadOptions{
		Files: []string{"-", over}, Contents: map[string][]byte{"-": []byte("services:\n  web:\n    image: x\n")}, Name: "shop",
	}
	p, err := spec.Load(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	diff(t, p.Services["web"].User, "nobody")
	diff(t, p.WorkingDir, dir)
	diff(t, p.ComposeFiles, []string{"-", over})

	opts.Contents["-"] = []byte("services:\n  web:\n    image: x\n    ports: [\"80:80\",\n      \"80:81\"]\n")
	_, err = spec.Load(t.Context(), opts)
	diff(t, faults(t, err), []string{"-:5:7: services.web.ports[1]: host port 80 is published by services.web.ports[0] too — publish one of them on another port"})
}

// A fault's place is the file that says it last, or what is around it.
func TestFaultsHaveAPlace(t *testing.T) {
	dir := folder(t, map[string]string{
		"one.yaml": "services:\n  web:\n    image: x\n    restart: no\n  db:\n    build: .\n    image: ${A:?}\n",
		"two.yaml": "# over\nservices:\n  web:\n    restart: sometimes\n    networks:\n      - gone\n",
		"bad.yaml": "services:\n  web:\n   image: x\n    y: 1\n",
	})
	one, two, bad := filepath.Join(dir, "one.yaml"), filepath.Join(dir, "two.yaml"), filepath.Join(dir, "bad.yaml")
	_, err := spec.Load(t.Context(), spec.LoadOptions{Files: []string{one, two}, Name: "x"})
	diff(t, faults(t, err), []string{
		one + ":7:5: services.db.image: required variable A has no value — set it in the environment or in .env",
		two + `:4:5: services.web.restart: "sometimes" is not a restart policy — use no, always, on-failure or unless-stopped`,
		two + `:5:5: services.web.networks.gone: network "gone" is not declared — declare it under the top-level networks`,
	})
	_, err = spec.Load(t.Context(), spec.LoadOptions{Files: []string{one, bad}, Name: "x"})
	diff(t, faults(t, err), []string{
		bad + ":4:6: not YAML: there is a colon where no key can be — indent the keys of one mapping alike, and put a value with a colon in quotes",
	})
}

func TestScale(t *testing.T) {
	const text = `
services:
  web:
    image: x
    ports: ["8000-8002:80"]
    deploy: {replicas: 2}
  named: {image: x, container_name: one}
  fixed: {image: x, ports: ["81:81"]}
  off: {image: x, profiles: [debug]}
`
	load := func(scale map[string]int) (*types.Project, error) {
		return spec.Load(t.Context(), spec.LoadOptions{Content: []byte(text), Scale: scale})
	}
	p, err := load(map[string]int{"web": 3, "named": 1, "fixed": 0})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{"web": 3, "named": 1, "fixed": 0} {
		if service := p.Services[name]; service.GetScale() != want {
			t.Errorf("%s has %d replicas, want %d", name, service.GetScale(), want)
		}
	}
	_, err = load(map[string]int{"web": 4, "named": 2, "fixed": 2, "off": 2, "gone": 1})
	diff(t, faults(t, err), []string{
		"services.fixed.ports[0]: 2 replicas cannot publish one host port 81 — publish a range of ports, or none",
		"services.gone: cannot be scaled: it is not declared — the services are fixed, named, web",
		"services.named.container_name: 2 replicas cannot have one name — remove container_name",
		"services.off: cannot be scaled: it is left out, because none of its profiles is active — activate one",
		"services.web.ports[0]: 4 replicas cannot share the 3 host ports 8000-8002 — publish a port for each of them, or none",
	})
	_, err = load(map[string]int{"web": -1})
	diff(t, faults(t, err), []string{"services.web: has -1 replicas — set 0 or more"})

	stack := spec.New("shop", &spec.Service{Name: "web", Image: "x"})
	if p, err = stack.Project(t.Context(), spec.WithScale(map[string]int{"web": 2})); err != nil {
		t.Fatal(err)
	}
	if service := p.Services["web"]; service.GetScale() != 2 {
		t.Errorf("a stack in Go has %d replicas, want 2", service.GetScale())
	}

	// The same for what the file says, in either form.
	for _, replicas := range []string{"scale: 2", "deploy: {replicas: 2}"} {
		_, err := spec.Load(t.Context(), spec.LoadOptions{Content: []byte(
			"services:\n  web:\n    image: x\n    container_name: web\n    ports: [\"80:80\", \"8000-8001:81\", \"8002-8003:82-83\"]\n    " + replicas + "\n")})
		diff(t, faults(t, err), []string{
			"services.web.container_name: 2 replicas cannot have one name — remove container_name",
			"services.web.ports[0]: 2 replicas cannot publish one host port 80 — publish a range of ports, or none",
			"services.web.ports[2]: 2 replicas cannot publish one host port 8002 — publish a range of ports, or none",
			"services.web.ports[3]: 2 replicas cannot publish one host port 8003 — publish a range of ports, or none",
		})
	}
}
