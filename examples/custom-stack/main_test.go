package main

import (
	"os"
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
