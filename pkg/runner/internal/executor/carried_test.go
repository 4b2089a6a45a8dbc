package executor_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"

	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/engine/enginetest"
	"github.com/stackctl/stackctl/pkg/runner/event"
	"github.com/stackctl/stackctl/pkg/runner/internal/executor"
	"github.com/stackctl/stackctl/pkg/runner/plan"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// The volumes that a container has from the one before go with it, and one failure is
// no reason to leave them.
func TestCarriedVolumesGo(t *testing.T) {
	for _, test := range []struct {
		name        string
		fails       int
		with        error
		status      executor.Status
		calls       int
		note, error string
	}{
		{name: "at once", status: executor.Done, calls: 1},
		{name: "in use for a moment", fails: 1, with: errdefs.ErrConflict, status: executor.Done, calls: 2},
		{name: "one failure", fails: 1, with: errors.New("no"), status: executor.Done, calls: 2},
		{name: "in use", fails: 9, with: errdefs.ErrConflict, status: executor.Done, calls: 2, note: "its volume v1 stays"},
		{name: "broken", fails: 9, with: errors.New("no"), status: executor.Failed, calls: 2, error: "no"},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := enginetest.New()
			e.AddImage("img", "sha256:1")
			id, err := e.CreateContainer(t.Context(), engine.CreateContainer{Spec: state.ContainerSpec{Name: "shop-a-1", Image: "img"}})
			if err != nil {
				t.Fatal(err)
			}
			calls := 0
			e.FailWith(func(c enginetest.Call) error {
				if c.Method != "RemoveVolume" || c.Name != "v1" {
					return nil
				}
				if calls++; calls <= test.fails {
					return test.with
				}
				return nil
			})
			x := &executor.Executor{Engine: e, Sink: event.Discard, Now: time.Now}
			c := state.Container{ID: id, Name: "shop-a-1", Carried: []string{"v1"}}
			out := x.Run(t.Context(), &plan.Plan{Project: "shop", Nodes: []plan.Node{{ID: 1, Op: plan.RemoveContainer{Container: c, Volumes: true}}}})[0]
			if out.Status != test.status || calls != test.calls || !strings.Contains(out.Note, test.note) ||
				test.error != "" && (out.Err == nil || !strings.Contains(out.Err.Error(), test.error)) {
				t.Errorf("%s after %d calls, %q, %v", out.Status, calls, out.Note, out.Err)
			}
		})
	}
}
