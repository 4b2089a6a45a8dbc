package executor

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/event"
)

// The layers of a pull are told of as one image: their bytes and how many are
// done, at most ten times a second, unless a layer is done.
func TestMeter(t *testing.T) {
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var m meter
	for _, step := range []struct {
		after time.Duration
		p     engine.Progress
		want  *event.Event
	}{
		{0, engine.Progress{ID: "1.0", Text: "Pulling from library/app"}, nil},
		{0, engine.Progress{ID: "a", Phase: engine.PhaseWaiting}, &event.Event{Message: "downloading", Layers: 1}},
		{10 * time.Millisecond, engine.Progress{ID: "b", Phase: engine.PhaseWaiting}, nil},
		{20 * time.Millisecond, engine.Progress{ID: "c", Phase: engine.PhaseComplete}, &event.Event{Message: "downloading", Layers: 3, LayersDone: 1}},
		{50 * time.Millisecond, engine.Progress{ID: "a", Phase: engine.PhaseDownloading, Current: 10, Total: 100}, nil},
		{
			150 * time.Millisecond,
			engine.Progress{ID: "b", Phase: engine.PhaseDownloading, Current: 5, Total: 50},
			&event.Event{Message: "downloading", Current: 15, Total: 150, Layers: 3, LayersDone: 1},
		},
		{160 * time.Millisecond, engine.Progress{ID: "a", Phase: engine.PhaseDownloaded}, nil},
		{170 * time.Millisecond, engine.Progress{ID: "b", Phase: engine.PhaseDownloaded}, nil},
		// What extracting counts is no download.
		{
			300 * time.Millisecond,
			engine.Progress{ID: "a", Phase: engine.PhaseExtracting, Current: 1, Total: 900},
			&event.Event{Message: "extracting", Current: 150, Total: 150, Layers: 3, LayersDone: 1},
		},
		{
			310 * time.Millisecond,
			engine.Progress{ID: "a", Phase: engine.PhaseComplete},
			&event.Event{Message: "extracting", Current: 150, Total: 150, Layers: 3, LayersDone: 2},
		},
		{
			320 * time.Millisecond,
			engine.Progress{ID: "b", Phase: engine.PhaseComplete},
			&event.Event{Current: 150, Total: 150, Layers: 3, LayersDone: 3},
		},
		{400 * time.Millisecond, engine.Progress{Text: "Digest: sha256:1"}, nil},
	} {
		got, told := m.take(step.p, began.Add(step.after))
		if told != (step.want != nil) {
			t.Errorf("%v %v: told %v: %+v", step.after, step.p, told, got)
			continue
		}
		if told {
			step.want.Kind = event.Progress
			if diff := cmp.Diff(*step.want, got); diff != "" {
				t.Errorf("%v %v (-want +got):\n%s", step.after, step.p, diff)
			}
		}
	}
}
