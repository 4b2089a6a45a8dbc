package spec_test

import (
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/google/go-cmp/cmp"

	"github.com/stackctl/stackctl/pkg/spec"
)

// What is wrong in a file of variables is told without what stands in it.
func TestEnvFileFaultTellsNoValue(t *testing.T) {
	for _, text := range []string{"A=hunter2${B", "A=\"hunter2", "A hunter2=b"} {
		_, err := dotenv.Parse(strings.NewReader(text))
		if err == nil {
			t.Errorf("%s: no error", text)
			continue
		}
		if _, what := spec.EnvFileFault(err); what == "" || strings.Contains(what, "hunter2") {
			t.Errorf("%s: got %q", text, what)
		}
	}
}

// What a $ refers to is as compose-go has it; what it refers to in vain is given by its
// place.
func TestParseEnv(t *testing.T) {
	for _, c := range []struct {
		text   string
		values map[string]string
		unset  []spec.EnvReference
	}{
		{"A=1\nB=$A-$SET\n", map[string]string{"A": "1", "B": "1-set"}, nil},
		{"B=x$gone\n", map[string]string{"B": "x"}, []spec.EnvReference{{Line: 1, Variable: "B"}}},
		{"# $gone\nA='$gone'\nexport B=\"x${gone}\"\n", map[string]string{"A": "$gone", "B": "x"}, []spec.EnvReference{{Line: 3, Variable: "B"}}},
		{"B=${gone-default}\nC=${gone:-other}\n", map[string]string{"B": "default", "C": "other"}, nil},
		{"B=$later\nlater=1\n", map[string]string{"B": "", "later": "1"}, nil},
	} {
		values, unset, err := spec.ParseEnv([]byte(c.text), func(name string) (string, bool) { return "set", name == "SET" })
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(c.values, values); d != "" {
			t.Errorf("%q: %s", c.text, d)
		}
		if d := cmp.Diff(c.unset, unset); d != "" {
			t.Errorf("%q: %s", c.text, d)
		}
	}
}
