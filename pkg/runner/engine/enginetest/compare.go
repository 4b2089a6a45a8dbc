package enginetest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// Compare implements engine.Observer. It compares the definitions field by field;
// one that came with AddContainer has an empty one.
func (e *Engine) Compare(ctx context.Context, ref string, req engine.CreateContainer) ([]state.Difference, error) {
	if err := e.begin(ctx, "Compare", e.nameOf(ref)); err != nil {
		return nil, err
	}
	defer e.mu.Unlock()
	c, err := e.find(ref)
	if err != nil {
		return nil, err
	}
	is, err := fields(c.spec)
	if err != nil {
		return nil, fmt.Errorf("compare container %q: %w", c.Name, err)
	}
	want, err := fields(req.Spec)
	if err != nil {
		return nil, fmt.Errorf("compare container %q: %w", c.Name, err)
	}
	paths := maps.Clone(is)
	maps.Copy(paths, want)
	var out []state.Difference
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		if is[path] != want[path] {
			out = append(out, state.Changed(path, is[path], want[path]))
		}
	}
	return out, nil
}

// fields flattens what is said about a container to one text for each path.
func fields(spec state.ContainerSpec) (map[string]string, error) {
	definition, err := state.Definition(spec.Config)
	if err != nil {
		return nil, err
	}
	for _, key := range []string{"image", "networks", "post_start", "pre_stop"} {
		delete(definition, key) // told by the lists, or no part of the container
	}
	out := map[string]string{}
	flatten("", definition, out)
	for _, f := range spec.Files {
		out["files."+f.Target] = f.Digest
	}
	return out, nil
}

func flatten(path string, value any, out map[string]string) {
	switch value := value.(type) {
	case nil:
	case map[string]any:
		for key, v := range value {
			flatten(strings.TrimPrefix(path+"."+key, "."), v, out)
		}
	case []any:
		var texts []string
		for i, v := range value {
			if entry, ok := v.(map[string]any); ok {
				flatten(fmt.Sprintf("%s[%d]", path, i), entry, out)
				continue
			}
			texts = append(texts, fmt.Sprint(v))
		}
		if len(texts) > 0 {
			out[path] = "[" + strings.Join(texts, ", ") + "]"
		}
	default:
		text := fmt.Sprint(value)
		if text == "" {
			text = `""`
		}
		out[path] = text
	}
}
