package spec

import "gopkg.in/yaml.v3"

// LongForm returns a stack's document before the printer shortens it.
func (s *Stack) LongForm() ([]byte, error) {
	tree, problems := s.build()
	if err := invalid(problems); err != nil {
		return nil, err
	}
	return yaml.Marshal(tree)
}
