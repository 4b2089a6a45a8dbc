package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/stackctl/stackctl/pkg/runner"
)

type eventsOptions struct {
	*globalOptions
	services     []string
	json         bool
	since, until string
}

func newEventsCommand(g *globalOptions) *cobra.Command {
	opts := &eventsOptions{globalOptions: g}
	cmd := &cobra.Command{
		Use:   "events [SERVICE...]",
		Short: "Show what happens to the containers, as it happens",
		Long: `Show what happens to the containers, as it happens, until Ctrl-C.

An engine remembers little of what has happened: some 256 events of all that is
on it, which is as far back as --since can reach.`,
		Example: `  # Everything
  stackctl events

  # One service, one JSON object for each event
  stackctl events --json database | jq -r .action

  # What happened in the last five minutes
  stackctl events --since 5m --until 0s`,
		ValidArgsFunction: g.completeServices,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.services = args
			return runEvents(cmd.Context(), g.app, opts)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&opts.json, "json", false, "one JSON object for each event")
	flags.StringVar(&opts.since, "since", "", "begin with what happened then: a `time` (2006-01-02T15:04:05Z) or how long ago (10m)")
	flags.StringVar(&opts.until, "until", "", "end at a `time`, or how long ago")
	return cmd
}

func runEvents(ctx context.Context, app *App, o *eventsOptions) error {
	since, err := newMoment("--since", o.since, app.Now().Location())
	if err != nil {
		return err
	}
	until, err := newMoment("--until", o.until, app.Now().Location())
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
	if err := s.checkKnown(ctx, e, o.services); err != nil {
		return err
	}
	from, err := since.on(ctx, e)
	if err != nil {
		return err
	}
	to, err := until.on(ctx, e)
	if err != nil {
		return err
	}
	// Someone who stops reading, as head does, ends it.
	reading, stop := context.WithCancel(ctx)
	defer stop()
	var writeErr error
	err = runner.New(e).Events(reading, s.name, runner.EventsOptions{Services: o.services, Since: from, Until: to}, func(e runner.ContainerEvent) {
		if writeErr == nil {
			writeErr = o.print(app.Out, e)
		}
		if writeErr != nil {
			stop()
		}
	})
	switch {
	case writeErr != nil:
		return writeErr
	case err == nil && ctx.Err() != nil:
		return silentError(signalCode(ctx))
	}
	return err
}

// print writes an event in Docker Compose's form. The attributes are sorted.
func (o *eventsOptions) print(w io.Writer, e runner.ContainerEvent) error {
	if o.json {
		line, err := json.Marshal(map[string]any{
			"time": e.Time, "type": "container", "service": e.Service, "id": e.ID, "action": e.Action, "attributes": e.Attributes,
		})
		if err != nil {
			return fmt.Errorf("print an event: %w", err)
		}
		_, err = w.Write(append(line, '\n'))
		return err
	}
	var attributes []string
	for _, name := range slices.Sorted(maps.Keys(e.Attributes)) {
		attributes = append(attributes, name+"="+e.Attributes[name])
	}
	line := fmt.Sprintf("%s container %s %s (%s)", e.Time.Format("2006-01-02 15:04:05.000000"), e.Action, e.ID, strings.Join(attributes, ", "))
	// The command of an exec can have several lines, and an event is one.
	line = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, line)
	_, err := io.WriteString(w, line+"\n")
	return err
}
