package cli

import (
	"context"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/stackctl/stackctl/cmd/stackctl/internal/display"
	"github.com/stackctl/stackctl/pkg/runner"
	"github.com/stackctl/stackctl/pkg/runner/engine"
)

type logsOptions struct {
	*globalOptions
	services   []string
	follow     bool
	tail       *int
	since      string
	timestamps bool
	noPrefix   bool
}

func newLogsCommand(g *globalOptions) *cobra.Command {
	opts := &logsOptions{globalOptions: g}
	cmd := &cobra.Command{
		Use:   "logs [SERVICE...]",
		Short: "Show what the containers have written",
		Long: `Show what the containers have written, merged by time. What they wrote on
their standard error is shown on the standard output, too.`,
		Example: `  # Everything
  stackctl logs

  # The last 20 lines of the database, and what comes
  stackctl logs -f --tail 20 database

  # The last ten minutes
  stackctl logs --since 10m`,
		ValidArgsFunction: g.completeServices,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.services = args
			return runLogs(cmd.Context(), g.app, opts)
		},
	}
	flags := cmd.Flags()
	flags.BoolVarP(&opts.follow, "follow", "f", false, "go on until Ctrl-C")
	flags.VarP(newTail(&opts.tail), "tail", "n", "the last `lines` of each container only, or all")
	flags.StringVar(&opts.since, "since", "", "nothing older: a `time` (2006-01-02T15:04:05Z) or how long ago (10m)")
	flags.BoolVarP(&opts.timestamps, "timestamps", "t", false, "the time in front of each line")
	flags.BoolVar(&opts.noPrefix, "no-log-prefix", false, "no container's name in front of each line")
	flags.BoolVar(&opts.noPrefix, "no-prefix", false, "the same")
	_ = flags.MarkHidden("no-prefix") // a flag that is there
	return cmd
}

func runLogs(ctx context.Context, app *App, o *logsOptions) error {
	since, err := newMoment("--since", o.since, app.Now().Location())
	if err != nil {
		return err
	}
	s, err := o.source(ctx)
	if err != nil {
		return err
	}
	e, closeEngine, err := o.reach(ctx)
	if err != nil {
		return err
	}
	defer closeEngine()
	// A service of the stack that does not run has no log, which is no error; a
	// name that nobody knows is one.
	services, err := o.known(ctx, e, s)
	if err != nil {
		return err
	}
	if len(o.services) > 0 && len(services) == 0 {
		o.note("no containers of %s in project %s", list(o.services), s.name)
		return nil
	}
	from, err := since.on(ctx, e)
	if err != nil {
		return err
	}
	err = o.showLogs(ctx, e, s.name, runner.LogOptions{
		Services: services, Follow: o.follow, Since: from, Tail: o.tail,
	}, logStyle{timestamps: o.timestamps, noPrefix: o.noPrefix})
	if err == nil && ctx.Err() != nil {
		err = silentError(signalCode(ctx))
	}
	return err
}

// known gives the services asked for that have containers. One that neither the
// stack nor the engine knows is an error.
func (o *logsOptions) known(ctx context.Context, e engine.Engine, s *source) ([]string, error) {
	if len(o.services) == 0 {
		return nil, nil
	}
	containers, err := e.Containers(ctx, s.name)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, name := range o.services {
		here := false
		for _, c := range containers {
			here = here || c.Service == name
		}
		switch {
		case here:
			out = append(out, name)
		case !slices.Contains(s.services(), name):
			return nil, s.unknown(name)
		}
	}
	return out, nil
}

// logStyle is how lines are printed.
type logStyle struct{ timestamps, noPrefix bool }

// showLogs prints the lines of containers, each with its name in front.
func (g *globalOptions) showLogs(ctx context.Context, e engine.Engine, project string, o runner.LogOptions, style logStyle) error {
	containers, err := e.Containers(ctx, project)
	if err != nil {
		return err
	}
	if len(containers) == 0 {
		g.note("no containers in project %s", project)
		return nil
	}
	// Someone who stops reading, as head does, ends a follow.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	printer := &logPrinter{w: g.app.Out, color: g.outColor(), project: project, style: style}
	for _, c := range containers {
		if len(o.Services) == 0 || slices.Contains(o.Services, c.Service) {
			printer.add(c.Service, c.Name)
		}
	}
	err = runner.New(e).Logs(ctx, project, o, func(l runner.LogLine) {
		if printer.print(l) != nil {
			cancel()
		}
	})
	if printer.err != nil {
		return printer.err
	}
	return err
}

// logPrinter prints lines of several containers.
type logPrinter struct {
	w       io.Writer
	color   display.Style
	project string
	style   logStyle

	services []string // in the order in which they get their colours
	width    int
	err      error
}

// add makes room for a container's name, and gives its service a colour.
func (p *logPrinter) add(service, container string) {
	if !slices.Contains(p.services, service) {
		p.services = append(p.services, service)
		slices.Sort(p.services)
	}
	p.width = max(p.width, utf8.RuneCountInString(display.ShortName(p.project, container)))
}

// print writes one line. After an error it writes nothing more.
func (p *logPrinter) print(l runner.LogLine) error {
	if p.err != nil {
		return p.err
	}
	text := l.Text
	if p.style.timestamps {
		text = l.Time.UTC().Format(time.RFC3339Nano) + " " + text
	}
	if !p.style.noPrefix {
		at := slices.Index(p.services, l.Service)
		if at < 0 { // it has come while we follow
			p.services = append(p.services, l.Service)
			at = len(p.services) - 1
		}
		name := display.ShortName(p.project, l.Container)
		prefix := name + strings.Repeat(" ", max(0, p.width-utf8.RuneCountInString(name))) + "  |"
		text = p.color.Nth(at, prefix) + " " + text
	}
	_, p.err = io.WriteString(p.w, text+"\n")
	return p.err
}
