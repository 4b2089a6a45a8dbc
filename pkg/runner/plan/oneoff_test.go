package plan_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackctl/stackctl/pkg/runner/plan"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// once is a container of a service under a name of its own.
func once(t *testing.T, d state.Desired, service string) state.ContainerSpec {
	t.Helper()
	s, known := d.Service(service)
	if !known {
		t.Fatalf("no service %s", service)
	}
	c := s.Containers[0]
	c.Name = "shop-" + service + "-run-1"
	return c
}

func TestOneOff(t *testing.T) {
	for _, test := range []struct {
		name    string
		replace []string
		there   func(*state.Observed)
		opts    plan.Options
		want    string
	}{
		{
			name:  "nothing is there",
			there: func(o *state.Observed) { *o = state.Observed{Project: "shop", Images: o.Images} },
			want: `
[1] create network shop_back: does not exist
[2] create volume shop_data: does not exist
[3] create container shop-cache-1 <- #1: does not exist
[4] start container shop-cache-1 <- #3: created in this run
[5] create container shop-db-1 <- #1 #2: does not exist
[6] start container shop-db-1 <- #5: created in this run
[7] wait until healthy container shop-db-1 <- #6: others start when it is healthy
[8] create container shop-web-run-1 <- #1: for one command
`,
		},
		{
			name: "all is there, and the service's own container stays as it is",
			there: func(o *state.Observed) {
				for i, c := range o.Containers {
					if c.Service == "web" {
						o.Containers[i].Hash = "v1:another" // `up` would replace it
					}
				}
			},
			want: `
[1] create container shop-web-run-1: for one command
`,
		},
		{
			name:  "the image is pulled and an orphan goes when that is asked for",
			there: func(o *state.Observed) { o.Containers = append(o.Containers, orphan) },
			opts:  plan.Options{Build: true, RemoveOrphans: true, Services: []string{"cache"}},
			want: `
[1] build image shop-web: asked for with --build
[2] remove container shop-old-1: no service of the stack, and asked for with --remove-orphans
[3] create container shop-web-run-1 <- #1: for one command
`,
		},
		{
			name:    "a job that the service waits for ends first",
			replace: []string{"service_healthy", "service_completed_successfully"},
			there: func(o *state.Observed) {
				o.Containers = nil
			},
			want: `
[1] create container shop-cache-1: does not exist
[2] start container shop-cache-1 <- #1: created in this run
[3] create container shop-db-1: does not exist
[4] start container shop-db-1 <- #3: created in this run
[5] wait until completed container shop-db-1 <- #4: others start when it has completed
[6] create container shop-web-run-1: for one command
`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := desired(t, shop, test.replace...)
			o := settled(d)
			test.there(&o)
			p, err := plan.OneOff(d, o, once(t, d, "web"), test.opts)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.TrimPrefix(test.want, "\n"), p.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if s, _ := d.Service("web"); s.Containers[0].Name != "shop-web-1" {
				t.Error("what is wanted was changed")
			}
		})
	}
}

var orphan = state.Container{ID: "old", Name: "shop-old-1", Project: "shop", Service: "old", Number: 1, State: "exited"}

func TestOneOffOfNoService(t *testing.T) {
	d := desired(t, shop)
	c := once(t, d, "web")
	c.Service = "nope"
	if _, err := plan.OneOff(d, settled(d), c, plan.Options{}); !errors.Is(err, plan.ErrUnknownService) {
		t.Errorf("error is %v", err)
	}
}
