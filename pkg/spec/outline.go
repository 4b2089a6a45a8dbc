package spec

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"gopkg.in/yaml.v3"

	"github.com/stackctl/stackctl/pkg/spec/render/compose"
)

// Outline is what a stack is made of, whether or not its variables have values.
type Outline struct {
	// Name is the project's.
	Name string
	// Services are all services, those of inactive profiles too.
	Services map[string]OutlineService
}

// OutlineService is one service of an Outline.
type OutlineService struct {
	// DependsOn names the services that have to be there first, sorted.
	DependsOn []string
	// Profiles, when there are any, leave the service out unless one is active.
	Profiles []string
}

// ReadOutline reads as much of a stack as can be told without the values of its
// variables, for whoever works with its names only: what is written in the right
// form is not checked any further. Its errors are those of Load.
func ReadOutline(ctx context.Context, opts LoadOptions) (*Outline, error) {
	s, err := opts.read()
	if err != nil {
		return nil, fmt.Errorf("load compose file: %w", err)
	}
	if err := s.refused(ctx); err != nil {
		return nil, err
	}
	model, name, err := s.tree(ctx, true)
	if err != nil {
		// A file may be included or extended by a name with a variable in it.
		if resolved, text, again := s.tree(ctx, false); again == nil {
			model, name, err = resolved, text, nil
		}
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("load compose file: %w", context.Cause(ctx))
	}
	if err != nil {
		return nil, s.invalid(s.diagnose(ctx, err))
	}
	if text, err := quietly(name, s.variable); err == nil {
		name = text
	}
	o := &Outline{Name: loader.NormalizeProjectName(name), Services: map[string]OutlineService{}}
	services, _ := model["services"].(map[string]any)
	for name, value := range services {
		service, _ := value.(map[string]any)
		var out OutlineService
		if dependencies, ok := service["depends_on"].(map[string]any); ok {
			out.DependsOn = slices.Sorted(maps.Keys(dependencies))
		}
		profiles, _ := service["profiles"].([]any)
		for _, profile := range profiles {
			out.Profiles = append(out.Profiles, fmt.Sprint(profile))
		}
		o.Services[name] = out
	}
	return o, nil
}

// OutlineOf gives the outline of a project that has been loaded.
func OutlineOf(p *types.Project) *Outline {
	o := &Outline{Name: p.Name, Services: map[string]OutlineService{}}
	for _, services := range []types.Services{p.Services, p.DisabledServices} {
		for name, service := range services {
			o.Services[name] = OutlineService{
				DependsOn: slices.Sorted(maps.Keys(service.DependsOn)), Profiles: service.Profiles,
			}
		}
	}
	return o
}

// Merge reads the files as Load does and returns them as one compose file, with
// files that they include or extend in it, and with references to variables as
// they are: nothing is resolved, so there is no secret in it. Services of every
// profile are in it. Its errors are those of Load.
func Merge(ctx context.Context, opts LoadOptions) ([]byte, error) {
	tree, err := merge(ctx, opts)
	if err != nil {
		return nil, err
	}
	return compose.Format(tree)
}

// MergeJSON returns the document of Merge as JSON.
func MergeJSON(ctx context.Context, opts LoadOptions) ([]byte, error) {
	tree, err := merge(ctx, opts)
	if err != nil {
		return nil, err
	}
	return compose.FormatJSON(tree)
}

func merge(ctx context.Context, opts LoadOptions) (*yaml.Node, error) {
	s, err := opts.read()
	if err != nil {
		return nil, fmt.Errorf("load compose file: %w", err)
	}
	if err := s.refused(ctx); err != nil {
		return nil, err
	}
	model, name, err := s.tree(ctx, true)
	if err != nil {
		return nil, s.unmergeable(ctx, err)
	}
	model["name"] = name
	tree, err := encode(model)
	if err != nil {
		return nil, fmt.Errorf("merge compose files: %w", err)
	}
	s.asWritten(tree)
	return tree, nil
}

// unmergeable explains why the files are no one tree. Variables without a value are
// no fault there.
func (s *source) unmergeable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("load compose file: %w", context.Cause(ctx))
	}
	d := s.newDiagnosis()
	if d.readable() {
		d.prepare(ctx)
		found, touched := d.problems, d.touched
		d.variables()
		d.problems, d.touched = found, touched
		d.checkRest(ctx, d.reduce(ctx, nil)) // the error is of another way to load
	}
	return s.invalid(d.orElse(err))
}

// tree loads the files as one tree, literal with its references to variables in
// it, and gives the project's name, which may be such a reference.
func (s *source) tree(ctx context.Context, literal bool) (map[string]any, string, error) {
	model, options, err := s.model(ctx, s.details(), func(o *loader.Options) {
		o.SkipInterpolation = literal
		o.Interpolate.Substitute = quietly
		o.SkipNormalization = true
		o.SkipDefaultValues = true
		o.ResolvePaths = false
	})
	if err != nil {
		return nil, "", err
	}
	name, _ := options.GetProjectName()
	return model, name, nil
}

// asWritten puts the keys of a merged tree in the order in which the files have
// them; what comes from other files follows by name.
func (s *source) asWritten(tree *yaml.Node) {
	d := s.newDiagnosis()
	var written []*yaml.Node
	for _, doc := range d.docs {
		written = append(written, doc.root)
	}
	arrange(tree, written)
}

// arrange sorts the keys of a mapping, and those of the mappings in it, as they
// are written: as keys, or as the entries of a list that stands for a mapping.
func arrange(mapping *yaml.Node, written []*yaml.Node) {
	if mapping.Kind != yaml.MappingNode {
		return
	}
	var order []string
	below := map[string][]*yaml.Node{}
	for _, n := range written {
		if n.Kind == yaml.AliasNode {
			n = n.Alias
		}
		for i, entry := range n.Content {
			switch {
			case n.Kind == yaml.SequenceNode:
				name, _, _ := strings.Cut(entry.Value, "=")
				order = append(order, name)
			case i%2 == 0:
				order = append(order, entry.Value)
				below[entry.Value] = append(below[entry.Value], n.Content[i+1])
			}
		}
	}
	type pair struct{ key, value *yaml.Node }
	var pairs []pair
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		pairs = append(pairs, pair{mapping.Content[i], mapping.Content[i+1]})
	}
	rank := func(p pair) int {
		if i := slices.Index(order, p.key.Value); i >= 0 {
			return i
		}
		return len(order)
	}
	slices.SortStableFunc(pairs, func(a, b pair) int { return rank(a) - rank(b) })
	for i, p := range pairs {
		mapping.Content[2*i], mapping.Content[2*i+1] = p.key, p.value
		arrange(p.value, below[p.key.Value])
	}
}
