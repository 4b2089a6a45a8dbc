package spec_test

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/sirupsen/logrus"

	"github.com/stackctl/stackctl/pkg/spec"
	"github.com/stackctl/stackctl/pkg/spec/render/compose"
	"github.com/stackctl/stackctl/pkg/spec/render/gosource"
)

// composeFiles gives the compose files of this repository's examples and tests.
func composeFiles(f *testing.F) [][]byte {
	f.Helper()
	var out [][]byte
	for _, pattern := range []string{"../../examples/*/compose.y*ml", "../../test/compose/corpus/*.y*ml", "testdata/*.golden.yml"} {
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) == 0 {
			f.Fatal(pattern, paths, err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			out = append(out, text)
		}
	}
	return out
}

// oddTexts are compose texts with what YAML and its readers stumble over.
var oddTexts = []string{
	"", "---\n", "# nothing\n", "null", "[]", "services:\n", "services: {a: }", "services: {a: {image: i}}\n---\n", "---\n---\nservices: {a: {image: i}}",
	"services: {a: &a {image: i}, b: *a}", "a: &a [*a]", "services: &s {a: {image: i, x-s: *s}}", "services: {a: {<<: {image: i}}}", "services: {a: {<<: [a, b]}}",
	"services: {a: {image: i, environment: [A=$$, B=${X:-y}, C=${X:?no}]}}", "services: {a: {image: '${', ports: ['${P}:80']}}", "services: {a: {image: i, ports: [99999999999999999999]}}",
	"name: ${N:-p}\nservices: {a: {image: i}}", "name: 'A B'\nservices: {a: {image: i}}", "services: {1: {image: i}}", "services: {a.b: {image: i, depends_on: [a.b]}}", "services: {~: {image: i}}",
	"services: {a: {image: i, command: !reset null, labels: !override {a: b}}}", "services: {a: {extends: a}}", "services: {a: {extends: {service: b}}, b: {extends: {service: a}}}",
	"include: [x.yml]\nservices: {}", "services: {a: {image: i, networks: {n: }}}\nnetworks: {n: {ipam: {config: [{subnet: 300.0.0.0/99}]}}}", "services: {a: {image: i, volumes: ['x:/y:z']}}\nvolumes: {x: }",
	"services: {a: {image: i, deploy: {replicas: -1}, mem_limit: 9999999999999g}}", "services: {a: {image: i, healthcheck: {test: [], interval: 1y}}}", "\xff\xfe", "\t", "services: {a: {image: \"\\0\"}}", "{", "%YAML 9.9\n---\na: b",
}

// fuzzOptions are the ways in which a fuzzed text is loaded.
func fuzzOptions(first, second []byte, variable string) spec.LoadOptions {
	o := spec.LoadOptions{
		Files: []string{"-"}, Contents: map[string][]byte{"-": first}, Name: "", WorkingDir: "/nowhere/shop",
		Env: map[string]string{"X": variable}, Profiles: []string{"*"},
	}
	if len(second) > 0 {
		o.Files, o.Contents["second.yml"] = append(o.Files, "second.yml"), second
	}
	return o
}

// hush keeps the loader from telling of each variable that is not set.
func hush() { logrus.SetOutput(io.Discard) }

// FuzzLoad loads any texts. What cannot be loaded is told in problems that have a
// place; what can be is the same project when it is merged, printed and loaded
// again; and the outline, which is read in another way, says the same.
func FuzzLoad(f *testing.F) {
	hush()
	for _, text := range composeFiles(f) {
		f.Add(text, []byte{}, "x")
	}
	for _, text := range oddTexts {
		f.Add([]byte(text), []byte{}, "x")
		f.Add([]byte("services: {a: {image: i}}"), []byte(text), "")
	}
	f.Fuzz(func(t *testing.T, first, second []byte, variable string) {
		if len(first)+len(second) > 16<<10 {
			t.Skip("longer than any seed")
		}
		if strings.Contains(string(first)+string(second), "file") || strings.Contains(string(first)+string(second), "include") {
			t.Skip("may read any file")
		}
		o := fuzzOptions(first, second, variable)
		project, err := spec.Load(t.Context(), o)
		checkProblems(t, o, err)
		outline, outlineErr := spec.ReadOutline(t.Context(), o)
		checkProblems(t, o, outlineErr)
		merged, mergeErr := spec.Merge(t.Context(), o)
		checkProblems(t, o, mergeErr)
		if err != nil {
			return
		}
		if outlineErr != nil || mergeErr != nil {
			t.Fatalf("loads, but outline: %v, merge: %v", outlineErr, mergeErr)
		}
		diff(t, outline.Name, project.Name)
		diff(t, slices.Sorted(maps.Keys(outline.Services)), slices.Sorted(slices.Values(slices.Concat(project.ServiceNames(), project.DisabledServiceNames()))))

		alone := spec.LoadOptions{Content: merged, WorkingDir: o.WorkingDir, Env: o.Env, Profiles: o.Profiles}
		again, err := spec.Load(t.Context(), alone)
		if err != nil {
			t.Fatalf("merged, it does not load: %v\n%s", err, merged)
		}
		same(t, "merged", project, again, merged)
		if twice, err := spec.Merge(t.Context(), alone); err != nil || !bytes.Equal(twice, merged) {
			t.Errorf("merged twice, %v:\n%s\nonce:\n%s", err, twice, merged)
		}
		printed, err := compose.Project(project)
		if err != nil {
			t.Fatal(err)
		}
		again, err = spec.Load(t.Context(), spec.LoadOptions{Content: printed, WorkingDir: o.WorkingDir, Env: o.Env, Profiles: o.Profiles})
		if err != nil {
			t.Fatalf("printed, it does not load: %v\n%s", err, printed)
		}
		same(t, "printed", project, again, printed)
	})
}

// same compares two projects, but for the files that they were loaded from.
func same(t *testing.T, how string, want, got *types.Project, text []byte) {
	t.Helper()
	// A short and a long form differ in whether there is a struct that says nothing.
	unsaid := cmp.Transformer("unsaid", func(v *types.ServiceVolumeVolume) types.ServiceVolumeVolume {
		if v == nil {
			return types.ServiceVolumeVolume{}
		}
		return *v
	})
	if d := cmp.Diff(want, got, cmpopts.IgnoreFields(types.Project{}, "ComposeFiles"), cmpopts.EquateEmpty(), unsaid,
		cmpopts.IgnoreUnexported(types.SecretConfig{}, types.ConfigObjConfig{})); d != "" {
		t.Errorf("%s, it is another one (-want +got):\n%s\n%s", how, d, text)
	}
}

// checkProblems holds an error of a load to its form.
func checkProblems(t *testing.T, o spec.LoadOptions, err error) {
	t.Helper()
	if err == nil {
		return
	}
	var invalid *spec.ValidationError
	if !errors.As(err, &invalid) || len(invalid.Problems) == 0 {
		t.Fatalf("an error without problems: %#v", err)
	}
	for _, p := range invalid.Problems {
		if p.Message == "" || !utf8.ValidString(p.Message) && utf8.Valid(o.Contents["-"]) && utf8.Valid(o.Contents["second.yml"]) {
			t.Errorf("a problem without a message: %+v", p)
		}
		if p.Line == 0 {
			continue
		}
		text, known := o.Contents[p.File]
		if lines := bytes.Count(text, []byte("\n")) + 1; !known || p.Line < 1 || p.Line > lines {
			t.Errorf("line %d of %q, which has %d: %+v", p.Line, p.File, lines, p)
		}
	}
}

// FuzzProgram writes any text as a Go program, and makes any text fit for another
// machine.
func FuzzProgram(f *testing.F) {
	hush()
	for _, text := range composeFiles(f) {
		f.Add(text)
	}
	for _, text := range oddTexts {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 16<<10 || bytes.Contains(text, []byte("file")) {
			t.Skip("longer than any seed, or may read any file")
		}
		// The program is formatted at its end, which an invalid one does not survive.
		_, _ = gosource.Program(text)
		_, _, _, _ = spec.Portable(text, spec.PortableOptions{Project: "shop"})
	})
}

// FuzzStack puts any text where a stack in Go takes some. The text that is written
// of it loads to just that.
func FuzzStack(f *testing.F) {
	for _, s := range []string{"", "$x", "${", "'\"", "a\nb\n", " \n x", "é\u2028", "on", "no", "0755", "1:30", "~", "1e3", "0x1f", ".inf", "<<", "=", "!t", "- a", "a: b", "#", "\ufeff", "\x7f\x85"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, s, key string) {
		if strings.Contains(s+key, "\x00") || !utf8.ValidString(s) || !utf8.ValidString(key) {
			t.Skip("cannot be in a compose file")
		}
		v := spec.Literal(s)
		volume := &spec.Volume{Name: "data", DriverOpts: map[string]spec.Value{"o": v}, Labels: map[string]spec.Value{"l": v}}
		config := &spec.Config{Name: "conf", Content: v}
		stack := spec.New("p", volume, config, &spec.Service{
			Name: "s", Image: "i", Entrypoint: []spec.Value{"-", v}, Mounts: []spec.Mount{spec.Mounted(volume, "/data")},
			Configs: []spec.ConfigMount{spec.MountConfig(config, "/conf")}, User: v, Hostname: v,
			Labels: map[string]spec.Value{"l": v}, Extra: map[string]any{"x-any": map[string]any{"list": []any{v, 1, true}}, "annotations": map[string]any{"a": v}},
		}, &spec.Network{Name: "n", Labels: map[string]spec.Value{"l": v}})
		p, err := stack.Project(t.Context())
		if err != nil {
			var invalid *spec.ValidationError
			if s == "" && errors.As(err, &invalid) {
				return // such as a config with nothing in it
			}
			t.Fatal(err)
		}
		got := p.Services["s"]
		diff(t, got.Entrypoint, types.ShellCommand{"-", s})
		diff(t, []string{got.User, got.Hostname}, []string{s, s})
		diff(t, got.Labels, types.Labels{"l": s})
		diff(t, got.Annotations, types.Mapping{"a": s})
		diff(t, got.Extensions["x-any"], any(map[string]any{"list": []any{s, 1, true}}))
		diff(t, p.Volumes["data"].DriverOpts, types.Options{"o": s})
		diff(t, p.Volumes["data"].Labels, types.Labels{"l": s})
		diff(t, p.Configs["conf"].Content, s)
		text, err := stack.Compose()
		if err != nil {
			t.Fatal(err)
		}
		merged, err := spec.Merge(t.Context(), spec.LoadOptions{Content: text})
		if err != nil {
			t.Fatal(err)
		}
		again, err := spec.Load(t.Context(), spec.LoadOptions{Content: merged})
		if err != nil {
			t.Fatal(err)
		}
		same(t, "merged", p, again, merged)
	})
}
