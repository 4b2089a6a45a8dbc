package executor

import (
	"cmp"
	"time"

	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/event"
)

// progressPause is the least time between two events about the bytes of one
// image: quick to the eye, and no flood for whoever keeps them.
const progressPause = 100 * time.Millisecond

// meter adds up the layers of one pull. An engine tells of each by itself, ten
// times a second, and of a layer's size only once it has begun with it.
type meter struct {
	layers map[string]engine.Progress
	// told is when the last event was, and done how many layers were done then.
	told time.Time
	done int
}

// take takes a step in and gives the event about the whole image; false when
// there is nothing worth telling.
func (m *meter) take(p engine.Progress, now time.Time) (event.Event, bool) {
	if p.ID == "" || p.Phase == "" {
		return event.Event{}, false
	}
	if m.layers == nil {
		m.layers = map[string]engine.Progress{}
	}
	known := m.layers[p.ID]
	if p.Phase != engine.PhaseDownloading { // what it counts now is something else
		p.Current, p.Total = known.Current, known.Total
		if p.Phase != engine.PhaseWaiting {
			p.Current = known.Total
		}
	}
	m.layers[p.ID] = p
	e := event.Event{Kind: event.Progress, Layers: len(m.layers)}
	for _, l := range m.layers {
		e.Current += l.Current
		e.Total += l.Total
		switch l.Phase {
		case engine.PhaseWaiting, engine.PhaseDownloading:
			e.Message = string(engine.PhaseDownloading)
		case engine.PhaseDownloaded, engine.PhaseExtracting:
			e.Message = cmp.Or(e.Message, string(engine.PhaseExtracting))
		case engine.PhaseComplete: // alone, they say nothing of those that are not known yet
			e.LayersDone++
		}
	}
	if e.LayersDone == m.done && !m.told.IsZero() && now.Sub(m.told) < progressPause {
		return event.Event{}, false
	}
	m.told, m.done = now, e.LayersDone
	return e, true
}
