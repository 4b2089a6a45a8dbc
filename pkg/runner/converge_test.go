package runner_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/stackctl/stackctl/pkg/runner"
	"github.com/stackctl/stackctl/pkg/runner/engine/enginetest"
	"github.com/stackctl/stackctl/pkg/runner/internal/projecttest"
	"github.com/stackctl/stackctl/pkg/runner/plan"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// calls gives the calls that changed something, in their order.
func calls(e *enginetest.Engine) []string {
	var out []string
	for _, c := range e.Calls() {
		out = append(out, c.String())
	}
	return out
}

// up brings a stack up and fails the test when it cannot.
func up(t *testing.T, e *enginetest.Engine, text string, o runner.UpOptions) *runner.Report {
	t.Helper()
	report, err := runner.New(e).Up(t.Context(), project(t, text), o)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// The service is away from the stop of the old container to the start of the new
// one, and the old one goes last.
func TestOrderOfAReplacement(t *testing.T) {
	const before, after = `{services: {web: {image: web, network_mode: none}}}`, `{services: {web: {image: web, network_mode: none, environment: {LEVEL: debug}}}}`
	e := newEngine()
	up(t, e, before, runner.UpOptions{})
	old, err := e.Inspect(t.Context(), "shop-web-1")
	if err != nil {
		t.Fatal(err)
	}
	e.ForgetCalls()
	report := up(t, e, after, runner.UpOptions{})
	if got, want := report.Plan.Nodes[0].Cause, "environment.LEVEL: debug is new"; got != want {
		t.Errorf("cause %q, want %q", got, want)
	}
	want := []string{
		"CreateContainer " + old.ID[:12] + "_shop-web-1", "StopContainer shop-web-1",
		"RenameContainer " + old.ID[:12] + "_shop-web-1_replaced", "RenameContainer shop-web-1",
		"StartContainer shop-web-1", "RemoveContainer " + old.ID[:12] + "_shop-web-1_replaced",
	}
	if diff := cmp.Diff(want, calls(e)); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

// With rollback the old container comes back when the new one cannot start, ends
// or never gets healthy; without, it is not started again.
func TestRollback(t *testing.T) {
	const before = `{services: {web: {image: web, healthcheck: {test: [CMD, ready], start_period: 1s, start_interval: 1ms}}}}`
	const after = `{services: {web: {image: web, user: other, healthcheck: {test: [CMD, ready], start_period: 1s, start_interval: 1ms}}}}`
	for _, test := range []struct {
		name   string
		breaks func(e *enginetest.Engine, old string)
	}{
		{"it ends", func(e *enginetest.Engine, old string) {
			e.FailWith(func(c enginetest.Call) error {
				if c.Method == "StartContainer" { // the old one is to run well
					e.Behave("web", enginetest.Behaviour{Exits: !ranBefore(e, "shop-web-1", old), ExitCode: 3})
				}
				return nil
			})
		}},
		{"it cannot start", func(e *enginetest.Engine, old string) {
			e.FailWith(func(c enginetest.Call) error {
				if c.Method == "StartContainer" && !ranBefore(e, "shop-web-1", old) {
					return errors.New("out of memory")
				}
				return nil
			})
		}},
		{"the old one cannot be put aside", func(e *enginetest.Engine, _ string) {
			e.FailWith(func(c enginetest.Call) error {
				if c.Method == "RenameContainer" && strings.HasSuffix(c.Name, "_replaced") {
					return errors.New("not now")
				}
				return nil
			})
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := newEngine()
			up(t, e, before, runner.UpOptions{})
			old, err := e.Inspect(t.Context(), "shop-web-1")
			if err != nil {
				t.Fatal(err)
			}
			test.breaks(e, old.ID)
			_, err = runner.New(e).Up(t.Context(), project(t, after), runner.UpOptions{Rollback: true})
			var failed *runner.FailedError
			if !errors.As(err, &failed) {
				t.Fatalf("got %v", err)
			}
			if diff := cmp.Diff([]string{"shop-web-1"}, failed.RolledBack); diff != "" || failed.Rollback != nil {
				t.Errorf("rolled back (-want +got):\n%s%v", diff, failed.Rollback)
			}
			now, err := e.Inspect(t.Context(), "shop-web-1")
			if err != nil || now.ID != old.ID || now.State != "running" {
				t.Errorf("web is %+v, %v; want %s, running", now, err, old.ID)
			}
			if all, err := e.Containers(t.Context(), "shop"); err != nil || len(all) != 1 {
				t.Errorf("left: %v, %v", all, err)
			}
		})
	}
}

// What the run had not touched was not rolled back.
func TestRollbackOfNothing(t *testing.T) {
	e := newEngine()
	up(t, e, `{services: {web: {image: web}}}`, runner.UpOptions{})
	_, err := runner.New(e).Up(t.Context(), project(t, `{services: {web: {image: gone}}}`), runner.UpOptions{Rollback: true})
	var failed *runner.FailedError
	if !errors.As(err, &failed) {
		t.Fatalf("got %v", err)
	}
	if len(failed.RolledBack) > 0 || failed.Rollback != nil {
		t.Errorf("rolled back %v, %v", failed.RolledBack, failed.Rollback)
	}
}

// One that cannot come back keeps no other from it.
func TestRollbackOfSeveral(t *testing.T) {
	const before = `
services:
  bad: {image: web, network_mode: none}
  good: {image: web, network_mode: none}
`
	e := newEngine()
	up(t, e, before, runner.UpOptions{})
	old, err := e.Inspect(t.Context(), "shop-good-1")
	if err != nil {
		t.Fatal(err)
	}
	var (
		both          sync.WaitGroup
		starts, names atomic.Int32
	)
	both.Add(2)
	e.FailWith(func(c enginetest.Call) error {
		switch {
		case c.Method == "StartContainer" && starts.Add(1) <= 2:
			both.Done()
			both.Wait()
			return errors.New("out of memory")
		case c.Method == "RenameContainer" && c.Name == "shop-bad-1" && names.Add(1) == 2:
			return errors.New("not now")
		}
		return nil
	})
	_, err = runner.New(e).Up(t.Context(), project(t, strings.ReplaceAll(before, "image: web", "image: web, user: other")), runner.UpOptions{Rollback: true})
	var failed *runner.FailedError
	if !errors.As(err, &failed) {
		t.Fatalf("got %v", err)
	}
	if diff := cmp.Diff([]string{"shop-good-1"}, failed.RolledBack); diff != "" {
		t.Errorf("rolled back (-want +got):\n%s", diff)
	}
	if failed.Rollback == nil || !strings.Contains(failed.Rollback.Error(), "not now") {
		t.Errorf("rollback: %v", failed.Rollback)
	}
	if now, err := e.Inspect(t.Context(), "shop-good-1"); err != nil || now.ID != old.ID || now.State != "running" {
		t.Errorf("good is %+v, %v; want %s, running", now, err, old.ID)
	}
}

// What nothing requires comes back, too, and the run ends well.
func TestRollbackOfWhatNothingRequires(t *testing.T) {
	const before = `
services:
  web: {image: web, network_mode: none, depends_on: {extra: {condition: service_started, required: false}}}
  extra: {image: web, network_mode: none}
`
	e := newEngine()
	up(t, e, before, runner.UpOptions{})
	old, err := e.Inspect(t.Context(), "shop-extra-1")
	if err != nil {
		t.Fatal(err)
	}
	e.FailWith(func(c enginetest.Call) error {
		if c.Method == "StartContainer" && !ranBefore(e, "shop-extra-1", old.ID) {
			return errors.New("out of memory")
		}
		return nil
	})
	report := up(t, e, strings.Replace(before, "extra: {image: web", "extra: {image: web, user: other", 1), runner.UpOptions{Rollback: true})
	if report.Plan.Empty() {
		t.Error("nothing was done")
	}
	if now, err := e.Inspect(t.Context(), "shop-extra-1"); err != nil || now.ID != old.ID || now.State != "running" {
		t.Errorf("extra is %+v, %v; want %s, running", now, err, old.ID)
	}
}

// ranBefore says that the container which has the name is that one.
func ranBefore(e *enginetest.Engine, name, id string) bool {
	all, err := e.Containers(context.Background(), "shop")
	return err == nil && slices.ContainsFunc(all, func(c state.Container) bool { return c.Name == name && c.ID == id })
}

// What nothing requires may fail: what would have liked it starts, and up ends
// well, with a warning.
func TestOptionalDependency(t *testing.T) {
	e := newEngine()
	e.Behave("db", enginetest.Behaviour{Exits: true, ExitCode: 1, Log: []string{"no disk"}})
	events := &recorder{}
	_, err := runner.New(e, runner.WithEvents(events)).Up(t.Context(), project(t, `
services:
  web: {image: web, depends_on: {db: {condition: service_healthy, required: false}}}
  db: {image: db, healthcheck: {test: [CMD, ready]}}
`), runner.UpOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if web, err := e.Inspect(t.Context(), "shop-web-1"); err != nil || web.State != "running" {
		t.Errorf("web is %+v, %v", web, err)
	}
	if !slices.ContainsFunc(events.lines, func(l string) bool {
		return strings.HasPrefix(l, "warning") && strings.HasSuffix(l, "nothing requires db, so the rest goes on without it")
	}) {
		t.Errorf("no warning in:\n%s", strings.Join(events.lines, "\n"))
	}
}

// The content of a config file is part of what a container runs.
func TestChangedConfigFile(t *testing.T) {
	const text = `
services: {web: {image: web, network_mode: none, configs: [conf]}}
configs: {conf: {file: ./app.conf}}
`
	dir := t.TempDir()
	write := func(content string) {
		if err := os.WriteFile(filepath.Join(dir, "app.conf"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	e := newEngine()
	r := runner.New(e)
	for _, step := range []struct{ content, cause string }{
		{"a", "does not exist"},
		{"a", ""},
		{"b", "files./conf: ca978112ca1b → 3e23e8160039"},
	} {
		write(step.content)
		report, err := r.Up(t.Context(), projecttest.Load(t, dir, text, nil), runner.UpOptions{})
		if err != nil {
			t.Fatal(err)
		}
		cause := ""
		if len(report.Plan.Nodes) > 0 {
			cause = report.Plan.Nodes[0].Cause
		}
		if cause != step.cause {
			t.Errorf("content %s: cause %q, want %q", step.content, cause, step.cause)
		}
	}
}

// Hooks run after the start and before the stop, in the container.
func TestHooks(t *testing.T) {
	const text = `
services:
  web:
    image: web
    network_mode: none
    post_start: [{command: [warm, up]}]
    pre_stop: [{command: [drain]}]
`
	e := newEngine()
	up(t, e, text, runner.UpOptions{})
	e.ForgetCalls()
	up(t, e, text, runner.UpOptions{ForceRecreate: true})
	var got []string
	for _, c := range e.AllCalls() {
		switch c.Method {
		case "StopContainer", "StartContainer", "Exec":
			got = append(got, c.Method)
		}
	}
	if diff := cmp.Diff([]string{"Exec", "StopContainer", "StartContainer", "Exec"}, got); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	e.Behave("web", enginetest.Behaviour{FailingProbes: -1, ProbeOutput: "cold"})
	_, err := runner.New(e).Up(t.Context(), project(t, text), runner.UpOptions{ForceRecreate: true})
	if err == nil || !strings.Contains(err.Error(), "run pre_stop[0] of container shop-web-1: exit code 1: cold") {
		t.Errorf("got %v", err)
	}
}

// A container that gave its port to another before it is replaced has been stopped
// by then: its hooks have run.
func TestHooksOfOneThatGivesItsPortAway(t *testing.T) {
	const before = `
services:
  a: {image: web, network_mode: none, ports: ["8001:80"], pre_stop: [{command: [drain]}]}
  b: {image: web, network_mode: none, ports: ["8002:80"]}
`
	e := newEngine()
	up(t, e, before, runner.UpOptions{})
	e.ForgetCalls()
	up(t, e, strings.NewReplacer("8001", "8002", "8002", "8001").Replace(before), runner.UpOptions{})
	hooks := 0
	for _, c := range e.AllCalls() {
		if c.Method == "Exec" {
			hooks++
		}
	}
	if hooks != 1 {
		t.Errorf("hooks ran %d times, want 1", hooks)
	}
}

// Hooks run after the start of a container that did not run, also when its image
// could have changed and has not.
func TestHooksOfOneThatIsKept(t *testing.T) {
	const text = `{services: {web: {image: web, network_mode: none, pull_policy: always, post_start: [{command: [warm, up]}]}}}`
	e := newEngine()
	e.AddRemote("web", "sha256:web")
	up(t, e, text, runner.UpOptions{})
	for _, step := range []struct {
		stop  bool
		hooks int
	}{{false, 0}, {true, 1}} {
		if step.stop {
			if err := e.StopContainer(t.Context(), "shop-web-1", nil); err != nil {
				t.Fatal(err)
			}
		}
		e.ForgetCalls()
		up(t, e, text, runner.UpOptions{})
		hooks := 0
		for _, c := range e.AllCalls() {
			if c.Method == "Exec" {
				hooks++
			}
		}
		if hooks != step.hooks {
			t.Errorf("stopped %t: hooks ran %d times, want %d", step.stop, hooks, step.hooks)
		}
	}
}

// What lives in the network of a container that is another one now goes with it,
// whoever made that.
func TestSharedNetworkOfAnotherContainer(t *testing.T) {
	const text = `
services:
  vpn: {image: web}
  app: {image: web, network_mode: "service:vpn"}
  ipc: {image: web, network_mode: none, ipc: "service:vpn"}
`
	for _, test := range []struct {
		name  string
		alone runner.UpOptions // of a run before
		want  []string         // containers that are replaced
	}{
		{"it was removed", runner.UpOptions{}, []string{"shop-app-1", "shop-ipc-1"}},
		{"it was replaced by itself", runner.UpOptions{Services: []string{"vpn"}}, []string{"shop-app-1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := newEngine()
			up(t, e, text, runner.UpOptions{})
			if err := e.StopContainer(t.Context(), "shop-vpn-1", nil); err != nil {
				t.Fatal(err)
			}
			if err := e.RemoveContainer(t.Context(), "shop-vpn-1", false); err != nil {
				t.Fatal(err)
			}
			if test.alone.Services != nil {
				up(t, e, text, test.alone)
			}
			report := up(t, e, text, runner.UpOptions{})
			var got []string
			for _, n := range report.Plan.Nodes {
				if op, ok := n.Op.(plan.ReplaceContainer); ok {
					got = append(got, op.New.Name)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("replaced (-want +got):\n%s", diff)
			}
			if again := up(t, e, text, runner.UpOptions{}); !again.Plan.Empty() {
				t.Errorf("not settled:\n%s", again.Plan)
			}
		})
	}
}

// A network that changed is made anew under the containers, which stay.
func TestNetworkMadeAnew(t *testing.T) {
	const before = `{services: {web: {image: web, networks: [back]}}, networks: {back: {}}}`
	e := newEngine()
	up(t, e, before, runner.UpOptions{})
	e.ForgetCalls()
	up(t, e, strings.Replace(before, "back: {}", "back: {internal: true}", 1), runner.UpOptions{})
	networks, err := e.Networks(t.Context())
	if err != nil || len(networks) != 1 {
		t.Fatal(networks, err)
	}
	want := []string{"Disconnect shop-web-1 " + "net", "RemoveNetwork net", "CreateNetwork shop_back", "Connect shop-web-1 shop_back"}
	got := calls(e)
	for i := range got { // ids are the engine's
		if at := strings.Index(got[i], " net0"); at >= 0 {
			got[i] = got[i][:at+4]
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	e.ForgetCalls()
	up(t, e, strings.Replace(before, "back: {}", "back: {internal: true}", 1), runner.UpOptions{})
	if again := calls(e); len(again) != 0 {
		t.Errorf("a second up did %v", again)
	}
}

// A run that ends while it makes a network anew leaves nobody off the network: the
// next one is not about orphans.
func TestNetworkOfARunThatEnds(t *testing.T) {
	const before = `{services: {web: {image: web, networks: [back]}, old: {image: db, networks: [back]}}, networks: {back: {}}}`
	after := project(t, `{services: {web: {image: web, networks: [back]}}, networks: {back: {internal: true}}}`)
	for _, method := range []string{"Disconnect", "RemoveNetwork", "CreateNetwork", "Connect"} {
		for _, nth := range []int{1, 2} {
			t.Run(fmt.Sprint(method, nth), func(t *testing.T) {
				e := newEngine()
				up(t, e, before, runner.UpOptions{})
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				var seen atomic.Int32
				e.FailWith(func(c enginetest.Call) error {
					if c.Method == method && int(seen.Add(1)) == nth {
						cancel(errors.New("interrupted"))
						return errors.New("out of order")
					}
					return nil
				})
				if _, err := runner.New(e).Up(ctx, after, runner.UpOptions{}); err == nil && int(seen.Load()) >= nth {
					t.Fatal("the run ended well")
				}
				networks, err := e.Networks(t.Context())
				if err != nil || len(networks) != 1 {
					t.Fatal(networks, err)
				}
				all, err := e.Containers(t.Context(), "shop")
				if err != nil || len(all) != 2 {
					t.Fatal(all, err)
				}
				for _, c := range all {
					if diff := cmp.Diff(map[string]string{"shop_back": networks[0].ID}, c.Networks); diff != "" {
						t.Errorf("%s (-want +got):\n%s", c.Name, diff)
					}
				}
			})
		}
	}
}

// A name that a container is to have is freed before, whoever of the project has it.
func TestNameOfAnotherContainer(t *testing.T) {
	for _, test := range []struct {
		name, before, after string
		opts                runner.UpOptions
	}{
		{
			"one that is removed", "old: {image: web, container_name: main}", "new: {image: web, container_name: main}",
			runner.UpOptions{RemoveOrphans: true},
		},
		{
			"two that change names", "a: {image: web, container_name: main}, b: {image: web, container_name: other}",
			"a: {image: web, container_name: other}, b: {image: web, container_name: main}",
			runner.UpOptions{},
		},
		{
			"one that gets another", "b: {image: web, container_name: main}",
			"a: {image: web, container_name: main}, b: {image: web, environment: {A: b}}",
			runner.UpOptions{},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := newEngine()
			up(t, e, "{services: {"+test.before+"}}", runner.UpOptions{})
			up(t, e, "{services: {"+test.after+"}}", test.opts)
			if again := up(t, e, "{services: {"+test.after+"}}", test.opts); !again.Plan.Empty() {
				t.Errorf("not settled:\n%s", again.Plan)
			}
		})
	}
	e := newEngine()
	up(t, e, "{services: {old: {image: web, container_name: main}}}", runner.UpOptions{})
	e.ForgetCalls()
	_, err := runner.New(e).Up(t.Context(), project(t, "{services: {new: {image: web, container_name: main}}}"), runner.UpOptions{})
	if !errors.Is(err, plan.ErrConflict) || len(calls(e)) > 0 {
		t.Errorf("the name of an orphan that stays: %v, %v", err, calls(e))
	}
}

// A network that cannot be made anew comes back as it was, with the containers on
// it.
func TestNetworkThatCannotBeMadeAnew(t *testing.T) {
	const before = `
services:
  web: {image: web, networks: {back: {ipv4_address: 10.1.0.7}}}
  db: {image: db, networks: [back]}
networks: {back: {driver_opts: {mtu: "1400"}, ipam: {config: [{subnet: 10.1.0.0/24}]}}}
`
	e := newEngine()
	up(t, e, before, runner.UpOptions{})
	was, err := e.Networks(t.Context())
	if err != nil || len(was) != 1 {
		t.Fatal(was, err)
	}
	var creates atomic.Int32
	e.FailWith(func(c enginetest.Call) error {
		if c.Method == "CreateNetwork" && creates.Add(1) == 1 {
			return errors.New("pool overlaps with other one on this address space")
		}
		return nil
	})
	_, err = runner.New(e).Up(t.Context(), project(t, strings.Replace(before, "10.1.0.0", "10.2.0.0", 1)), runner.UpOptions{})
	if err == nil || !strings.HasSuffix(err.Error(), "pool overlaps with other one on this address space") {
		t.Errorf("got %v", err)
	}
	now, err := e.Networks(t.Context())
	if err != nil || len(now) != 1 {
		t.Fatal(now, err)
	}
	if diff := cmp.Diff(was, now, cmpopts.IgnoreFields(state.Network{}, "ID")); diff != "" {
		t.Errorf("network (-want +got):\n%s", diff)
	}
	all, err := e.Containers(t.Context(), "shop")
	if err != nil || len(all) != 2 {
		t.Fatal(all, err)
	}
	for _, c := range all {
		if c.Networks["shop_back"] != now[0].ID || c.State != "running" {
			t.Errorf("%s is %s, on %v", c.Name, c.State, c.Networks)
		}
	}
	if report := up(t, e, before, runner.UpOptions{}); !report.Plan.Empty() {
		t.Errorf("the definition of before has work to do:\n%s", report.Plan)
	}
}
