package plan_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackctl/stackctl/pkg/runner/plan"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// What comes back starts after what it depends on and whose network it lives in,
// under the name that it had, which the definition that failed may change.
func TestRollback(t *testing.T) {
	d := desired(t, `
services:
  vpn: {image: vpn}
  app: {image: app, network_mode: "service:vpn"}
  web: {image: web, container_name: other, network_mode: none, depends_on: [app]}
`)
	o := settled(d)
	container(t, &o, "other").Name = "shop-web-1"
	var failed []plan.ReplaceContainer
	for _, name := range []string{"vpn", "app", "web"} {
		s, _ := d.Service(name)
		old := *container(t, &o, "shop-"+name+"-1")
		failed = append(failed, plan.ReplaceContainer{Old: old, New: s.Containers[0]})
		aside := container(t, &o, old.Name)
		aside.Name, aside.State = old.ID+"_replaced", "exited"
		if name == "web" {
			continue // whose new one was never made
		}
		made := old
		made.ID, made.Created = "new-"+name, noon
		o.Containers = append(o.Containers, made)
	}
	want := `
[1] stop container shop-vpn-1: did not work out (optional)
[2] remove container shop-vpn-1 <- #1: did not work out (optional)
[3] rename container shop-vpn-1 <- #2: was there before (optional)
[4] start container shop-vpn-1 <- #2 #3: was there before (optional)
[5] wait until healthy container shop-vpn-1 <- #4: was there before (optional)
[6] stop container shop-app-1: did not work out (optional)
[7] remove container shop-app-1 <- #6: did not work out (optional)
[8] rename container shop-app-1 <- #7: was there before (optional)
[9] start container shop-app-1 <- #7 #8 after #5: was there before (optional)
[10] wait until healthy container shop-app-1 <- #9: was there before (optional)
[11] rename container shop-web-1: was there before (optional)
[12] start container shop-web-1 <- #11 after #10: was there before (optional)
[13] wait until healthy container shop-web-1 <- #12: was there before (optional)
`
	if diff := cmp.Diff(want, "\n"+plan.Rollback(failed, o).String()); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
	// app was not replaced yet: it runs, in a network that is gone.
	o.Containers = slices.DeleteFunc(o.Containers, func(c state.Container) bool { return c.Service == "app" })
	o.Containers = append(o.Containers, failed[1].Old)
	want = `
[1] stop container shop-vpn-1: did not work out (optional)
[2] remove container shop-vpn-1 <- #1: did not work out (optional)
[3] rename container shop-vpn-1 <- #2: was there before (optional)
[4] start container shop-vpn-1 <- #2 #3: was there before (optional)
[5] wait until healthy container shop-vpn-1 <- #4: was there before (optional)
[6] stop container shop-app-1: restarts with what it shares a namespace with (optional)
[7] start container shop-app-1 <- #6 after #5: was there before (optional)
[8] wait until healthy container shop-app-1 <- #7: was there before (optional)
`
	if diff := cmp.Diff(want, "\n"+plan.Rollback(failed[:2], o).String()); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
	want = `
warning: shop-vpn-1 cannot be rolled back: the container before it is gone
`
	if diff := cmp.Diff(want, "\n"+plan.Rollback(failed[:1], state.Observed{Project: "shop"}).String()); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
}
