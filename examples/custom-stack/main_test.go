package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackctl/stackctl/pkg/spec"
)

// The printed file is the one that lies here for reading, and it loads.
func TestShop(t *testing.T) {
	text, err := shop().Compose()
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(text)); diff != "" {
		t.Errorf("go run ./examples/custom-stack > examples/custom-stack/compose.yml (-there +printed):\n%s", diff)
	}
	project, err := shop().Project(t.Context(), spec.WithEnv(map[string]string{"SHOP_RELEASE": "1.4", "POSTGRES_PASSWORD": "canary"}))
	if err != nil {
		t.Fatal(err)
	}
	if got := *project.Services["api"].Environment["PRICE_FORMAT"]; got != "$%.2f" {
		t.Errorf("PRICE_FORMAT is %q", got)
	}
}

// A misspelt reference is the compiler's to find: each of these, in a copy of
// main.go that takes its place, does not build.
func TestTyposDoNotCompile(t *testing.T) {
	source, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	path, err := filepath.Abs("main.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, write, instead, want string }{
		{"nothing", "{spec.Healthy(db)}", "{spec.Healthy(db)}", ""},
		{"a dependency", "{spec.Healthy(dbase)}", "{spec.Healthy(db)}", "undefined: dbase"},
		{"a network", "{front, backs}", "{front, back}", "undefined: backs"},
		{"a secret", "spec.MountSecret(singing)", "spec.MountSecret(signing)", "undefined: singing"},
		{"a condition", "spec.Complete(migrate)", "spec.Completed(migrate)", "undefined: spec.Complete"},
		{"a field", "ReadOnyl: ", "ReadOnly: ", "unknown field ReadOnyl"},
		{"a network for a service", "{spec.Healthy(back)}", "{spec.Healthy(db)}", "cannot use back"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			changed := strings.Replace(string(source), tt.instead, tt.write, 1)
			if (changed == string(source)) != (tt.write == tt.instead) {
				t.Fatalf("main.go holds no %q", tt.instead)
			}
			dir := t.TempDir()
			variant := filepath.Join(dir, "main.go")
			if err := os.WriteFile(variant, []byte(changed), 0o600); err != nil {
				t.Fatal(err)
			}
			overlay, err := json.Marshal(map[string]map[string]string{"Replace": {path: variant}})
			if err != nil {
				t.Fatal(err)
			}
			list := filepath.Join(dir, "overlay.json")
			if err := os.WriteFile(list, overlay, 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := exec.CommandContext(t.Context(), "go", "build", "-overlay", list, "-o", os.DevNull, ".").CombinedOutput()
			if tt.want == "" {
				if err != nil {
					t.Fatalf("the example itself: %v\n%s", err, out)
				}
				return
			}
			if err == nil || !strings.Contains(string(out), tt.want) {
				t.Errorf("got %v, want %q:\n%s", err, tt.want, out)
			}
		})
	}
}
