package safety_test

import (
	"flag"
	"os"
	"testing"

	"github.com/stackctl/stackctl/pkg/spec/safety"
)

var update = flag.Bool("update", false, "write docs/safety-rules.md")

func TestDocument(t *testing.T) {
	const path = "../../../docs/safety-rules.md"
	if *update {
		if err := os.WriteFile(path, []byte(safety.Document()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != safety.Document() {
		t.Errorf("%s is not what the table says: go test ./pkg/spec/safety -args -update writes it", path)
	}
}
