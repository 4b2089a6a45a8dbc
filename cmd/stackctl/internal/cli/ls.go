package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stackctl/stackctl/cmd/stackctl/internal/display"
	"github.com/stackctl/stackctl/pkg/runner"
)

type listOptions struct {
	*globalOptions
	all     bool
	format  format
	quiet   bool
	filters []string
}

func newListCommand(g *globalOptions) *cobra.Command {
	opts := &listOptions{globalOptions: g, format: formatTable}
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List the projects on the engine",
		Long: `List the projects on the engine: those of stackctl, of Docker Compose, and of any
tool that labels its containers in the same way.`,
		Example: `  # What runs
  stackctl ls

  # What has stopped, too, for a script
  stackctl ls -a --format json

  # The names of all projects that begin with shop
  stackctl ls -a -q --filter name=^shop`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runList(cmd.Context(), g.app, opts) },
	}
	flags := cmd.Flags()
	flags.BoolVarP(&opts.all, "all", "a", false, "projects and containers that do not run, too")
	flags.StringArrayVar(&opts.filters, "filter", nil, "projects of one name only: `name=` and a regular expression; may be repeated, and any may match")
	flags.Var(newChoice(&opts.format, formatTable, formatJSON), "format", "how to print: table or json")
	flags.BoolVarP(&opts.quiet, "quiet", "q", false, "names only")
	return cmd
}

// matches gives what says of a name whether the filters let it through.
func (o *listOptions) matches() (func(name string) bool, error) {
	var expressions []*regexp.Regexp
	for _, filter := range o.filters {
		key, text, _ := strings.Cut(filter, "=")
		if key != "name" || text == "" {
			return nil, &usageError{text: fmt.Sprintf("--filter %q is not one that ls knows", filter), hint: "--filter name=shop"}
		}
		expression, err := regexp.Compile(text)
		if err != nil {
			return nil, &usageError{text: fmt.Sprintf("--filter %q: %v", filter, err), hint: "--filter name=shop"}
		}
		expressions = append(expressions, expression)
	}
	return func(name string) bool {
		return len(expressions) == 0 || slices.ContainsFunc(expressions, func(e *regexp.Regexp) bool { return e.MatchString(name) })
	}, nil
}

func runList(ctx context.Context, app *App, o *listOptions) error {
	matches, err := o.matches()
	if err != nil {
		return err
	}
	e, closeEngine, err := o.reach(ctx)
	if err != nil {
		return err
	}
	defer closeEngine()
	projects, err := runner.New(e).Projects(ctx, runner.ProjectsOptions{All: o.all})
	if err != nil {
		return err
	}
	projects = slices.DeleteFunc(projects, func(p runner.Project) bool { return !matches(p.Name) })
	return o.printProjects(app.Out, projects)
}

// noFiles stands for the files of a project that came from none, as with Docker
// Compose.
const noFiles = "N/A"

func (o *listOptions) printProjects(w io.Writer, projects []runner.Project) error {
	if o.quiet {
		for _, p := range projects {
			if _, err := fmt.Fprintln(w, p.Name); err != nil {
				return err
			}
		}
		return nil
	}
	// The names of the fields are Docker Compose's, and so is the one line.
	type view struct{ Name, Status, ConfigFiles string }
	views, rows := []view{}, [][]string{}
	for _, p := range projects {
		v := view{p.Name, p.Status(), cmp.Or(strings.Join(p.ConfigFiles, ","), noFiles)}
		views = append(views, v)
		rows = append(rows, []string{v.Name, v.Status, v.ConfigFiles})
	}
	if o.format == formatJSON {
		return json.NewEncoder(w).Encode(views)
	}
	if len(rows) == 0 {
		what := "runs on"
		if o.all {
			what = "is on"
		}
		o.note("no project %s this engine", what)
		return nil
	}
	style := o.outColor()
	return display.Table(w, []string{"NAME", "STATUS", "CONFIG FILES"}, rows, func(row, _ int, text string) string {
		if row < 0 {
			return style.Bold(text)
		}
		return text
	})
}
