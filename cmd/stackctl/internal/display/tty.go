package display

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/stackctl/stackctl/pkg/runner/event"
)

// redraw is the pause between two frames: quick to the eye, and little to write
// over a slow line.
const redraw = 80 * time.Millisecond

// spinner is the mark of what goes on, one frame after the other.
var spinner = [...]string{"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"}

// terminal draws in place. What is finished is written once and scrolls away;
// below it stand the lines of what is not, and only they are drawn again. The
// cursor is never hidden and rests on the line below, so that there is nothing
// to restore however the process ends.
type terminal struct {
	w       io.Writer
	size    func() (columns, rows int)
	now     func() time.Time
	tracker *tracker
	lines   *lines

	// above holds what is to be written once, over the live lines.
	above []string
	// live are the items whose lines are drawn again.
	live []*item
	// drawn is how many lines the last frame left to be drawn over.
	drawn int
	tick  int
}

func showTTY(sub *event.Subscription, o Options) {
	t := &terminal{
		w: o.W, size: o.Size, now: o.Now,
		tracker: newTracker(o.Project), lines: newLines(Style(o.Color)),
	}
	events := make(chan event.Event)
	go func() {
		// Whoever reads events goes on until they are closed, so this cannot hang.
		defer close(events)
		for {
			e, ok := sub.Next()
			if !ok {
				return
			}
			events <- e
		}
	}()
	ticker := time.NewTicker(redraw)
	defer ticker.Stop()
	for {
		select {
		case e, open := <-events:
			if !open {
				t.end()
				return
			}
			t.take(e)
		case <-ticker.C:
			t.draw()
		}
	}
}

// take takes an event in. Nothing is drawn before the next frame.
func (t *terminal) take(e event.Event) {
	if text := t.lines.message(e); text != "" {
		t.above = append(t.above, strings.TrimSuffix(text, "\n"))
		return
	}
	it, settled := t.tracker.apply(e)
	if it == nil {
		return
	}
	t.lines.fit(it)
	at := slices.Index(t.live, it)
	switch {
	case settled:
		t.settle(it)
		if at >= 0 {
			t.live = slices.Delete(t.live, at, at+1)
		}
	case at < 0 && it.status != failed:
		t.live = append(t.live, it)
	}
}

// settle writes an item's last line. It may wrap, for nothing is drawn over it.
func (t *terminal) settle(it *item) {
	t.above = append(t.above, t.lines.line(it, t.now(), 0, ""))
}

// draw writes a frame: what is to stay, and the live lines below it.
func (t *terminal) draw() {
	if len(t.above) == 0 && len(t.live) == 0 && t.drawn == 0 {
		return
	}
	columns, rows := t.size()
	t.tick++
	live := make([]string, 0, len(t.live))
	for _, it := range t.live {
		live = append(live, t.lines.line(it, t.now(), columns-1, spinner[t.tick%len(spinner)]))
	}
	// What is higher than the terminal cannot be drawn over.
	if limit := max(1, rows-2); len(live) > limit {
		more := len(live) - limit + 1
		live = append(live[:limit-1], t.lines.style.Dim(fmt.Sprintf("   … and %d more", more)))
	}
	t.write(live)
}

// end writes the last frame, in which every line stays.
func (t *terminal) end() {
	for _, it := range t.tracker.rest() {
		t.settle(it)
	}
	t.live = nil
	t.write(nil)
}

// write puts a frame out in one piece, so that the terminal never shows half of
// one.
func (t *terminal) write(live []string) {
	var b strings.Builder
	if t.drawn > 0 {
		fmt.Fprintf(&b, "\r\x1b[%dA", t.drawn)
	}
	for _, line := range slices.Concat(t.above, live) {
		b.WriteString(line + "\x1b[K\n")
	}
	if t.drawn > len(t.above)+len(live) {
		b.WriteString("\x1b[J")
	}
	t.above, t.drawn = nil, len(live)
	_, _ = io.WriteString(t.w, b.String())
}
