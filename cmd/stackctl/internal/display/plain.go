package display

import (
	"io"

	"github.com/stackctl/stackctl/pkg/runner/event"
)

// showPlain writes a line when a resource is finished, and one when something
// begins that may take minutes; with Steps, what a build does meanwhile.
func showPlain(sub *event.Subscription, o Options) {
	t, l := newTracker(o.Project), newLines(Style(o.Color))
	write := func(it *item) {
		l.fit(it)
		_, _ = io.WriteString(o.W, l.line(it, o.Now(), 0, markActive)+"\n")
	}
	for {
		e, ok := sub.Next()
		if !ok {
			break
		}
		if text := l.message(e); text != "" {
			_, _ = io.WriteString(o.W, text)
			continue
		}
		it, settled := t.apply(e)
		switch {
		case settled:
			write(it)
		case it != nil && e.Kind == event.Started && (e.Action == "pull" || e.Action == "build"):
			// Without the time, which has only begun.
			begun := *it
			begun.began = o.Now()
			l.fit(&begun)
			_, _ = io.WriteString(o.W, l.begin(&begun)+"\n")
		case it != nil && o.Steps:
			_, _ = io.WriteString(o.W, l.step(it, e))
		}
	}
	for _, it := range t.rest() {
		write(it)
	}
}

// begin prints an item whose action begins.
func (l *lines) begin(it *item) string {
	return " " + l.style.Cyan(markActive) + " " + pad(it.kind, kindWidth) + "  " + pad(it.name, l.name) + "  " + l.style.Cyan(it.state())
}

// step prints a line of a build; empty for what says how far a transfer is, or
// says the same again.
func (l *lines) step(it *item, e event.Event) string {
	if e.Kind != event.Progress || e.Action != "build" || e.Current != 0 || e.Total != 0 || it.progress == "" || it.progress == it.step {
		return ""
	}
	it.step = it.progress
	return "   " + l.style.Dim(it.name+" |") + " " + it.progress + "\n"
}
