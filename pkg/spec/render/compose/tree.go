package compose

import (
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

const (
	tagString = "!!str"
	tagNull   = "!!null"
	tagBool   = "!!bool"
	tagMap    = "!!map"
	tagSeq    = "!!seq"
	tagMerge  = "!!merge"
)

// object is a mapping node; the zero object is an absent one, which has no
// keys and takes none.
type object struct{ node *yaml.Node }

func asObject(n *yaml.Node) object {
	if n == nil || n.Kind != yaml.MappingNode {
		return object{}
	}
	return object{n}
}

func (o object) index(key string) int {
	if o.node != nil {
		for i := 0; i < len(o.node.Content); i += 2 {
			if o.node.Content[i].Value == key {
				return i
			}
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

// object returns the mapping under key, the absent one if there is none.
func (o object) object(key string) object { return asObject(o.get(key)) }

// text returns the scalar under key as it is written, empty if there is none.
func (o object) text(key string) string {
	if n := o.get(key); n != nil && n.Kind == yaml.ScalarNode {
		return n.Value
	}
	return ""
}

// replace exchanges the value of a key that is there.
func (o object) replace(key string, value *yaml.Node) {
	if i := o.index(key); i >= 0 {
		o.node.Content[i+1] = value
	}
}

func (o object) remove(key string) {
	if i := o.index(key); i >= 0 {
		o.node.Content = slices.Delete(o.node.Content, i, i+2)
	}
}

func (o object) keys() []string {
	if o.node == nil {
		return nil
	}
	keys := make([]string, 0, len(o.node.Content)/2)
	for i := 0; i < len(o.node.Content); i += 2 {
		keys = append(keys, o.node.Content[i].Value)
	}
	return keys
}

// only reports whether the object has no other keys than these.
func (o object) only(keys ...string) bool {
	for _, key := range o.keys() {
		if !slices.Contains(keys, key) {
			return false
		}
	}
	return o.node != nil
}

// sort orders the keys: the given ones first, the rest by name.
func (o object) sort(rank []string) {
	if o.node == nil {
		return
	}
	type pair struct{ key, value *yaml.Node }
	pairs := make([]pair, 0, len(o.node.Content)/2)
	for i := 0; i < len(o.node.Content); i += 2 {
		pairs = append(pairs, pair{o.node.Content[i], o.node.Content[i+1]})
	}
	place := func(p pair) int {
		if i := slices.Index(rank, p.key.Value); i >= 0 {
			return i
		}
		return len(rank)
	}
	slices.SortStableFunc(pairs, func(a, b pair) int {
		if pa, pb := place(a), place(b); pa != pb {
			return pa - pb
		} else if pa < len(rank) {
			return 0
		}
		return compareKeys(a.key.Value, b.key.Value)
	})
	for i, p := range pairs {
		o.node.Content[2*i], o.node.Content[2*i+1] = p.key, p.value
	}
}

// items returns the elements of a sequence, none for anything else.
func items(n *yaml.Node) []*yaml.Node {
	if n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	return n.Content
}

func isScalar(n *yaml.Node) bool { return n != nil && n.Kind == yaml.ScalarNode }

func isNull(n *yaml.Node) bool { return isScalar(n) && n.ShortTag() == tagNull }

// isBlank reports whether a node is null or an empty mapping, which say the
// same where a mapping is expected.
func isBlank(n *yaml.Node) bool {
	return isNull(n) || n != nil && n.Kind == yaml.MappingNode && len(n.Content) == 0
}

func isTrue(n *yaml.Node) bool {
	return isScalar(n) && n.ShortTag() == tagBool && n.Value == "true"
}

func stringNode(s string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: tagString, Value: s}
}

func sequenceNode(content []*yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.SequenceNode, Tag: tagSeq, Content: content}
}

// clone copies a tree so that the caller's stays as it is. Aliases become what
// they stand for, because ordering may put them before their anchors, and so do
// merges; styles are the printer's to choose.
func clone(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return clone(n.Alias)
	}
	c := *n
	c.Anchor = ""
	if strings.HasPrefix(n.ShortTag(), "!!") {
		c.Style = 0
	}
	c.Style &= yaml.TaggedStyle
	c.Content = nil
	var merged []*yaml.Node
	for i, child := range n.Content {
		isPair := n.Kind == yaml.MappingNode
		switch {
		case isPair && i%2 == 0 && child.ShortTag() == tagMerge:
			merged = append(merged, clone(n.Content[i+1]))
		case isPair && i%2 == 1 && n.Content[i-1].ShortTag() == tagMerge:
		default:
			c.Content = append(c.Content, clone(child))
		}
	}
	for _, m := range merged {
		merge(object{&c}, m)
	}
	return &c
}

// merge adds the keys that a mapping, or each of a list of them, has and the
// object has not.
func merge(o object, from *yaml.Node) {
	for _, item := range items(from) {
		merge(o, item)
	}
	for _, key := range asObject(from).keys() {
		if o.get(key) == nil {
			o.node.Content = append(o.node.Content, stringNode(key), asObject(from).get(key))
		}
	}
}

// walkValues visits every scalar that is a value, not a key.
func walkValues(n *yaml.Node, visit func(*yaml.Node)) {
	switch n.Kind {
	case yaml.ScalarNode:
		visit(n)
	case yaml.MappingNode:
		for i := 1; i < len(n.Content); i += 2 {
			walkValues(n.Content[i], visit)
		}
	default:
		for _, child := range n.Content {
			walkValues(child, visit)
		}
	}
}
