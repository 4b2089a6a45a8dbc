package spec

import (
	"testing"

	"gopkg.in/yaml.v3"
)

// DigestOf gives what is remembered of a text that the schema has accepted.
func DigestOf(t *testing.T, opts LoadOptions) string {
	t.Helper()
	s, err := opts.read()
	if err != nil {
		t.Fatal(err)
	}
	_, _, digest, err := s.recorded(t.Context(), s.details(), nil, unchecked)
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

// LongForm returns a stack's document before the printer shortens it.
func (s *Stack) LongForm() ([]byte, error) {
	tree, problems := s.build()
	if err := invalid(problems); err != nil {
		return nil, err
	}
	return yaml.Marshal(tree)
}
