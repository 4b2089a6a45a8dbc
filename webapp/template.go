package main

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"text/template/parse"
)

// Package html/template looks methods up by name, so the linker keeps every
// exported method of every type: with the two clients in here that doubles the
// binary, from 13 to 24 MB. The page needs fields, {{if}} and {{range}} only.
// What follows is those, parsed by the standard parser, with every value
// escaped for text and quoted attributes, the only places the page puts them.
// A test compares it with html/template on the same page, byte for byte.

// fields is what a template sees: a string, a bool or a *rows by name.
type fields map[string]any

// rows is a list for a loop, and what the loop made of it the first time: many
// renderings show the same list. It is for one loop only.
type rows struct {
	items []fields
	once  sync.Once
	text  []byte
	err   error
}

// node is one piece of a parsed template.
type node interface {
	write(out *bytes.Buffer, data fields) error
}

// nodes is a sequence of pieces, and a whole template.
type nodes []node

func (n nodes) write(out *bytes.Buffer, data fields) error {
	for _, piece := range n {
		if err := piece.write(out, data); err != nil {
			return err
		}
	}
	return nil
}

// literal is text of the template's own.
type literal []byte

func (l literal) write(out *bytes.Buffer, _ fields) error {
	out.Write(l)
	return nil
}

// value is {{.Name}}: a string, escaped.
type value struct {
	name   string
	escape *strings.Replacer
}

func (v value) write(out *bytes.Buffer, data fields) error {
	text, ok := data[v.name].(string)
	if !ok {
		return fmt.Errorf("field %q is %T, not a string", v.name, data[v.name])
	}
	_, err := v.escape.WriteString(out, text)
	return err
}

// branch is {{if .Name}}, for a bool, or a string or list that is not empty.
type branch struct {
	name            string
	then, otherwise nodes
}

func (b branch) write(out *bytes.Buffer, data fields) error {
	var holds bool
	switch v := data[b.name].(type) {
	case bool:
		holds = v
	case string:
		holds = v != ""
	case *rows:
		holds = len(v.items) > 0
	default:
		return fmt.Errorf("field %q is %T, which no {{if}} can test", b.name, v)
	}
	if holds {
		return b.then.write(out, data)
	}
	return b.otherwise.write(out, data)
}

// loop is {{range .Name}}.
type loop struct {
	name string
	body nodes
}

func (l loop) write(out *bytes.Buffer, data fields) error {
	list, ok := data[l.name].(*rows)
	if !ok {
		return fmt.Errorf("field %q is %T, not a list", l.name, data[l.name])
	}
	list.once.Do(func() {
		var text bytes.Buffer
		for _, item := range list.items {
			if list.err = l.body.write(&text, item); list.err != nil {
				return
			}
		}
		list.text = text.Bytes()
	})
	out.Write(list.text)
	return list.err
}

// parseTemplate refuses whatever goes beyond fields, {{if}} and {{range}}.
func parseTemplate(name, text string) (nodes, error) {
	trees, err := parse.Parse(name, text, "{{", "}}")
	if err != nil {
		return nil, err
	}
	// As html/template does it.
	escape := strings.NewReplacer("\x00", "\uFFFD", `"`, "&#34;", "&", "&amp;", "'", "&#39;", "+", "&#43;", "<", "&lt;", ">", "&gt;")
	return compile(trees[name].Root, escape)
}

func compile(list *parse.ListNode, escape *strings.Replacer) (nodes, error) {
	if list == nil { // a branch without {{else}}
		return nil, nil
	}
	var all nodes
	for _, n := range list.Nodes {
		piece, err := compileNode(n, escape)
		if err != nil {
			return nil, err
		}
		all = append(all, piece)
	}
	return all, nil
}

func compileNode(n parse.Node, escape *strings.Replacer) (node, error) {
	switch n := n.(type) {
	case *parse.TextNode:
		return literal(n.Text), nil
	case *parse.ActionNode:
		name, err := fieldOf(n.Pipe)
		return value{name: name, escape: escape}, err
	case *parse.IfNode:
		return compileBranch(&n.BranchNode, escape)
	case *parse.RangeNode:
		if n.ElseList != nil {
			return nil, fmt.Errorf("unsupported {{else}} of %s", n)
		}
		name, err := fieldOf(n.Pipe)
		if err != nil {
			return nil, err
		}
		body, err := compile(n.List, escape)
		return loop{name: name, body: body}, err
	default:
		return nil, fmt.Errorf("unsupported %s", n)
	}
}

func compileBranch(n *parse.BranchNode, escape *strings.Replacer) (node, error) {
	name, err := fieldOf(n.Pipe)
	if err != nil {
		return nil, err
	}
	then, err := compile(n.List, escape)
	if err != nil {
		return nil, err
	}
	otherwise, err := compile(n.ElseList, escape)
	return branch{name: name, then: then, otherwise: otherwise}, err
}

// fieldOf takes {{.Name}} and nothing else.
func fieldOf(pipe *parse.PipeNode) (string, error) {
	if len(pipe.Decl) == 0 && len(pipe.Cmds) == 1 && len(pipe.Cmds[0].Args) == 1 {
		if field, ok := pipe.Cmds[0].Args[0].(*parse.FieldNode); ok && len(field.Ident) == 1 {
			return field.Ident[0], nil
		}
	}
	return "", fmt.Errorf("unsupported {{%s}}: want one field", pipe)
}
