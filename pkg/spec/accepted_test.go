package spec_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackctl/stackctl/pkg/internal/memory"
	"github.com/stackctl/stackctl/pkg/spec"
)

// A text that the schema has accepted is not shown to it again, and comes out the
// same; another text is, and so is the same one with other values in it.
func TestLoadRemembersWhatWasAccepted(t *testing.T) {
	cache := t.TempDir()
	known := func() int { return len(memory.In(cache, "accepted").Lines()) }
	load := func(content string, env map[string]string) any {
		t.Helper()
		opts := spec.LoadOptions{Content: []byte(content), Name: "shop", WorkingDir: "/", Env: env}
		want, err := spec.Load(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		opts.Cache = cache
		got, err := spec.Load(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("with the cache it differs (-without +with):\n%s", diff)
		}
		return got
	}
	const text = "services: {web: {image: web, ports: ['${PORT:-80}:80'], read_only: \"${RO}\"}}\n"
	for _, step := range []struct {
		name, text string
		env        map[string]string
		known      int
	}{
		{"the first", text, map[string]string{"RO": "true"}, 1},
		{"the same", text, map[string]string{"RO": "true", "ELSE": "unused"}, 1},
		{"another value", text, map[string]string{"RO": "false"}, 2},
		{"a value for a default", text, map[string]string{"RO": "false", "PORT": "81"}, 3},
		{"another text", text + "volumes: {data: {}}\n", map[string]string{"RO": "true"}, 4},
		{"an obsolete version, which the schema tells of", "version: '3'\n" + text, map[string]string{"RO": "true"}, 4},
	} {
		load(step.text, step.env)
		if got := known(); got != step.known {
			t.Errorf("%s: %d texts are known, want %d", step.name, got, step.known)
		}
	}
}

// What is known is believed: the schema is not asked. Nothing but an accepted text
// gets there.
func TestLoadBelievesWhatWasAccepted(t *testing.T) {
	opts := spec.LoadOptions{Content: []byte("services: {web: {image: web, imagine: web}}\n"), WorkingDir: "/"}
	digest := spec.DigestOf(t, opts)
	opts.Cache = t.TempDir()
	file := memory.In(opts.Cache, "accepted")
	if _, err := spec.Load(t.Context(), opts); err == nil || digest == "" || len(file.Lines()) > 0 {
		t.Fatalf("a text that the schema refuses: error %v, known %q", err, file.Lines())
	}
	file.Add(digest)
	if _, err := spec.Load(t.Context(), opts); err != nil {
		t.Errorf("the schema was asked: %v", err)
	}
}

// A text that pulls in other files is not known by itself.
func TestLoadForgetsTextsOfSeveralFiles(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "other.yaml"), []byte("services: {db: {image: db}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"include: [other.yaml]\nservices: {web: {image: web}}\n",
		"services: {web: {extends: {file: other.yaml, service: db}}}\n",
	} {
		opts := spec.LoadOptions{Content: []byte(text), WorkingDir: dir, Cache: t.TempDir()}
		if _, err := spec.Load(t.Context(), opts); err != nil {
			t.Fatal(err)
		}
		if lines := memory.In(opts.Cache, "accepted").Lines(); len(lines) > 0 {
			t.Errorf("%s is known", text)
		}
	}
}
