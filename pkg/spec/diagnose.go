package spec

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/consts"
	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/template"
	"github.com/compose-spec/compose-go/v2/types"
	"gopkg.in/yaml.v3"
)

// diagnose finds all faults of a source that the loader has refused for its
// first one. It takes each fault out of the text and loads the rest, until the
// loader has nothing more to say; then it checks what has come out. It runs
// only when loading has failed, so it may be slow.
func (s *source) diagnose(ctx context.Context, cause error) []Problem {
	d := s.newDiagnosis()
	if d.parse() {
		d.variables()
		d.checkRest(ctx, d.reduce(ctx))
	}
	return d.orElse(cause)
}

func (s *source) newDiagnosis() *diagnosis {
	d := &diagnosis{source: *s, cuts: cuts{}}
	d.accepted = "" // what is wrong with it is for the schema to say
	d.env = maps.Clone(d.env)
	if d.env == nil {
		d.env = map[string]string{}
	}
	return d
}

// orElse gives what was found, or else the loader's word: for what is not YAML, or
// nothing that this package understands.
func (d *diagnosis) orElse(cause error) []Problem {
	if len(d.problems) > 0 {
		return d.problems
	}
	for _, f := range d.explain(cause) {
		// The loader stops at the first fault, which may be in a file before.
		if f.Path != "" && d.notYAML != nil {
			d.problems = append(d.problems, Problem{
				File: d.broken, Message: "not YAML: " + strings.TrimPrefix(oneLine(d.notYAML.Error()), "yaml: "),
			})
		}
		d.problems = append(d.problems, f.Problem)
	}
	return d.problems
}

// maxFaults bounds the loads of one diagnosis.
const maxFaults = 100

// diagnosis is the state of one diagnose: a source that loses a fault at a
// time, and what was found.
type diagnosis struct {
	source
	docs []yamlDocument
	cuts cuts
	// broken is the first file that is not YAML, notYAML says why; empty and nil
	// when all are.
	broken  string
	notYAML error
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

// parse reads the files' documents; false if they are not YAML.
func (d *diagnosis) parse() bool {
	for i, file := range d.files {
		decoder := yaml.NewDecoder(bytes.NewReader(file.Content))
		for {
			var doc yaml.Node
			err := decoder.Decode(&doc)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				d.broken, d.notYAML = file.Filename, err
				return false
			}
			d.docs = append(d.docs, yamlDocument{file: i, root: doc.Content[0]})
		}
	}
	return true
}

// variables reports every reference that cannot be resolved, and gives the
// missing variables a value so that the rest can be loaded.
func (d *diagnosis) variables() {
	missing := map[string]bool{}
	for _, doc := range d.docs {
		walk(doc.root, "", func(path string, n *yaml.Node) {
			for _, name := range d.substitute(path, n) {
				missing[name] = true
			}
		})
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
		case errors.As(err, &required) && !slices.Contains(missing, required.Variable):
			missing = append(missing, required.Variable)
			d.report(Problem{
				Path:    path,
				Message: fmt.Sprintf("required variable %s has no value", required.Variable),
				Hint:    cmp.Or(required.Reason, "set it in the environment or in .env"),
			})
		case errors.As(err, &malformed):
			d.report(Problem{
				Path:    path,
				Message: fmt.Sprintf("%q is not a reference to a variable", malformed.Template),
				Hint:    "write $$ for a dollar sign",
			})
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
// fault cannot be taken out.
func (d *diagnosis) reduce(ctx context.Context) *types.Project {
	lenient := func(o *loader.Options) {
		o.SkipConsistencyCheck = true
		o.Interpolate.Substitute = quietly
	}
	for range maxFaults {
		if ctx.Err() != nil {
			return nil
		}
		if err := d.write(); err != nil {
			return nil
		}
		project, err := d.load(ctx, lenient)
		if err == nil {
			return project
		}
		cut := false
		for _, f := range d.explain(err) {
			if !d.follows(f) {
				d.report(f.Problem)
			}
			cut = d.cut(f) || cut
		}
		if !cut {
			return nil
		}
	}
	return nil
}

// follows reports whether a fault can come from what was taken out: something
// is missing in what held it.
func (d *diagnosis) follows(f fault) bool {
	if f.Path == "" {
		return f.Message == "empty compose file" && len(d.touched) > 0
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
		if !slices.ContainsFunc(append(f.about, f.Path), d.isTouched) {
			d.problems = append(d.problems, f.Problem)
		}
	}
	if known {
		return
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
