package plan_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackctl/stackctl/pkg/runner/internal/projecttest"
	"github.com/stackctl/stackctl/pkg/runner/plan"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// The stack of most tests: web needs a healthy db and a started cache.
const shop = `
name: shop
services:
  web:
    build: .
    depends_on:
      db: {condition: service_healthy}
      cache: {condition: service_started}
    networks: [back]
  db:
    image: postgres
    volumes: [data:/data]
    networks: [back]
    healthcheck: {test: [CMD, pg_isready]}
  cache:
    image: redis
    networks: [back]
networks: {back: {}}
volumes: {data: {}}
`

func desired(t *testing.T, text string, replace ...string) state.Desired {
	t.Helper()
	text = strings.NewReplacer(replace...).Replace(text)
	p := projecttest.Load(t, t.TempDir(), text, nil)
	d, err := state.Flatten(p)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// settled is the engine after an `up` of d that went well. Its ids are the names
// with a prefix.
func settled(d state.Desired) state.Observed {
	o := state.Observed{Project: d.Project, Images: map[string]state.Image{}}
	for _, n := range d.Networks {
		o.Networks = append(o.Networks, state.Network{ID: "id-" + n.Name, Name: n.Name, Project: d.Project, Key: n.Key})
	}
	for _, v := range d.Volumes {
		o.Volumes = append(o.Volumes, state.Volume{Name: v.Name, Project: d.Project, Key: v.Key, Driver: "local"})
	}
	for _, s := range d.Services {
		o.Images[s.Image] = state.Image{ID: "id-" + s.Image}
		if s.Image == plan.LocalImage(d.Project, s.Name) {
			o.Images[s.Image] = state.Image{ID: "id-" + s.Image, Labels: map[string]string{state.LabelProject: d.Project}}
		}
		for _, want := range s.Containers {
			c := state.ContainerFromLabels(state.Container{
				ID: "id-" + want.Name, Name: want.Name, State: "running",
				Image: want.Image, ImageID: "id-" + want.Image, Networks: map[string]string{},
			}, want.Labels)
			for _, a := range want.Networks {
				c.Networks[a.Network] = "id-" + a.Network
			}
			for _, v := range s.Config.Volumes {
				c.Mounts = append(c.Mounts, state.Mount{Type: v.Type, Name: want.VolumeNames[v.Source], Target: v.Target})
			}
			if s.Config.HealthCheck != nil {
				c.Health = "healthy"
			}
			o.Containers = append(o.Containers, c)
		}
	}
	return o
}

// container gives the observed container of that name, to be changed.
func container(t *testing.T, o *state.Observed, name string) *state.Container {
	t.Helper()
	for i := range o.Containers {
		if o.Containers[i].Name == name {
			return &o.Containers[i]
		}
	}
	t.Fatalf("no container %s", name)
	return nil
}

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func TestReconcile(t *testing.T) {
	base := desired(t, shop)
	withConfig := desired(t, shop+"configs: {settings: {content: a}}\n", "image: redis", "image: redis\n    configs: [settings]")
	for _, test := range []struct {
		name    string
		desired state.Desired
		change  func(t *testing.T, o *state.Observed) // of the settled engine
		empty   bool                                  // begin with an engine that has nothing
		opts    plan.Options
		want    string
	}{
		{
			name: "an empty engine gets everything, each thing after what it needs", empty: true,
			want: `
[1] create network shop_back: does not exist
[2] create volume shop_data: does not exist
[3] build image shop-web: is not on the engine
[4] pull image redis: is not on the engine
[5] pull image postgres: is not on the engine
[6] create container shop-cache-1 <- #1 #4: does not exist
[7] start container shop-cache-1 <- #6: created in this run
[8] wait until running container shop-cache-1 <- #7: up ends when it runs
[9] create container shop-db-1 <- #1 #2 #5: does not exist
[10] start container shop-db-1 <- #9: created in this run
[11] wait until healthy container shop-db-1 <- #10: others start when it is healthy
[12] create container shop-web-1 <- #1 #3: does not exist
[13] start container shop-web-1 <- #7 #11 #12: created in this run
[14] wait until running container shop-web-1 <- #13: up ends when it runs
`,
		},
		{name: "a settled engine is left alone", want: "\n"},
		{
			name: "one service and what it needs", empty: true, opts: plan.Options{Services: []string{"cache"}},
			want: `
[1] create network shop_back: does not exist
[2] pull image redis: is not on the engine
[3] create container shop-cache-1 <- #1 #2: does not exist
[4] start container shop-cache-1 <- #3: created in this run
[5] wait until running container shop-cache-1 <- #4: up ends when it runs
`,
		},
		{
			name: "no wait leaves out only the waits that nobody needs", opts: plan.Options{NoWait: true},
			change: func(_ *testing.T, o *state.Observed) { o.Containers = nil },
			want: `
[1] create container shop-cache-1: does not exist
[2] start container shop-cache-1 <- #1: created in this run
[3] create container shop-db-1: does not exist
[4] start container shop-db-1 <- #3: created in this run
[5] wait until healthy container shop-db-1 <- #4: others start when it is healthy
[6] create container shop-web-1: does not exist
[7] start container shop-web-1 <- #2 #5 #6: created in this run
`,
		},
		{
			name:    "a changed definition replaces that container only",
			desired: desired(t, shop, "image: redis", "image: redis\n    command: [redis-server, --appendonly, 'yes']"),
			change: func(t *testing.T, o *state.Observed) {
				container(t, o, "shop-cache-1").Hash = base.Services[0].Hash
			},
			want: `
[1] replace container shop-cache-1: its definition changed
[2] start container shop-cache-1 <- #1: replaced in this run
[3] wait until running container shop-cache-1 <- #2: up ends when it runs
`,
		},
		{
			name:   "a container that ended starts again",
			change: func(t *testing.T, o *state.Observed) { container(t, o, "shop-db-1").State = "exited" },
			want: `
[1] start container shop-db-1: is exited
[2] wait until healthy container shop-db-1 <- #1: others start when it is healthy
`,
		},
		{
			name:   "what runs and is not healthy is waited for",
			change: func(t *testing.T, o *state.Observed) { container(t, o, "shop-db-1").Health = "unhealthy" },
			want:   "\n[1] wait until healthy container shop-db-1: others start when it is healthy\n",
		},
		{
			name: "an image under the same tag replaces",
			change: func(_ *testing.T, o *state.Observed) {
				o.Images["redis"] = state.Image{ID: "id-new"}
			},
			want: `
[1] replace container shop-cache-1: image redis changed
[2] start container shop-cache-1 <- #1: replaced in this run
[3] wait until running container shop-cache-1 <- #2: up ends when it runs
`,
		},
		{
			name: "build replaces only if the image changed", opts: plan.Options{Build: true},
			want: `
[1] build image shop-web: asked for with --build
[2] replace container shop-web-1 <- #1: its image may have changed
[3] start container shop-web-1 <- #2: its image may have changed
[4] wait until running container shop-web-1 <- #3: up ends when it runs
`,
		},
		{
			name: "force recreate replaces the named service, not what it needs",
			opts: plan.Options{ForceRecreate: true, Services: []string{"web"}},
			want: `
[1] replace container shop-web-1: asked for with --force-recreate
[2] start container shop-web-1 <- #1: replaced in this run
[3] wait until running container shop-web-1 <- #2: up ends when it runs
`,
		},
		{
			name: "a network that is gone takes its containers along",
			change: func(_ *testing.T, o *state.Observed) {
				o.Networks = nil
				o.Containers = o.Containers[:1]
			},
			opts: plan.Options{Services: []string{"cache"}},
			want: `
[1] create network shop_back: does not exist
[2] replace container shop-cache-1 <- #1: network shop_back is made anew
[3] start container shop-cache-1 <- #2: replaced in this run
[4] wait until running container shop-cache-1 <- #3: up ends when it runs
`,
		},
		{
			name: "a replacement that was cut before the old one went is finished",
			change: func(t *testing.T, o *state.Observed) {
				old := container(t, o, "shop-cache-1")
				fresh := *old
				fresh.ID, fresh.Name, fresh.State = "id-fresh", "id_shop-cache-1", "created"
				old.Hash = "v1:old"
				o.Containers = append(o.Containers, fresh)
			},
			want: `
[1] stop container shop-cache-1: left over beside id_shop-cache-1
[2] remove container shop-cache-1 <- #1: left over beside id_shop-cache-1
[3] rename container shop-cache-1 <- #2: was left as id_shop-cache-1
[4] start container shop-cache-1 <- #2 #3: is created
[5] wait until running container shop-cache-1 <- #4: up ends when it runs
`,
		},
		{
			name: "one that never ran may lack its config, and is not started", desired: withConfig,
			change: func(t *testing.T, o *state.Observed) { container(t, o, "shop-cache-1").State = "created" },
			opts:   plan.Options{NoRecreate: true},
			want: `
[1] replace container shop-cache-1: was never started, and may lack configs or secrets
[2] start container shop-cache-1 <- #1: replaced in this run
[3] wait until running container shop-cache-1 <- #2: up ends when it runs
`,
		},
		{
			name: "one beside it that runs is what is replaced", desired: withConfig,
			change: func(t *testing.T, o *state.Observed) {
				old := container(t, o, "shop-cache-1")
				fresh := *old
				fresh.ID, fresh.Name, fresh.State = "id-fresh", "id_shop-cache-1", "created"
				old.Hash = "v1:old"
				o.Containers = append(o.Containers, fresh)
			},
			want: `
[1] remove container id_shop-cache-1: left over beside shop-cache-1
[2] replace container shop-cache-1 <- #1: its definition changed
[3] start container shop-cache-1 <- #2: replaced in this run
[4] wait until running container shop-cache-1 <- #3: up ends when it runs
`,
		},
		{
			name: "scaled down, the highest number goes",
			change: func(t *testing.T, o *state.Observed) {
				second := *container(t, o, "shop-cache-1")
				second.ID, second.Name, second.Number = "id-2", "shop-cache-2", 2
				o.Containers = append(o.Containers, second)
			},
			want: `
[1] stop container shop-cache-2: cache is scaled to 1
[2] remove container shop-cache-2 <- #1: cache is scaled to 1
`,
		},
		{
			name: "orphans are told of",
			change: func(_ *testing.T, o *state.Observed) {
				o.Containers = append(o.Containers, state.Container{ID: "x", Name: "shop-old-1", Service: "old", Number: 1, State: "running"})
			},
			want: "\nwarning: containers of no service in the stack: shop-old-1; --remove-orphans removes them\n",
		},
		{
			name: "orphans are removed when asked for", opts: plan.Options{RemoveOrphans: true},
			change: func(_ *testing.T, o *state.Observed) {
				o.Containers = append(o.Containers, state.Container{ID: "x", Name: "shop-old-1", Service: "old", Number: 1, State: "running"})
			},
			want: `
[1] stop container shop-old-1: no service of the stack, and asked for with --remove-orphans
[2] remove container shop-old-1 <- #1: no service of the stack, and asked for with --remove-orphans
`,
		},
		{
			name: "a container of Docker Compose with the same definition is taken over as it is",
			change: func(t *testing.T, o *state.Observed) {
				container(t, o, "shop-cache-1").Hash = ""
			},
			want: "\n",
		},
		{
			name: "a container of Docker Compose with another definition is replaced",
			change: func(t *testing.T, o *state.Observed) {
				c := container(t, o, "shop-cache-1")
				c.Hash, c.ComposeHash = "", "other"
				c.Compared, c.Differences = true, []state.Difference{{Path: "environment.LEVEL", Old: "info", New: "debug"}}
			},
			want: `
[1] replace container shop-cache-1: environment.LEVEL: info → debug
[2] start container shop-cache-1 <- #1: replaced in this run
[3] wait until running container shop-cache-1 <- #2: up ends when it runs
`,
		},
		{
			name: "somebody else's volume is used and told of",
			change: func(_ *testing.T, o *state.Observed) {
				o.Volumes[0].Project = ""
			},
			want: "\nwarning: volume shop_data exists and belongs to no project: it is used as it is, and `down -v` will not remove it\n",
		},
		{
			name: "a job that has completed is done, and its dependents go on",
			desired: desired(t, `
services:
  job: {image: job}
  web: {image: web, depends_on: {job: {condition: service_completed_successfully}}}
`),
			change: func(t *testing.T, o *state.Observed) {
				container(t, o, "shop-job-1").State = "exited"
				container(t, o, "shop-web-1").State = "created"
			},
			want: `
[1] start container shop-web-1: is created
[2] wait until running container shop-web-1 <- #1: up ends when it runs
`,
		},
		{
			name: "a job that still runs is waited for",
			desired: desired(t, `
services:
  job: {image: job}
  web: {image: web, depends_on: {job: {condition: service_completed_successfully}}}
`),
			change: func(t *testing.T, o *state.Observed) { container(t, o, "shop-web-1").State = "created" },
			want: `
[1] wait until completed container shop-job-1: others start when it has completed
[2] start container shop-web-1 <- #1: is created
[3] wait until running container shop-web-1 <- #2: up ends when it runs
`,
		},
		{
			name: "a container that gives up a host port stops before the one that takes it",
			desired: desired(t, `
services:
  a: {image: one, ports: ["8080:80"]}
  b: {image: two, ports: ["8081:80"], depends_on: [a]}
`),
			change: func(t *testing.T, o *state.Observed) {
				a, b := container(t, o, "shop-a-1"), container(t, o, "shop-b-1")
				a.Hash, a.Ports = "v1:old", []state.Port{{HostIP: "0.0.0.0", HostPort: 8081, ContainerPort: 80, Protocol: "tcp"}}
				b.Hash, b.Ports = "v1:old", []state.Port{{HostIP: "0.0.0.0", HostPort: 8080, ContainerPort: 80, Protocol: "tcp"}}
			},
			want: `
[1] stop container shop-a-1: gives port 8081 to b
[2] stop container shop-b-1: gives port 8080 to a
[3] replace container shop-a-1 <- #1 #2: its definition changed
[4] start container shop-a-1 <- #3: replaced in this run
[5] wait until running container shop-a-1 <- #4: up ends when it runs
[6] replace container shop-b-1 <- #1 #2 #4: its definition changed
[7] start container shop-b-1 <- #6: replaced in this run
[8] wait until running container shop-b-1 <- #7: up ends when it runs
`,
		},
		{
			name: "an orphan gives up its host port first", opts: plan.Options{RemoveOrphans: true},
			desired: desired(t, `{services: {front: {image: one, ports: ["8080:80"]}}}`),
			change: func(_ *testing.T, o *state.Observed) {
				o.Containers = []state.Container{{
					ID: "x", Name: "shop-web-1", Service: "web", Number: 1, State: "running",
					Ports: []state.Port{{HostPort: 8080, ContainerPort: 80, Protocol: "tcp"}},
				}}
			},
			want: `
[1] stop container shop-web-1: no service of the stack, and asked for with --remove-orphans
[2] remove container shop-web-1 <- #1: no service of the stack, and asked for with --remove-orphans
[3] create container shop-front-1: does not exist
[4] start container shop-front-1 <- #1 #3: created in this run
[5] wait until running container shop-front-1 <- #4: up ends when it runs
`,
		},
		{
			name: "a network that was taken away from a service replaces its container",
			change: func(t *testing.T, o *state.Observed) {
				o.Networks = append(o.Networks, state.Network{ID: "id-old", Name: "shop_old", Project: "shop"})
				container(t, o, "shop-cache-1").Networks["shop_old"] = "id-old"
			},
			want: `
[1] replace container shop-cache-1: is on network shop_old, where it should not be
[2] start container shop-cache-1 <- #1: replaced in this run
[3] wait until running container shop-cache-1 <- #2: up ends when it runs
`,
		},
		{
			name: "what one service builds, another that uses it does not pull", empty: true,
			desired: desired(t, `
services:
  a: {image: app, network_mode: none}
  b: {image: app, build: ., network_mode: none}
`),
			want: `
[1] build image app: is not on the engine
[2] create container shop-a-1 <- #1: does not exist
[3] start container shop-a-1 <- #2: created in this run
[4] wait until running container shop-a-1 <- #3: up ends when it runs
[5] create container shop-b-1 <- #1: does not exist
[6] start container shop-b-1 <- #5: created in this run
[7] wait until running container shop-b-1 <- #6: up ends when it runs
`,
		},
		{
			name: "images that are older than their policy allows are pulled",
			desired: desired(t, `
services:
  fresh: {image: one, network_mode: none, pull_policy: daily}
  old: {image: two, network_mode: none, pull_policy: every_12h}
  refresh: {image: three, network_mode: none, pull_policy: refresh}
`),
			change: func(_ *testing.T, o *state.Observed) {
				for ref, i := range o.Images {
					i.Tagged = noon.Add(-13 * time.Hour)
					o.Images[ref] = i
				}
			},
			opts: plan.Options{Now: noon, NoWait: true},
			want: `
[1] pull image two: its pull policy is every_12h
[2] pull image three: its pull policy is refresh
[3] replace container shop-old-1 <- #1: its image may have changed
[4] start container shop-old-1 <- #3: its image may have changed
[5] replace container shop-refresh-1 <- #2: its image may have changed
[6] start container shop-refresh-1 <- #5: its image may have changed
`,
		},
		{
			name: "a container that refers to another service's is made after it", empty: true,
			desired: desired(t, `
services:
  base: {image: one, network_mode: none}
  guest: {image: two, network_mode: none, pid: service:base}
  linked: {image: two, network_mode: none, links: ["base:alias"]}
`),
			want: `
[1] pull image one: is not on the engine
[2] pull image two: is not on the engine
[3] create container shop-base-1 <- #1: does not exist
[4] start container shop-base-1 <- #3: created in this run
[5] wait until running container shop-base-1 <- #4: up ends when it runs
[6] create container shop-guest-1 <- #2 #4: does not exist
[7] start container shop-guest-1 <- #4 #6: created in this run
[8] wait until running container shop-guest-1 <- #7: up ends when it runs
[9] create container shop-linked-1 <- #2 #4: does not exist
[10] start container shop-linked-1 <- #4 #9: created in this run
[11] wait until running container shop-linked-1 <- #10: up ends when it runs
`,
		},
		{
			name: "dependents restart with a dependency, if they ask for it",
			desired: desired(t, `
services:
  db: {image: one, network_mode: none}
  web: {image: two, network_mode: none, depends_on: {db: {condition: service_started, restart: true}}}
`),
			change: func(t *testing.T, o *state.Observed) { container(t, o, "shop-db-1").Hash = "v1:old" },
			want: `
[1] replace container shop-db-1: its definition changed
[2] start container shop-db-1 <- #1: replaced in this run
[3] wait until running container shop-db-1 <- #2: up ends when it runs
[4] stop container shop-web-1: restarts with db
[5] start container shop-web-1 <- #2 #4: restarts with db
[6] wait until running container shop-web-1 <- #5: up ends when it runs
`,
		},
		{
			name: "dependents of a job wait for its completion",
			desired: desired(t, `
services:
  job: {image: job}
  web: {image: web, depends_on: {job: {condition: service_completed_successfully}}}
`),
			change: func(_ *testing.T, o *state.Observed) { o.Containers, o.Networks = nil, nil },
			want: `
[1] create network shop_default: does not exist
[2] create container shop-job-1 <- #1: does not exist
[3] start container shop-job-1 <- #2: created in this run
[4] wait until completed container shop-job-1 <- #3: others start when it has completed
[5] create container shop-web-1 <- #1: does not exist
[6] start container shop-web-1 <- #4 #5: created in this run
[7] wait until running container shop-web-1 <- #6: up ends when it runs
`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := test.desired
			if d.Project == "" {
				d = base
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
			again, err := plan.Reconcile(d, o, test.opts)
			if err != nil || again.String() != got.String() {
				t.Errorf("the same input gave another plan:\n%s%v", again, err)
			}
		})
	}
}

// Everything that stands in the way is told at once, and nothing is planned.
func TestReconcileProblems(t *testing.T) {
	d := desired(t, `
services:
  a: {image: one, networks: [ours, theirs], volumes: [ext:/x]}
  b: {image: two}
networks: {ours: {}, theirs: {external: true, name: elsewhere}}
volumes: {ext: {external: true, name: data}}
`)
	o := state.Observed{
		Project:  "shop",
		Networks: []state.Network{{ID: "1", Name: "shop_ours", Project: "other"}, {ID: "2", Name: "shop_default"}},
	}
	_, err := plan.Reconcile(d, o, plan.Options{Pull: plan.PullNever})
	const want = `not this project's: network shop_default exists and belongs to no project; remove it, or declare it ` + "`external: true`" + ` to use it as it is
not this project's: network shop_ours exists and belongs to project other; remove it, or declare it ` + "`external: true`" + ` to use it as it is
missing: network elsewhere is external and does not exist; ` + "`docker network create elsewhere`" + ` makes it
missing: volume data is external and does not exist; ` + "`docker volume create data`" + ` makes it
missing: image one is not on the engine and may not be pulled; load it with ` + "`docker load`" + `, or allow it with --pull missing
missing: image two is not on the engine and may not be pulled; load it with ` + "`docker load`" + `, or allow it with --pull missing`
	if err == nil || cmp.Diff(want, err.Error()) != "" {
		t.Errorf("error (-want +got):\n%s", cmp.Diff(want, err.Error()))
	}
	if !errors.Is(err, plan.ErrConflict) || !errors.Is(err, plan.ErrMissing) {
		t.Errorf("the error does not wrap its classes: %v", err)
	}
}

func TestReconcileUnknownService(t *testing.T) {
	_, err := plan.Reconcile(desired(t, shop), state.Observed{}, plan.Options{Services: []string{"wbe"}})
	if !errors.Is(err, plan.ErrUnknownService) || err.Error() != "no such service: wbe (the stack has cache, db, web)" {
		t.Errorf("got %v", err)
	}
}

// A plan's JSON has a version and says nothing of what resources hold.
func TestPlanJSON(t *testing.T) {
	d := desired(t, `{services: {web: {image: web, environment: {PASSWORD: canary}}}}`)
	p, err := plan.Reconcile(d, state.Observed{Project: "shop"}, plan.Options{Services: []string{"web"}})
	if err != nil {
		t.Fatal(err)
	}
	p.Nodes = p.Nodes[:3]
	text, err := p.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"version":1,"project":"shop","nodes":[` +
		`{"id":1,"op":"create_network","kind":"network","name":"shop_default","needs":[],"cause":"does not exist","destructive":false},` +
		`{"id":2,"op":"pull_image","kind":"image","name":"web","needs":[],"cause":"is not on the engine","destructive":false},` +
		`{"id":3,"op":"create_container","kind":"container","name":"shop-web-1","needs":[1,2],"cause":"does not exist","destructive":false}` +
		`],"warnings":[]}`
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("json (-want +got):\n%s", diff)
	}
}

func TestTeardown(t *testing.T) {
	d := desired(t, shop)
	grace := 3 * time.Second
	for _, test := range []struct {
		name   string
		change func(t *testing.T, o *state.Observed)
		opts   plan.DownOptions
		want   string
	}{
		{
			name: "dependents stop first, networks go last, volumes stay",
			want: `
[1] stop container shop-web-1: down
[2] remove container shop-web-1 <- #1: down
[3] stop container shop-db-1 <- #1: down
[4] remove container shop-db-1 <- #3: down
[5] stop container shop-cache-1 <- #1: down
[6] remove container shop-cache-1 <- #5: down
[7] remove network shop_back <- #2 #4 #6: down
`,
		},
		{
			name: "volumes and local images when asked for",
			opts: plan.DownOptions{Volumes: true, Images: plan.RemoveLocalImages, Grace: &grace},
			want: `
[1] stop container shop-web-1: down
[2] remove container shop-web-1 <- #1: down
[3] stop container shop-db-1 <- #1: down
[4] remove container shop-db-1 <- #3: down
[5] stop container shop-cache-1 <- #1: down
[6] remove container shop-cache-1 <- #5: down
[7] remove network shop_back <- #2 #4 #6: down
[8] remove volume shop_data <- #2 #4 #6: down --volumes (deletes data)
[9] remove image shop-web <- #2 #4 #6: down --rmi local
`,
		},
		{
			name: "local images go though an earlier down has removed the containers",
			change: func(_ *testing.T, o *state.Observed) {
				o.Containers, o.Networks, o.Volumes = nil, nil, nil
			},
			opts: plan.DownOptions{Images: plan.RemoveLocalImages, Services: []string{"web", "db", "cache"}},
			want: `
[1] remove image shop-web: down --rmi local
`,
		},
		{
			name: "containers of docker compose run go, too",
			change: func(_ *testing.T, o *state.Observed) {
				o.Containers, o.Networks, o.Volumes = nil, nil, nil
				o.OneOffs = []state.Container{{ID: "x", Name: "shop-web-run-1", Service: "web", OneOff: true, State: "exited"}}
			},
			want: "\n[1] remove container shop-web-run-1: down\n",
		},
		{
			name: "what is not the project's stays",
			change: func(_ *testing.T, o *state.Observed) {
				o.Containers = nil
				o.Networks[0].Project = "other"
				o.Volumes[0].Project = ""
			},
			opts: plan.DownOptions{Volumes: true},
			want: "\n",
		},
		{
			name: "an orphan stays, and what it uses",
			change: func(_ *testing.T, o *state.Observed) {
				o.Containers = []state.Container{{
					ID: "x", Name: "shop-old-1", Service: "old", State: "running",
					Networks: map[string]string{"shop_back": "id"}, Mounts: []state.Mount{{Type: "volume", Name: "shop_data"}},
				}}
			},
			opts: plan.DownOptions{Volumes: true, Services: []string{"web"}},
			want: `
warning: network shop_back stays: shop-old-1 is on it
warning: volume shop_data stays: shop-old-1 uses it
warning: containers of no service in the stack stay: shop-old-1; --remove-orphans removes them
`,
		},
		{
			name: "labels that contradict each other are no obstacle",
			change: func(t *testing.T, o *state.Observed) {
				o.Networks, o.Volumes = nil, nil
				o.Containers = o.Containers[:2]
				container(t, o, "shop-db-1").DependsOn = []state.Dependency{{Service: "cache"}}
				container(t, o, "shop-cache-1").DependsOn = []state.Dependency{{Service: "db"}}
			},
			want: `
[1] stop container shop-db-1: down
[2] remove container shop-db-1 <- #1: down
[3] stop container shop-cache-1: down
[4] remove container shop-cache-1 <- #3: down
`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := settled(d)
			if test.change != nil {
				test.change(t, &o)
			}
			got, err := plan.Teardown(o, test.opts)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, "\n"+got.String()); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
		})
	}
}
