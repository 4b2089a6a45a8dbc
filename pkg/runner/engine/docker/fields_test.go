package docker

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"github.com/compose-spec/compose-go/v2/schema"
)

// refused are the fields that no one translates yet. A field that is here and in
// the specification is refused on purpose; a new one has to be looked at.
var refused = []string{
	"credential_spec", "external_links", "links", "models", "post_start", "pre_start",
	"pre_stop", "provider", "umask", "use_api_socket",
}

func TestEveryFieldOfTheSpecificationHasOneClass(t *testing.T) {
	var spec struct {
		Definitions map[string]struct {
			Properties map[string]any `json:"properties"`
		} `json:"$defs"`
	}
	if err := json.Unmarshal([]byte(schema.Schema), &spec); err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, name := range []string{"service", "container_spec", "workload_spec"} {
		for property := range spec.Definitions[name].Properties {
			names[property] = true
		}
	}
	if len(names) < 80 {
		t.Fatalf("only %d fields found in the schema: %v", len(names), slices.Sorted(maps.Keys(names)))
	}
	var got []string
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if classOf(name) == unsupported {
			got = append(got, name)
		}
	}
	if !slices.Equal(got, refused) {
		t.Errorf("without a class:\n%v\nwant\n%v", got, refused)
	}
}
