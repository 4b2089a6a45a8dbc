package executor_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/engine/enginetest"
	"github.com/stackctl/stackctl/pkg/runner/event"
	"github.com/stackctl/stackctl/pkg/runner/internal/executor"
	"github.com/stackctl/stackctl/pkg/runner/internal/observer"
	"github.com/stackctl/stackctl/pkg/runner/plan"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// carried is a volume without a name that shop-a-1 has from the container before it.
var carried = strings.Repeat("c0", 32)

// lossy does its work and loses the answer.
type lossy struct {
	*enginetest.Engine
	lost bool
}

func (e *lossy) RemoveContainer(ctx context.Context, ref string, volumes bool) error {
	err := e.Engine.RemoveContainer(ctx, ref, volumes)
	if e.lost {
		return &engine.LostError{Call: "DELETE /containers/ID", Err: errors.New("EOF")}
	}
	return err
}

func newLossy(t *testing.T) *lossy {
	t.Helper()
	e := &lossy{Engine: enginetest.New()}
	e.AddImage("img", "sha256:1")
	labels := map[string]string{state.LabelProject: "shop", state.LabelService: "a", state.LabelNumber: "1", state.LabelCarried: carried}
	if err := e.CreateVolume(t.Context(), state.VolumeSpec{Name: carried}); err != nil {
		t.Fatal(err)
	}
	if _, err := e.CreateContainer(t.Context(), engine.CreateContainer{
		Spec: state.ContainerSpec{Name: "shop-a-1", Image: "img", Labels: labels},
		Keep: []state.Mount{{Type: "volume", Name: carried, Target: "/data"}},
	}); err != nil {
		t.Fatal(err)
	}
	return e
}

// down runs as a process of its own would, which knows what the engine has.
func (e *lossy) down(t *testing.T, volumes bool) (failures []error) {
	t.Helper()
	o, err := observer.Observe(t.Context(), e, observer.Want{Project: "shop", Strangers: true})
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.Teardown(o, plan.DownOptions{Volumes: volumes})
	if err != nil {
		t.Fatal(err)
	}
	x := &executor.Executor{Engine: e, Sink: event.Discard, Now: time.Now}
	for _, out := range x.Run(t.Context(), p) {
		if out.Err != nil {
			failures = append(failures, out.Err)
		}
	}
	return failures
}

// cutAfter lets so many calls that change something succeed, and no more.
func (e *lossy) cutAfter(n int) {
	e.FailWith(func(c enginetest.Call) error {
		if slices.Contains([]string{"CreateVolume", "RemoveContainer", "RemoveVolume"}, c.Method) {
			if n--; n < 0 {
				return errors.New("cut")
			}
		}
		return nil
	})
}

func (e *lossy) wantVolumes(t *testing.T, want ...string) {
	t.Helper()
	all, err := e.Volumes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, v := range all {
		got = append(got, v.Name)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("volumes (-want +got):\n%s", diff)
	}
}

// A run that ends at any call of the removal of a container leaves nothing that the
// next run does not remove.
func TestRemnantsAreFoundAgain(t *testing.T) {
	for n := range 5 {
		e := newLossy(t)
		e.cutAfter(n)
		e.down(t, true)
		e.FailWith(nil)
		if failures := e.down(t, true); len(failures) > 0 {
			t.Errorf("after %d calls: %v", n, failures)
		}
		e.wantVolumes(t)
	}
	e := newLossy(t)
	e.lost = true
	if failures := e.down(t, true); len(failures) != 1 {
		t.Errorf("failures %v", failures)
	}
	e.lost = false
	e.down(t, true)
	e.wantVolumes(t)
}

// A removal that failed is no reason to remove data when the next run is to keep it.
func TestRemnantsOfWhatIsThere(t *testing.T) {
	e := newLossy(t)
	e.cutAfter(1)
	if failures := e.down(t, true); len(failures) != 1 {
		t.Errorf("failures %v", failures)
	}
	e.FailWith(nil)
	o, err := observer.Observe(t.Context(), e, observer.Want{Project: "shop"})
	if err != nil || len(o.Remnants) != 1 || len(o.Remnants[0].Volumes) != 1 {
		t.Fatalf("remnants %v, %v", o.Remnants, err)
	}
	todo, err := plan.Teardown(o, plan.DownOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range todo.Nodes {
		if remove, is := n.Op.(plan.RemoveRemnants); is && remove.Remnants.Volumes != nil {
			t.Errorf("%s is to remove %v", n.Op.Ref(), remove.Remnants.Volumes)
		}
	}
	if failures := e.down(t, false); len(failures) > 0 {
		t.Errorf("failures %v", failures)
	}
	e.wantVolumes(t, carried)
}

// A note that lists a volume with a name is not believed.
func TestRemnantsHaveNoNames(t *testing.T) {
	e := newLossy(t)
	note := state.VolumeSpec{Name: "shop_remnants-gone", Labels: map[string]string{
		state.LabelProject: "shop", state.LabelRemnants: "other_data",
	}}
	for _, v := range []state.VolumeSpec{note, {Name: "other_data"}} {
		if err := e.CreateVolume(t.Context(), v); err != nil {
			t.Fatal(err)
		}
	}
	if failures := e.down(t, true); len(failures) > 0 {
		t.Errorf("failures %v", failures)
	}
	e.wantVolumes(t, "other_data")
}
