package spec_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackctl/stackctl/pkg/spec"
)

const withFiles = `
name: shop
services:
  web:
    image: web
    env_file: [./web.env, {path: none.env, required: false}]
    label_file: ${KIND}.labels
    configs: [app, {source: same, target: /same}]
    secrets: [token]
  other:
    image: other
    configs: [far]
configs:
  app: {file: ./conf/app.conf}
  same: {file: conf/copy/app.conf}
  far: {file: ./nowhere}
  text: {content: text}
secrets:
  token: {file: ./token}
  var: {environment: TOKEN}
`

// What is built keeps its name in another project.
func TestPortableImages(t *testing.T) {
	const text = "services:\n  web:\n    build: .\n  named:\n    image: mine\n    build: .\n"
	got, _, _, err := spec.Portable([]byte(text), spec.PortableOptions{Project: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	p, err := spec.Load(t.Context(), spec.LoadOptions{Content: got, Name: "other"})
	if err != nil {
		t.Fatal(err)
	}
	if web, named := p.Services["web"].Image, p.Services["named"].Image; web != "shop-web" || named != "mine" {
		t.Errorf("images %s and %s", web, named)
	}
}

// Files of configs and labels come along under names that their content decides;
// secrets stay where they are, unless they are asked for.
func TestPortable(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"web.env": "A=1", "web.labels": "l=1", "conf/app.conf": "app", "conf/copy/app.conf": "app", "token": "secret",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o := spec.PortableOptions{WorkingDir: dir, Env: map[string]string{"KIND": "web"}, Prefix: "${B:-.}/files", Services: []string{"web"}}
	text, files, left, err := spec.Portable([]byte(withFiles), o)
	if err != nil {
		t.Fatal(err)
	}
	names := func(files []spec.PortableFile) []string {
		var out []string
		for _, f := range files {
			out = append(out, f.Name+" "+string(f.Content))
		}
		return out
	}
	want := []string{"5187d6d62d49/web.labels l=1", "a172cedcae47/app.conf app"}
	if diff := cmp.Diff(want, names(files)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	wantLeft := []spec.Left{
		{Path: "./web.env", Use: "env_file of service web"}, {Path: "none.env", Use: "env_file of service web"}, {Path: "./token", Use: "secret token"},
	}
	if diff := cmp.Diff(wantLeft, left); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
	golden := `name: shop

services:
  web:
    image: web
    env_file:
      - ./web.env
      - path: none.env
        required: false
    secrets:
      - token
    configs:
      - app
      - source: same
        target: /same
    label_file: ${B:-.}/files/5187d6d62d49/web.labels

  other:
    image: other
    configs:
      - far

secrets:
  token:
    file: ./token
  var:
    environment: TOKEN

configs:
  app:
    file: ${B:-.}/files/a172cedcae47/app.conf
  same:
    file: ${B:-.}/files/a172cedcae47/app.conf
  far:
    file: ./nowhere
  text:
    content: text
`
	if diff := cmp.Diff(golden, string(text)); diff != "" {
		t.Errorf("text (-want +got):\n%s", diff)
	}

	o.Secrets = true
	_, files, left, err = spec.Portable([]byte(withFiles), o)
	if err != nil || len(left) > 0 || len(files) != 4 {
		t.Errorf("with secrets: files %v, left %v, error %v", names(files), left, err)
	}
	o.Services = nil
	if _, _, _, err = spec.Portable([]byte(withFiles), o); err == nil {
		t.Error("a config that is not there is no fault")
	}
}
