package spec

import (
	"strings"

	"gopkg.in/yaml.v3"
)

// locate says of each problem in which file and line it is, as far as that can
// be told: the last file that has the place, or the nearest place around it. What
// an included file brings is in none of the files that are known here.
func (s *source) locate(problems []Problem) []Problem {
	if len(s.paths) == 0 {
		return problems
	}
	d := s.newDiagnosis()
	parsed := d.parse()
	for i := range problems {
		p := &problems[i]
		switch {
		case p.File != "":
		case p.Path == "":
			p.File = d.broken
			if p.File == "" && len(s.paths) == 1 {
				p.File = s.paths[0]
			}
		case parsed:
			p.File, p.Line = d.position(p.Path)
		}
	}
	return problems
}

// position gives the file and the line of a path, or of what holds it: at least
// the service, network or such.
func (d *diagnosis) position(path string) (string, int) {
	for ; strings.ContainsAny(path, ".["); path = path[:strings.LastIndexAny(path, ".[")] {
		for i := len(d.docs) - 1; i >= 0; i-- {
			doc := d.docs[i]
			if found := d.findIn(&place{node: doc.root}, path); found != nil && found.node != doc.root {
				return d.files[doc.file].Filename, lineOf(found)
			}
		}
	}
	return "", 0
}

// lineOf is where a value begins: with its key, when it has one.
func lineOf(p *place) int {
	if p.parent != nil && p.parent.Kind == yaml.MappingNode {
		for i := 1; i < len(p.parent.Content); i += 2 {
			if p.parent.Content[i] == p.node {
				return p.parent.Content[i-1].Line
			}
		}
	}
	return p.node.Line
}
