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
	// depth is the number of keys that lead to it from the document.
	depth int
	// in is the further file that it is in; nil for one of the source's own.
	in *surveyed
	// via is the extends that brings it from there, to be cut in its stead.
	via *place
	// hops counts the services that extend one another on the way.
	hops int
}

// maxHops ends a circle of services that extend one another.
const maxHops = 20

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
	if node.Kind == yaml.AliasNode {
		node = node.Alias // what is to be changed stands there
	}
	switch node.Kind {
	case yaml.MappingNode:
		for i := 0; i < len(node.Content); i += 2 {
			key := node.Content[i].Value
			if !within(rest, key) {
				continue
			}
			path := strings.TrimPrefix(from.path+"."+key, ".")
			if found := d.findIn(from.child(node, node.Content[i+1], path), rest[len(key):]); found != nil {
				return found
			}
		}
		for _, behind := range append(merged(from, node), d.extended(from, node)...) {
			if found := d.findIn(behind, rest); found != nil {
				return found
			}
		}
	case yaml.SequenceNode:
		// What is a mapping once it is loaded may be a list of NAME=value.
		for _, item := range node.Content {
			if name, _, ok := strings.Cut(item.Value, "="); ok && name == rest && item.Kind == yaml.ScalarNode {
				return from.child(node, item, from.path+"."+name)
			}
		}
		number, after := leadingNumber(rest)
		if number < 0 || number >= len(node.Content) {
			return nil
		}
		path := from.path + "[" + strconv.Itoa(d.cuts.positions(node)[number]) + "]"
		return d.findIn(from.child(node, node.Content[number], path), after)
	}
	return nil
}

func (p *place) child(parent, node *yaml.Node, path string) *place {
	return &place{parent: parent, node: node, path: path, depth: p.depth + 1, in: p.in, via: p.via, hops: p.hops}
}

// merged gives the mappings that merge keys add to one.
func merged(p *place, node *yaml.Node) []*place {
	value := lookup(node, "<<")
	if value == nil {
		return nil
	}
	all := []*yaml.Node{value}
	if value.Kind == yaml.SequenceNode {
		all = value.Content
	}
	var out []*place
	for _, n := range all {
		behind := *p
		behind.parent, behind.node = node, n
		out = append(out, &behind)
	}
	return out
}

// extended gives the service that one extends, of this file or of another.
func (d *diagnosis) extended(p *place, node *yaml.Node) []*place {
	extends := lookup(node, "extends")
	if extends == nil || p.depth != 2 || !strings.HasPrefix(p.path, "services.") || p.hops > maxHops {
		return nil
	}
	name, in, via, roots := extends, p.in, p.via, []*yaml.Node(nil)
	if extends.Kind == yaml.MappingNode {
		name = lookup(extends, "service")
		if file := d.survey.brings[extends]; file != nil {
			in, roots = file, file.docs
			if via == nil {
				via = &place{parent: node, node: extends, path: p.path}
			}
		}
	}
	switch {
	case name == nil || roots != nil:
	case in != nil:
		roots = in.docs
	default:
		for _, doc := range d.docs {
			roots = append(roots, doc.root)
		}
	}
	var out []*place
	for _, root := range roots {
		services := lookup(root, "services")
		if name == nil || services == nil {
			continue
		}
		if service := lookup(services, name.Value); service != nil {
			out = append(out, &place{parent: services, node: service, path: p.path, depth: 2, in: in, via: via, hops: p.hops + 1})
		}
	}
	return out
}

// findKeys returns the node at a path of keys.
func (d *diagnosis) findKeys(keys []string) *place {
	if n := len(keys); n > 0 && keys[n-1] == "" { // a key without a letter
		if in := d.findKeys(keys[:n-1]); in != nil {
			if value := lookup(in.node, ""); value != nil {
				return in.child(in.node, value, in.path+`.""`)
			}
		}
		return nil
	}
	return d.find(strings.Join(keys, "."))
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
	p := f.place
	if p != nil && p.via != nil {
		// The other file stays as it is, so nothing more is known of the service.
		p = p.via
		d.touched = append(d.touched, p.path)
	}
	if p == nil || p.parent == nil {
		return false
	}
	parent := p.parent
	index := slices.Index(parent.Content, p.node)
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
