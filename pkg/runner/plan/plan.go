// Package plan decides. [Reconcile] and [Teardown] are pure functions from what
// is wanted and what is there to a [Plan]: a graph of engine actions, each with
// its reason in words. Nothing here talks to an engine, waits or prints.
package plan

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Plan is a graph of engine actions. Its nodes are in an order in which they
// could run one after another; the same input always gives the same plan.
type Plan struct {
	Project string
	Nodes   []Node
	// Warnings are what the user should know and what the plan does not change.
	Warnings []string
}

// Node is one action of a plan.
type Node struct {
	// ID counts from 1 in the order of the plan.
	ID int
	Op Op
	// Needs are the nodes that must have succeeded before, sorted.
	Needs []int
	// After are the nodes that must have ended before, well or not, sorted: those
	// of dependencies that are not required.
	After []int
	// Cause says why, in words.
	Cause string
	// Destructive marks what deletes data that `up` cannot make again.
	Destructive bool
	// Optional marks what belongs to a service that nothing requires: its failure
	// is told, and the rest of the plan goes on.
	Optional bool
}

// Empty says that there is nothing to do, not even to wait for.
func (p *Plan) Empty() bool { return len(p.Nodes) == 0 }

// Changes counts the nodes that change something on the engine: all but waits.
func (p *Plan) Changes() int {
	n := 0
	for _, node := range p.Nodes {
		if _, wait := node.Op.(WaitReady); !wait {
			n++
		}
	}
	return n
}

// String gives one line for each node:
//
//	[3] start container web-1 <- #1 #2: created in this run
func (p *Plan) String() string {
	var b strings.Builder
	for _, n := range p.Nodes {
		fmt.Fprintf(&b, "[%d] %s %s", n.ID, n.Op.Verb(), n.Op.Ref())
		for i, id := range n.Needs {
			if i == 0 {
				b.WriteString(" <-")
			}
			fmt.Fprintf(&b, " #%d", id)
		}
		for i, id := range n.After {
			if i == 0 {
				b.WriteString(" after")
			}
			fmt.Fprintf(&b, " #%d", id)
		}
		fmt.Fprintf(&b, ": %s", n.Cause)
		if n.Destructive {
			b.WriteString(" (deletes data)")
		}
		if n.Optional {
			b.WriteString(" (optional)")
		}
		b.WriteByte('\n')
	}
	for _, w := range p.Warnings {
		fmt.Fprintf(&b, "warning: %s\n", w)
	}
	return b.String()
}

// jsonVersion is the version of the JSON form; it grows when a reader of the
// one before would misread it.
const jsonVersion = 1

// MarshalJSON gives the plan without what the resources hold: no environment,
// no labels.
func (p *Plan) MarshalJSON() ([]byte, error) {
	type node struct {
		ID          int    `json:"id"`
		Op          string `json:"op"`
		Kind        string `json:"kind"`
		Name        string `json:"name"`
		Needs       []int  `json:"needs"`
		After       []int  `json:"after,omitempty"`
		Cause       string `json:"cause"`
		Destructive bool   `json:"destructive"`
		Optional    bool   `json:"optional,omitempty"`
	}
	out := struct {
		Version  int      `json:"version"`
		Project  string   `json:"project"`
		Nodes    []node   `json:"nodes"`
		Warnings []string `json:"warnings"`
	}{jsonVersion, p.Project, []node{}, []string{}}
	for _, n := range p.Nodes {
		ref := n.Op.Ref()
		out.Nodes = append(out.Nodes, node{
			n.ID, n.Op.kind(), string(ref.Kind), ref.Name,
			append([]int{}, n.Needs...), n.After, n.Cause, n.Destructive, n.Optional,
		})
	}
	out.Warnings = append(out.Warnings, p.Warnings...)
	return json.Marshal(out)
}

// add appends a node and gives its id. Needs that are 0 are left out, so that
// callers can pass "the node for x, if there is one".
func (p *Plan) add(op Op, cause string, needs ...int) int {
	n := Node{ID: len(p.Nodes) + 1, Op: op, Cause: cause}
	for _, id := range needs {
		if id != 0 && !slices.Contains(n.Needs, id) {
			n.Needs = append(n.Needs, id)
		}
	}
	slices.Sort(n.Needs)
	p.Nodes = append(p.Nodes, n)
	return n.ID
}

// after lets a node wait for the end of others; 0 and what it needs anyway are
// left out.
func (p *Plan) after(id int, others ...int) {
	n := &p.Nodes[id-1]
	for _, other := range others {
		if other != 0 && !slices.Contains(n.After, other) && !slices.Contains(n.Needs, other) {
			n.After = append(n.After, other)
		}
	}
	slices.Sort(n.After)
}

func (p *Plan) warn(format string, args ...any) {
	p.Warnings = append(p.Warnings, fmt.Sprintf(format, args...))
}
