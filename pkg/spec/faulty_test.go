package spec_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stackctl/stackctl/pkg/spec"
)

// Each folder of testdata/faulty holds a stack that is wrong, and errors.txt, which
// says what a person reads: every fault, with its place and what mends it, in the
// order of the files.
func TestFaulty(t *testing.T) {
	folders, err := filepath.Glob("testdata/faulty/*")
	if err != nil || len(folders) == 0 {
		t.Fatal("no stack found", err)
	}
	for _, folder := range folders {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			var files []string
			for _, name := range []string{"compose.yml", "compose.json", "compose.override.yml"} {
				if path := filepath.Join(folder, name); exists(path) {
					files = append(files, path)
				}
			}
			opts := spec.LoadOptions{Files: files, Name: "shop"}
			golden := filepath.Join(folder, "errors.txt")
			for range 3 { // whatever order maps are ranged over
				_, err := spec.Load(t.Context(), opts)
				got := told(t, folder, err)
				if *update {
					if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(golden)
				if err != nil {
					t.Fatal(err)
				}
				diff(t, got, string(want))
			}
		})
	}
}

// told is what is said of a faulty stack, with paths from its folder.
func told(t *testing.T, folder string, err error) string {
	t.Helper()
	var invalid *spec.ValidationError
	if !errors.As(err, &invalid) {
		t.Fatalf("got %v, want a ValidationError", err)
	}
	var out strings.Builder
	for _, p := range invalid.Problems {
		out.WriteString(p.String() + "\n")
	}
	abs, err := filepath.Abs(folder)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(out.String(), abs+string(filepath.Separator), "")
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
