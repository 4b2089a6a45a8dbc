package display

import (
	"fmt"
	"io"
	"time"

	"github.com/stackctl/stackctl/pkg/runner/event"
)

// Mode is a way to show progress.
type Mode string

// The modes.
const (
	// Auto is TTY on a terminal and Plain elsewhere.
	Auto Mode = "auto"
	// TTY redraws a line for each resource that is being worked on.
	TTY Mode = "tty"
	// Plain writes one line for each resource when it is finished.
	Plain Mode = "plain"
	// JSON writes one object for each event.
	JSON Mode = "json"
	// Quiet writes warnings only.
	Quiet Mode = "quiet"
)

// Options say how to show events.
type Options struct {
	W io.Writer
	// Mode is any but Auto, which the caller has to decide: see Mode.On.
	Mode Mode
	// Project is the name that is left out in front of its resources' names.
	Project string
	Color   bool
	// Size gives the columns and rows of the terminal; nil for 80 by 24.
	Size func() (columns, rows int)
	// Now is the clock for what is still going on; nil for time.Now.
	Now func() time.Time
}

// On decides what Auto means for a stream that is a terminal or is not.
func (m Mode) On(terminal bool) Mode {
	switch {
	case m != Auto && m != "":
		return m
	case terminal:
		return TTY
	}
	return Plain
}

// Show shows events until the subscription has ended and everything that came
// before has been written.
func Show(sub *event.Subscription, o Options) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Size == nil {
		o.Size = func() (int, int) { return 80, 24 }
	}
	switch o.Mode {
	case TTY:
		showTTY(sub, o)
	case JSON:
		showJSON(sub, o)
	case Quiet:
		showQuiet(sub, o)
	default:
		showPlain(sub, o)
	}
}

// Message writes one line that belongs to no run, in the same form as a display
// of that mode does.
func Message(o Options, kind event.Kind, text string) {
	if o.Mode == JSON {
		e := event.Event{Kind: kind, Message: text}
		if o.Now != nil {
			e.Time = o.Now()
		}
		writeJSON(o.W, e)
		return
	}
	_, _ = io.WriteString(o.W, message(Style(o.Color), kind, text))
}

// message is the line of a warning or a note.
func message(s Style, kind event.Kind, text string) string {
	if kind == event.Warning {
		return fmt.Sprintf("%s %s\n", s.Yellow("warning:"), text)
	}
	return text + "\n"
}

func showQuiet(sub *event.Subscription, o Options) {
	for {
		e, ok := sub.Next()
		if !ok {
			return
		}
		if e.Kind == event.Warning {
			_, _ = io.WriteString(o.W, message(Style(o.Color), e.Kind, oneLine(e.Message)))
		}
	}
}

// Source says where the stack of a command comes from.
type Source struct {
	Project string
	// Text is the line for people.
	Text string
	// Files are paths of compose files, a Go program's folder, or "-" for the
	// standard input; none for the built-in stack.
	Files []string
	// Profiles are the active ones.
	Profiles []string
}

// ShowSource writes where the stack comes from, in the form of the mode.
func ShowSource(o Options, s Source) {
	if o.Mode != JSON {
		_, _ = io.WriteString(o.W, s.Text+"\n")
		return
	}
	r := record{Event: "source", Kind: "project", Name: s.Project, Message: s.Text, Files: s.Files, Profiles: s.Profiles}
	if o.Now != nil {
		r.Time = o.Now()
	}
	encode(o.W, r)
}
