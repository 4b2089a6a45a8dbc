package spec_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stackctl/stackctl/pkg/spec"
)

// large are texts that are long, deep, or hold more than they show, and how many
// services, or which fault, each has. A fault stands for many of its kind: beside it
// there may be others.
var large = []struct {
	name, text string
	services   int
	fault      string
}{
	{"a thousand services", services(1000, "restart: always"), 1000, ""},
	{"a thousand services with Windows line ends", strings.ReplaceAll(services(1000, "restart: always"), "\n", "\r\n"), 1000, ""},
	{"a thousand with one key misspelt", services(1000, "restrat: always"), 0, "compose.yml:3:5: services.s0.restrat: is not a known key — did you mean restart?"},
	{"a thousand with one wrong type", services(1000, "restart: [always]"), 0, "compose.yml:3:5: services.s0.restart: must be text, but is a list"},
	{"a thousand with a wrong port", services(1000, "ports: [\"http\"]"), 0, `compose.yml:3:13: services.s0.ports[0]: "http" is not a port`},
	{"a thousand with a wrong boolean", services(1000, "read_only: \"maybe\""), 0, "compose.yml:3:5: services.s0.read_only: invalid boolean: maybe"},
	{"a thousand with a missing variable", services(1000, "user: ${X:?}"), 0, "compose.yml:3:5: services.s0.user: required variable X has no value"},
	{"a thousand with an undeclared network", services(1000, "networks: [gone]"), 0, `compose.yml:3:5: services.s0.networks.gone: network "gone" is not declared`},
	{"a thousand that one anchor makes", anchored(1000), 1000, ""},
	{"a range of 10 000 ports", services(1, `ports: ["10000-19999:10000-19999/udp"]`), 1, ""},
	{"5000 misspelt keys", services(1, "user: a") + manyLines(5000, "    bogus%d: a\n"), 0, "is not a known key"},
	{"5000 wrong ports", services(1, "user: a") + "    ports:\n" + manyLines(5000, "      - x%d\n"), 0, `"x0" is not a port`},
	{"5000 missing variables", services(1, "user: a") + "    sysctls:\n" + manyLines(5000, "      E%[1]d: ${V%[1]d:?}\n"), 0, "required variable V0 has no value"},
	{"10 MB in one text", oneText(9 << 20), 1, ""},
	{"10 MB of services", services(10<<20/85, "restart: always")[:10<<20], 0, "holds more than 100000 values"},
	{"20 000 services, and no YAML behind them", services(20_000, "restart: always") + "  {", 0, "holds more than 100000 values"},
	{"more than 10 MB", oneText(10<<20 + 1), 0, "has 10.0 MB, and a compose file may have 10 MB"},
	{"a bomb of aliases", bomb(), 0, "holds more than 100000 values, those that aliases repeat included"},
	{"one alias 90 000 times", "x-a: &a {b: 1}\nx-b: [" + strings.Repeat("*a,", 90_000) + "*a]\n" + services(1, "restart: always"), 0, "the alias *a stands more than 2000 times"},
	{"a million aliases", "x-a: &a {b: 1}\nx-b: [" + strings.Repeat("*a,", 1_000_000) + "*a]\n" + services(1, "restart: always"), 0, "the alias *a stands more than 2000 times"},
	{"10 000 levels of lists", "x-a: " + strings.Repeat("[", 9_990) + strings.Repeat("]", 9_990) + "\n" + services(1, "restart: always"), 0, "is more than 200 levels deep"},
	{"10 000 levels of mappings", "x-a: " + strings.Repeat("{a: ", 9_990) + "1" + strings.Repeat("}", 9_990) + "\n" + services(1, "restart: always"), 0, "is more than 200 levels deep"},
	{"5000 levels of references", services(1, "user: "+strings.Repeat("${A:-", 5000)+"1"+strings.Repeat("}", 5000)), 0, "has references to variables that are more than 200 levels deep"},
	{"300 variables in one text", services(1, "user: "+manyLines(300, "${V%d:?}")), 0, "required variable V0 has no value"},
	{"two thousand documents", documents(2000, 1) + services(1, "restart: always"), 0, "has more than 200 documents"},
	{"200 documents", documents(199, 1) + services(1, "restart: always"), 1, ""},
	{"200 documents of 600 values", documents(199, 300) + services(1, "restart: always"), 0, "holds more than 100000 values"},
	{"100 000 levels", "x-a: " + strings.Repeat("[", 100_000) + "\n", 0, "exceeded max depth"},
	{"100 000 levels in one line", strings.Repeat("- ", 100_000) + "\n", 0, "exceeded max depth"},
}

func services(n int, line string) string {
	var b strings.Builder
	b.WriteString("services:\n")
	for i := range n {
		fmt.Fprintf(&b, "  s%d:\n    %s\n    image: nginx\n    environment: {A: b, C: \"${X-d}\"}\n    labels: {a: b}\n", i, line)
	}
	return b.String()
}

func documents(n, keys int) string {
	var b strings.Builder
	for i := range n {
		for j := range keys {
			fmt.Fprintf(&b, "x-%d-%d: 1\n", i, j)
		}
		b.WriteString("---\n")
	}
	return b.String()
}

func manyLines(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

func anchored(n int) string {
	var b strings.Builder
	b.WriteString("x-all: &all\n  image: nginx\n  labels: {a: b}\nservices:\n")
	for i := range n {
		fmt.Fprintf(&b, "  s%d:\n    <<: *all\n", i)
	}
	return b.String()
}

func oneText(n int) string {
	const line = "      0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789\n"
	return "services: {web: {image: nginx}}\nconfigs:\n  c:\n    content: |\n" + strings.Repeat(line, n/len(line)+1)
}

func bomb() string {
	text := "x-a: &a [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n"
	for c := 'b'; c <= 'k'; c++ {
		text += fmt.Sprintf("x-%c: &%c [%s]\n", c, c, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c, ", c-1), 10), ", "))
	}
	return text + services(1, "restart: always")
}

func loadLarge(tb testing.TB, text string) (int, error) {
	tb.Helper()
	p, err := spec.Load(tb.Context(), spec.LoadOptions{
		Files: []string{"compose.yml"}, Contents: map[string][]byte{"compose.yml": []byte(text)}, WorkingDir: "/srv", Name: "shop",
	})
	if err != nil {
		return 0, err
	}
	return len(p.Services), nil
}

// What is large is loaded, or refused with a limit that the message names.
func TestLoadLarge(t *testing.T) {
	for _, tt := range large {
		t.Run(tt.name, func(t *testing.T) {
			got, err := loadLarge(t, tt.text)
			var invalid *spec.ValidationError
			switch {
			case tt.fault == "" && (err != nil || got != tt.services):
				t.Errorf("got %d services and %v, want %d", got, err, tt.services)
			case tt.fault != "" && !errors.As(err, &invalid):
				t.Errorf("got %v, want a ValidationError", err)
			case tt.fault != "" && len(invalid.Problems) > 2001:
				t.Errorf("%d problems are told", len(invalid.Problems))
			case tt.fault != "" && !strings.Contains(invalid.Problems[0].String(), tt.fault):
				t.Errorf("the first problem is %q, want %q", invalid.Problems[0], tt.fault)
			}
		})
	}
}

// Files that include others, which include others, are few and many.
func TestLoadManyIncludes(t *testing.T) {
	dir := t.TempDir()
	for level := range 20 {
		text := fmt.Sprintf("include: [%d.yml, {path: %d.yml}]\n", level+1, level+1)
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.yml", level)), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "20.yml"), []byte("services: {web: {image: nginx}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := spec.Load(t.Context(), spec.LoadOptions{Files: []string{filepath.Join(dir, "0.yml")}})
	if err == nil || !strings.Contains(err.Error(), "includes or extends more than 1000 files") {
		t.Errorf("got %v", err)
	}
}

// BenchmarkLoadLarge tells what each of them takes.
func BenchmarkLoadLarge(b *testing.B) {
	for _, tt := range large {
		b.Run(strings.ReplaceAll(tt.name, " ", "-"), func(b *testing.B) {
			for b.Loop() {
				_, _ = loadLarge(b, tt.text)
			}
		})
	}
}
