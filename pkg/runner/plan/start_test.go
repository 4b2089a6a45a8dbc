package plan_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackctl/stackctl/pkg/runner/plan"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// A shop whose web waits for a healthy db, a cache and a migration that has to
// complete, and restarts with its db.
const labelled = `
name: shop
services:
  web:
    image: web
    depends_on:
      db: {condition: service_healthy, restart: true}
      cache: {condition: service_started}
      migrate: {condition: service_completed_successfully}
  db:
    image: postgres
    healthcheck: {test: [CMD, pg_isready]}
  cache:
    image: redis
    scale: 2
  migrate:
    image: migrate
    depends_on: {db: {condition: service_healthy}}
`

// after is the engine as settled has it, with what a test changes.
func after(t *testing.T, change func(c *state.Container)) state.Observed {
	t.Helper()
	o := settled(desired(t, labelled))
	for i := range o.Containers {
		change(&o.Containers[i])
	}
	return o
}

func exited(code int) func(*state.Container) {
	return func(c *state.Container) { c.State, c.ExitCode, c.Health = "exited", code, "" }
}

// only changes the containers of some services.
func only(change func(*state.Container), services ...string) func(*state.Container) {
	return func(c *state.Container) {
		for _, name := range services {
			if c.Service == name {
				change(c)
			}
		}
	}
}

func details(o state.Observed, services ...string) map[string]plan.Detail {
	out := map[string]plan.Detail{}
	for _, c := range o.Containers {
		only(func(c *state.Container) { out[c.ID] = plan.Detail{Healthcheck: true} }, services...)(&c)
	}
	return out
}

func wantPlan(t *testing.T, p *plan.Plan, err error, want string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.TrimLeft(want, "\n"), p.String()); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
}

func TestStart(t *testing.T) {
	stopped := func(c *state.Container) {
		exited(137)(c)
		only(exited(0), "migrate")(c)
	}
	for name, test := range map[string]struct {
		change func(*state.Container)
		opts   plan.StartOptions
		want   string
	}{
		"all, in order; the job is done": {
			change: stopped,
			want: `
[1] start container shop-cache-1: is exited
[2] start container shop-cache-2: is exited
[3] start container shop-db-1: is exited
[4] wait until healthy container shop-db-1 <- #3: others start when it is healthy
[5] start container shop-web-1 <- #1 #2 #4: is exited
`,
		},
		"a job that was cut short runs again": {
			change: exited(137),
			opts:   plan.StartOptions{Services: []string{"web"}},
			want: `
[1] start container shop-cache-1: is exited
[2] start container shop-cache-2: is exited
[3] start container shop-db-1: is exited
[4] wait until healthy container shop-db-1 <- #3: others start when it is healthy
[5] start container shop-migrate-1 <- #4: is exited
[6] wait until completed container shop-migrate-1 <- #5: others start when it has completed
[7] start container shop-web-1 <- #1 #2 #4 #6: is exited
`,
		},
		"a job that is named runs again": {
			change: only(exited(0), "migrate"),
			opts:   plan.StartOptions{Services: []string{"migrate"}},
			want: `
[1] start container shop-migrate-1: is exited
`,
		},
		"nothing of others": {
			change: stopped,
			opts:   plan.StartOptions{Services: []string{"cache"}},
			want: `
[1] start container shop-cache-1: is exited
[2] start container shop-cache-2: is exited
`,
		},
		"what runs and is not healthy yet is waited for where another one needs it": {
			change: func(c *state.Container) {
				only(exited(1), "web")(c)
				only(exited(0), "migrate")(c)
				only(func(c *state.Container) { c.Health = "starting" }, "db")(c)
			},
			want: `
[1] wait until healthy container shop-db-1: others start when it is healthy
[2] start container shop-web-1 <- #1: is exited
`,
		},
		"and otherwise with --wait": {
			change: func(c *state.Container) {
				only(exited(1), "cache")(c)
				only(exited(0), "migrate")(c)
				only(func(c *state.Container) { c.Health = "starting" }, "db")(c)
			},
			opts: plan.StartOptions{Wait: true},
			want: `
[1] start container shop-cache-1: is exited
[2] wait until running container shop-cache-1 <- #1: asked for with --wait
[3] start container shop-cache-2: is exited
[4] wait until running container shop-cache-2 <- #3: asked for with --wait
[5] wait until healthy container shop-db-1: asked for with --wait
`,
		},
		"paused": {
			change: func(c *state.Container) {
				only(exited(0), "migrate")(c)
				only(func(c *state.Container) { c.State = "paused" }, "web")(c)
			},
			want: `
[1] start container shop-web-1: is paused
`,
		},
		"nothing to do": {change: only(exited(0), "migrate")},
	} {
		t.Run(name, func(t *testing.T) {
			o := after(t, test.change)
			test.opts.Details = details(o, "db")
			p, err := plan.Start(o, test.opts)
			wantPlan(t, p, err, test.want)
		})
	}
}

func TestStartWithoutWhatOthersNeed(t *testing.T) {
	o := after(t, exited(1))
	o.Containers = o.Containers[len(o.Containers)-1:] // web alone
	p, err := plan.Start(o, plan.StartOptions{})
	wantPlan(t, p, err, `
[1] start container shop-web-1: is exited
warning: service cache, which others depend on, has no container; `+"`stackctl up`"+` makes it
warning: service db, which others depend on, has no container; `+"`stackctl up`"+` makes it
warning: service migrate, which others depend on, has no container; `+"`stackctl up`"+` makes it
`)
	for _, opts := range []plan.StartOptions{{Services: []string{"db"}}, {Services: []string{"web", "db"}}} {
		if _, err := plan.Start(o, opts); !errors.Is(err, plan.ErrNoContainer) {
			t.Errorf("%v: %v", opts.Services, err)
		}
	}
	if _, err := plan.Start(state.Observed{Project: "shop"}, plan.StartOptions{}); !errors.Is(err, plan.ErrNoContainer) {
		t.Errorf("empty project: %v", err)
	}
}

// What runs in the network of a container that was stopped has none any more when that
// one starts again, so it starts again, too; in that of a paused one nothing is lost.
func TestStartTakesWhatSharesTheNetwork(t *testing.T) {
	t.Parallel()
	o := settled(desired(t, `
name: shop
services:
  vpn: {image: vpn}
  web: {image: web, network_mode: "service:vpn"}
  other: {image: other, depends_on: [vpn]}
`))
	vpn := slices.IndexFunc(o.Containers, func(c state.Container) bool { return c.Service == "vpn" })
	for i, c := range o.Containers {
		if c.Service == "web" {
			o.Containers[i].SharesNetwork = o.Containers[vpn].ID
		}
	}
	for status, want := range map[string]string{
		"exited": `stop web-1: restarts with vpn
start vpn-1: is exited
start web-1: restarts with vpn
`,
		"paused": "start vpn-1: is paused\n",
	} {
		o.Containers[vpn].State = status
		p, err := plan.Start(o, plan.StartOptions{Services: []string{"vpn"}})
		if err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		for _, n := range p.Nodes {
			fmt.Fprintf(&got, "%s %s: %s\n", n.Op.Verb(), strings.TrimPrefix(n.Op.Ref().Name, "shop-"), n.Cause)
		}
		if diff := cmp.Diff(want, got.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", status, diff)
		}
	}
}

// Labels that contradict each other order nothing and stop nothing.
func TestStartInACircle(t *testing.T) {
	o := state.Observed{Project: "shop"}
	for name, dep := range map[string]string{"a": "b", "b": "a"} {
		o.Containers = append(o.Containers, state.Container{
			ID: name, Name: name, Service: name, State: "exited",
			DependsOn: []state.Dependency{{Service: dep, Condition: "service_started"}},
		})
	}
	p, err := plan.Start(o, plan.StartOptions{})
	if err != nil || p.Changes() != 2 || len(p.Warnings) != 1 {
		t.Errorf("%v\n%v", err, p)
	}
}

func TestRestart(t *testing.T) {
	running := only(exited(0), "migrate")
	seconds := 3 * time.Second
	for name, test := range map[string]struct {
		change func(*state.Container)
		opts   plan.RestartOptions
		want   string
	}{
		"all": {
			change: running,
			opts:   plan.RestartOptions{Grace: &seconds},
			want: `
[1] stop container shop-web-1: restart
[2] stop container shop-db-1 <- #1: restart
[3] stop container shop-cache-2 <- #1: restart
[4] stop container shop-cache-1 <- #1: restart
[5] start container shop-cache-1 <- #4: restart
[6] start container shop-cache-2 <- #3: restart
[7] start container shop-db-1 <- #2: restart
[8] wait until healthy container shop-db-1 <- #7: others start when it is healthy
[9] start container shop-web-1 <- #1 #5 #6 #8: restart
`,
		},
		"dependents that ask for it restart too": {
			change: running,
			opts:   plan.RestartOptions{Services: []string{"db"}},
			want: `
[1] stop container shop-web-1: restarts with db
[2] stop container shop-db-1 <- #1: restart
[3] start container shop-db-1 <- #2: restart
[4] wait until healthy container shop-db-1 <- #3: others start when it is healthy
[5] start container shop-web-1 <- #1 #4: restarts with db
`,
		},
		"not with --no-deps": {
			change: running,
			opts:   plan.RestartOptions{Services: []string{"db"}, NoDeps: true},
			want: `
[1] stop container shop-db-1: restart
[2] start container shop-db-1 <- #1: restart
`,
		},
		"others stay": {
			change: running,
			opts:   plan.RestartOptions{Services: []string{"cache"}},
			want: `
[1] stop container shop-cache-2: restart
[2] stop container shop-cache-1: restart
[3] start container shop-cache-1 <- #2: restart
[4] start container shop-cache-2 <- #1: restart
`,
		},
		"what does not run is started": {
			change: func(c *state.Container) {
				running(c)
				only(exited(1), "db")(c)
			},
			opts: plan.RestartOptions{Services: []string{"web", "db"}},
			want: `
[1] stop container shop-web-1: restart
[2] start container shop-db-1: is exited
[3] wait until healthy container shop-db-1 <- #2: others start when it is healthy
[4] start container shop-web-1 <- #1 #3: restart
`,
		},
		"a job that is named": {
			change: running,
			opts:   plan.RestartOptions{Services: []string{"migrate"}},
			want: `
[1] start container shop-migrate-1: is exited
`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := plan.Restart(after(t, test.change), test.opts)
			wantPlan(t, p, err, test.want)
			for _, n := range p.Nodes {
				if stop, ok := n.Op.(plan.StopContainer); ok && stop.Grace != test.opts.Grace {
					t.Errorf("%s: grace %v", n.Op.Ref(), stop.Grace)
				}
			}
		})
	}
	if _, err := plan.Restart(after(t, running), plan.RestartOptions{Services: []string{"nope"}}); !errors.Is(err, plan.ErrNoContainer) {
		t.Errorf("unknown service: %v", err)
	}
}

// What stops after others does so though one between does not run.
func TestRestartPastAStoppedOne(t *testing.T) {
	o := state.Observed{Project: "shop"}
	for _, c := range []struct{ name, dep, state string }{{"a", "b", "running"}, {"b", "c", "exited"}, {"c", "", "running"}} {
		container := state.Container{ID: c.name, Name: c.name, Service: c.name, State: c.state}
		if c.dep != "" {
			container.DependsOn = []state.Dependency{{Service: c.dep, Condition: "service_started"}}
		}
		o.Containers = append(o.Containers, container)
	}
	p, err := plan.Restart(o, plan.RestartOptions{})
	wantPlan(t, p, err, `
[1] stop container a: restart
[2] stop container c <- #1: restart
[3] start container c <- #2: restart
[4] start container b <- #3: is exited
[5] start container a <- #1 #4: restart
`)
}

// What never started and is to have configs or secrets may be without them, so neither
// Start nor Restart starts it; what is not asked for is no obstacle.
func TestIncompleteIsNotStarted(t *testing.T) {
	o := after(t, only(func(c *state.Container) { c.State, c.Health, c.Files = "created", "", []string{"/run/secrets/key"} }, "cache"))
	_, start := plan.Start(o, plan.StartOptions{})
	_, restart := plan.Restart(o, plan.RestartOptions{Services: []string{"cache"}})
	for verb, err := range map[string]error{"start": start, "restart": restart} {
		if !errors.Is(err, plan.ErrIncomplete) || !strings.Contains(err.Error(), "shop-cache-1 was never started") || !strings.Contains(err.Error(), "shop-cache-2") {
			t.Errorf("%s: %v", verb, err)
		}
	}
	if _, err := plan.Start(o, plan.StartOptions{Services: []string{"db"}}); err != nil {
		t.Errorf("another service: %v", err)
	}
	o = after(t, only(func(c *state.Container) { exited(1)(c); c.Files = []string{"/run/secrets/key"} }, "cache"))
	if _, err := plan.Start(o, plan.StartOptions{}); err != nil {
		t.Errorf("one that has run: %v", err)
	}
}
