package runner_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stackctl/stackctl/pkg/runner"
	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/engine/enginetest"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// fuzzEngine gives an engine with all that fuzzed projects have from elsewhere.
func fuzzEngine() *enginetest.Engine {
	e := enginetest.New()
	e.SetInfo(engine.Info{Endpoint: "tcp://docker.example:2376", APIVersion: "1.45", KnowsStartInterval: true})
	e.AddImage("one", "sha256:one")
	e.AddImage("two", "sha256:two")
	e.AddRemote("remote", "sha256:remote")
	e.AddRemote("one", "sha256:one-newer")
	e.AddRemote("two", "sha256:two")
	e.AddNetwork("out", "")
	e.AddVolume("kept", "")
	return e
}

// damage is what somebody else does to an engine between two runs.
type damage struct {
	t *testing.T
	e *enginetest.Engine
	// done tells what was done, a line each.
	done []string
	// inTheWay says that an error of an up is no wonder: a stranger has the name of
	// a container, or is on a network that has to go.
	inTheWay bool
	count    int
}

func (d *damage) tell(format string, args ...any) {
	d.done = append(d.done, fmt.Sprintf(format, args...))
}

func (d *damage) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal("damage:", err)
	}
}

// containers lists the project's, in an order that does not depend on ids: calls at
// one time get them by chance.
func (d *damage) containers() []state.Container {
	all, err := d.e.Containers(d.t.Context(), "shop")
	d.must(err)
	slices.SortFunc(all, func(a, b state.Container) int { return strings.Compare(plainName(a.Name), plainName(b.Name)) })
	return all
}

// some does something to a container of the project, if there is one.
func (d *damage) some(c *choices, what string, do func(state.Container)) {
	all := d.containers()
	if len(all) == 0 {
		return
	}
	one := pick(c, all...)
	d.tell("%s %s", what, plainName(one.Name))
	do(one)
}

func (d *damage) alter(c state.Container, change func(*state.Container)) {
	d.must(d.e.Alter(c.ID, change))
}

func (d *damage) remove(c state.Container) {
	d.must(d.e.StopContainer(d.t.Context(), c.ID, nil))
	d.must(d.e.RemoveContainer(d.t.Context(), c.ID, false))
}

// add puts a container on the engine, unless its name is taken.
func (d *damage) add(what string, c state.Container) {
	if _, err := d.e.Inspect(d.t.Context(), c.Name); err == nil {
		return
	}
	for name := range c.Networks {
		c.Networks[name] = d.networkID(name)
		if c.Networks[name] == "" {
			delete(c.Networks, name)
		}
	}
	d.tell("%s %s, %s, on %d networks", what, c.Name, c.State, len(c.Networks))
	c.Image, c.ImageID = "one", "sha256:one"
	d.e.AddContainer(c)
}

func (d *damage) networkID(name string) string {
	all, err := d.e.Networks(d.t.Context())
	d.must(err)
	for _, n := range all {
		if n.Name == name {
			return n.ID
		}
	}
	return ""
}

// dropNetwork removes a network whoever is on it; false when it is not there.
func (d *damage) dropNetwork(name string) bool {
	if d.networkID(name) == "" {
		return false
	}
	all, err := d.e.Containers(d.t.Context(), "")
	d.must(err)
	for _, c := range all {
		d.must(d.e.Disconnect(d.t.Context(), c.ID, name))
	}
	d.must(d.e.RemoveNetwork(d.t.Context(), name))
	return true
}

// dropVolume removes a volume and what uses it.
func (d *damage) dropVolume(name string) {
	all, err := d.e.Containers(d.t.Context(), "")
	d.must(err)
	for _, c := range all {
		if slices.ContainsFunc(c.Mounts, func(m state.Mount) bool { return m.Name == name }) {
			d.remove(c)
		}
	}
	d.must(d.e.RemoveVolume(d.t.Context(), name))
}

func (d *damage) state(c *choices) {
	d.some(c, "something happened to", func(one state.Container) {
		status, health := pick(c, "exited", "paused", "restarting", "dead", "created", "removing", "running"), pick(c, "", "healthy", "unhealthy", "starting")
		if status != "running" && status != "paused" {
			health = ""
		}
		code := c.of(2)
		d.tell("  it is %s %s %d now", status, health, code)
		d.alter(one, func(c *state.Container) { c.State, c.Health, c.ExitCode = status, health, code })
	})
}

// stranger adds a container that looks like the project's own and is not.
func (d *damage) stranger(c *choices) {
	one := state.Container{
		Name: pick(c, "elsewhere", "shop-z-1", "shop-a-1", "my-8001", "other-a-1"), Project: pick(c, "", "other", "shop2"),
		Service: pick(c, "", "a"), Number: 1, State: pick(c, "running", "exited"), Networks: map[string]string{},
	}
	if network := pick(c, "", "shop_default", "shop_back", "out"); network != "" {
		one.Networks[network] = ""
		d.inTheWay = true
	}
	if volume := pick(c, "", "shop_data", "kept"); volume != "" {
		one.Mounts = []state.Mount{{Type: "volume", Name: volume, Target: "/data"}}
	}
	if c.seldom() {
		one.Ports = []state.Port{{HostPort: 8001, ContainerPort: 80, Protocol: "tcp"}}
		d.inTheWay = true
	}
	d.inTheWay = d.inTheWay || one.Name == "shop-a-1" || one.Name == "my-8001"
	d.add("a stranger of project "+one.Project, one)
}

// leftover adds a container of the project as runs that were cut leave them.
func (d *damage) leftover(c *choices) {
	d.some(c, "a double of", func(like state.Container) {
		like.ID, like.Created = "", like.Created.AddDate(0, 0, c.of(3)-1)
		like.State, like.Health = pick(c, "created", "running", "exited"), ""
		like.Hash = pick(c, like.Hash, "v2:before", "")
		like.Name = pick(c, "0123456789ab_"+plainName(like.Name), "0123456789ab_"+plainName(like.Name)+"_replaced", "odd")
		like.Networks = map[string]string{"shop_default": ""}
		if c.flag() {
			like.Number = c.of(4)
		}
		like.Ports = nil
		like.Mounts = slices.Clone(like.Mounts)
		d.add("is", like)
	})
}

// volume gives a container one that has no name.
func (d *damage) volume(c *choices) {
	d.some(c, "a volume without a name in", func(one state.Container) {
		d.count++
		name := fmt.Sprintf("%064x", d.count)
		d.e.AddVolume(name, "")
		d.alter(one, func(c *state.Container) {
			c.Mounts = append(slices.Clone(c.Mounts), state.Mount{Type: "volume", Name: name, Target: fmt.Sprintf("/anonymous%d", d.count)})
		})
	})
}

// cut is a run that ends in the middle.
func (d *damage) cut(c *choices) {
	p := chosenProject(c)
	behave(d.e, p)
	o := chosenOptions(c, p)
	var after atomic.Int64
	after.Store(int64(c.of(40)))
	d.tell("a run that ends after %d calls, options %s, of\n%s", after.Load(), describe(o), text(p))
	d.e.FailWith(func(enginetest.Call) error {
		if after.Add(-1) < 0 {
			return errors.New("gone")
		}
		return nil
	})
	_, err := runner.New(d.e).Up(context.Background(), p, o)
	d.tell("  it ended with: %v", err)
	d.e.FailWith(nil)
}

// one does one thing.
func (d *damage) one(c *choices) {
	ctx := d.t.Context()
	switch c.of(16) {
	case 1:
		d.some(c, "stopped:", func(one state.Container) { d.must(d.e.StopContainer(ctx, one.ID, nil)) })
	case 2:
		d.some(c, "removed:", d.remove)
	case 3:
		d.some(c, "renamed:", func(one state.Container) {
			d.count++
			d.must(d.e.RenameContainer(ctx, one.ID, fmt.Sprintf("renamed%d", d.count)))
		})
	case 4, 5:
		d.state(c)
	case 6:
		ref := pick(c, "one", "two")
		d.tell("image %s is another one", ref)
		d.e.AddImage(ref, "sha256:"+ref+"-other")
	case 7:
		name := pick(c, "shop_default", "shop_back", "out")
		whose := pick(c, "nobody's", "shop", "other", "")
		if d.dropNetwork(name) || whose != "nobody's" {
			d.tell("network %s is gone", name)
		}
		if whose != "nobody's" {
			d.tell("  and there again, project %q", whose)
			d.e.AddNetwork(name, whose)
			d.inTheWay = d.inTheWay || whose != "shop"
		}
		d.inTheWay = d.inTheWay || name == "out"
	case 8:
		name := pick(c, "shop_data", "shop_logs")
		whose := pick(c, "nobody's", "other", "")
		d.tell("volume %s is gone, or %s", name, whose)
		d.dropVolume(name)
		if whose != "nobody's" {
			d.e.AddVolume(name, whose)
		}
	case 9:
		d.add("an orphan", state.Container{
			Name: "shop-gone-1", Project: "shop", Service: "gone", Number: 1, State: pick(c, "running", "exited", "paused"),
			Networks: map[string]string{"shop_default": "", "shop_back": ""},
		})
	case 10:
		d.stranger(c)
	case 11:
		d.add("a one-off", state.Container{
			Name: "shop-a-run-1", Project: "shop", Service: "a", OneOff: true, State: pick(c, "running", "exited"),
			Networks: map[string]string{pick(c, "shop_default", "shop_back"): ""},
		})
	case 12:
		d.leftover(c)
	case 13:
		d.cut(c)
	case 14:
		d.volume(c)
	case 15:
		d.some(c, "labels as of another tool:", func(one state.Container) {
			change := c.of(4)
			d.alter(one, func(c *state.Container) {
				switch change {
				case 0:
					c.Hash = ""
				case 1:
					c.Hash, c.ComposeHash = "", "x"
				case 2:
					c.Number = 0
				case 3:
					c.DependsOn = []state.Dependency{{Service: "b", Condition: "service_started", Required: true, Restart: true}}
				}
			})
		})
	}
}
