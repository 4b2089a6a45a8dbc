package runner_test

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stackctl/stackctl/pkg/runner"
	"github.com/stackctl/stackctl/pkg/runner/engine/enginetest"
)

// choices reads decisions from bytes. What is not there any more is the first
// choice, so that short inputs are simple cases.
type choices struct{ rest []byte }

// of gives a number below n.
func (c *choices) of(n int) int {
	if len(c.rest) == 0 {
		return 0
	}
	b := c.rest[0]
	c.rest = c.rest[1:]
	return int(b) % n
}

func (c *choices) flag() bool { return c.of(2) == 1 }

// seldom is true for few of the bytes.
func (c *choices) seldom() bool { return c.of(8) == 7 }

// pick gives one of the alternatives.
func pick[T any](c *choices, from ...T) T { return from[c.of(len(from))] }

// services are those that fuzzed projects may have.
var services = []string{"a", "b", "c", "d"}

// images are those that the fuzzed engine has; remote is in its registry only.
var images = []string{"one", "two", "remote"}

// chosenProject gives a project that a loader could have given: no cycles, no port
// twice, what is waited for to be healthy has a healthcheck.
func chosenProject(c *choices) *types.Project {
	p := &types.Project{
		Name: "shop", WorkingDir: "/src", ComposeFiles: []string{"/src/compose.yaml"},
		Services: types.Services{}, DisabledServices: types.Services{},
		Networks: types.Networks{}, Volumes: types.Volumes{},
	}
	for _, key := range []string{"default", "back"} {
		n := types.NetworkConfig{Name: "shop_" + key, Internal: c.seldom()}
		if c.seldom() {
			n.DriverOpts = types.Options{"mtu": "1400"}
		}
		p.Networks[key] = n
	}
	p.Networks["out"] = types.NetworkConfig{Name: "out", External: true}
	p.Volumes["data"] = types.VolumeConfig{Name: "shop_data"}
	p.Volumes["kept"] = types.VolumeConfig{Name: "kept", External: true}
	logs := types.VolumeConfig{Name: "shop_logs"}
	if c.seldom() {
		logs.DriverOpts = types.Options{"type": "tmpfs"}
	}
	p.Volumes["logs"] = logs
	order := slices.Clone(services)
	if c.flag() {
		slices.Reverse(order)
	}
	ports := slices.Clone([]string{"8001", "8002", "8003", "8004"})
	for i, by := 0, c.of(4); i < by; i++ {
		ports = append(ports[1:], ports[0])
	}
	var before []types.ServiceConfig
	for i, name := range order {
		if c.of(4) == 3 {
			continue
		}
		s := chosenService(c, name, ports[i], before)
		if c.seldom() {
			s.Profiles = []string{"extra"}
			p.DisabledServices[name] = s
			continue // nothing that comes later names it
		}
		before = append(before, s)
		p.Services[name] = s
	}
	return p
}

// job as the command makes a container one that ends well.
const job = "job"

func isJob(s types.ServiceConfig) bool { return slices.Equal(s.Command, []string{job}) }

func sharesNetwork(s types.ServiceConfig) bool {
	return strings.HasPrefix(s.NetworkMode, types.ServicePrefix)
}

func chosenService(c *choices, name, port string, before []types.ServiceConfig) types.ServiceConfig {
	s := types.ServiceConfig{Name: name}
	s.Image, s.Environment = pick(c, images...), types.MappingWithEquals{}
	level := strconv.Itoa(c.of(3))
	s.Environment["LEVEL"] = &level
	scale := pick(c, 1, 1, 1, 2, 0, 3)
	if c.seldom() {
		s.Command = types.ShellCommand{job}
		scale = min(scale, 1)
	} else if c.flag() {
		s.HealthCheck = &types.HealthCheckConfig{Test: types.HealthCheckTest{"CMD", "ready"}}
	}
	if c.of(4) == 3 && !isJob(s) {
		s.Restart = pick(c, "always", "on-failure")
	}
	s.PullPolicy = pick(c, "", "", "", "", "", "always", "never")
	s.DependsOn = types.DependsOnConfig{}
	for _, dep := range before {
		if c.of(3) != 2 {
			continue
		}
		d := types.ServiceDependency{Condition: types.ServiceConditionStarted, Restart: c.flag(), Required: c.of(4) != 3}
		switch {
		case isJob(dep):
			d.Condition = types.ServiceConditionCompletedSuccessfully
		case dep.HealthCheck != nil && c.flag():
			d.Condition = types.ServiceConditionHealthy
		}
		s.DependsOn[dep.Name] = d
	}
	shared := slices.IndexFunc(before, func(dep types.ServiceConfig) bool { return !isJob(dep) && dep.GetScale() > 0 })
	switch mode := c.of(8); {
	case mode == 6 && shared >= 0:
		s.NetworkMode = types.ServicePrefix + before[shared].Name
	case mode == 7:
		s.NetworkMode = "none"
	default:
		s.Networks = map[string]*types.ServiceNetworkConfig{}
		for i, key := range []string{"default", "back", "out"} {
			if (mode+1)&(1<<i) != 0 {
				s.Networks[key] = nil
			}
		}
	}
	if c.seldom() && shared >= 0 {
		s.Ipc = types.ServicePrefix + before[shared].Name
	}
	if c.seldom() && shared >= 0 {
		s.VolumesFrom = []string{before[shared].Name}
	}
	if c.seldom() && shared >= 0 {
		s.Links = []string{before[shared].Name}
	}
	imply(&s)
	for _, key := range []string{"data", "logs", "kept"} {
		if c.of(4) == 3 {
			s.Volumes = append(s.Volumes, types.ServiceVolumeConfig{Type: types.VolumeTypeVolume, Source: key, Target: "/" + key})
		}
	}
	if c.of(4) == 3 && !sharesNetwork(s) {
		scale = min(scale, 1)
		s.Ports = []types.ServicePortConfig{{Target: 80, Published: port, Protocol: "tcp"}}
	}
	if c.seldom() {
		scale = min(scale, 1)
		s.ContainerName = "my-" + port // which another service has in another project
	}
	if c.seldom() {
		s.PreStop = []types.ServiceHook{{Command: types.ShellCommand{"drain"}}}
	}
	if c.seldom() && !isJob(s) {
		s.PostStart = []types.ServiceHook{{Command: types.ShellCommand{"warm"}}}
	}
	s.Scale = &scale
	return s
}

// imply adds the dependencies that a loader makes of references to other services.
func imply(s *types.ServiceConfig) {
	add := func(name string, restart bool) {
		if _, there := s.DependsOn[name]; !there {
			s.DependsOn[name] = types.ServiceDependency{Condition: types.ServiceConditionStarted, Restart: restart, Required: true}
		}
	}
	for _, mode := range []string{s.NetworkMode, s.Ipc} {
		if name, ok := strings.CutPrefix(mode, types.ServicePrefix); ok {
			add(name, true)
		}
	}
	for _, name := range s.Links {
		add(name, true)
	}
	for _, name := range s.VolumesFrom {
		add(name, false)
	}
}

// behave has the containers of a project's services do what the definition means.
func behave(e *enginetest.Engine, p *types.Project) {
	for _, name := range services {
		b := enginetest.Behaviour{}
		if s, there := p.Services[name]; there {
			b.Exits = isJob(s)
			if s.HealthCheck != nil {
				b.EngineHealth = []string{"healthy"}
			}
		}
		e.Behave(name, b)
	}
}

func chosenOptions(c *choices, p *types.Project) runner.UpOptions {
	o := runner.UpOptions{
		ForceRecreate: c.seldom(), NoRecreate: c.seldom(), RenewVolumes: c.seldom(), Rollback: c.of(4) == 3,
		RemoveOrphans: c.of(4) == 3, NoWait: c.seldom(), SkipDefinitions: c.seldom(),
	}
	if o.ForceRecreate { // the command line refuses both
		o.NoRecreate = false
	}
	if c.of(4) == 3 {
		o.Pull = pick(c, runner.PullMissing, runner.PullAlways, runner.PullNever)
	}
	if names := slices.Sorted(maps.Keys(p.Services)); len(names) > 0 && c.of(4) == 3 {
		o.Services = []string{pick(c, names...)}
		if c.flag() {
			o.Services = append(o.Services, pick(c, names...))
		}
		o.Services = slices.Compact(o.Services)
		o.NoDeps = c.flag()
	}
	return o
}

func describe(o runner.UpOptions) string {
	text := fmt.Sprintf("%+v", o)
	for _, word := range []string{"Services:[] ", "Build:false ", "Builder: ", "Pull: ", "Grace:<nil> ", "WaitTimeout:0s ", "Offline:false ", "Archive:<nil>"} {
		text = strings.Replace(text, word, "", 1)
	}
	for _, word := range []string{"NoDeps", "ForceRecreate", "NoRecreate", "RenewVolumes", "Rollback", "RemoveOrphans", "NoWait", "SkipDefinitions"} {
		text = strings.Replace(text, word+":false ", "", 1)
	}
	return text
}
