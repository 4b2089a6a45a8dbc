package display

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackctl/stackctl/pkg/runner/plan"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

func TestPlanView(t *testing.T) {
	db := state.Container{Name: "shop-db-1", Service: "db", State: "running"}
	p := &plan.Plan{Project: "shop", Nodes: []plan.Node{
		{ID: 1, Op: plan.StopContainer{Container: db}, Cause: "down"},
		{ID: 2, Op: plan.RemoveContainer{Container: db}, Needs: []int{1}, Cause: "down"},
		{ID: 3, Op: plan.RemoveVolume{Volume: state.Volume{Name: "shop_data"}}, Needs: []int{1, 2}, Cause: "down --volumes", Destructive: true},
	}}
	var out bytes.Buffer
	if err := Plan(&out, p, false); err != nil {
		t.Fatal(err)
	}
	want := `#  ACTION  KIND       NAME  AFTER  WHY
1  stop    container  db-1         down
2  remove  container  db-1  1      down
3  remove  volume     data  1 2    down --volumes (deletes data)
3 changes in project shop
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestPlanSummary(t *testing.T) {
	wait := plan.Node{ID: 1, Op: plan.WaitReady{Condition: state.Healthy}}
	pull := plan.Node{ID: 2, Op: plan.PullImage{Image: "a"}}
	for want, nodes := range map[string][]plan.Node{
		"nothing to do in project shop":     nil,
		"nothing to change in project shop": {wait},
		"1 change in project shop":          {wait, pull},
	} {
		if got := summary(&plan.Plan{Project: "shop", Nodes: nodes}); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
