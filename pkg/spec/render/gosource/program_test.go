package gosource_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"gopkg.in/yaml.v3"

	"github.com/stackctl/stackctl/pkg/spec"
	"github.com/stackctl/stackctl/pkg/spec/render/compose"
	"github.com/stackctl/stackctl/pkg/spec/render/gosource"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// format prints compose text without its comments, which go into the source
// but do not come out of the program.
func format(text []byte) (string, error) {
	var tree yaml.Node
	if err := yaml.Unmarshal(text, &tree); err != nil {
		return "", err
	}
	var strip func(*yaml.Node)
	strip = func(n *yaml.Node) {
		n.HeadComment, n.LineComment, n.FootComment = "", "", ""
		for _, child := range n.Content {
			strip(child)
		}
	}
	strip(&tree)
	out, err := compose.Format(&tree)
	return string(out), err
}

// files are the compose files of this repository.
func files(t *testing.T) map[string][]byte {
	t.Helper()
	texts := map[string][]byte{}
	for _, pattern := range []string{"testdata/corpus/*.yaml", "../../testdata/*.golden.yml", "../../../../examples/*/compose.y*ml", "../../../../templates/*.y*ml"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			name := filepath.Base(path)
			if strings.HasPrefix(name, "compose.") {
				name = filepath.Base(filepath.Dir(path))
			}
			texts[name] = text
		}
	}
	if len(texts) < 15 {
		t.Fatalf("only %d files", len(texts))
	}
	return texts
}

// snippets are the compose files in the tests of compose-go's loader, which
// have each field of the specification.
func snippets(t *testing.T) map[string][]byte {
	t.Helper()
	dir := goCommand(t, "list", "-m", "-f", "{{.Dir}}", "github.com/compose-spec/compose-go/v2")
	paths, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)), "loader", "tests", "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string][]byte{}
	for _, path := range paths {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				if text, err := strconv.Unquote(literal.Value); err == nil && strings.Contains(text, "services:") {
					texts[fmt.Sprintf("%s.%d", strings.TrimSuffix(filepath.Base(path), "_test.go"), literal.Pos())] = []byte(text)
				}
			}
			return true
		})
	}
	return texts
}

// model is a file as the loader merges it, with its variables left as they are;
// false if the loader refuses it.
func model(t *testing.T, text []byte) ([]byte, bool) {
	t.Helper()
	m, err := loader.LoadModelWithContext(t.Context(), types.ConfigDetails{
		WorkingDir:  t.TempDir(),
		ConfigFiles: []types.ConfigFile{{Filename: "compose.yaml", Content: text}},
		Environment: types.Mapping{},
	}, func(o *loader.Options) {
		o.SetProjectName("model", false)
		o.SkipInterpolation = true
		o.SkipNormalization = true
		o.SkipConsistencyCheck = true
		o.SkipResolveEnvironment = true
		o.ResolvePaths = false
		o.Profiles = []string{"*"}
	})
	if err != nil {
		return nil, false
	}
	services, _ := m["services"].(map[string]any)
	for _, s := range services {
		// Without checks the loader takes services that are nothing.
		s := s.(map[string]any)
		if s["image"] == nil && s["build"] == nil && s["provider"] == nil {
			return nil, false
		}
	}
	if len(services) == 0 {
		return nil, false
	}
	// As JSON, because YAML's encoder prints some texts of several lines as block
	// scalars that no parser reads back.
	out, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return out, true
}

// What a program prints is the file that it was made from.
func TestProgramsPrintTheFilesTheyWereMadeFrom(t *testing.T) {
	sources := map[string][]byte{}
	want := map[string]string{}
	add := func(name string, text []byte) {
		formatted, err := format(text)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		source, err := gosource.Program(text)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		sources[name], want[name] = source, formatted
	}
	for name, text := range files(t) {
		add(name, text)
		if merged, ok := model(t, text); ok {
			add(name+".model", merged)
		}
	}
	loaded := 0
	for name, text := range snippets(t) {
		if merged, ok := model(t, text); ok {
			loaded++
			add(name+".model", merged)
			if !bytes.Contains(text, []byte("!override")) && !bytes.Contains(text, []byte("!reset")) {
				add(name, text)
			}
		}
	}
	if loaded < 100 {
		t.Errorf("only %d texts of compose-go's tests load", loaded)
	}
	add("random", random(t, 1))
	t.Logf("%d programs", len(sources))

	got := run(t, sources)
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if diff := cmp.Diff(want[name], got[name]); diff != "" {
			t.Errorf("%s (-file +program):\n%s\n%s", name, diff, sources[name])
		}
	}
}

// The form that both sides of the test above have in common says what the
// author's does: it loads as the same project.
func TestFilesLoadAsTheyArePrinted(t *testing.T) {
	own := files(t)
	texts := snippets(t)
	maps.Copy(texts, own)
	compared := 0
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		want, err := load(t, texts[name])
		if err != nil && own[name] == nil {
			continue // some tests are of faults
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		text, err := format(texts[name])
		if err != nil {
			t.Fatal(err)
		}
		got, err := load(t, []byte(text))
		if err != nil {
			t.Errorf("%s: %v in\n%s", name, err, text)
			continue
		}
		compared++
		if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(types.SecretConfig{}, types.ConfigObjConfig{}),
			// Of what nobody reads, dates are printed as text, and whole numbers without a point.
			cmpopts.IgnoreMapEntries(func(key string, _ any) bool { return key == "x-values" }),
			equateEmpty[types.ServiceNetworkConfig](), equateEmpty[types.ServiceVolumeVolume]()); diff != "" {
			t.Errorf("%s (-as written +as printed):\n%s\n%s", name, diff, text)
		}
	}
	if compared < 100 {
		t.Errorf("only %d files load", compared)
	}
}

// equateEmpty takes a mapping without keys for none.
func equateEmpty[T any]() cmp.Option {
	isEmpty := func(v *T) bool { return v == nil || reflect.ValueOf(*v).IsZero() }
	return cmp.FilterValues(func(a, b *T) bool { return isEmpty(a) && isEmpty(b) }, cmp.Ignore())
}

func load(t *testing.T, text []byte) (*types.Project, error) {
	t.Helper()
	env := types.Mapping{}
	for _, name := range []string{"A", "B", "DB_PASSWORD", "POSTGRES_PASSWORD", "SHOP_RELEASE", "VOLUME_NAME", "TAG", "DOMAIN"} {
		env[name] = "x"
	}
	for name, value := range map[string]string{"PORT": "8080", "IP": "127.0.0.1", "DATA": "/data", "DIR": "d", "TARGET": "81", "P": "82", "T": "83", "WHOLE": "84:84", "R": "false", "CONDITION": "service_started", "RETRIES": "3", "INTERVAL": "5s", "PROTOCOL": "udp"} {
		env[name] = value
	}
	return loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir:  "/srv",
		ConfigFiles: []types.ConfigFile{{Filename: "compose.yaml", Content: text}},
		Environment: env,
	}, func(o *loader.Options) {
		o.SetProjectName("project", false)
		o.SkipConsistencyCheck = true
		o.SkipResolveEnvironment = true
		o.Profiles = []string{"*"}
	})
}

// mainFunction is what all programs have in common; what is left of each makes
// one program.
const mainFunction = "func main() { spec.Main(stack()) }\n"

// random is a file with text that hardly anybody writes, in all places that
// programs write in more than one way. The same seed gives the same file.
func random(t *testing.T, seed uint64) []byte {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, seed))
	one := func(of ...string) string { return of[r.IntN(len(of))] }
	text := func(n int) string {
		var b strings.Builder
		for range 1 + r.IntN(n) {
			b.WriteString(one("$", "{", "}", ":", "-", "?", "+", "`", "\"", "\\", "\n", "\t", "'", " ", "A", "b_1", "${A}", "${B:-x}", "${C:?m}", "$$", "${",
				"é", "\u2028", "\r", "#", "ro", ":/x", "/", "./d", "~", ".", "80", "8080", "-", "udp", "data", "=", "0", "[", "]", "::1", "yes", "null", "1e3"))
		}
		return b.String()
	}
	services := map[string]any{}
	for i := range 80 {
		services["s"+strconv.Itoa(i)] = map[string]any{
			"image": text(4), "user": text(3), "hostname": text(3), "tmpfs": text(4),
			"environment": map[string]any{"A": text(6), "B": text(6), text(1): text(6)},
			"command":     []string{text(6), text(3)}, "entrypoint": text(6), "labels": []string{text(4)},
			"ports":       []string{text(5), one("80", "8080:80", "127.0.0.1:1:2", "${P}:80", "1-2:3", "0.0.0.0:${A:-1}:80/udp")},
			"volumes":     []string{text(5), one("data", "./d", "/a", "${D}", "~/x", "x") + ":" + one("/a", "/b"+text(2), "c") + one("", ":ro", ":rw", ":z")},
			"healthcheck": map[string]any{"test": one(text(5), "NONE"), "interval": one("1m", "90s", "1d", "${I}", "0s", "1.5h")},
			"x-a":         map[string]any{text(2): text(4), "l": []any{text(3), i, nil, 1.5}},
			"restart":     one("no", "always", text(2), "on-failure:3", "on-failure:03"), "stop_grace_period": one("10s", "1m30s", "100us", text(1)),
			"env_file": []any{text(3), map[string]any{"path": text(2), "required": false}},
			"configs":  []any{map[string]any{"source": "c", "target": text(3), "mode": one("0440", "44x", "0")}},
		}
	}
	file, err := json.Marshal(map[string]any{
		"services": services, "volumes": map[string]any{"data": nil, "x": nil}, "configs": map[string]any{"c": map[string]any{"content": text(20)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// run builds the programs as one, which is many times faster, and returns what
// each prints.
func run(t *testing.T, sources map[string][]byte) map[string]string {
	t.Helper()
	dir := t.TempDir()
	paths := []string{"run"}
	write := func(name, text string) {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	var calls strings.Builder
	for i, name := range slices.Sorted(maps.Keys(sources)) {
		source := string(sources[name])
		if !strings.Contains(source, mainFunction) {
			t.Fatalf("%s: no main function in\n%s", name, source)
		}
		source = strings.Replace(source, mainFunction, "", 1)
		function := fmt.Sprintf("stack%d()", i)
		write(fmt.Sprintf("p%d.go", i), strings.Replace(source, "\nfunc stack()", "\nfunc "+function, 1))
		fmt.Fprintf(&calls, "\tout[%q] = text(%s)\n", name, function)
	}
	write("main.go", `package main

import (
	"encoding/json"
	"os"

	"github.com/stackctl/stackctl/pkg/spec"
)

func main() {
	out := map[string]string{}
`+calls.String()+`	if err := json.NewEncoder(os.Stdout).Encode(out); err != nil {
		panic(err)
	}
}

func text(s *spec.Stack) string {
	text, err := s.Compose()
	if err != nil {
		return err.Error()
	}
	return string(text)
}
`)
	var got map[string]string
	if err := json.Unmarshal(goCommand(t, paths...), &got); err != nil {
		t.Fatal(err)
	}
	return got
}

// goCommand runs go in this module, which has what the programs import.
func goCommand(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, &stderr)
	}
	return out
}

// A program is whole as it is: it builds, and prints its file.
func TestProgramRuns(t *testing.T) {
	text := files(t)["shop.yaml"]
	source, err := gosource.Program(text)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(path, source, 0o644); err != nil {
		t.Fatal(err)
	}
	got := goCommand(t, "run", path)
	want, err := format(text)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("-file +program:\n%s", diff)
	}
}

// The sources are for people: these are here to be looked at.
func TestProgram(t *testing.T) {
	built, err := spec.WebStack(spec.WebStackOptions{}).Compose()
	if err != nil {
		t.Fatal(err)
	}
	all := files(t)
	for name, text := range map[string][]byte{"webstack": built, "shop": all["shop.yaml"], "names": all["names.yaml"], "volumes": all["volumes.yaml"]} {
		t.Run(name, func(t *testing.T) {
			source, err := gosource.Program(text)
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", name+".go.golden")
			if *update {
				if err := os.WriteFile(path, source, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(source)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			again, err := gosource.Program(text)
			if err != nil || !bytes.Equal(again, source) {
				t.Errorf("another source from the same text: %v\n%s", err, again)
			}
		})
	}
}

func TestProgramRefuses(t *testing.T) {
	tests := []struct{ text, want string }{
		{"- a\n", "write the stack as Go: print compose file: the document is not a mapping"},
		{"a: [", "write the stack as Go: yaml: line 1: did not find expected node content"},
		{"services: {web: [image]}\n", "write the stack as Go: services.web: is not a mapping"},
		{"services: {web: {image: a, x-n: {a: [.inf]}}}\n", "write the stack as Go: services.web: x-n: a: [0]: .inf is not a number that Go can write"},
		{"name: a\nservices:\n  web:\n    image: a\n    ports: !reset [a]\n", "write the stack as Go: line 5: the tag !reset cannot be written"},
	}
	for _, tt := range tests {
		source, err := gosource.Program([]byte(tt.text))
		if err == nil {
			t.Errorf("%s: got\n%s", tt.text, source)
		} else if err.Error() != tt.want {
			t.Errorf("%s: got %q, want %q", tt.text, err, tt.want)
		}
	}
}
