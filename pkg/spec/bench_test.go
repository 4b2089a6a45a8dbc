package spec_test

import (
	"testing"

	"github.com/stackctl/stackctl/pkg/spec"
)

// BenchmarkProject is on the path of every command. The first load of a
// process also compiles the schema, which is not in here.
func BenchmarkProject(b *testing.B) {
	stack := spec.WebStack(spec.WebStackOptions{})
	env := map[string]string{"POSTGRES_PASSWORD": "x"}
	for b.Loop() {
		if _, err := stack.Project(b.Context(), spec.WithEnv(env)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCompose(b *testing.B) {
	stack := spec.WebStack(spec.WebStackOptions{})
	for b.Loop() {
		if _, err := stack.Compose(); err != nil {
			b.Fatal(err)
		}
	}
}
