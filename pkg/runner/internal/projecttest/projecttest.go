// Package projecttest loads compose text for the runner's tests, which may not
// use package spec.
package projecttest

import (
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
)

// Name is the name of the projects that Load gives.
const Name = "shop"

// Load loads compose text as a file in dir.
func Load(t *testing.T, dir, text string, env types.Mapping) *types.Project {
	t.Helper()
	p, err := loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir:  dir,
		ConfigFiles: []types.ConfigFile{{Filename: "compose.yaml", Content: []byte(text)}},
		Environment: env,
	}, func(o *loader.Options) { o.SetProjectName(Name, true) })
	if err != nil {
		t.Fatal(err)
	}
	return p
}
