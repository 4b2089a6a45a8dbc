package cli

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/stackctl/stackctl/cmd/stackctl/internal/display"
	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/event"
	"github.com/stackctl/stackctl/pkg/runner/plan"
)

// confirmVariable makes --yes a must where nobody can be asked.
const confirmVariable = "STACKCTL_CONFIRM"

// sizePatience bounds the question how large volumes are: the engine walks through
// all their files, and before API 1.42 through those of all containers, too. Where
// nobody is asked, a run waits less for what somebody may read later.
const (
	sizePatience       = 3 * time.Second
	sizePatienceUnseen = 100 * time.Millisecond
)

// confirmRemoval gives what lists the volumes that a plan removes, and asks whoever
// sits at a terminal whether to go on.
func (o *downOptions) confirmRemoval(e engine.Observer, project string) func(context.Context, *plan.Plan) error {
	return func(ctx context.Context, todo *plan.Plan) error {
		var volumes []goingVolume
		for _, n := range todo.Nodes {
			if !n.Destructive {
				continue
			}
			switch remove := n.Op.(type) {
			case plan.RemoveVolume:
				v := remove.Volume
				volumes = append(volumes, goingVolume{v.Name, "made " + v.Created.In(o.app.Now().Location()).Format(time.DateTime), v.Project})
			case plan.RemoveContainer:
				for _, m := range remove.Container.DataVolumes() {
					volumes = append(volumes, goingVolume{m.Name, "without a name, " + remove.Container.Name + " has it at " + m.Target, project})
				}
			}
		}
		o.announce()
		asks, screen, patience := o.app.InTTY && !o.yes, o.screen(), sizePatience
		mode := o.displayOptions(project).Mode
		switch {
		case asks && screen == nil:
			return &refusedError{
				text: "nothing is removed: nobody would see the question, since neither output is a terminal",
				hint: o.withoutAsking(),
			}
		case !asks:
			screen, patience = o.app.Err, sizePatienceUnseen
		}
		if asks || mode != display.Quiet {
			what := "these volumes and the data in them go"
			if o.backup != "" {
				what = "these volumes and the data in them go, after a backup to " + o.backup
			}
			if err := o.showRemoval(ctx, e, screen, what, volumes, patience); err != nil {
				return err
			}
		}
		refused := &refusedError{hint: o.withoutAsking()}
		switch {
		case asks:
			agreed, err := o.ask(ctx, screen, "Remove them?")
			if err != nil || agreed {
				return err
			}
			refused.text = "nothing is removed, since you did not agree"
			return refused
		case o.yes:
			return nil
		}
		value, _ := o.app.lookupEnv(confirmVariable)
		if must, err := strconv.ParseBool(value); value == "" || err == nil && !must {
			return nil
		}
		refused.text = fmt.Sprintf("nothing is removed: %s=%s asks for consent, and there is no terminal to ask on", confirmVariable, value)
		return refused
	}
}

// withoutAsking says how to keep the volumes, and how to go on without a question.
func (o *downOptions) withoutAsking() string {
	yes := "down -v --yes"
	if o.backup != "" {
		yes += " --backup " + shellWord(o.backup)
	}
	return "`stackctl down` keeps the volumes, and `stackctl " + yes + "` does not ask"
}

// screen is the output that somebody at the terminal sees; nil for none. Messages go
// to the standard error, unless that goes elsewhere and the standard output does not.
func (g *globalOptions) screen() io.Writer {
	switch {
	case g.app.ErrTTY:
		return g.app.Err
	case g.app.OutTTY:
		return g.app.Out
	}
	return nil
}

// goingVolume is a volume that is about to go, as the list says it.
type goingVolume struct{ name, about, project string }

// showRemoval lists volumes, with their sizes if the engine tells them in time.
func (o *downOptions) showRemoval(ctx context.Context, e engine.Observer, w io.Writer, what string, volumes []goingVolume, patience time.Duration) error {
	short, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	sizes, _ := e.VolumeSizes(short) // "size unknown" says it
	form := o.displayOptions("")
	form.W = w
	var rows [][]string
	for _, v := range volumes {
		size := "size unknown"
		if bytes, known := sizes[v.name]; known {
			size = display.Size(bytes)
		}
		if form.Mode == display.JSON {
			display.Message(form, event.Info, fmt.Sprintf("%s: %s, %s, %s, of project %s", what, v.name, size, v.about, v.project))
		}
		rows = append(rows, []string{"  " + v.name, size, v.about, "project " + v.project})
	}
	if form.Mode == display.JSON {
		return nil
	}
	display.Message(form, event.Info, what+":")
	return display.Table(w, make([]string, 4), rows, nil)
}

// ask asks a question on a terminal, once. Anything but a yes is a no.
func (g *globalOptions) ask(ctx context.Context, screen io.Writer, question string) (bool, error) {
	fmt.Fprintf(screen, "%s [y/N] ", question)
	answers := make(chan string, 1)
	go func() { // which a read that nobody answers leaves behind, until the process ends
		line, _ := bufio.NewReader(g.app.In).ReadString('\n') // the end of the input is no answer
		answers <- line
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(screen)
		return false, context.Cause(ctx)
	case answer := <-answers:
		if !strings.HasSuffix(answer, "\n") {
			fmt.Fprintln(screen)
		}
		answer = strings.ToLower(strings.TrimSpace(answer))
		return answer == "y" || answer == "yes", nil
	}
}
