package spec

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"gopkg.in/yaml.v3"
)

// survey is a first look at the files of a source, and at those that they include
// or extend, before the loader sees any of them: what would take it too long, or
// what it says nothing helpful of, is found here.
type survey struct {
	// all parses each file; otherwise one that is plain is left to the loader.
	all   bool
	files []*surveyed
	// own are the places of the source's own files among them.
	own []int
	// brings is the file that an entry of include, or an extends, names.
	brings   map[*yaml.Node]*surveyed
	problems []Problem
	// refusals are those that surveys of the same source have found, by file.
	refusals map[string]Problem
}

// surveyed is one file of a survey.
type surveyed struct {
	name string
	// dir is what relative paths in it start from, env the variables it may refer to.
	dir string
	env map[string]string
	// envFiles are those that env has values of, if it is included.
	envFiles []string
	// docs are its documents, nil when it has not been parsed.
	docs []*yaml.Node
	// refused says that the loader should not see it.
	refused bool
	// circular says that it includes itself, by others maybe.
	circular bool
	// extends says that only services are taken from it, by name.
	extends bool
	// overrides are the further files of one entry of include.
	overrides []*surveyed
}

// survey looks at all files that can be reached.
func (s *source) survey(all bool) *survey {
	v := &survey{all: all, brings: map[*yaml.Node]*surveyed{}, refusals: s.refusals}
	for _, file := range s.files {
		v.own = append(v.own, len(v.files))
		v.visit(&surveyed{name: file.Filename, dir: s.workingDir, env: s.env}, file.Content, true, nil)
	}
	return v
}

// visit looks at a file, and at those that it leads to. The trail are the files
// that led to it.
func (v *survey) visit(f *surveyed, content []byte, includes bool, trail []string) {
	v.files = append(v.files, f)
	if len(v.files) > maxFiles {
		if own := v.files[v.own[len(v.own)-1]]; !own.refused {
			v.refuse(own, Problem{
				Message: fmt.Sprintf("includes or extends more than %d files", maxFiles), Hint: "include each file once",
			})
		}
		return
	}
	if problem, known := v.refusals[f.name]; known {
		v.refuse(f, problem)
		return
	}
	if problem, found := unreadable(content); found {
		v.refuse(f, problem)
		return
	}
	if !v.all && isPlain(content) && !bytes.Contains(content, []byte("include")) && !bytes.Contains(content, []byte("extends")) {
		return
	}
	if problem, found := excessive(content); found {
		v.refuse(f, problem)
		return
	}
	docs, err := parse(content)
	if err != nil {
		// The loader has a parser of its own, and the last word.
		if problem, found := syntax(content); found {
			v.refuse(f, problem)
		}
		return
	}
	if problem, found := excess(docs); found {
		v.refuse(f, problem)
		return
	}
	f.docs = docs
	trail = append(slices.Clone(trail), f.name)
	for _, doc := range docs {
		if include := valueOf(doc, "include"); includes && include != nil {
			for i, entry := range include.Content {
				v.include(f, fmt.Sprintf("include[%d]", i), entry, trail)
			}
		}
		services := lookup(doc, "services")
		if services == nil || services.Kind != yaml.MappingNode {
			continue
		}
		for i := 0; i+1 < len(services.Content); i += 2 {
			if extends := lookup(services.Content[i+1], "extends"); extends != nil {
				v.extend(f, "services."+services.Content[i].Value+".extends", extends, trail)
			}
		}
	}
}

// valueOf gives what stands under a key of a mapping, or else of one that a merge key
// adds to it; for an alias, what it refers to. Nil for nothing.
func valueOf(mapping *yaml.Node, key string) *yaml.Node {
	mapping = unaliased(mapping)
	if value := lookup(mapping, key); value != nil {
		return unaliased(value)
	}
	for _, behind := range merged(&place{}, mapping) {
		if value := valueOf(behind.node, key); value != nil {
			return value
		}
	}
	return nil
}

func unaliased(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// include follows one entry of include.
func (v *survey) include(f *surveyed, path string, entry *yaml.Node, trail []string) {
	names := f.texts(entry, "path")
	if len(names) == 0 {
		return
	}
	dir := filepath.Dir(absolute(f.dir, names[0]))
	if given := f.texts(entry, "project_directory"); unaliased(entry).Kind == yaml.MappingNode && len(given) == 1 {
		dir = absolute(f.dir, given[0])
	}
	var first *surveyed
	env, envFiles := f.included(entry, dir)
	for _, written := range names {
		name := absolute(f.dir, written)
		next := &surveyed{name: name, dir: dir, env: env, envFiles: envFiles}
		if first == nil {
			first = next
			v.brings[entry] = next
		} else {
			first.overrides = append(first.overrides, next)
		}
		if slices.Contains(trail, name) {
			for _, known := range v.files {
				known.circular = known.circular || slices.Contains(trail, known.name)
			}
			v.found(f, Problem{
				Path: path, Line: entry.Line, Column: entry.Column, Hint: "remove one of these includes",
				Message: "include cycle: " + strings.Join(relative(f.dir, append(trail[slices.Index(trail, name):], name)), " -> "),
			})
			continue
		}
		content, err := os.ReadFile(name)
		if err != nil {
			v.missing(f, path, entry, written, err)
			continue
		}
		v.visit(next, content, true, trail)
	}
}

// extend follows an extends into another file.
func (v *survey) extend(f *surveyed, path string, extends *yaml.Node, trail []string) {
	if extends.Kind != yaml.MappingNode || lookup(extends, "file") == nil {
		return
	}
	names := f.texts(extends, "file")
	if len(names) != 1 {
		return
	}
	name := absolute(f.dir, names[0])
	if at := slices.IndexFunc(v.files, func(known *surveyed) bool { return known.name == name }); at >= 0 {
		v.brings[extends] = v.files[at]
		return
	}
	content, err := os.ReadFile(name)
	if err != nil {
		v.missing(f, path, lookup(extends, "file"), names[0], err)
		return
	}
	next := &surveyed{name: name, dir: filepath.Dir(name), env: f.env, extends: true}
	v.brings[extends] = next
	v.visit(next, content, false, trail)
}

// onNetwork is what Docker Compose can get from the network. There may be a password in
// it.
var onNetwork = regexp.MustCompile(`^(?:[a-z][a-z0-9+]*://|git@)`)

// missing adds that a file which another one names, as it is written there, cannot be
// read.
func (v *survey) missing(f *surveyed, path string, at *yaml.Node, written string, err error) {
	p := Problem{Path: path, Line: at.Line, Column: at.Column, Hint: "correct the path, or write the file"}
	var reason *os.PathError
	if errors.As(err, &reason) {
		err = reason.Err
	}
	p.Message = fmt.Sprintf("cannot read %s: %v", relative(f.dir, []string{absolute(f.dir, written)})[0], err)
	if onNetwork.MatchString(written) {
		p.Message, p.Hint = "names a file on the network, and only files of this machine are read", "fetch it first, and name the copy"
	}
	v.found(f, p)
}

// texts gives what stands in an entry under a key, or in its place: one text or a
// list of them. None where a variable in it has no value.
func (f *surveyed) texts(entry *yaml.Node, key string) []string {
	entry = unaliased(entry)
	if entry.Kind == yaml.MappingNode {
		if entry = valueOf(entry, key); entry == nil {
			return nil
		}
	}
	all := []*yaml.Node{entry}
	if entry.Kind == yaml.SequenceNode {
		all = entry.Content
	}
	var out []string
	for _, n := range all {
		n = unaliased(n)
		text, err := quietly(n.Value, (&types.ConfigDetails{Environment: f.env}).LookupEnv)
		if n.Kind != yaml.ScalarNode || err != nil || text == "" {
			return nil
		}
		out = append(out, text)
	}
	return out
}

// included gives the variables of an entry of include, and the files that they are
// from: its own env_file, or the .env of its folder, stand behind those that are there
// already.
func (f *surveyed) included(entry *yaml.Node, dir string) (map[string]string, []string) {
	var files []string
	if unaliased(entry).Kind == yaml.MappingNode {
		for _, name := range f.texts(entry, "env_file") {
			files = append(files, absolute(f.dir, name))
		}
	}
	if len(files) == 0 {
		path := filepath.Join(dir, ".env")
		if info, err := os.Stat(path); err != nil || info.IsDir() {
			return f.env, nil
		}
		files = []string{path}
	}
	values, err := parseEnvFiles(f.env, files)
	if err != nil {
		return f.env, files // the loader says so
	}
	return types.Mapping(f.env).Clone().Merge(values), files
}

// extended are the files that services are taken from.
func (v *survey) extended() []*surveyed {
	return slices.DeleteFunc(slices.Clone(v.files), func(f *surveyed) bool { return !f.extends })
}

// refuse adds why the loader should not see a file.
func (v *survey) refuse(f *surveyed, p Problem) {
	f.refused = true
	v.refusals[f.name] = p
	v.found(f, p)
}

func (v *survey) found(f *surveyed, p Problem) {
	p.File = f.name
	v.problems = append(v.problems, p)
}

// parse gives the documents of a text; an empty document is a mapping without keys.
func parse(content []byte) ([]*yaml.Node, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	var docs []*yaml.Node
	for {
		var doc yaml.Node
		err := decoder.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return docs, nil
		}
		if err != nil {
			return nil, err
		}
		docs = append(docs, doc.Content[0])
	}
}

// relative writes paths from a folder, where they are in it.
func relative(dir string, paths []string) []string {
	out := slices.Clone(paths)
	for i, path := range paths {
		if short, err := filepath.Rel(dir, path); err == nil && !strings.HasPrefix(short, "..") {
			out[i] = cmp.Or(short, path)
		}
	}
	return out
}
