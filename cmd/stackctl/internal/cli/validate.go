package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/spf13/cobra"

	"github.com/stackctl/stackctl/cmd/stackctl/internal/display"
	"github.com/stackctl/stackctl/pkg/runner"
	"github.com/stackctl/stackctl/pkg/runner/event"
	"github.com/stackctl/stackctl/pkg/spec"
	"github.com/stackctl/stackctl/pkg/spec/safety"
)

type validateOptions struct {
	*globalOptions
	strict bool
	format format
}

func newValidateCommand(g *globalOptions) *cobra.Command {
	opts := &validateOptions{globalOptions: g, format: formatText}
	cmd := &cobra.Command{
		Use:   "validate",
		Short: "Check the stack, and report everything that is wrong or unsafe with it",
		Long: `Check the stack with the variables as they are, and report everything that is
wrong with it, one fault a line, each with what mends it; so are fields that one
engine cannot do. The exit code is 3 when there is a fault. The engine is not
needed.

What is valid and unsafe is a warning, with the id of its rule at the end. Where it is
meant, the stack says so, for one service or at the top for all:

  x-stackctl:
    allow:
      docker-socket: the proxy finds the services by their labels

docs/safety-rules.md has the rules.`,
		Example: `  stackctl validate
  WEBAPP_PORT=5432 stackctl validate

  # In CI: warnings are faults
  stackctl validate --strict --format json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runValidate(cmd.Context(), g.app, opts) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&opts.strict, "strict", false, "take warnings for faults")
	flags.Var(newChoice(&opts.format, formatText, formatJSON), "format", "how to print: text or json")
	return cmd
}

func runValidate(ctx context.Context, app *App, o *validateOptions) error {
	o.keepsLogged, o.unnamed = true, o.format == formatJSON
	v, err := o.verify(ctx)
	if o.format == formatJSON && (v.Valid || len(v.Problems) > 0 || errors.As(err, new(*strictError))) {
		if err := writeJSON(app.Out, v); err != nil {
			return err
		}
		if !v.Valid {
			return silentError(exitInvalid) // there is no more to say
		}
		return nil
	}
	o.tell(v.Warnings)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("valid: project %s with %s", v.Project, count(v.Services, "service"))
	if n := len(v.Warnings); n > 0 {
		text += ", " + count(n, "warning")
	}
	if n := len(v.Allowed); n > 0 {
		text += fmt.Sprintf(", %d allowed", n)
	}
	_, err = fmt.Fprintln(app.Out, text)
	return err
}

// verify finds all that there is to say, and gives what keeps the stack from being valid
// as an error, too.
func (o *validateOptions) verify(ctx context.Context) (*verification, error) {
	v := &verification{Problems: []remark{}, Warnings: []remark{}, Allowed: []remark{}}
	s, err := o.sourceToLoad(ctx)
	var p *types.Project
	if err == nil {
		p, err = s.load(ctx)
	}
	for _, text := range o.kept {
		v.Warnings = append(v.Warnings, remark{Message: text})
	}
	for _, file := range o.versioned {
		v.Warnings = append(v.Warnings, remark{File: file, Message: "version means nothing any more, and can be left out"})
	}
	var invalid *spec.ValidationError
	switch {
	case err == nil:
		o.announce()
		v.look(s, p)
		err = v.fault()
	case errors.As(err, &invalid):
		for _, p := range invalid.Problems {
			v.Problems = append(v.Problems, remark{Path: p.Path, File: p.File, Line: p.Line, Column: p.Column, Message: p.Message, Hint: p.Hint})
		}
	}
	if err == nil && o.strict && len(v.Warnings) > 0 {
		err = &strictError{warnings: len(v.Warnings)}
	}
	v.Valid = err == nil
	return v, err
}

// strictError says that a stack has warnings, and that there should be none.
type strictError struct{ warnings int }

func (e *strictError) Error() string {
	return count(e.warnings, "warning") + ", and --strict takes a warning for a fault"
}

// verification is what validate finds, as its JSON has it.
type verification struct {
	// Valid is what the exit code says: with --strict there is no warning either.
	Valid    bool   `json:"valid"`
	Project  string `json:"project,omitempty"`
	Services int    `json:"services"`
	// Problems keep the stack from running, Warnings do not, and Allowed are those
	// that the stack says are meant.
	Problems []remark `json:"problems"`
	Warnings []remark `json:"warnings"`
	Allowed  []remark `json:"allowed"`
}

// remark is one thing that validate has to say.
type remark struct {
	Rule    safety.Rule `json:"rule,omitempty"` // of what is unsafe
	Service string      `json:"service,omitempty"`
	Path    string      `json:"path,omitempty"`
	File    string      `json:"file,omitempty"`
	Line    int         `json:"line,omitempty"`
	Column  int         `json:"column,omitempty"`
	Message string      `json:"message"`
	Hint    string      `json:"hint,omitempty"`
	Reason  string      `json:"reason,omitempty"` // why it is allowed
}

// look finds what there is to say of a stack that loads.
func (v *verification) look(s *source, p *types.Project) {
	v.Project, v.Services = p.Name, len(p.Services)
	ignored, err := runner.CheckFields(p)
	for _, w := range ignored {
		v.Warnings = append(v.Warnings, remark{Path: w.Path, Message: w.Message()})
	}
	var unsupported *runner.UnsupportedError
	if errors.As(err, &unsupported) {
		for _, problem := range unsupported.Problems {
			v.Problems = append(v.Problems, remark{Path: problem.Path, Message: "is not supported: " + problem.Why})
		}
	}
	for _, f := range safety.CheckAllowed(p) {
		v.Problems = append(v.Problems, remark{Path: f.Path, Message: f.Message, Hint: f.Hint})
	}
	for _, f := range safety.Check(p) {
		r := remark{Rule: f.Rule, Service: f.Service, Path: f.Path, Message: f.Message, Hint: f.Hint, Reason: f.Reason}
		if f.Allowed {
			v.Allowed = append(v.Allowed, r)
		} else {
			v.Warnings = append(v.Warnings, r)
		}
	}
	s.place(v.Problems, v.Warnings, v.Allowed)
}

// place says where remarks are that have a path.
func (s *source) place(lists ...[]remark) {
	var remarks []*remark
	var paths []string
	for _, list := range lists {
		for i := range list {
			if list[i].Path != "" {
				remarks, paths = append(remarks, &list[i]), append(paths, list[i].Path)
			}
		}
	}
	if len(paths) == 0 {
		return // and no file has to be read
	}
	for i, at := range spec.Locate(s.options, paths) {
		at = s.seen(at)
		remarks[i].File, remarks[i].Line, remarks[i].Column = at.File, at.Line, at.Column
	}
}

// fault gives the problems as the error that they are; nil when there is none.
func (v *verification) fault() error {
	if len(v.Problems) == 0 {
		return nil
	}
	e := &spec.ValidationError{}
	for _, r := range v.Problems {
		e.Problems = append(e.Problems, spec.Problem{Path: r.Path, Message: r.Message, Hint: r.Hint, File: r.File, Line: r.Line, Column: r.Column})
	}
	return e
}

// tell prints warnings as compilers do: where, what, and the id of the rule.
func (g *globalOptions) tell(warnings []remark) {
	if len(warnings) > 0 {
		g.announce()
	}
	o := g.displayOptions("")
	for _, r := range warnings {
		text := spec.Problem{Path: r.Path, Message: r.Message, Hint: r.Hint}.String()
		if r.Rule != "" {
			text += " [" + string(r.Rule) + "]"
		}
		at := ""
		switch {
		case r.Line > 0:
			at = fmt.Sprintf("%s:%d:%d: ", r.File, r.Line, r.Column)
		case r.File != "":
			at = r.File + ": "
		}
		if o.Mode == display.JSON {
			display.Message(o, event.Warning, at+text)
			continue
		}
		fmt.Fprintf(g.app.Err, "%s%s %s\n", at, g.errColor().Yellow("warning:"), text)
	}
}

// count is a number of things.
func count(n int, of string) string {
	if n == 1 {
		return "1 " + of
	}
	return fmt.Sprintf("%d %ss", n, of)
}
