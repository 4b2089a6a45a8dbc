// Package enginetest is an engine in memory, for tests of what uses an engine.
// It keeps state as a real engine does, so a test says what is there and looks at
// what is there afterwards; services behave as [Engine.Behave] tells, and any
// call can be made to fail.
package enginetest

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/containerd/errdefs"

	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// Behaviour is how the containers of a service behave. The zero value runs, and
// is healthy at the first probe.
type Behaviour struct {
	// FailingProbes is how many probes fail before one succeeds; negative for all.
	FailingProbes int
	// ProbeOutput is what a failing probe writes.
	ProbeOutput string
	// Exits makes the container end right after its start, with ExitCode.
	Exits    bool
	ExitCode int
	// Runs is how often the container ends before it stays up, where a restart
	// policy brings it back; zero means for ever.
	Runs int
	// EngineHealth are the health states that the engine reports after a start.
	EngineHealth []string
	// Log are the lines that it writes at each start.
	Log []string
	// Program is what runs with the caller's streams, in the container or as its
	// main process; see [Engine.ExecAttached]. Nil writes nothing and ends with
	// ExitCode.
	Program func(context.Context, Process) (exitCode int)
}

// Process is a command that runs with its caller's streams.
type Process struct {
	// Command is what runs; for the main process of a container its arguments,
	// user, folder and variables.
	engine.Command
	// Container is the container's name.
	Container string
	// In, Out and Err are never nil.
	In       io.Reader
	Out, Err io.Writer
	// Terminal is nil without one.
	Terminal *engine.Terminal
	// Signals brings the signals that the main process of a container gets.
	Signals <-chan string
}

// Call is one call that reached the engine.
type Call struct {
	// Method is the method of engine.Engine, Name what it was called for: a
	// container's name, an image's reference ... empty for lists.
	Method, Name string
}

// String gives "CreateContainer web-1".
func (c Call) String() string { return strings.TrimSpace(c.Method + " " + c.Name) }

// Engine is an engine in memory. Use [New].
type Engine struct {
	mu         sync.Mutex
	info       engine.Info
	runsOn     engine.Platform
	fail       func(Call) error
	behaviours map[string]Behaviour
	calls      []Call
	clock      time.Time
	lastID     int

	containers map[string]*container // by id
	networks   map[string]state.Network
	volumes    map[string]state.Volume
	contents   map[string][]byte // of volumes, as archives; none for an empty one
	images     map[string]state.Image
	registry   map[string]string // reference -> image id
	streams    map[*stream]struct{}
	past       []past
}

var _ engine.Engine = (*Engine)(nil)

type container struct {
	state.Container
	spec     state.ContainerSpec
	labels   map[string]string
	probes   int
	restarts int
	started  time.Time
	log      []engine.LogLine
	probe    *engine.ProbeResult
	signals  chan string
}

type stream struct {
	project string
	queue   chan engine.Event
}

// New makes an engine with nothing on it: API 1.45.
func New() *Engine {
	return &Engine{
		info: engine.Info{
			Endpoint: "unix:///fake.sock", APIVersion: "1.45", KnowsStartInterval: true,
		},
		runsOn:     engine.Platform{OS: "linux", Arch: "amd64"},
		behaviours: map[string]Behaviour{},
		clock:      time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		containers: map[string]*container{}, networks: map[string]state.Network{},
		volumes: map[string]state.Volume{}, contents: map[string][]byte{}, images: map[string]state.Image{},
		registry: map[string]string{}, streams: map[*stream]struct{}{},
	}
}

// Clone gives an engine with the same on it, where calls are not recorded yet and
// none fails.
func (e *Engine) Clone() *Engine {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := New()
	out.info, out.runsOn, out.clock, out.lastID = e.info, e.runsOn, e.clock, e.lastID
	out.behaviours, out.registry, out.past = maps.Clone(e.behaviours), maps.Clone(e.registry), slices.Clone(e.past)
	out.networks, out.volumes, out.images = maps.Clone(e.networks), maps.Clone(e.volumes), maps.Clone(e.images)
	for id, c := range e.containers {
		same := *c
		same.Networks, same.Mounts = maps.Clone(c.Networks), slices.Clone(c.Mounts)
		same.log, same.signals = slices.Clone(c.log), nil
		out.containers[id] = &same
	}
	return out
}

// SetInfo replaces what the engine says of itself.
func (e *Engine) SetInfo(info engine.Info) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.info = info
}

// SetPlatform replaces what its containers run on, which is linux/amd64.
func (e *Engine) SetPlatform(p engine.Platform) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.runsOn = p
}

// Behave says how the containers of a service behave from their next start on.
func (e *Engine) Behave(service string, b Behaviour) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.behaviours[service] = b
}

// FailWith has f decide for each call whether it fails, before it does anything.
// A nil f lets every call succeed.
func (e *Engine) FailWith(f func(Call) error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.fail = f
}

// AddImage puts an image on the engine.
func (e *Engine) AddImage(ref, id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.images[ref] = state.Image{ID: id, Platform: e.platform()}
}

// AddBuilt puts an image on the engine that was built for a project.
func (e *Engine) AddBuilt(ref, id, project string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.images[ref] = state.Image{ID: id, Platform: e.platform(), Labels: map[string]string{state.LabelProject: project}}
}

// AddRemote puts an image into the registry, to be pulled.
func (e *Engine) AddRemote(ref, id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.registry[ref] = id
}

// AddVolume puts a volume on the engine that belongs to project, or to none.
func (e *Engine) AddVolume(name, project string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.volumes[name] = state.Volume{Name: name, Project: project, Driver: "local", Created: e.clock, Labels: ownerLabels(project)}
}

// AddNetwork puts a network on the engine that belongs to project, or to none.
func (e *Engine) AddNetwork(name, project string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.networks[name] = state.Network{ID: e.newID("net"), Name: name, Project: project, Driver: "bridge", Labels: ownerLabels(project)}
}

func ownerLabels(project string) map[string]string {
	if project == "" {
		return nil
	}
	return map[string]string{state.LabelProject: project}
}

// AddContainer puts a running container on the engine and gives its id.
func (e *Engine) AddContainer(c state.Container) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	if c.ID == "" {
		c.ID = e.newID("ctr")
	}
	c.State = cmp.Or(c.State, "running")
	if c.Networks == nil {
		c.Networks = map[string]string{}
	}
	e.containers[c.ID] = &container{Container: c}
	return c.ID
}

// Calls gives the calls that changed something or may have, in order of arrival.
func (e *Engine) Calls() []Call {
	return slices.DeleteFunc(e.AllCalls(), func(c Call) bool {
		switch c.Method {
		case "Info", "Platform", "Containers", "Networks", "Volumes", "VolumeSizes", "ReadFolder", "Image", "Inspect", "Compare", "Events", "AllEvents", "Logs", "Exec":
			return true
		}
		return false
	})
}

// AllCalls gives every call, in order of arrival.
func (e *Engine) AllCalls() []Call {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.calls)
}

// ForgetCalls empties the record of calls.
func (e *Engine) ForgetCalls() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.calls = nil
}

// Dump lists what is on the engine, one resource a line, sorted:
// "container web-1 running healthy".
func (e *Engine) Dump() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var lines []string
	for _, c := range e.containers {
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("container %s %s %s", c.Name, c.State, c.Health)))
	}
	for _, n := range e.networks {
		lines = append(lines, "network "+n.Name)
	}
	for _, v := range e.volumes {
		lines = append(lines, "volume "+v.Name)
	}
	for ref := range e.images {
		lines = append(lines, "image "+ref)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n") + "\n"
}

// EndEvents ends all event streams with an error, as an engine that stops does.
func (e *Engine) EndEvents(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for s := range e.streams {
		s.queue <- engine.Event{Err: err}
		close(s.queue)
		delete(e.streams, s)
	}
}

// Kill ends a running container as a crash does.
func (e *Engine) Kill(name string, exitCode int) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	c, err := e.find(name)
	if err != nil {
		return err
	}
	e.exit(c, exitCode)
	return nil
}

// SetProbe says what the engine's last probe of a container was.
func (e *Engine) SetProbe(name string, result engine.ProbeResult) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	c, err := e.find(name)
	if err != nil {
		return err
	}
	c.probe = &result
	return nil
}

// SetHealth says what the engine calls a container, with no event for it.
func (e *Engine) SetHealth(name, health string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	c, err := e.find(name)
	if err != nil {
		return err
	}
	c.Health = health
	return nil
}

// Alter changes what the lists tell of a container, as somebody else might have:
// its state, its networks, its mounts. No event tells of it.
func (e *Engine) Alter(name string, change func(*state.Container)) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	c, err := e.find(name)
	if err != nil {
		return err
	}
	change(&c.Container)
	return nil
}

// Labels gives the labels of a container.
func (e *Engine) Labels(name string) (map[string]string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c, err := e.find(name)
	if err != nil {
		return nil, err
	}
	return maps.Clone(c.labels), nil
}

// begin records a call and asks whether it fails. The lock is held on return,
// unless there is an error.
func (e *Engine) begin(ctx context.Context, method, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	e.mu.Lock()
	call := Call{method, name}
	e.calls = append(e.calls, call)
	e.clock = e.clock.Add(time.Millisecond)
	if e.fail == nil {
		return nil
	}
	fail := e.fail
	e.mu.Unlock() // it may look at the engine, or block
	err := fail(call)
	if err != nil {
		return err
	}
	e.mu.Lock()
	return nil
}

// platform is that of the engine's own images.
func (e *Engine) platform() string { return e.runsOn.String() }

func (e *Engine) newID(kind string) string {
	e.lastID++
	// The first twelve characters tell one from all others, as with a real engine.
	return fmt.Sprintf("%s%09d%052d", kind, e.lastID, 0)
}

func (e *Engine) find(ref string) (*container, error) {
	if c, ok := e.containers[ref]; ok {
		return c, nil
	}
	for _, c := range e.containers {
		if c.Name == ref {
			return c, nil
		}
	}
	return nil, notFound("container", ref)
}

func notFound(what, name string) error {
	return fmt.Errorf("no such %s: %s: %w", what, name, errdefs.ErrNotFound)
}

func conflict(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, errdefs.ErrConflict)...)
}

func (e *Engine) emit(c *container, event engine.Event) {
	event.Time, event.ID, event.Name, event.Service = e.clock, c.ID, c.Name, c.Service
	event.Attributes = c.attributes()
	e.past = append(e.past, past{c.Project, event})
	for s := range e.streams {
		if s.project == "" || s.project == c.Project {
			s.queue <- event
		}
	}
}

// Info implements engine.Observer.
func (e *Engine) Info(ctx context.Context) (engine.Info, error) {
	if err := e.begin(ctx, "Info", ""); err != nil {
		return engine.Info{}, err
	}
	defer e.mu.Unlock()
	return e.info, nil
}

// Platform implements engine.Observer.
func (e *Engine) Platform(ctx context.Context) (engine.Platform, error) {
	if err := e.begin(ctx, "Platform", ""); err != nil {
		return engine.Platform{}, err
	}
	defer e.mu.Unlock()
	return e.runsOn, nil
}

// Now implements engine.Observer: the fake's clock moves with every call.
func (e *Engine) Now(ctx context.Context) (time.Time, error) {
	if err := e.begin(ctx, "Now", ""); err != nil {
		return time.Time{}, err
	}
	defer e.mu.Unlock()
	return e.clock, nil
}

// Containers implements engine.Observer.
func (e *Engine) Containers(ctx context.Context, project string) ([]state.Container, error) {
	if err := e.begin(ctx, "Containers", project); err != nil {
		return nil, err
	}
	defer e.mu.Unlock()
	var out []state.Container
	for _, c := range e.containers {
		if project == "" || c.Project == project {
			listed := c.Container
			listed.Networks, listed.Mounts = maps.Clone(c.Networks), slices.Clone(c.Mounts)
			if !c.Running() { // a real engine gives ports only to what runs
				listed.Ports = nil
			}
			out = append(out, listed)
		}
	}
	slices.SortFunc(out, func(a, b state.Container) int { return cmp.Compare(a.ID, b.ID) })
	return out, nil
}

// Networks implements engine.Observer.
func (e *Engine) Networks(ctx context.Context) ([]state.Network, error) {
	if err := e.begin(ctx, "Networks", ""); err != nil {
		return nil, err
	}
	defer e.mu.Unlock()
	return slices.Collect(maps.Values(e.networks)), nil
}

// Volumes implements engine.Observer.
func (e *Engine) Volumes(ctx context.Context) ([]state.Volume, error) {
	if err := e.begin(ctx, "Volumes", ""); err != nil {
		return nil, err
	}
	defer e.mu.Unlock()
	return slices.Collect(maps.Values(e.volumes)), nil
}

// Image implements engine.Observer.
func (e *Engine) Image(ctx context.Context, ref string) (state.Image, error) {
	if err := e.begin(ctx, "Image", ref); err != nil {
		return state.Image{}, err
	}
	defer e.mu.Unlock()
	image, ok := e.images[ref]
	if !ok {
		return state.Image{}, notFound("image", ref)
	}
	return image, nil
}

// Inspect implements engine.Observer.
func (e *Engine) Inspect(ctx context.Context, ref string) (engine.Inspection, error) {
	if err := e.begin(ctx, "Inspect", ref); err != nil {
		return engine.Inspection{}, err
	}
	defer e.mu.Unlock()
	c, err := e.find(ref)
	if err != nil {
		return engine.Inspection{}, err
	}
	return engine.Inspection{
		ID: c.ID, Name: c.Name, State: c.State, Health: c.Health, ExitCode: c.ExitCode,
		StartedAt: c.started, RestartCount: c.restarts, RestartPolicy: cmp.Or(c.spec.Config.Restart, "no"),
		Healthcheck: healthcheck(c.spec.Config.HealthCheck), LastProbe: c.probe, Published: published(c.spec.Config.Ports),
	}, nil
}

// published gives the host ports that were asked for.
func published(ports []types.ServicePortConfig) []string {
	var out []string
	for _, p := range ports {
		if p.Published != "" && !slices.Contains(out, p.Published) {
			out = append(out, p.Published)
		}
	}
	slices.Sort(out)
	return out
}

func healthcheck(h *types.HealthCheckConfig) *engine.Healthcheck {
	if h == nil || h.Disable || len(h.Test) == 0 || h.Test[0] == "NONE" {
		return nil
	}
	out := &engine.Healthcheck{Command: h.Test[1:]}
	if h.Test[0] == "CMD-SHELL" {
		out.Command = []string{"/bin/sh", "-c", h.Test[1]}
	}
	for _, d := range []struct {
		to   *time.Duration
		from *types.Duration
	}{
		{&out.Interval, h.Interval},
		{&out.Timeout, h.Timeout},
		{&out.StartPeriod, h.StartPeriod},
		{&out.StartInterval, h.StartInterval},
	} {
		if d.from != nil {
			*d.to = time.Duration(*d.from)
		}
	}
	if h.Retries != nil {
		out.Retries = int(*h.Retries)
	}
	return out
}

// CreateNetwork implements engine.Mutator.
func (e *Engine) CreateNetwork(ctx context.Context, n state.NetworkSpec) error {
	if err := e.begin(ctx, "CreateNetwork", n.Name); err != nil {
		return err
	}
	defer e.mu.Unlock()
	if _, ok := e.networks[n.Name]; ok {
		return conflict("network %s already exists", n.Name)
	}
	made := state.Network{
		ID: e.newID("net"), Name: n.Name, Project: n.Labels[state.LabelProject],
		Key: n.Labels[state.LabelNetwork], Driver: cmp.Or(n.Config.Driver, "bridge"), Hash: n.Labels[state.LabelHash],
		Internal: n.Config.Internal, Attachable: n.Config.Attachable, IPv6: n.Config.EnableIPv6 != nil && *n.Config.EnableIPv6,
		Options: n.Config.DriverOpts, Labels: n.Labels, IPAMDriver: cmp.Or(n.Config.Ipam.Driver, "default"),
	}
	for _, p := range n.Config.Ipam.Config {
		made.Pools = append(made.Pools, state.Pool{Subnet: p.Subnet, IPRange: p.IPRange, Gateway: p.Gateway, Aux: p.AuxiliaryAddresses})
	}
	e.networks[n.Name] = made
	return nil
}

// RemoveNetwork implements engine.Mutator.
func (e *Engine) RemoveNetwork(ctx context.Context, ref string) error {
	if err := e.begin(ctx, "RemoveNetwork", ref); err != nil {
		return err
	}
	defer e.mu.Unlock()
	for name, n := range e.networks {
		if name != ref && n.ID != ref {
			continue
		}
		for _, c := range e.containers {
			if _, on := c.Networks[name]; on && c.State == "running" {
				return conflict("network %s has active endpoints", name)
			}
		}
		delete(e.networks, name)
	}
	return nil
}

// Connect implements engine.Mutator.
func (e *Engine) Connect(ctx context.Context, ref string, a state.Attachment) error {
	if err := e.begin(ctx, "Connect", e.nameOf(ref)+" "+a.Network); err != nil {
		return err
	}
	defer e.mu.Unlock()
	c, err := e.find(ref)
	if err != nil {
		return err
	}
	n, ok := e.networks[a.Network]
	if !ok {
		return notFound("network", a.Network)
	}
	c.Networks[a.Network] = n.ID
	return nil
}

// Disconnect implements engine.Mutator.
func (e *Engine) Disconnect(ctx context.Context, ref, network string) error {
	if err := e.begin(ctx, "Disconnect", e.nameOf(ref)+" "+network); err != nil {
		return err
	}
	defer e.mu.Unlock()
	if c, err := e.find(ref); err == nil {
		maps.DeleteFunc(c.Networks, func(name, id string) bool { return name == network || id == network })
	}
	return nil
}

// CreateVolume implements engine.Mutator.
func (e *Engine) CreateVolume(ctx context.Context, v state.VolumeSpec) error {
	if err := e.begin(ctx, "CreateVolume", v.Name); err != nil {
		return err
	}
	defer e.mu.Unlock()
	e.volumes[v.Name] = state.Volume{
		Name: v.Name, Project: v.Labels[state.LabelProject], Key: v.Labels[state.LabelVolume],
		Driver: cmp.Or(v.Config.Driver, "local"), Created: e.clock, Options: v.Config.DriverOpts, Labels: v.Labels,
	}
	return nil
}

// RemoveVolume implements engine.Mutator.
func (e *Engine) RemoveVolume(ctx context.Context, name string) error {
	if err := e.begin(ctx, "RemoveVolume", name); err != nil {
		return err
	}
	defer e.mu.Unlock()
	for _, c := range e.containers {
		for _, m := range c.Mounts {
			if m.Name == name {
				return conflict("volume %s is in use by %s", name, c.Name)
			}
		}
	}
	if e.volumes[name].Options["device"] == "" { // else it is only mounted
		delete(e.contents, name)
	}
	delete(e.volumes, name)
	return nil
}

// CreateContainer implements engine.Mutator.
func (e *Engine) CreateContainer(ctx context.Context, req engine.CreateContainer) (string, error) {
	name := cmp.Or(req.Name, req.Spec.Name)
	if err := e.begin(ctx, "CreateContainer", name); err != nil {
		return "", err
	}
	defer e.mu.Unlock()
	if c, err := e.find(name); err == nil {
		return "", conflict("the name %s is in use by container %s", name, c.ID)
	}
	image, ok := e.images[req.Spec.Image]
	for _, other := range e.images { // or by its id
		if !ok && other.ID == req.Spec.Image {
			image, ok = other, true
		}
	}
	if !ok {
		return "", notFound("image", req.Spec.Image)
	}
	labels := maps.Clone(req.Spec.Labels)
	maps.Copy(labels, req.Labels)
	c := &container{spec: req.Spec, labels: labels}
	c.Container = state.ContainerFromLabels(state.Container{
		ID: e.newID("ctr"), Name: name, Image: req.Spec.Image, ImageID: image.ID,
		State: "created", Status: "Created", Created: e.clock, Networks: map[string]string{},
		Mounts: slices.Clone(req.Keep),
	}, labels)
	for _, a := range req.Spec.Networks {
		n, ok := e.networks[a.Network]
		if !ok {
			return "", notFound("network", a.Network)
		}
		c.Networks[a.Network] = n.ID
	}
	if service, shares := strings.CutPrefix(req.Spec.Config.NetworkMode, types.ServicePrefix); shares {
		first := (*container)(nil) // with the lowest number, and the newest of two that take turns
		for _, other := range e.containers {
			if other.Service == service && other.Project == c.Project && !other.OneOff &&
				(first == nil || cmp.Or(cmp.Compare(first.Number, other.Number), cmp.Compare(other.ID, first.ID)) > 0) {
				first = other
			}
		}
		if first != nil {
			c.SharesNetwork = first.ID
		}
	}
	for _, v := range req.Spec.Config.Volumes {
		m := state.Mount{Type: v.Type, Name: req.Spec.VolumeNames[v.Source], Target: v.Target}
		if v.Type != types.VolumeTypeVolume {
			m.Name = ""
		}
		if _, there := e.volumes[m.Name]; m.Name != "" && !there { // an engine makes what it is asked to mount
			e.volumes[m.Name] = state.Volume{Name: m.Name, Driver: "local", Created: e.clock}
		}
		c.Mounts = append(c.Mounts, m)
	}
	for _, p := range req.Spec.Config.Ports {
		host, _ := strconv.Atoi(p.Published)
		c.Ports = append(c.Ports, state.Port{
			HostIP: p.HostIP, HostPort: host, ContainerPort: int(p.Target), Protocol: cmp.Or(p.Protocol, "tcp"),
		})
	}
	e.containers[c.ID] = c
	e.emit(c, engine.Event{Action: "create"})
	return c.ID, nil
}

// StartContainer implements engine.Mutator.
func (e *Engine) StartContainer(ctx context.Context, ref string) error {
	if err := e.begin(ctx, "StartContainer", e.nameOf(ref)); err != nil {
		return err
	}
	defer e.mu.Unlock()
	c, err := e.find(ref)
	if err != nil {
		return err
	}
	switch c.State {
	case "running":
		return nil
	case "paused": // which goes on where it was
		c.State = "running"
		e.emit(c, engine.Event{Action: "unpause"})
		if b := e.behaviours[c.Service]; b.Exits {
			e.exit(c, b.ExitCode)
		}
		return nil
	}
	for name, id := range c.Networks {
		if n, ok := e.networks[name]; !ok || id != "" && id != n.ID {
			return notFound("network", cmp.Or(id, name))
		}
	}
	if c.SharesNetwork != "" {
		if other, err := e.find(c.SharesNetwork); err != nil || other.State != "running" {
			return conflict("cannot join network of a non running container: %s", c.SharesNetwork)
		}
	}
	for _, other := range e.containers {
		if other == c || !other.Running() {
			continue
		}
		for _, p := range c.Ports {
			if slices.ContainsFunc(other.Ports, p.Overlaps) {
				return fmt.Errorf("port %d is already allocated", p.HostPort)
			}
		}
	}
	b := e.behaviours[c.Service]
	for _, line := range b.Log {
		c.log = append(c.log, engine.LogLine{Time: e.clock, Text: line})
	}
	// As on a real engine, which tells of a start after it: a process has often
	// written something by then.
	e.clock = e.clock.Add(time.Millisecond)
	c.probes, c.restarts, c.probe = 0, 0, nil
	e.run(c)
	for runs := 1; b.Exits; runs++ {
		e.exit(c, b.ExitCode)
		if c.State != "restarting" || runs == b.Runs || runs == 10 {
			break
		}
		c.restarts++
	}
	if b.Exits && b.Runs > 0 && c.State == "restarting" {
		e.run(c)
	}
	for _, health := range b.EngineHealth {
		c.Health = health
		e.emit(c, engine.Event{Action: "health_status", Health: health})
	}
	return nil
}

// run makes a container run.
func (e *Engine) run(c *container) {
	c.State, c.Status, c.Health = "running", "Up Less than a second", ""
	c.started = e.clock
	if healthcheck(c.spec.Config.HealthCheck) != nil {
		c.Health = "starting"
	}
	e.emit(c, engine.Event{Action: "start"})
}

// exit ends a container's run.
func (e *Engine) exit(c *container, code int) {
	policy := c.spec.Config.Restart
	c.State, c.ExitCode, c.Health = "exited", code, ""
	c.Status = fmt.Sprintf("Exited (%d) Less than a second ago", code)
	if policy == "always" || policy == "unless-stopped" || policy == "on-failure" && code != 0 {
		c.State = "restarting"
	}
	e.emit(c, engine.Event{Action: "die", ExitCode: code})
}

// SignalContainer implements engine.Mutator. A container without a program takes
// no notice.
func (e *Engine) SignalContainer(ctx context.Context, ref, signal string) error {
	if err := e.begin(ctx, "SignalContainer", e.nameOf(ref)+" "+signal); err != nil {
		return err
	}
	defer e.mu.Unlock()
	c, err := e.find(ref)
	if err != nil {
		return err
	}
	if c.State != "running" {
		return conflict("container %s is not running", c.Name)
	}
	if c.signals != nil {
		select {
		case c.signals <- signal:
		default: // a test that sends so many reads none of them
		}
	}
	return nil
}

// StopContainer implements engine.Mutator.
func (e *Engine) StopContainer(ctx context.Context, ref string, _ *time.Duration) error {
	if err := e.begin(ctx, "StopContainer", e.nameOf(ref)); err != nil {
		return err
	}
	defer e.mu.Unlock()
	c, err := e.find(ref)
	if err != nil || c.State == "exited" || c.State == "created" {
		return nil
	}
	c.State, c.ExitCode, c.Health, c.Status = "exited", 0, "", "Exited (0) Less than a second ago"
	if c.signals != nil {
		select {
		case c.signals <- "SIGTERM":
		default:
		}
	}
	e.emit(c, engine.Event{Action: "die"})
	e.emit(c, engine.Event{Action: "stop"})
	return nil
}

// RemoveContainer implements engine.Mutator.
func (e *Engine) RemoveContainer(ctx context.Context, ref string, _ bool) error {
	if err := e.begin(ctx, "RemoveContainer", e.nameOf(ref)); err != nil {
		return err
	}
	defer e.mu.Unlock()
	c, err := e.find(ref)
	if err != nil {
		return nil
	}
	if c.Running() {
		return conflict("container %s is %s", c.Name, c.State)
	}
	delete(e.containers, c.ID)
	e.emit(c, engine.Event{Action: "destroy"})
	return nil
}

// RenameContainer implements engine.Mutator.
func (e *Engine) RenameContainer(ctx context.Context, ref, name string) error {
	if err := e.begin(ctx, "RenameContainer", name); err != nil {
		return err
	}
	defer e.mu.Unlock()
	c, err := e.find(ref)
	if err != nil {
		return err
	}
	if other, err := e.find(name); err == nil && other != c {
		return conflict("the name %s is in use by container %s", name, other.ID)
	}
	c.Name = name
	e.emit(c, engine.Event{Action: "rename"})
	return nil
}

// RemoveImage implements engine.Mutator.
func (e *Engine) RemoveImage(ctx context.Context, ref string) error {
	if err := e.begin(ctx, "RemoveImage", ref); err != nil {
		return err
	}
	defer e.mu.Unlock()
	delete(e.images, ref)
	return nil
}

// Events implements engine.Streamer.
func (e *Engine) Events(ctx context.Context, project string) (<-chan engine.Event, error) {
	if err := e.begin(ctx, "Events", project); err != nil {
		return nil, err
	}
	defer e.mu.Unlock()
	// Tests have few events; a queue that fills up would block the engine.
	s := &stream{project: project, queue: make(chan engine.Event, 10000)}
	e.streams[s] = struct{}{}
	out := make(chan engine.Event)
	go func() {
		defer close(out)
		defer func() {
			e.mu.Lock()
			defer e.mu.Unlock()
			delete(e.streams, s)
		}()
		for {
			select {
			case <-ctx.Done():
				return
			case event, open := <-s.queue:
				if !open {
					return
				}
				select {
				case out <- event:
				case <-ctx.Done():
					return
				}
			}
		}
	}()
	return out, nil
}

// Logs implements engine.Streamer. With Follow it goes on until the container
// ends or ctx does, but gives no lines that come later.
func (e *Engine) Logs(ctx context.Context, ref string, o engine.LogOptions, each func(engine.LogLine)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var events <-chan engine.Event
	if o.Follow { // before the look at the container, so that its end is not missed
		var err error
		if events, err = e.Events(ctx, ""); err != nil {
			return err
		}
	}
	if err := e.begin(ctx, "Logs", e.nameOf(ref)); err != nil {
		return err
	}
	c, err := e.find(ref)
	if err != nil {
		e.mu.Unlock()
		return err
	}
	lines, running := slices.Clone(c.log), c.State == "running"
	e.mu.Unlock()
	lines = slices.DeleteFunc(lines, func(l engine.LogLine) bool { return l.Time.Before(o.Since) })
	if o.Tail != nil && len(lines) > *o.Tail {
		lines = lines[len(lines)-*o.Tail:]
	}
	for _, line := range lines {
		each(line)
	}
	for running && events != nil {
		event, open := <-events
		running = open && (event.ID != c.ID || event.Action != "die")
	}
	return nil
}

// Exec implements engine.Streamer: it is taken for a probe.
func (e *Engine) Exec(ctx context.Context, ref string, _ engine.Command) (engine.ExecResult, error) {
	if err := e.begin(ctx, "Exec", e.nameOf(ref)); err != nil {
		return engine.ExecResult{}, err
	}
	defer e.mu.Unlock()
	c, err := e.find(ref)
	if err != nil {
		return engine.ExecResult{}, err
	}
	if c.State != "running" {
		return engine.ExecResult{}, conflict("container %s is not running", c.Name)
	}
	c.probes++
	b := e.behaviours[c.Service]
	if b.FailingProbes < 0 || c.probes <= b.FailingProbes {
		return engine.ExecResult{ExitCode: 1, Output: b.ProbeOutput}, nil
	}
	return engine.ExecResult{}, nil
}

// ExecAttached implements engine.Streamer: the program of the service runs.
func (e *Engine) ExecAttached(ctx context.Context, ref string, command engine.Command, s engine.Streams) (int, error) {
	c, err := e.startExec(ctx, "ExecAttached", ref)
	if err != nil {
		return 0, err
	}
	defer e.mu.Unlock()
	return e.runProgram(ctx, c, Process{Command: command}, s)
}

// ExecDetached implements engine.Streamer.
func (e *Engine) ExecDetached(ctx context.Context, ref string, _ engine.Command) error {
	_, err := e.startExec(ctx, "ExecDetached", ref)
	if err == nil {
		e.mu.Unlock()
	}
	return err
}

// startExec finds the container that a command is to run in. The lock is held on
// return, unless there is an error.
func (e *Engine) startExec(ctx context.Context, method, ref string) (*container, error) {
	if err := e.begin(ctx, method, e.nameOf(ref)); err != nil {
		return nil, err
	}
	c, err := e.find(ref)
	if err == nil && c.State != "running" {
		err = conflict("container %s is not running", c.Name)
	}
	if err != nil {
		e.mu.Unlock()
		return nil, err
	}
	return c, nil
}

// StartAttached implements engine.Streamer: the program of the service runs as
// the main process.
func (e *Engine) StartAttached(ctx context.Context, ref string, s engine.Streams, started func()) (int, error) {
	if err := e.begin(ctx, "StartAttached", e.nameOf(ref)); err != nil {
		return 0, err
	}
	defer e.mu.Unlock()
	c, err := e.find(ref)
	if err != nil {
		return 0, err
	}
	e.run(c)
	c.signals = make(chan string, 16)
	if started != nil {
		e.mu.Unlock() // it may ask the engine something
		started()
		e.mu.Lock()
	}
	code, err := e.runProgram(ctx, c, Process{Command: mainCommand(c.spec.Config)}, s)
	if err != nil {
		return 0, err
	}
	e.exit(c, code)
	if c.spec.OneOff != nil && c.spec.OneOff.AutoRemove {
		delete(e.containers, c.ID)
		e.emit(c, engine.Event{Action: "destroy"})
	}
	return code, nil
}

// mainCommand is what a container runs by itself.
func mainCommand(s types.ServiceConfig) engine.Command {
	out := engine.Command{
		Args: slices.Concat([]string(s.Entrypoint), []string(s.Command)), User: s.User,
		WorkingDir: s.WorkingDir, Privileged: s.Privileged,
	}
	for name, value := range s.Environment {
		if value != nil {
			out.Env = append(out.Env, name+"="+*value)
		}
	}
	slices.Sort(out.Env)
	return out
}

// runProgram runs a container's program without the lock, which the caller has.
func (e *Engine) runProgram(ctx context.Context, c *container, p Process, s engine.Streams) (int, error) {
	b := e.behaviours[c.Service]
	if b.Program == nil {
		return b.ExitCode, nil
	}
	p.Container, p.Terminal, p.Signals = c.Name, s.Terminal, c.signals
	p.In, p.Out, p.Err = s.In, s.Out, s.Err
	if p.In == nil {
		p.In = strings.NewReader("")
	}
	if p.Out == nil {
		p.Out = io.Discard
	}
	if p.Err == nil {
		p.Err = io.Discard
	}
	e.mu.Unlock()
	defer e.mu.Lock()
	code := b.Program(ctx, p)
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	return code, nil
}

// Pull implements engine.Streamer.
func (e *Engine) Pull(ctx context.Context, ref, _ string, each func(engine.Progress)) error {
	if err := e.begin(ctx, "Pull", ref); err != nil {
		return err
	}
	defer e.mu.Unlock()
	if err := ctx.Err(); err != nil { // it ended while a test held the call up
		return err
	}
	id, ok := e.registry[ref]
	if !ok {
		return &engine.PullError{Image: ref, Registry: "docker.io", Reason: engine.PullNotFound, Err: notFound("image in the registry", ref)}
	}
	for _, phase := range []engine.Phase{engine.PhaseDownloading, engine.PhaseComplete} {
		each(engine.Progress{ID: "layer", Phase: phase, Current: 1, Total: 2})
	}
	e.images[ref] = state.Image{ID: id, Platform: e.platform()}
	return nil
}

// Build implements engine.Streamer: the image's id follows from its first tag.
func (e *Engine) Build(ctx context.Context, b engine.BuildRequest, each func(engine.Progress)) (string, error) {
	name := ""
	if len(b.Tags) > 0 {
		name = b.Tags[0]
	}
	if err := e.begin(ctx, "Build", name); err != nil {
		return "", err
	}
	defer e.mu.Unlock()
	each(engine.Progress{Text: "FROM scratch"})
	image := state.Image{ID: "sha256:built-" + name, Labels: b.Labels, Platform: e.platform()}
	for _, tag := range b.Tags {
		e.images[strings.TrimSuffix(tag, ":latest")] = image // which a name without a tag means
	}
	return image.ID, nil
}

// nameOf gives the name of a container for the record of calls.
func (e *Engine) nameOf(ref string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	if c, err := e.find(ref); err == nil {
		return c.Name
	}
	return ref
}
