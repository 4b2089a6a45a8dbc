package gosource

import (
	"slices"

	"gopkg.in/yaml.v3"
)

// object is a mapping node; the zero object is an absent one.
type object struct{ node *yaml.Node }

func asObject(n *yaml.Node) object {
	if n == nil || n.Kind != yaml.MappingNode {
		return object{}
	}
	return object{n}
}

func (o object) keys() []string {
	if o.node == nil {
		return nil
	}
	var keys []string
	for i := 0; i < len(o.node.Content); i += 2 {
		keys = append(keys, o.node.Content[i].Value)
	}
	return keys
}

func (o object) index(key string) int {
	for i, k := range o.keys() {
		if k == key {
			return 2 * i
		}
	}
	return -1
}

func (o object) get(key string) *yaml.Node {
	if i := o.index(key); i >= 0 {
		return o.node.Content[i+1]
	}
	return nil
}

// above returns what comments say of a key that is there, as lines of Go.
func (o object) above(key string) string {
	i := o.index(key)
	return comment(o.node.Content[i].HeadComment) + comment(o.node.Content[i].LineComment) + comment(o.node.Content[i+1].LineComment)
}

func (o object) object(key string) object { return asObject(o.get(key)) }

func (o object) has(key string) bool { return o.index(key) >= 0 }

// without returns the object with fewer keys.
func without(o object, keys ...string) object {
	rest := object{&yaml.Node{Kind: yaml.MappingNode}}
	for i, name := range o.keys() {
		if !slices.Contains(keys, name) {
			rest.node.Content = append(rest.node.Content, o.node.Content[2*i:2*i+2]...)
		}
	}
	return rest
}

func isText(n *yaml.Node) bool {
	return n != nil && n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str"
}

func isNull(n *yaml.Node) bool {
	return n != nil && n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
}

func isTrue(n *yaml.Node) bool {
	return n != nil && n.Kind == yaml.ScalarNode && n.ShortTag() == "!!bool" && n.Value == "true"
}
