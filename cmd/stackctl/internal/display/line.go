package display

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/stackctl/stackctl/pkg/runner/event"
)

// The marks in front of a line.
const (
	markDone    = "✓"
	markFailed  = "✗"
	markSkipped = "-"
	markWaiting = "·"
	markActive  = "…"
)

// kindWidth is the length of the longest kind of resource: container.
const kindWidth = 9

// lines prints items under one another.
type lines struct {
	style Style
	// name is the width of the names' column. It only grows, so that lines which
	// are written already and those to come rarely differ.
	name int
}

func newLines(style Style) *lines { return &lines{style: style, name: 16} }

// fit makes room for an item's name.
func (l *lines) fit(it *item) { l.name = max(l.name, min(40, utf8.RuneCountInString(it.name))) }

// line prints an item in at most width characters; 0 means any number. spinner
// stands in front of what goes on.
func (l *lines) line(it *item, now time.Time, width int, spinner string) string {
	mark, paint := markWaiting, l.style.Dim
	switch it.status {
	case active:
		mark, paint = spinner, l.style.Cyan
	case done:
		mark, paint = markDone, l.style.Green
	case failed:
		mark, paint = markFailed, l.style.Red
	case skipped:
		mark = markSkipped
	case waiting:
	}
	left := pad(it.kind, kindWidth) + "  " + pad(it.name, l.name) + "  "
	state, spent := it.state(), it.spent
	detail := it.note
	if it.status == active {
		spent += now.Sub(it.began)
		detail = it.progress
	}
	right := ""
	if spent >= 50*time.Millisecond || it.status == active { // 0.0s says nothing
		right = Elapsed(spent)
	}
	tail := right
	if detail != "" {
		tail = strings.TrimSpace(right + "  " + detail)
	}
	const stateWidth = len("completed")
	if width > 0 {
		room := width - 3 - utf8.RuneCountInString(left)
		if room < 0 {
			left, state, tail = cut(left, width-3), "", ""
		}
		state = cut(state, room)
		tail = cut(tail, room-max(stateWidth, utf8.RuneCountInString(state))-2)
	}
	text := " " + paint(mark) + " " + left + paint(state)
	if tail != "" {
		text += strings.Repeat(" ", max(0, stateWidth-utf8.RuneCountInString(state))+2) + l.style.Dim(tail)
	}
	return strings.TrimRight(text, " ")
}

// message prints a warning or a note; empty for any other event.
func (l *lines) message(e event.Event) string {
	if e.Kind != event.Warning && e.Kind != event.Info {
		return ""
	}
	return message(l.style, e.Kind, oneLine(e.Message))
}
