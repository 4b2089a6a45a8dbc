package spec

import (
	"context"
	"errors"

	"github.com/compose-spec/compose-go/v2/types"
	"gopkg.in/yaml.v3"

	"github.com/stackctl/stackctl/pkg/spec/render/compose"
)

// Compose returns the stack as a compose file, as a person would write it:
// references to variables stay references, so no secret is in it. The same
// stack gives the same bytes. A stack with faults of its own gives a
// *ValidationError; those that show only once variables have values are found
// by Project.
func (s *Stack) Compose() ([]byte, error) {
	return s.render(compose.Format)
}

// ComposeJSON returns the document of Compose as JSON, which compose reads too.
func (s *Stack) ComposeJSON() ([]byte, error) {
	return s.render(compose.FormatJSON)
}

func (s *Stack) render(format func(*yaml.Node) ([]byte, error)) ([]byte, error) {
	tree, problems := s.build()
	if err := invalid(problems); err != nil {
		return nil, err
	}
	return format(tree)
}

// Validate reports what is wrong with the stack whatever its variables are: a
// reference to something that is not part of it, a name taken twice, a service
// without an image. Project reports these and what it finds by loading.
func (s *Stack) Validate() error {
	_, problems := s.build()
	return invalid(problems)
}

// Project returns the stack as compose-go's model, ready to run: written as a
// compose file, loaded by Load, with all that Load checks.
func (s *Stack) Project(ctx context.Context, opts ...LoadOption) (*types.Project, error) {
	tree, problems := s.build()
	if lookup(tree, "services") == nil {
		return nil, invalid(problems) // which say why there is none
	}
	content, err := compose.Format(tree)
	if err != nil {
		return nil, err
	}
	options := LoadOptions{}
	for _, opt := range opts {
		opt(&options)
	}
	options.Content = content
	project, err := Load(ctx, options)
	var more *ValidationError
	if errors.As(err, &more) {
		problems = append(problems, more.Problems...)
		err = nil
	}
	if err == nil {
		err = invalid(problems)
	}
	if err != nil {
		return nil, err
	}
	return project, nil
}
