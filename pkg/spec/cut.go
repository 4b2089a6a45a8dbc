package spec

import (
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// place is a node in its parent, with its path as this package writes paths.
type place struct {
	parent, node *yaml.Node
	path         string
}

// cuts remembers which elements of a sequence are left, by the positions that
// they had at first, so that paths stay those of the author's text.
type cuts map[*yaml.Node][]int

func (c cuts) positions(n *yaml.Node) []int {
	if c[n] == nil {
		for i := range n.Content {
			c[n] = append(c[n], i)
		}
	}
	return c[n]
}

// find returns the node at a path. The loader writes services.web.ports.0 as
// well as services.web.ports.[], which is the list; names may hold dots. In
// several files the last one that has the node counts.
func (d *diagnosis) find(path string) *place {
	for _, doc := range slices.Backward(d.docs) {
		if p := d.findIn(&place{node: doc.root}, path); p != nil {
			return p
		}
	}
	return nil
}

func (d *diagnosis) findIn(from *place, rest string) *place {
	rest = strings.TrimPrefix(rest, ".")
	if rest == "" || strings.HasPrefix(rest, "[]") {
		return from
	}
	node := from.node
	switch node.Kind {
	case yaml.MappingNode:
		for i := 0; i < len(node.Content); i += 2 {
			key := node.Content[i].Value
			if !within(rest, key) {
				continue
			}
			path := strings.TrimPrefix(from.path+"."+key, ".")
			if found := d.findIn(&place{node, node.Content[i+1], path}, rest[len(key):]); found != nil {
				return found
			}
		}
	case yaml.SequenceNode:
		number, after := leadingNumber(rest)
		if number < 0 || number >= len(node.Content) {
			return nil
		}
		path := from.path + "[" + strconv.Itoa(d.cuts.positions(node)[number]) + "]"
		return d.findIn(&place{node, node.Content[number], path}, after)
	}
	return nil
}

// leadingNumber splits "0.type" and "[0].type" after the number, -1 if there
// is none.
func leadingNumber(s string) (number int, rest string) {
	s = strings.TrimPrefix(s, "[")
	end := strings.IndexFunc(s, func(r rune) bool { return r < '0' || '9' < r })
	if end < 0 {
		end = len(s)
	}
	number, err := strconv.Atoi(s[:end])
	if err != nil {
		return -1, s
	}
	return number, strings.TrimPrefix(s[end:], "]")
}

// cut takes a fault's node out of the text. It fails for what has no place, for
// the document itself, and for what is out already.
func (d *diagnosis) cut(f fault) bool {
	if f.place == nil || f.place.parent == nil {
		return false
	}
	parent := f.place.parent
	index := slices.Index(parent.Content, f.place.node)
	switch {
	case index < 0:
		return false
	case parent.Kind == yaml.MappingNode:
		parent.Content = slices.Delete(parent.Content, index-1, index+1)
	default:
		positions := d.cuts.positions(parent)
		parent.Content = slices.Delete(parent.Content, index, index+1)
		d.cuts[parent] = slices.Delete(positions, index, index+1)
	}
	d.edited = true
	return true
}

// walk visits the scalar values of a document with their paths.
func walk(n *yaml.Node, path string, visit func(path string, n *yaml.Node)) {
	switch n.Kind {
	case yaml.ScalarNode:
		visit(path, n)
	case yaml.MappingNode:
		for i := 0; i < len(n.Content); i += 2 {
			walk(n.Content[i+1], strings.TrimPrefix(path+"."+n.Content[i].Value, "."), visit)
		}
	case yaml.SequenceNode:
		for i, child := range n.Content {
			walk(child, path+"["+strconv.Itoa(i)+"]", visit)
		}
	}
}

func lookup(n *yaml.Node, key string) *yaml.Node {
	if n.Kind == yaml.MappingNode {
		for i := 0; i < len(n.Content); i += 2 {
			if n.Content[i].Value == key {
				return n.Content[i+1]
			}
		}
	}
	return nil
}
