package spec_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/compose-spec/compose-go/v2/types"
	"gopkg.in/yaml.v3"

	"github.com/stackctl/stackctl/pkg/spec"
	"github.com/stackctl/stackctl/pkg/spec/render/compose"
)

func stacks() map[string]*spec.Stack {
	return map[string]*spec.Stack{
		"webstack":   spec.WebStack(spec.WebStackOptions{}),
		"everything": everything(),
	}
}

// password is all that the stacks need from outside.
func password() map[string]string {
	return map[string]string{"POSTGRES_PASSWORD": "pa$$word", "TOKEN": "t0ken", "FLAGS": "none"}
}

func TestComposeText(t *testing.T) {
	for name, stack := range stacks() {
		t.Run(name, func(t *testing.T) {
			text, err := stack.Compose()
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name+".golden.yml", text)

			for range 20 {
				again, err := stacks()[name].Compose()
				if err != nil {
					t.Fatal(err)
				}
				if string(again) != string(text) {
					t.Fatalf("another text from the same stack:\n%s", again)
				}
			}
		})
	}
}

func TestComposeJSONIsTheSameDocument(t *testing.T) {
	for name, stack := range stacks() {
		t.Run(name, func(t *testing.T) {
			text, err := stack.ComposeJSON()
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name+".golden.json", text)

			var fromJSON, fromYAML map[string]any
			if err := json.Unmarshal(text, &fromJSON); err != nil {
				t.Fatal(err)
			}
			text, err = stack.Compose()
			if err != nil {
				t.Fatal(err)
			}
			if err := yaml.Unmarshal(text, &fromYAML); err != nil {
				t.Fatal(err)
			}
			// Through JSON once more, for its one type of number.
			text, err = json.Marshal(fromYAML)
			if err != nil {
				t.Fatal(err)
			}
			fromYAML = nil
			if err := json.Unmarshal(text, &fromYAML); err != nil {
				t.Fatal(err)
			}
			diff(t, fromJSON, fromYAML)
		})
	}
}

// What is printed says the same as the long form that it was made from.
func TestComposeLoadsAsWritten(t *testing.T) {
	for name, stack := range stacks() {
		t.Run(name, func(t *testing.T) {
			options := []spec.LoadOption{spec.WithEnv(password()), spec.WithProfiles("full")}
			got, err := stack.Project(t.Context(), options...)
			if err != nil {
				t.Fatal(err)
			}
			long, err := stack.LongForm()
			if err != nil {
				t.Fatal(err)
			}
			want, err := spec.Load(t.Context(), spec.LoadOptions{
				Content: long, Env: password(), Profiles: []string{"full"},
			})
			if err != nil {
				t.Fatal(err)
			}
			diff(t, got, want)
		})
	}
}

// A project printed with its values is the same project when it is loaded.
func TestProjectPrintedLoadsAsItWas(t *testing.T) {
	for name, stack := range stacks() {
		t.Run(name, func(t *testing.T) {
			want, err := stack.Project(t.Context(), spec.WithEnv(password()), spec.WithProfiles("full"))
			if err != nil {
				t.Fatal(err)
			}
			text, err := compose.Project(want)
			if err != nil {
				t.Fatal(err)
			}
			got, err := spec.Load(t.Context(), spec.LoadOptions{Content: text, Env: password(), Profiles: []string{"full"}})
			if err != nil {
				t.Fatal(err)
			}
			diff(t, got, want)
		})
	}
}

func TestProjectOfWebStack(t *testing.T) {
	p, err := spec.WebStack(spec.WebStackOptions{}).Project(t.Context(), spec.WithEnv(map[string]string{
		"POSTGRES_PASSWORD": "geheim",
		"WEBAPP_PORT":       "8080",
	}), spec.WithWorkingDir("/srv/app"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := compose.Project(p)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "webstack.resolved.golden.yml", text)
}

func TestWebStackContext(t *testing.T) {
	p, err := spec.WebStack(spec.WebStackOptions{Context: "checkout"}).Project(t.Context(),
		spec.WithEnv(password()), spec.WithWorkingDir("/srv"))
	if err != nil {
		t.Fatal(err)
	}
	build := p.Services["webapp"].Build
	diff(t, build.Context, "/srv/checkout")
	diff(t, build.Extensions, types.Extensions{spec.BuildExtension: map[string]any{spec.BuildExtensionGo: "./webapp"}})
}

func FuzzLiteralRoundTrip(f *testing.F) {
	for _, s := range []string{
		"", "$", "$$", "$2y$10$abc", "${HOME}", "$HOME", "${A:-b}", "a${", "}", "yes", "0755", "1:30", "null", "~", "- a",
		"a: b", "# c", " spaced ", "line\nbreak\n", "\ttab\r", "\u2028\u0085\ufeff", "é", "\x01\x7f", "'\"\\", "!tag", "&a *a", "=", "1e3", "2024-01-01",
	} {
		f.Add(s, s)
	}
	f.Add("\t", "\n")
	f.Add("\n \tx\n", "\n\n")
	f.Fuzz(func(t *testing.T, s, variable string) {
		if strings.Contains(s, "\x00") || !utf8.ValidString(s) || !utf8.ValidString(variable) {
			t.Skip("cannot be in a compose file")
		}
		literal := spec.Literal(s)
		stack := spec.New("p", &spec.Service{
			Name:        "s",
			Image:       "i",
			Command:     []spec.Value{literal, "-"},
			Environment: spec.Env{"LITERAL": literal, "MIXED": literal + spec.FromEnv("V") + literal + spec.FromEnvOr("W", "w") + literal},
			Healthcheck: spec.NewHealthcheck(spec.ShellTest("test " + literal)),
			Labels:      map[string]spec.Value{"l": literal},
		})
		p, err := stack.Project(t.Context(), spec.WithEnv(map[string]string{"V": variable}))
		if err != nil {
			t.Fatal(err)
		}
		got := p.Services["s"]
		mixed := s + variable + s + "w" + s
		diff(t, got.Command, types.ShellCommand{s, "-"})
		diff(t, got.Environment, types.MappingWithEquals{"LITERAL": &s, "MIXED": &mixed})
		diff(t, got.HealthCheck.Test, types.HealthCheckTest{"CMD-SHELL", "test " + s})
		diff(t, got.Labels, types.Labels{"l": s})

		text, err := compose.Project(p)
		if err != nil {
			t.Fatal(err)
		}
		again, err := spec.Load(t.Context(), spec.LoadOptions{Content: text, Env: map[string]string{"V": variable}})
		if err != nil {
			t.Fatal(err)
		}
		diff(t, again, p)
	})
}
