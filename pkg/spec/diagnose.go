package spec

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/consts"
	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/template"
	"github.com/compose-spec/compose-go/v2/types"
	"gopkg.in/yaml.v3"

	"github.com/stackctl/stackctl/internal/sensitive"
)

// diagnose finds all faults of a source that the loader has refused for its
// first one. It takes each fault out of the text and loads the rest, until the
// loader has nothing more to say; then it checks what has come out. It runs
// only when loading has failed, so it may be slow.
func (s *source) diagnose(ctx context.Context, cause error) []Problem {
	d := s.newDiagnosis()
	if d.readable() {
		d.prepare(ctx)
		d.variables()
		d.checkRest(ctx, d.reduce(ctx, cause))
	}
	return d.orElse(cause)
}

func (s *source) newDiagnosis() *diagnosis {
	d := &diagnosis{source: *s, cuts: cuts{}, survey: s.survey(true)}
	d.accepted = "" // what is wrong with it is for the schema to say
	d.env = maps.Clone(d.env)
	if d.env == nil {
		d.env = map[string]string{}
	}
	for i := range d.files {
		for _, root := range d.survey.files[d.survey.own[i]].docs {
			d.docs = append(d.docs, yamlDocument{file: i, root: root})
		}
	}
	return d
}

// readable reports the files that are no compose files, and says whether the loader
// may see the others: what is included can be taken out.
func (d *diagnosis) readable() bool {
	d.problems = append(d.problems, d.survey.problems...)
	for i, file := range d.survey.files {
		if file.refused && (file.extends || slices.Contains(d.survey.own, i)) {
			return false
		}
	}
	return true
}

// prepare takes out what the loader could not say anything of, or would stop at.
func (d *diagnosis) prepare(ctx context.Context) {
	for _, doc := range d.docs {
		d.keys(d.files[doc.file].Filename, doc.root, "")
	}
	d.includes(ctx)
	d.extends()
}

// orElse gives what was found, or else the loader's word, of what this package does
// not understand.
func (d *diagnosis) orElse(cause error) []Problem {
	if len(d.problems) > 0 || cause == nil {
		return d.problems
	}
	for _, f := range d.explain(cause) {
		d.problems = append(d.problems, f.Problem)
	}
	return d.problems
}

// keys reports and takes out the keys that stand twice, and those that are no text.
func (d *diagnosis) keys(file string, n *yaml.Node, path string) {
	if n.Kind == yaml.SequenceNode {
		for i, child := range n.Content {
			d.keys(file, child, fmt.Sprintf("%s[%d]", path, i))
		}
	}
	if n.Kind != yaml.MappingNode {
		return
	}
	first := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := strings.TrimPrefix(path+"."+key.Value, ".")
		line, twice := first[key.Value]
		p := Problem{Path: at, File: file, Line: key.Line, Column: key.Column}
		switch tag := key.ShortTag(); {
		case key.Kind != yaml.ScalarNode && key.Kind != yaml.AliasNode:
			p.Path, p.Message, p.Hint = path, "a key is "+described(key)+", and has to be text", "write `name: value`"
		case tag == "!!null" || tag == "!!bool" || tag == "!!int" || tag == "!!float" || tag == "!!timestamp":
			p.Message, p.Hint = "the key is "+described(key)+", and has to be text", "put it in quotes"
		case value.ShortTag() == "!!float" && isEndless(value.Value):
			p.Message = "is no number that anything can be set to"
		case tag == "!!merge" && !isMergeable(value):
			p.Message, p.Hint = "adds what is no mapping", "name a mapping by its alias, or a list of such"
		case twice:
			p.Message, p.Hint = fmt.Sprintf("is there already, in line %d", line), "keep one of them"
		default:
			first[key.Value] = key.Line
			d.keys(file, value, at)
			continue
		}
		d.report(p)
		n.Content = slices.Delete(n.Content, i, i+2)
		d.edited = true
		i -= 2
	}
}

// isMergeable says that a value can stand under a merge key.
func isMergeable(value *yaml.Node) bool {
	value = unaliased(value)
	if value.Kind == yaml.SequenceNode {
		return !slices.ContainsFunc(value.Content, func(n *yaml.Node) bool { return unaliased(n).Kind != yaml.MappingNode })
	}
	return value.Kind == yaml.MappingNode
}

// isEndless says of a number that it is infinite, or none.
func isEndless(text string) bool {
	text = strings.ToLower(strings.TrimLeft(text, "+-"))
	return text == ".nan" || text == ".inf"
}

// extends reports what the schema has against services that others extend from
// further files, and takes those out of the reach of the loader that have a fault.
func (d *diagnosis) extends() {
	for _, doc := range d.docs {
		services := lookup(doc.root, "services")
		if services == nil || services.Kind != yaml.MappingNode {
			continue
		}
		for i := 0; i+1 < len(services.Content); i += 2 {
			name, service := services.Content[i].Value, services.Content[i+1]
			extends := lookup(service, "extends")
			if extends == nil || lookup(extends, "file") == nil {
				continue
			}
			faulty := slices.ContainsFunc(d.survey.problems, func(p Problem) bool { return p.Path == "services."+name+".extends" })
			if file, of := d.survey.brings[extends], lookup(extends, "service"); file != nil && of != nil {
				for _, f := range d.violationsOf(file, of.Value) {
					at := beginning(f.place)
					f.File, f.Line, f.Column = file.name, at.Line, at.Column
					d.problems = append(d.problems, f.Problem)
					faulty = true
				}
			}
			if faulty {
				d.cut(fault{place: &place{parent: service, node: extends}})
				d.touched = append(d.touched, "services."+name)
			}
		}
	}
}

// includes diagnoses the files that the source includes, each as a source of its own,
// and takes out those that have a fault: what they would bring is not known then.
func (d *diagnosis) includes(ctx context.Context) {
	for _, doc := range d.docs {
		include := valueOf(doc.root, "include")
		if include == nil || include.Kind != yaml.SequenceNode {
			continue
		}
		for i, entry := range slices.Clone(include.Content) {
			file := d.survey.brings[entry]
			faulty := slices.ContainsFunc(d.survey.problems, func(p Problem) bool {
				return p.File == d.files[doc.file].Filename && p.Path == fmt.Sprintf("include[%d]", i) || file != nil && p.File == file.name
			}) || file != nil && file.circular
			if !faulty && file != nil {
				problems := file.faults(ctx, d.source)
				d.problems = append(d.problems, problems...)
				faulty = len(problems) > 0
			}
			if at := slices.Index(include.Content, entry); faulty && at >= 0 {
				include.Content = slices.Delete(include.Content, at, at+1)
				d.edited, d.incomplete = true, true
			}
		}
		if written := lookup(doc.root, "include"); written != nil && len(include.Content) == 0 {
			d.cut(fault{place: &place{parent: doc.root, node: written}})
		}
	}
}

// faults are those of an included file, as far as they do not depend on the files
// around it.
func (f *surveyed) faults(ctx context.Context, of source) []Problem {
	s := source{workingDir: f.dir, env: f.env, name: "included", profiles: of.profiles, refusals: of.refusals}
	for _, file := range append([]*surveyed{f}, f.overrides...) {
		content, err := os.ReadFile(file.name)
		if err != nil {
			return nil // the survey has said so
		}
		s.files = append(s.files, types.ConfigFile{Filename: file.name, Content: content})
		s.paths = append(s.paths, file.name)
	}
	_, cause := s.load(ctx, leniently)
	if cause == nil {
		return nil
	}
	d := s.newDiagnosis()
	if d.readable() {
		d.prepare(ctx)
		d.variables()
		d.reduce(ctx, cause)
	}
	return s.locate(d.problems)
}

// A diagnosis loads at most maxLoads times, and less often what is large: so often
// that all loads together see about maxLoaded values.
const (
	maxLoads  = 100
	minLoads  = 3
	maxLoaded = 60_000
)

// diagnosis is the state of one diagnose: a source that loses a fault at a
// time, and what was found.
type diagnosis struct {
	source
	docs []yamlDocument
	cuts cuts
	// survey holds the trees of all files, and which leads to which.
	survey *survey
	// incomplete says that a part was taken out that others may refer to.
	incomplete bool
	// edited is set when docs differ from the files' text. As long as they do
	// not, the author's text is loaded, so that the loader's line numbers fit.
	edited   bool
	problems []Problem
	// touched are paths that no longer say what the author wrote, so that what
	// is found there later may follow from the mending.
	touched []string
}

// yamlDocument is one document of one file.
type yamlDocument struct {
	file int
	root *yaml.Node
}

// variables reports every reference that cannot be resolved, and gives the
// missing variables a value so that the rest can be loaded.
func (d *diagnosis) variables() {
	missing := map[string]bool{}
	visit := func(path string, n *yaml.Node) {
		for _, name := range d.substitute(path, n) {
			missing[name] = true
		}
	}
	for _, doc := range d.docs {
		walk(doc.root, "", visit)
	}
	for _, file := range d.survey.extended() {
		before := len(d.problems)
		for _, root := range file.docs {
			walk(root, "", visit)
		}
		for i := range d.problems[before:] {
			d.problems[before+i].File = file.name
		}
	}
	for name := range missing {
		d.env[name] = placeholder
	}
}

// substitute reports what is wrong with the references of one text, and
// returns the missing variables.
func (d *diagnosis) substitute(path string, n *yaml.Node) (missing []string) {
	for {
		// A text stops at its first missing variable: go on with that one
		// given, for there may be another.
		_, err := quietly(n.Value, func(name string) (string, bool) {
			if slices.Contains(missing, name) || name == consts.ComposeProjectName {
				return placeholder, true // the loader sets the latter
			}
			return d.variable(name)
		})
		var required *template.MissingRequiredError
		var malformed *template.InvalidTemplateError
		switch {
		case errors.As(err, &required) && !slices.Contains(missing, required.Variable) && len(missing) < maxMissing:
			missing = append(missing, required.Variable)
			d.report(Problem{
				Path: path, Line: n.Line, Column: n.Column,
				Message: fmt.Sprintf("required variable %s has no value", required.Variable),
				Hint:    cmp.Or(required.Reason, "set it in the environment or in .env"),
			})
		case errors.As(err, &malformed):
			message := fmt.Sprintf("%q is not a reference to a variable", malformed.Template)
			if sensitive.Mentions(path) || sensitive.Mentions(n.Value) {
				message = "there is a $ that begins no reference to a variable"
			}
			d.report(Problem{Path: path, Line: n.Line, Column: n.Column, Message: message, Hint: "write $$ for a dollar sign"})
			n.Value = ""
			d.edited = true
			return missing
		default:
			return missing
		}
	}
}

func (s *source) variable(name string) (string, bool) {
	return (&types.ConfigDetails{Environment: s.env}).LookupEnv(name)
}

// placeholder stands for a missing variable. A digit fits most places where a
// reference can be: text, a port, a number.
const placeholder = "1"

// quietly substitutes variables without the warnings for those that are unset,
// which the first attempt has given already.
func quietly(text string, lookup template.Mapping) (string, error) {
	return template.SubstituteWithOptions(text, lookup, template.WithoutLogging)
}

// reduce loads until there is nothing left to take out. It returns nil if a
// fault cannot be taken out. The cause is what the loader has said already: nothing
// new comes of loading the same again.
func (d *diagnosis) reduce(ctx context.Context, cause error) *types.Project {
	var last *inconsistent
	switch isSame := !d.edited && len(d.problems) == 0; {
	case isSame && errors.As(cause, &last):
		return last.project
	case !isSame || !errors.As(cause, new(unmodelled)):
		cause = nil
	}
	for range d.loads() {
		if ctx.Err() != nil {
			return nil
		}
		if err := d.write(); err != nil {
			return nil
		}
		err := cause
		if cause = nil; err == nil {
			var project *types.Project
			if project, err = d.load(ctx, leniently); err == nil {
				return project
			}
		}
		faults := d.explain(err)
		if isViolation(err) {
			if all := d.violations(); len(all) > 0 {
				faults = all
			}
		}
		cut, followed := false, false
		for _, f := range faults {
			if follows := d.follows(f); !follows {
				d.report(f.Problem)
			} else {
				followed = true
			}
			cut = d.cut(f) || cut
		}
		if len(d.problems) > maxTold || !cut && followed {
			break
		}
		if !cut {
			return nil
		}
	}
	if ctx.Err() == nil {
		d.problems = append(d.problems, more)
	}
	return nil
}

// more is said when a fault keeps others from being found.
var more = Problem{Message: "there may be more: these were found first", Hint: "mend them, and run this again"}

// isViolation says of an error of the loader that the schema has something against
// the files, too.
func isViolation(err error) bool {
	return strings.HasPrefix(err.Error(), "validating ") || strings.HasSuffix(err.Error(), "must be a mapping") ||
		strings.HasPrefix(err.Error(), "`include` must be")
}

// leniently loads what is not consistent, and says nothing of variables that are not
// set: the first load has.
func leniently(o *loader.Options) {
	o.SkipConsistencyCheck = true
	o.Interpolate.Substitute = quietly
}

// loads is how often the diagnosis may load.
func (d *diagnosis) loads() int {
	m := measure{known: map[*yaml.Node]extent{}, uses: map[*yaml.Node]int{}}
	values := 1
	for _, doc := range d.docs {
		values += m.of(doc.root).values
	}
	return max(minLoads, min(maxLoads, maxLoaded/values))
}

// follows reports whether a fault can come from what was taken out: something
// is missing in what held it.
func (d *diagnosis) follows(f fault) bool {
	if f.Path == "" {
		return len(d.touched) > 0
	}
	return slices.ContainsFunc(d.touched, func(touched string) bool { return within(touched, f.Path) })
}

// write puts edited documents back into the files.
func (d *diagnosis) write() error {
	if !d.edited {
		return nil
	}
	text := make([]bytes.Buffer, len(d.files))
	for _, doc := range d.docs {
		if text[doc.file].Len() > 0 {
			text[doc.file].WriteString("---\n")
		}
		if err := yaml.NewEncoder(&text[doc.file]).Encode(doc.root); err != nil {
			return err
		}
	}
	d.files = slices.Clone(d.files)
	for i := range d.files {
		d.files[i].Content = text[i].Bytes()
	}
	return nil
}

// checkRest checks what could be loaded.
func (d *diagnosis) checkRest(ctx context.Context, project *types.Project) {
	if project == nil {
		return
	}
	known := false
	for _, f := range check(project) {
		known = known || f.loader
		if f.undeclared && d.incomplete {
			continue
		}
		if !slices.ContainsFunc(append(f.about, f.Path), d.isTouched) {
			d.problems = append(d.problems, f.Problem)
		}
	}
	if known || d.incomplete || d.loads() < 2*minLoads {
		return // what is large has loaded often enough: the next run tells the rest
	}
	// The loader may know of an inconsistency that check does not.
	if _, err := d.load(ctx, func(o *loader.Options) { o.Interpolate.Substitute = quietly }); err != nil {
		for _, f := range d.explain(err) {
			if !d.isTouched(f.Path) {
				d.problems = append(d.problems, f.Problem)
			}
		}
	}
}

func (d *diagnosis) report(p Problem) {
	d.problems = append(d.problems, p)
	d.touched = append(d.touched, p.Path)
}

// isTouched reports whether a path is within, or holds, what was changed.
func (d *diagnosis) isTouched(path string) bool {
	return path != "" && slices.ContainsFunc(d.touched, func(touched string) bool {
		return within(path, touched) || within(touched, path)
	})
}

// within reports whether a path is another one or below it.
func within(path, parent string) bool {
	rest, ok := strings.CutPrefix(path, parent)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}
