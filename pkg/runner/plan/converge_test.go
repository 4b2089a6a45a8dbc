package plan_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackctl/stackctl/pkg/runner/plan"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// compared makes a container one whose definition was looked at closely.
func compared(c *state.Container, d ...state.Difference) {
	c.Hash, c.Compared, c.Differences = "v1:old", true, d
}

func TestConverge(t *testing.T) {
	vpn := desired(t, `
services:
  vpn: {image: vpn}
  app: {image: app, network_mode: "service:vpn"}
`)
	soft := desired(t, `
services:
  web: {image: web, depends_on: {metrics: {condition: service_healthy, required: false}}}
  metrics: {image: metrics, healthcheck: {test: [CMD, check]}, depends_on: [store]}
  store: {image: store}
`)
	for _, test := range []struct {
		name    string
		desired state.Desired
		change  func(t *testing.T, o *state.Observed) // of the settled engine
		empty   bool
		opts    plan.Options
		want    string
	}{
		{
			name: "what differs is the cause",
			change: func(t *testing.T, o *state.Observed) {
				compared(container(t, o, "shop-cache-1"),
					state.Difference{Path: "environment.LOG_LEVEL", Old: "info", New: "debug"},
					state.Difference{Path: "environment.PASSWORD"},
					state.Difference{Path: "mem_limit", New: "1g"},
					state.Difference{Path: "ports[0]", Old: "80:80"},
					state.Difference{Path: "user", Old: "1", New: "2"})
			},
			want: `
[1] replace container shop-cache-1: environment.LOG_LEVEL: info → debug, environment.PASSWORD changed, mem_limit: 1g is new, and 2 more
[2] start container shop-cache-1 <- #1: replaced in this run
[3] wait until running container shop-cache-1 <- #2: up ends when it runs
`,
		},
		{
			name:   "another hash with the same meaning changes nothing",
			change: func(t *testing.T, o *state.Observed) { compared(container(t, o, "shop-cache-1")) },
			want:   "\n",
		},
		{
			name: "no recreate keeps what changed", opts: plan.Options{NoRecreate: true},
			change: func(t *testing.T, o *state.Observed) {
				compared(container(t, o, "shop-cache-1"), state.Difference{Path: "user"})
			},
			want: "\n",
		},
		{
			name: "no deps leaves out what the named service needs", opts: plan.Options{NoDeps: true, Services: []string{"web"}},
			change: func(_ *testing.T, o *state.Observed) { o.Containers = nil },
			want: `
[1] create container shop-web-1: does not exist
[2] start container shop-web-1 <- #1: created in this run
[3] wait until running container shop-web-1 <- #2: up ends when it runs
`,
		},
		{
			name:    "a changed network is made anew, and the containers on it are connected again",
			desired: desired(t, shop, "networks: {back: {}}", "networks: {back: {internal: true}}"),
			change: func(t *testing.T, o *state.Observed) {
				o.Containers = append(o.Containers, state.Container{
					ID: "id-orphan", Name: "shop-orphan-1", Service: "orphan", Number: 1, State: "running",
					Networks: map[string]string{"shop_back": "id-shop_back"},
				})
			},
			want: `
[1] disconnect container shop-cache-1: network shop_back is made anew
[2] disconnect container shop-db-1: network shop_back is made anew
[3] disconnect container shop-web-1: network shop_back is made anew
[4] disconnect container shop-orphan-1: network shop_back is made anew
[5] remove network shop_back <- #1 #2 #3 #4: internal: false → true
[6] create network shop_back <- #5: internal: false → true
[7] connect container shop-cache-1 <- #6: network shop_back is made anew
[8] connect container shop-db-1 <- #6: network shop_back is made anew
[9] connect container shop-web-1 <- #6: network shop_back is made anew
[10] connect container shop-orphan-1 <- #6: network shop_back is made anew
warning: containers of no service in the stack: shop-orphan-1; --remove-orphans removes them
`,
		},
		{
			name: "a container that is replaced meets the new network", desired: desired(t, shop, "networks: {back: {}}", "networks: {back: {internal: true}}"),
			opts: plan.Options{Services: []string{"cache"}},
			change: func(t *testing.T, o *state.Observed) {
				compared(container(t, o, "shop-cache-1"), state.Difference{Path: "user", Old: "1", New: "2"})
			},
			want: `
[1] disconnect container shop-cache-1: network shop_back is made anew
[2] disconnect container shop-db-1: network shop_back is made anew
[3] disconnect container shop-web-1: network shop_back is made anew
[4] remove network shop_back <- #1 #2 #3: internal: false → true
[5] create network shop_back <- #4: internal: false → true
[6] replace container shop-cache-1 <- #5: user: 1 → 2
[7] start container shop-cache-1 <- #6: replaced in this run
[8] wait until running container shop-cache-1 <- #7: up ends when it runs
[9] connect container shop-db-1 <- #5: network shop_back is made anew
[10] connect container shop-web-1 <- #5: network shop_back is made anew
`,
		},
		{
			name: "what an inactive profile has brought up is no orphan", opts: plan.Options{RemoveOrphans: true},
			desired: desired(t, `
services:
  web: {image: web, network_mode: none}
  tracing: {image: jaeger, network_mode: none, profiles: [debug]}
`),
			change: func(_ *testing.T, o *state.Observed) {
				o.Containers = append(o.Containers,
					state.Container{ID: "id-tracing", Name: "shop-tracing-1", Service: "tracing", Number: 1, State: "running"},
					state.Container{ID: "id-old", Name: "shop-old-1", Service: "old", Number: 1, State: "exited"})
			},
			want: `
[1] remove container shop-old-1: no service of the stack, and asked for with --remove-orphans
`,
		},
		{
			name: "what lives in another container's network goes with it", desired: vpn,
			change: func(t *testing.T, o *state.Observed) {
				compared(container(t, o, "shop-vpn-1"), state.Difference{Path: "user", Old: "1", New: "2"})
			},
			want: `
[1] replace container shop-vpn-1: user: 1 → 2
[2] start container shop-vpn-1 <- #1: replaced in this run
[3] wait until running container shop-vpn-1 <- #2: up ends when it runs
[4] replace container shop-app-1 <- #2: goes with vpn, which is replaced
[5] start container shop-app-1 <- #4: replaced in this run
[6] wait until running container shop-app-1 <- #5: up ends when it runs
`,
		},
		{
			name: "with rollback only when that is ready", desired: vpn, opts: plan.Options{Rollback: true},
			change: func(t *testing.T, o *state.Observed) {
				compared(container(t, o, "shop-vpn-1"), state.Difference{Path: "user", Old: "1", New: "2"})
			},
			want: `
[1] replace container shop-vpn-1: user: 1 → 2
[2] start container shop-vpn-1 <- #1: replaced in this run
[3] wait until stable container shop-vpn-1 <- #2: the one before goes when it stays up
[4] replace container shop-app-1 <- #2 #3: goes with vpn, which is replaced
[5] start container shop-app-1 <- #4: replaced in this run
[6] wait until stable container shop-app-1 <- #5: the one before goes when it stays up
`,
		},
		{
			name: "and it restarts with one that only starts, whose namespaces are new", desired: vpn,
			change: func(t *testing.T, o *state.Observed) { container(t, o, "shop-vpn-1").State = "exited" },
			want: `
[1] start container shop-vpn-1: is exited
[2] wait until running container shop-vpn-1 <- #1: up ends when it runs
[3] stop container shop-app-1: restarts with vpn
[4] start container shop-app-1 <- #1 #3: restarts with vpn
[5] wait until running container shop-app-1 <- #4: up ends when it runs
`,
		},
		{
			name: "but one that goes on has the same", desired: vpn,
			change: func(t *testing.T, o *state.Observed) { container(t, o, "shop-vpn-1").State = "paused" },
			want: `
[1] start container shop-vpn-1: is paused
[2] wait until running container shop-vpn-1 <- #1: up ends when it runs
`,
		},
		{
			name: "or perhaps",
			desired: desired(t, `
services:
  vpn: {image: vpn, build: .}
  app: {image: app, network_mode: "service:vpn"}
`), opts: plan.Options{Build: true},
			want: `
[1] build image vpn: asked for with --build
[2] replace container shop-vpn-1 <- #1: its image may have changed
[3] start container shop-vpn-1 <- #2: its image may have changed
[4] wait until running container shop-vpn-1 <- #3: up ends when it runs
[5] replace container shop-app-1 <- #3: goes with vpn, whose image may have changed
[6] start container shop-app-1 <- #5: goes with vpn, whose image may have changed
[7] wait until running container shop-app-1 <- #6: up ends when it runs
`,
		},
		{
			name: "a dependency that is not required may fail", desired: soft, empty: true,
			want: `
[1] create network shop_default: does not exist
[2] pull image store: is not on the engine (optional)
[3] pull image metrics: is not on the engine (optional)
[4] pull image web: is not on the engine
[5] create container shop-store-1 <- #1 #2: does not exist (optional)
[6] start container shop-store-1 <- #5: created in this run (optional)
[7] wait until running container shop-store-1 <- #6: up ends when it runs (optional)
[8] create container shop-metrics-1 <- #1 #3: does not exist (optional)
[9] start container shop-metrics-1 <- #6 #8: created in this run (optional)
[10] wait until healthy container shop-metrics-1 <- #9: others start when it is healthy (optional)
[11] create container shop-web-1 <- #1 #4: does not exist
[12] start container shop-web-1 <- #11 after #10: created in this run
[13] wait until running container shop-web-1 <- #12: up ends when it runs
`,
		},
		{
			name: "unless it is asked for by name", desired: soft, opts: plan.Options{Services: []string{"web", "metrics"}},
			change: func(_ *testing.T, o *state.Observed) { o.Containers = nil },
			want: `
[1] create container shop-store-1: does not exist
[2] start container shop-store-1 <- #1: created in this run
[3] wait until running container shop-store-1 <- #2: up ends when it runs
[4] create container shop-metrics-1: does not exist
[5] start container shop-metrics-1 <- #2 #4: created in this run
[6] wait until healthy container shop-metrics-1 <- #5: others start when it is healthy
[7] create container shop-web-1: does not exist
[8] start container shop-web-1 <- #7 after #6: created in this run
[9] wait until running container shop-web-1 <- #8: up ends when it runs
`,
		},
		{
			name: "dependents restart with a dependency whose image changed, if it did", opts: plan.Options{Build: true},
			desired: desired(t, `
services:
  db: {image: one, build: ., network_mode: none}
  web: {image: two, network_mode: none, depends_on: {db: {condition: service_started, restart: true}}}
`),
			want: `
[1] build image one: asked for with --build
[2] replace container shop-db-1 <- #1: its image may have changed
[3] start container shop-db-1 <- #2: its image may have changed
[4] wait until running container shop-db-1 <- #3: up ends when it runs
[5] stop container shop-web-1 <- #3: restarts with db
[6] start container shop-web-1 <- #3 #5: restarts with db
[7] wait until running container shop-web-1 <- #6: up ends when it runs
`,
		},
		{
			name: "also with one that is not required: whether it was replaced is known at its end", opts: plan.Options{Build: true},
			desired: desired(t, `
services:
  db: {image: one, build: ., network_mode: none}
  web: {image: two, network_mode: none, depends_on: {db: {condition: service_started, restart: true, required: false}}}
`),
			want: `
[1] build image one: asked for with --build (optional)
[2] replace container shop-db-1 <- #1: its image may have changed (optional)
[3] start container shop-db-1 <- #2: its image may have changed (optional)
[4] wait until running container shop-db-1 <- #3: up ends when it runs (optional)
[5] stop container shop-web-1 after #3: restarts with db
[6] start container shop-web-1 <- #5 after #3: restarts with db
[7] wait until running container shop-web-1 <- #6: up ends when it runs
`,
		},
		{
			name: "and when they are not ready, which may be for want of it",
			desired: desired(t, `
services:
  db: {image: one, network_mode: none}
  web: {image: two, network_mode: none, healthcheck: {test: [CMD, check]}, depends_on: {db: {condition: service_started, restart: true}}}
`),
			change: func(t *testing.T, o *state.Observed) {
				compared(container(t, o, "shop-db-1"), state.Difference{Path: "user", Old: "1", New: "2"})
				container(t, o, "shop-web-1").Health = "unhealthy"
			},
			want: `
[1] replace container shop-db-1: user: 1 → 2
[2] start container shop-db-1 <- #1: replaced in this run
[3] wait until running container shop-db-1 <- #2: up ends when it runs
[4] stop container shop-web-1: restarts with db
[5] start container shop-web-1 <- #2 #4: restarts with db
[6] wait until healthy container shop-web-1 <- #5: up ends when it is healthy
`,
		},
		{
			name: "a container that stays keeps a port of its range", desired: desired(t, `
services:
  many: {image: one, network_mode: none, ports: ["8000-8010:80"]}
  one: {image: two, network_mode: none, ports: ["8005:80"]}
`),
			change: func(t *testing.T, o *state.Observed) {
				container(t, o, "shop-many-1").Ports = []state.Port{{HostPort: 8005, ContainerPort: 80, Protocol: "tcp"}}
				container(t, o, "shop-one-1").State = "exited"
			},
			want: `
[1] start container shop-one-1: is exited
[2] wait until running container shop-one-1 <- #1: up ends when it runs
`,
		},
		{
			name: "and so does one that changed, without recreation", opts: plan.Options{NoRecreate: true}, desired: desired(t, `
services:
  many: {image: one, network_mode: none, ports: ["8006:80"]}
  one: {image: two, network_mode: none, ports: ["8005:80"]}
`),
			change: func(t *testing.T, o *state.Observed) {
				many := container(t, o, "shop-many-1")
				compared(many, state.Difference{Path: "ports[0]"})
				many.Ports = []state.Port{{HostPort: 8005, ContainerPort: 80, Protocol: "tcp"}}
				container(t, o, "shop-one-1").State = "exited"
			},
			want: `
[1] start container shop-one-1: is exited
[2] wait until running container shop-one-1 <- #1: up ends when it runs
`,
		},
		{
			name: "what something required needs is required, too", desired: desired(t, `
services:
  extra: {image: one, network_mode: none, ports: ["8006:80"]}
  web: {image: two, network_mode: none, ports: ["8005:80"], depends_on: {extra: {condition: service_started, required: false}}}
`),
			change: func(t *testing.T, o *state.Observed) {
				extra := container(t, o, "shop-extra-1")
				compared(extra, state.Difference{Path: "ports[0]"})
				extra.Ports = []state.Port{{HostPort: 8005, ContainerPort: 80, Protocol: "tcp"}}
				container(t, o, "shop-web-1").State = "exited"
			},
			want: `
[1] stop container shop-extra-1: gives port 8005 to web
[2] replace container shop-extra-1 <- #1: ports[0] changed (optional)
[3] start container shop-extra-1 <- #2: replaced in this run (optional)
[4] wait until running container shop-extra-1 <- #3: up ends when it runs (optional)
[5] start container shop-web-1 <- #1 after #3: is exited
[6] wait until running container shop-web-1 <- #5: up ends when it runs
`,
		},
		{
			name:    "a volume that the stack lost is kept and told of, and so are labels",
			desired: desired(t, shop, "volumes: {data: {}}", "volumes: {data: {labels: {a: b}}}"),
			change: func(_ *testing.T, o *state.Observed) {
				o.Volumes = append(o.Volumes, state.Volume{Name: "shop_old", Project: "shop", Key: "old", Driver: "local"})
			},
			want: `
warning: volume shop_data keeps the labels that it was made with (labels.a: b is new)
warning: volume shop_old is not in the stack any more; it is kept, and ` + "`docker volume rm shop_old`" + ` deletes it
`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := test.desired
			if d.Project == "" {
				d = desired(t, shop)
			}
			o := settled(d)
			if test.empty {
				o = state.Observed{Project: d.Project}
			}
			if test.change != nil {
				test.change(t, &o)
			}
			got, err := plan.Reconcile(d, o, test.opts)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, "\n"+got.String()); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
		})
	}
}

// A volume is never made anew: up says what differs, and does nothing.
func TestChangedVolume(t *testing.T) {
	d := desired(t, shop, "volumes: {data: {}}", "volumes: {data: {driver_opts: {type: tmpfs, device: tmpfs}}}")
	o := settled(d)
	for _, opts := range []plan.Options{{}, {ForceRecreate: true, RenewVolumes: true, RemoveOrphans: true}} {
		_, err := plan.Reconcile(d, o, opts)
		const want = "holds data: volume shop_data was made otherwise (driver_opts.device: tmpfs is new, driver_opts.type: tmpfs is new), " +
			"and `up` never deletes one; undo the change, or give the volume another name, or copy the data away and `docker volume rm shop_data`"
		if !errors.Is(err, plan.ErrKeepsData) || err.Error() != want {
			t.Errorf("got %v\nwant %s", err, want)
		}
	}
}

// A network with somebody else's container on it is not pulled away under it.
func TestChangedNetworkOfOthers(t *testing.T) {
	d := desired(t, shop, "networks: {back: {}}", "networks: {back: {internal: true}}")
	o := settled(d)
	o.Strangers = []state.Container{
		{Name: "foreign", Networks: map[string]string{"shop_back": "id-shop_back"}},
		{Name: "elsewhere", Networks: map[string]string{"bridge": "id-bridge"}},
	}
	_, err := plan.Reconcile(d, o, plan.Options{})
	const want = "not this project's: network shop_back has to be made anew (internal: false → true), " +
		"and containers that are not this project's are on it: foreign; take them off with `docker network disconnect`, or undo the change"
	if !errors.Is(err, plan.ErrConflict) || err.Error() != want {
		t.Errorf("got %v", err)
	}
}
