package spec_test

import (
	"path/filepath"
	"testing"

	"github.com/stackctl/stackctl/pkg/spec"
)

// The last file that has the place counts; what has none is where it belongs.
func TestLocate(t *testing.T) {
	dir := t.TempDir()
	first, last := filepath.Join(dir, "compose.yaml"), filepath.Join(dir, "over.yaml")
	opts := spec.LoadOptions{
		Files: []string{first, last},
		Contents: map[string][]byte{
			first: []byte(`services:
  web:
    environment:
      - DEBUG=1
      - DB_PASSWORD=x
      - "TEXT=a=b"
    ports:
      - "80:80"
      - "81:81"
  "a.b": {image: a}
`),
			last: []byte("services:\n  web:\n    image: web\n"),
		},
	}
	for path, want := range map[string]spec.Position{
		"services.web":                         {File: last, Line: 2, Column: 3},
		"services.web.image":                   {File: last, Line: 3, Column: 5},
		"services.web.ports[1]":                {File: first, Line: 9, Column: 9},
		"services.web.ports[2]":                {File: first, Line: 7, Column: 5},
		"services.web.environment.DB_PASSWORD": {File: first, Line: 5, Column: 9},
		"services.web.environment.TEXT":        {File: first, Line: 6, Column: 9},
		"services.web.environment.PASSWORD":    {File: first, Line: 3, Column: 5},
		"services.a.b.image":                   {File: first, Line: 10, Column: 11},
		"services.db.image":                    {File: last, Line: 1, Column: 1},
		"networks.n":                           {},
	} {
		if got := spec.Locate(opts, []string{path})[0]; got != want {
			t.Errorf("%s: got %v, want %v", path, got, want)
		}
	}
	nowhere := []spec.LoadOptions{
		{Content: opts.Contents[first]},
		{Files: []string{filepath.Join(dir, "gone")}},
		{Files: []string{first}, Contents: map[string][]byte{first: []byte("{")}},
	}
	for _, opts := range nowhere {
		if got := spec.Locate(opts, []string{"services.web"}); len(got) != 1 || got[0] != (spec.Position{}) {
			t.Errorf("got %v", got)
		}
	}
}
