package support_test

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/schema"
	"github.com/google/go-cmp/cmp"

	"github.com/stackctl/stackctl/pkg/runner/support"
)

// schemaFields gives every field of the specification by its path. What is below
// a field that the table has as a whole is left out.
func schemaFields(t *testing.T, whole map[string]bool) map[string]bool {
	t.Helper()
	var root map[string]any
	if err := json.Unmarshal([]byte(schema.Schema), &root); err != nil {
		t.Fatal(err)
	}
	definitions, _ := root["$defs"].(map[string]any)
	if len(definitions) == 0 {
		t.Fatal("the schema has no definitions")
	}
	out := map[string]bool{}
	var walk func(node any, path string, inside []string)
	walk = func(node any, path string, inside []string) {
		n, ok := node.(map[string]any)
		if !ok || whole[path] {
			return
		}
		if ref, ok := n["$ref"].(string); ok && !slices.Contains(inside, ref) {
			target := definitions[strings.TrimPrefix(ref, "#/$defs/")]
			if target == nil {
				t.Fatalf("%s is not in the schema", ref)
			}
			walk(target, path, append(slices.Clone(inside), ref))
		}
		for _, key := range []string{"allOf", "anyOf", "oneOf"} {
			choices, _ := n[key].([]any)
			for _, choice := range choices {
				walk(choice, path, inside)
			}
		}
		properties, _ := n["properties"].(map[string]any)
		for name, property := range properties {
			inner := strings.TrimPrefix(path+"."+name, ".")
			out[inner] = true
			walk(property, inner, inside)
		}
		patterns, _ := n["patternProperties"].(map[string]any)
		for pattern, property := range patterns {
			if pattern != "^x-" {
				walk(property, path+".*", inside)
			}
		}
		walk(n["additionalProperties"], path+".*", inside)
		walk(n["items"], path+"[]", inside)
	}
	walk(root, "", nil)
	return out
}

// A release of compose-go with a new field fails here, until somebody has said
// what becomes of it.
func TestEveryFieldOfTheSpecificationHasOneClass(t *testing.T) {
	table, whole := map[string]bool{}, map[string]bool{}
	for _, f := range support.Fields() {
		if table[f.Path] {
			t.Errorf("%s is in the table twice", f.Path)
		}
		table[f.Path] = true
		whole[f.Path] = f.Whole
		if f.Note == "" {
			t.Errorf("%s has no note", f.Path)
		}
	}
	specified := schemaFields(t, whole)
	if len(specified) < 300 {
		t.Fatalf("only %d fields found in the schema", len(specified))
	}
	for _, path := range slices.Sorted(maps.Keys(specified)) {
		if !table[path] {
			t.Errorf("%s is in the specification and has no class", path)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(table)) {
		if !specified[path] {
			t.Errorf("%s has a class and is not in the specification", path)
		}
	}
}

const document = "../../../docs/compose-support.md"

func TestDocumentIsCurrent(t *testing.T) {
	want := support.Document()
	if *update {
		if err := os.WriteFile(document, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("docs/compose-support.md is not what the table says; `go test ./pkg/runner/support -args -update` writes it (-want +got):\n%s", diff)
	}
}
