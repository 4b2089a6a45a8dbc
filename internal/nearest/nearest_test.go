package nearest_test

import (
	"testing"

	"github.com/stackctl/stackctl/internal/nearest"
)

func TestName(t *testing.T) {
	t.Parallel()
	known := []string{"ports", "image", "privileged", "expose", "Dockerfile"}
	for name, want := range map[string]string{
		"prots":      "ports",      // swapped
		"imag":       "image",      // left out
		"imagee":     "image",      // added
		"IMAGE":      "image",      // case does not count
		"dockerfile": "Dockerfile", // on neither side
		"privilege":  "privileged",
		"comand":     "", // nothing near
		"x":          "", // one letter is near everything of one letter, and nothing else
		"":           "",
	} {
		if got := nearest.Name(name, known); got != want {
			t.Errorf("nearest to %q is %q, want %q", name, got, want)
		}
	}
	if got := nearest.Name("bat", []string{"cat", "bar"}); got != "bar" {
		t.Errorf("of two that are as near %q is given, want the first in the alphabet", got)
	}
	if got := nearest.Name("anything", nil); got != "" {
		t.Errorf("nearest of none is %q", got)
	}
}
