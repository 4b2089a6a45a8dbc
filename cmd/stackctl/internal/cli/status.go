package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/spf13/cobra"

	"github.com/stackctl/stackctl/cmd/stackctl/internal/display"
	"github.com/stackctl/stackctl/pkg/runner"
	"github.com/stackctl/stackctl/pkg/runner/event"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

type statusOptions struct {
	*globalOptions
	format   format
	services []string
	quiet    bool
	names    bool
	all      bool
	watch    bool
	exitCode bool
}

func newStatusCommand(g *globalOptions) *cobra.Command {
	opts := &statusOptions{globalOptions: g, format: formatTable}
	cmd := &cobra.Command{
		Use:     "status [SERVICE...]",
		Aliases: []string{"ps"},
		Short:   "Show the stack's containers, and how they differ from the stack",
		Long: `Show the stack's containers, and how they differ from the stack.

With --exit-code the exit code is 0 when every container of the stack is as it
should be, and 1 when one is missing, stopped or unhealthy. With services named,
only theirs are shown and count.`,
		Example: `  # A table
  stackctl status

  # Again with every change, until Ctrl-C
  stackctl status -w

  # In a script
  stackctl status --exit-code >/dev/null || stackctl up

  # For another command
  docker inspect $(stackctl ps -q webapp)`,
		ValidArgsFunction: g.completeServices,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.services = args
			return runStatus(cmd.Context(), g.app, opts)
		},
	}
	flags := cmd.Flags()
	flags.Var(newChoice(&opts.format, formatTable, formatJSON, formatYAML), "format", "how to print: table, json or yaml")
	flags.BoolVarP(&opts.quiet, "quiet", "q", false, "print the ids of the containers that run, and nothing else")
	flags.BoolVar(&opts.names, "services", false, "print the names of the services that run, and nothing else")
	flags.BoolVarP(&opts.all, "all", "a", false, "with -q and --services, those that do not run, too; a table has them anyway")
	flags.BoolVarP(&opts.watch, "watch", "w", false, "print again with every change, until Ctrl-C")
	flags.BoolVar(&opts.exitCode, "exit-code", false, "exit with 1 unless every service is as it should be")
	return cmd
}

// check looks at the flags together.
func (o *statusOptions) check() error {
	if o.watch && o.exitCode {
		return &usageError{text: "--watch has no end of which --exit-code could tell", hint: "keep one of them"}
	}
	if o.quiet && o.names {
		return &usageError{text: "--quiet and --services print different things", hint: "keep one of them"}
	}
	if (o.quiet || o.names) && (o.watch || o.format != formatTable) {
		return &usageError{text: "--quiet and --services print plain lines, once", hint: "leave --watch and --format out"}
	}
	return nil
}

func runStatus(ctx context.Context, app *App, o *statusOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	o.unnamed = o.format != formatTable || o.quiet || o.names
	s, err := o.sourceToLoad(ctx)
	if err != nil {
		return err
	}
	p, err := s.load(ctx)
	if err != nil {
		return err
	}
	e, closeEngine, err := o.reach(ctx)
	if err != nil {
		return err
	}
	defer closeEngine()
	options := runner.StatusOptions{}
	if !s.knowsPassword() || s.byLabels {
		options.SkipDefinitions = true
	}
	if err := s.checkKnown(ctx, e, o.services); err != nil {
		return err
	}
	look := func() (runner.Status, error) {
		status, err := o.newRunner(e, event.Discard).Status(ctx, p, options)
		if len(o.services) > 0 {
			isOther := func(c runner.ContainerStatus) bool { return !slices.Contains(o.services, c.Service) }
			status.Containers = slices.DeleteFunc(status.Containers, isOther)
		}
		return status, err
	}
	if s.assumed {
		if s.byLabels, err = s.isForeign(ctx, e); err != nil {
			return err
		}
		if s.byLabels {
			p = &types.Project{Name: s.name}
		}
	}
	o.announce()
	if o.watch {
		return o.watchStatus(ctx, e, s.name, look)
	}
	status, err := look()
	if err != nil {
		return err
	}
	if err := o.printStatus(app.Out, status); err != nil {
		return err
	}
	if options.SkipDefinitions && !s.byLabels && slices.ContainsFunc(status.Containers, isThere) {
		o.note("%s is not set, so what the containers were made from was not compared", passwordVariable)
	}
	if o.exitCode && !status.Ready() {
		return silentError(exitFailed)
	}
	return nil
}

func isThere(c runner.ContainerStatus) bool { return c.State != "missing" }

func (o *statusOptions) printStatus(w io.Writer, status runner.Status) error {
	switch o.format {
	case formatJSON:
		if o.watch { // one line for each change
			return json.NewEncoder(w).Encode(status)
		}
		return writeJSON(w, status)
	case formatYAML:
		if o.watch {
			if _, err := io.WriteString(w, "---\n"); err != nil {
				return err
			}
		}
		return writeYAML(w, status)
	default:
	}
	if !o.quiet && !o.names {
		return o.printTable(w, status)
	}
	var lines []string
	for _, c := range status.Containers {
		line := c.ID
		if o.names {
			line = c.Service
		}
		if isThere(c) && (o.all || c.State == "running") && !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	for _, line := range lines {
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

func (o *statusOptions) printTable(w io.Writer, status runner.Status) error {
	style := o.outColor()
	var rows [][]string
	for _, c := range status.Containers {
		drift := c.Drift
		switch {
		case c.Orphan && o.current.byLabels:
			drift = "" // nothing is known that it could differ from
		case c.Orphan:
			drift = "not in the stack"
		case !isThere(c), drift == "is "+c.State: // its state says it
			drift = ""
		}
		rows = append(rows, []string{
			c.Service, c.Container, c.State, c.Health, uptime(c), ports(c.Ports), c.Image, drift,
		})
	}
	header := []string{"SERVICE", "CONTAINER", "STATE", "HEALTH", "UPTIME", "PORTS", "IMAGE", "DRIFT"}
	return display.Table(w, header, rows, func(row, column int, text string) string {
		switch {
		case row < 0:
			return style.Bold(text)
		case column == 7:
			return style.Yellow(text)
		case column != 2 && column != 3:
			return text
		case status.Containers[row].Ready:
			return style.Green(text)
		case text == "starting":
			return style.Yellow(text)
		}
		return style.Red(text)
	})
}

// uptime leaves out of the engine's sentence what other columns say.
func uptime(c runner.ContainerStatus) string {
	text, _, _ := strings.Cut(c.Uptime, " (health")
	text, _, _ = strings.Cut(text, " (unhealthy")
	return strings.TrimPrefix(text, "Up ")
}

// ports prints what is published as the docker command does, once for IPv4 and
// IPv6 alike.
func ports(all []state.Port) string {
	var out []string
	for _, p := range all {
		if p.HostPort == 0 {
			continue
		}
		text := strconv.Itoa(p.HostPort) + "->" + strconv.Itoa(p.ContainerPort)
		if p.HostIP != "" && p.HostIP != "0.0.0.0" && p.HostIP != "::" {
			text = p.HostIP + ":" + text
		}
		if p.Protocol != "tcp" {
			text += "/" + p.Protocol
		}
		if !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	return strings.Join(out, ", ")
}
