package spec

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// locate says of each problem in which file, line and column it is, as far as that
// can be told: the last file that has the place, or the nearest place around it. What
// comes from a file that is included or extended is there. Problems are sorted by
// their positions then.
func (s *source) locate(problems []Problem) []Problem {
	if len(s.paths) == 0 {
		for i := range problems {
			problems[i].File, problems[i].Line, problems[i].Column = "", 0, 0
		}
		return tidy(problems)
	}
	d := s.newDiagnosis()
	for i := range problems {
		p := &problems[i]
		switch {
		case p.File != "" && p.Line > 0:
		case p.Path == "":
			if p.File == "" && len(s.paths) == 1 {
				p.File = s.paths[0]
			}
		default:
			at := d.position(p.Path)
			p.File, p.Line, p.Column = at.File, at.Line, at.Column
			if p.File == "" && len(s.paths) == 1 {
				p.File = s.paths[0]
			}
		}
	}
	problems = tidy(problems)
	rank := func(p Problem) int {
		if p.File == "" {
			return len(d.survey.files) // of no one place: the last
		}
		return slices.IndexFunc(d.survey.files, func(f *surveyed) bool { return f.name == p.File })
	}
	line := func(p Problem) int { return cmp.Or(p.Line, math.MaxInt32) }
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(rank(a)-rank(b), line(a)-line(b), a.Column-b.Column)
	})
	// What several services have from one place is to be mended once.
	return slices.CompactFunc(problems, func(a, b Problem) bool {
		return a.Line > 0 && a.File == b.File && a.Line == b.Line && a.Column == b.Column && a.Message == b.Message
	})
}

// Position is a place in a compose file, Line and Column counted from 1.
type Position struct {
	File         string
	Line, Column int
}

// Locate says where in the files of a stack paths are, such as
// services.web.environment.DEBUG: the last file that has the place, or the nearest
// place around it. The zero Position stands for what is not known: for text that is in no
// file, and where files cannot be read.
func Locate(opts LoadOptions, paths []string) []Position {
	positions := make([]Position, len(paths))
	s, err := opts.read()
	if err != nil || len(s.paths) == 0 {
		return positions
	}
	d := s.newDiagnosis()
	for i, path := range paths {
		positions[i] = d.position(path)
	}
	return positions
}

// position gives the place of a path, or of what holds it.
func (d *diagnosis) position(path string) Position {
	for ; path != ""; path = path[:max(0, strings.LastIndexAny(path, ".["))] {
		for _, doc := range slices.Backward(d.docs) {
			if at, found := d.positionIn(doc.root, path, d.files[doc.file].Filename); found {
				return at
			}
		}
		for _, file := range d.survey.files {
			for _, root := range file.docs {
				if at, found := d.positionIn(root, path, file.name); found && !file.extends {
					return at
				}
			}
		}
	}
	return Position{}
}

func (d *diagnosis) positionIn(root *yaml.Node, path, file string) (Position, bool) {
	found := d.findIn(&place{node: root}, path)
	if found == nil || found.node == root {
		return Position{}, false
	}
	if found.in != nil {
		file = found.in.name
	}
	at := beginning(found)
	return Position{File: file, Line: at.Line, Column: at.Column}, true
}

// beginning is where a value begins: its key, when it has one.
func beginning(p *place) *yaml.Node {
	if p.parent != nil && p.parent.Kind == yaml.MappingNode {
		for i := 1; i < len(p.parent.Content); i += 2 {
			if p.parent.Content[i] == p.node {
				return p.parent.Content[i-1]
			}
		}
	}
	return p.node
}
