package docker

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/go-connections/nat"
	"golang.org/x/sync/errgroup"

	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// view is a container as the engine sees it.
type view struct {
	config    container.Config
	host      container.HostConfig
	endpoints map[string]*network.EndpointSettings
	// attached says that the project gives the container its networks: which of
	// them it was made on says nothing then.
	attached bool
	// stopped says that the container has run and does not now: engines from 25 on
	// do not tell then which address was asked for.
	stopped bool
}

// Compare says in which points a container differs from what CreateContainer
// would make now. Both are brought into one form first: what is wanted gets what
// the engine adds from the image and from its own defaults.
func (e *Engine) Compare(ctx context.Context, name string, c engine.CreateContainer) ([]state.Difference, error) {
	fail := func(err error) ([]state.Difference, error) {
		return nil, failed("compare", "container", e.containerName(ctx, name, err), err)
	}
	files := c.Spec.Files // without the credentials of use_api_socket, which are no definition
	c, wanted, err := e.translate(ctx, c)
	var gone *noPeerError
	if errors.As(err, &gone) {
		// It lived with a container that is made anew.
		return []state.Difference{{Path: "the container of service " + gone.service}}, nil
	}
	if err != nil {
		return fail(err)
	}
	var (
		there container.InspectResponse
		info  system.Info
		looks errgroup.Group
	)
	looks.Go(func() (err error) { there, err = e.api.ContainerInspect(ctx, name); return err })
	looks.Go(func() (err error) { info, err = e.systemInfo(ctx); return err })
	if err := looks.Wait(); err != nil {
		return fail(err)
	}
	if there.ContainerJSONBase == nil {
		return fail(errors.New("the engine's answer does not describe a container"))
	}
	made, err := e.api.ImageInspect(ctx, there.Image)
	if err != nil && !errdefs.IsNotFound(err) {
		// One that is gone sets nothing: its container is replaced for that alone.
		return fail(err)
	}
	is, want := viewOf(there, c.Spec), wantedView(wanted, c.Spec)
	e.identify(ctx, is, want)
	want.settleGrace(is, c.Spec.Config)
	want.settle(is, defaults{info: info, image: made, id: there.ID, api: e.api.ClientVersion()})
	out := compareViews(is, want, c.Spec)
	out = append(out, compareEndpoints(is, want, c.Spec, there)...)
	changed, err := e.compareFiles(ctx, there.ID, is.config.Labels, want.config.Labels, files)
	if err != nil {
		return fail(err)
	}
	for _, target := range changed {
		// One that is mounted elsewhere now is told of as a mount.
		moved := func(m state.Difference) bool { return m.Path == "volumes."+target }
		if !slices.ContainsFunc(out, moved) {
			out = append(out, state.Difference{Path: filePath(c.Spec.Config, target)})
		}
	}
	slices.SortStableFunc(out, func(a, b state.Difference) int { return strings.Compare(a.Path, b.Path) })
	return slices.Compact(out), nil // links are with each network
}

// translate is [convert] with what surrounds this engine. The request comes back
// with what the surroundings add to it.
func (e *Engine) translate(ctx context.Context, c engine.CreateContainer) (engine.CreateContainer, creation, error) {
	if err := e.negotiate(ctx); err != nil {
		return c, creation{}, err
	}
	settings, err := e.settings()
	if err != nil {
		return c, creation{}, err
	}
	if c, err = withAPISocket(c, settings); err != nil {
		return c, creation{}, err
	}
	project := c.Spec.Labels[state.LabelProject]
	create, err := convert(c, surroundings{
		api:     e.api.ClientVersion(),
		proxy:   settings.ParseProxyConfig(e.endpoint.host, nil),
		seccomp: func(path string) (string, error) { return readProfile(c.Spec.Labels[state.LabelWorkingDir], path) },
		project: project,
		peers:   e.peersOf(ctx, project),
	})
	return c, create, err
}

// systemInfo asks once for the engine's defaults.
func (e *Engine) systemInfo(ctx context.Context) (system.Info, error) {
	e.system.Lock()
	defer e.system.Unlock()
	if e.systemAnswer == nil {
		info, err := e.api.Info(ctx)
		if err != nil {
			return system.Info{}, fmt.Errorf("ask for the engine's defaults: %w", err)
		}
		e.systemAnswer = &info
	}
	return *e.systemAnswer, nil
}

// identify puts ids for the names of other containers, where the two sides name
// one differently.
func (e *Engine) identify(ctx context.Context, is, want *view) {
	id := func(ref string) string {
		if other, err := e.api.ContainerInspect(ctx, ref); err == nil && other.ContainerJSONBase != nil {
			return shortID(other.ID)
		}
		return ref
	}
	mode := func(a, b string) (string, string) {
		const prefix = types.NetworkModeContainerPrefix
		x, isContainer := strings.CutPrefix(a, prefix)
		y, wantContainer := strings.CutPrefix(b, prefix)
		if a == b || !isContainer || !wantContainer {
			return a, b
		}
		return prefix + id(x), prefix + id(y)
	}
	a, b := mode(string(is.host.NetworkMode), string(want.host.NetworkMode))
	is.host.NetworkMode, want.host.NetworkMode = container.NetworkMode(a), container.NetworkMode(b)
	a, b = mode(string(is.host.IpcMode), string(want.host.IpcMode))
	is.host.IpcMode, want.host.IpcMode = container.IpcMode(a), container.IpcMode(b)
	a, b = mode(string(is.host.PidMode), string(want.host.PidMode))
	is.host.PidMode, want.host.PidMode = container.PidMode(a), container.PidMode(b)
	if !slices.Equal(is.host.VolumesFrom, want.host.VolumesFrom) {
		for _, list := range []*[]string{&is.host.VolumesFrom, &want.host.VolumesFrom} {
			*list = slices.Clone(*list)
			for i, from := range *list {
				ref, access, _ := strings.Cut(from, ":")
				(*list)[i] = id(ref) + ":" + access
			}
		}
	}
}

func viewOf(c container.InspectResponse, spec state.ContainerSpec) *view {
	v := &view{endpoints: map[string]*network.EndpointSettings{}, attached: len(spec.Networks) > 0}
	if c.Config != nil {
		v.config = *c.Config
	}
	if c.ContainerJSONBase != nil && c.HostConfig != nil {
		v.host = *c.HostConfig
		v.stopped = c.State != nil && (c.State.Status == container.StateExited || c.State.Status == container.StateDead)
	}
	if c.NetworkSettings != nil {
		maps.Copy(v.endpoints, c.NetworkSettings.Networks)
	}
	return v
}

func wantedView(c creation, spec state.ContainerSpec) *view {
	v := &view{config: *c.config, host: *c.host, endpoints: map[string]*network.EndpointSettings{}, attached: len(spec.Networks) > 0}
	if c.network != nil {
		for name, endpoint := range c.network.EndpointsConfig {
			copied := *endpoint
			v.endpoints[name] = &copied
		}
	}
	for _, more := range c.connect {
		copied := *more.endpoint
		v.endpoints[more.network] = &copied
	}
	return v
}

// defaults are what an engine adds to a container that it makes.
type defaults struct {
	info  system.Info
	image image.InspectResponse
	// id is the container's, api the version that was agreed on.
	id, api string
}

// settle does to what is wanted what the engine does when it makes a container:
// it fills in what the image sets and what the engine does by default. Where
// nobody can know the default, it takes what is there.
func (w *view) settle(is *view, s defaults) {
	w.settleImage(s.image)
	w.settleIdentity(is, s)
	w.settleHealth(is)
	w.settleResources(is, s.info)
	h := &w.host
	if h.ShmSize == 0 {
		h.ShmSize = defaultShmSize
	}
	if h.Runtime == "" {
		h.Runtime = s.info.DefaultRuntime
	}
	if h.IpcMode == "" {
		h.IpcMode = container.IPCModePrivate
	}
	if h.CgroupnsMode == "" {
		h.CgroupnsMode = container.CgroupnsModeHost
		private := slices.Contains(s.info.SecurityOptions, "name=cgroupns")
		if private && (!h.Privileged || s.info.CgroupVersion == "2") {
			h.CgroupnsMode = container.CgroupnsModePrivate
		}
	}
	if h.LogConfig.Type == "" {
		h.LogConfig.Type = s.info.LoggingDriver
	}
	if h.LogConfig.Type == s.info.LoggingDriver && is.host.LogConfig.Type == h.LogConfig.Type {
		// To its default driver the engine adds the options of its own
		// configuration, which it does not tell.
		options := maps.Clone(is.host.LogConfig.Config)
		if options == nil {
			options = map[string]string{}
		}
		maps.Copy(options, h.LogConfig.Config)
		h.LogConfig.Config = options
	}
}

// defaultShmSize is the engine's, unless its configuration says otherwise.
const defaultShmSize = 64 << 20

// settleImage lays the request over what the image sets.
func (w *view) settleImage(from image.InspectResponse) {
	c, image := &w.config, from.Config
	if image == nil {
		return
	}
	set := map[string]bool{}
	for _, variable := range c.Env {
		name, _, _ := strings.Cut(variable, "=")
		set[name] = true
	}
	c.Env = slices.Clone(c.Env)
	for _, variable := range image.Env {
		if name, _, _ := strings.Cut(variable, "="); !set[name] {
			c.Env = append(c.Env, variable)
		}
	}
	if len(c.Entrypoint) == 0 {
		if len(c.Cmd) == 0 {
			c.Cmd = image.Cmd
		}
		if c.Entrypoint == nil {
			c.Entrypoint = image.Entrypoint
		}
	}
	if len(c.Entrypoint) == 1 && c.Entrypoint[0] == "" {
		c.Entrypoint = nil // the engine's way of saying "none"
	}
	if c.User == "" {
		c.User = image.User
	}
	if c.WorkingDir == "" {
		c.WorkingDir = image.WorkingDir
	}
	if c.StopSignal == "" {
		c.StopSignal = image.StopSignal
	}
	labels := maps.Clone(image.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, c.Labels)
	c.Labels = labels
	exposed := maps.Clone(c.ExposedPorts)
	if exposed == nil {
		exposed = nat.PortSet{}
	}
	for port := range image.ExposedPorts {
		exposed[nat.Port(port)] = struct{}{}
	}
	c.ExposedPorts = exposed
	volumes := maps.Clone(c.Volumes)
	if volumes == nil {
		volumes = map[string]struct{}{}
	}
	maps.Copy(volumes, image.Volumes)
	c.Volumes = volumes
	if image.Healthcheck == nil {
		return
	}
	if c.Healthcheck == nil {
		c.Healthcheck = image.Healthcheck
		return
	}
	health := *c.Healthcheck
	if len(health.Test) == 0 {
		health.Test = image.Healthcheck.Test
	}
	orImage(&health.Interval, image.Healthcheck.Interval)
	orImage(&health.Timeout, image.Healthcheck.Timeout)
	orImage(&health.StartPeriod, image.Healthcheck.StartPeriod)
	orImage(&health.StartInterval, image.Healthcheck.StartInterval)
	orImage(&health.Retries, image.Healthcheck.Retries)
	c.Healthcheck = &health
}

func orImage[T comparable](value *T, image T) {
	var zero T
	if *value == zero {
		*value = image
	}
}

// settleIdentity fills in the names and addresses that the engine gives.
func (w *view) settleIdentity(is *view, s defaults) {
	c, mode := &w.config, w.host.NetworkMode
	if shared := mode.IsHost() || mode.IsContainer() || w.host.UTSMode.IsHost(); shared {
		// The names are those of the host or of the other container.
		if c.Hostname == "" {
			c.Hostname = is.config.Hostname
		}
		if c.Domainname == "" {
			c.Domainname = is.config.Domainname
		}
	} else if c.Hostname == "" && len(s.id) >= 12 {
		c.Hostname = shortID(s.id)
	}
	if atLeast := (surroundings{api: s.api}).atLeast; atLeast(api144) {
		// An address that nobody asked for looks like one that somebody did.
		if c.MacAddress == "" { //nolint:staticcheck // where convert puts it
			c.MacAddress = is.config.MacAddress //nolint:staticcheck // where convert puts it
		} else if endpoint := is.endpoints[string(mode)]; endpoint != nil && is.config.MacAddress == "" { //nolint:staticcheck // where convert puts it
			is.config.MacAddress = endpoint.MacAddress //nolint:staticcheck // where convert puts it
		}
	}
	for name, endpoint := range w.endpoints {
		there := is.endpoints[name]
		if there != nil && (endpoint.MacAddress == "" || is.stopped && there.MacAddress == "") {
			endpoint.MacAddress = there.MacAddress
		}
	}
}

// settleGrace takes a part of a second as Compose does, too: it cuts it off.
func (w *view) settleGrace(is *view, service types.ServiceConfig) {
	there := is.config.StopTimeout
	if p := service.StopGracePeriod; p != nil && there != nil && *there > 0 && time.Duration(*there)*time.Second == time.Duration(*p).Truncate(time.Second) {
		w.config.StopTimeout = there
	}
}

// settleHealth leaves only the test to be compared where one side has none.
func (w *view) settleHealth(is *view) {
	if probes(w.config.Healthcheck) == probes(is.config.Healthcheck) {
		return
	}
	var health container.HealthConfig
	if is.config.Healthcheck != nil {
		health = *is.config.Healthcheck
	}
	health.Test = nil
	if w.config.Healthcheck != nil {
		health.Test = w.config.Healthcheck.Test
	}
	w.config.Healthcheck = &health
}

// probes says whether there is a healthcheck that does something.
func probes(h *container.HealthConfig) bool {
	return h != nil && len(h.Test) > 0 && h.Test[0] != "NONE"
}

// settleResources follows what an engine derives, and what it discards because
// its kernel cannot do it.
func (w *view) settleResources(is *view, info system.Info) {
	r, there := &w.host.Resources, is.host.Resources
	derived := r.MemorySwap == 0 && there.MemorySwap == 2*there.Memory
	if r.Memory > 0 {
		switch {
		case !info.MemoryLimit:
			r.Memory, r.MemorySwap = 0, -1
		case !info.SwapLimit:
			r.MemorySwap = -1
		case r.MemorySwap == 0:
			r.MemorySwap = 2 * r.Memory
		}
	}
	if derived && info.SwapLimit { // it follows from the memory, which is compared
		r.MemorySwap = there.MemorySwap
	}
	if info.OSType != "windows" {
		r.CPUPercent = 0
	}
	if !info.PidsLimit {
		r.PidsLimit = nil
	}
	if !info.OomKillDisable {
		r.OomKillDisable = nil
	}
	if !info.CPUShares {
		r.CPUShares = 0
	}
	if !info.CPUCfsPeriod {
		r.CPUPeriod = 0
	}
	if !info.CPUCfsQuota {
		r.CPUQuota = 0
	}
	if !info.CPUSet {
		r.CpusetCpus, r.CpusetMems = "", ""
	}
}

// compareViews compares all that [points] lists.
func compareViews(is, want *view, spec state.ContainerSpec) []state.Difference {
	var out []state.Difference
	for _, p := range points {
		out = append(out, differences(pathIn(spec, p.path), p.read(is), p.read(want))...)
	}
	return out
}

// compareEndpoints compares the container's place on the networks that both
// sides have. That it is on the right ones is told by the lists.
func compareEndpoints(is, want *view, spec state.ContainerSpec, there container.InspectResponse) []state.Difference {
	// The names of the container itself are no aliases that somebody gave: the
	// engine adds the short id, and a container can be renamed.
	own := []string{spec.Name, strings.TrimPrefix(there.Name, "/"), shortID(there.ID)}
	var out []state.Difference
	for _, name := range slices.Sorted(maps.Keys(want.endpoints)) {
		a, b := is.endpoints[name], want.endpoints[name]
		if a == nil || b == nil {
			continue
		}
		for _, p := range endpointPoints {
			at := "networks." + networkKey(spec, name) + "." + p.path
			if p.path == "links" || p.path == "mac_address" && spec.Config.MacAddress != "" {
				at = p.path // said of the service
			}
			out = append(out, differences(at, p.read(a, own), p.read(b, own))...)
		}
	}
	return out
}

// shortID is what an engine writes of an id.
func shortID(id string) string { return id[:min(12, len(id))] }

// compareFiles gives the targets of configs and secrets that hold something else:
// by the digests that stand with the container. One without them, which Docker Compose made, is asked for
// the files that were written into it.
func (e *Engine) compareFiles(ctx context.Context, id string, is, want map[string]string, files []state.File) ([]string, error) {
	if is[state.LabelFiles] != "" {
		old, now := digests(is[state.LabelFiles]), digests(want[state.LabelFiles])
		for _, f := range files {
			if digest, known := old[f.Target]; known && f.HasDigest(digest) {
				old[f.Target] = now[f.Target]
			}
		}
		return changedFiles(old, now), nil
	}
	var changed []string
	for _, f := range files {
		if f.Source != "" {
			continue // mounted, and compared as such
		}
		same, err := e.holds(ctx, id, f)
		if err != nil {
			return nil, err
		}
		if !same {
			changed = append(changed, f.Target)
		}
	}
	return changed, nil
}

// changedFiles gives the targets whose digests differ, sorted.
func changedFiles(old, now map[string]string) []string {
	var out []string
	for target, digest := range now {
		if old[target] != digest {
			out = append(out, target)
		}
	}
	for target := range old {
		if _, still := now[target]; !still {
			out = append(out, target)
		}
	}
	slices.Sort(out)
	return out
}

// holds says whether a container has a file with its content.
func (e *Engine) holds(ctx context.Context, id string, f state.File) (bool, error) {
	archive, _, err := e.api.CopyFromContainer(ctx, id, f.Target)
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look at %s: %w", f.Target, trimmed(err))
	}
	defer archive.Close()
	contents := tar.NewReader(archive)
	header, err := contents.Next()
	if err != nil {
		return false, fmt.Errorf("look at %s: %w", f.Target, err)
	}
	if header.Typeflag != tar.TypeReg || header.Size != int64(len(f.Content)) {
		return false, nil
	}
	text, err := io.ReadAll(contents)
	if err != nil {
		return false, fmt.Errorf("look at %s: %w", f.Target, err)
	}
	return string(text) == f.Content, nil
}

func digests(label string) map[string]string {
	out := map[string]string{}
	for entry := range strings.SplitSeq(label, ",") {
		if i := strings.LastIndexByte(entry, '='); i > 0 {
			out[entry[:i]] = entry[i+1:]
		}
	}
	return out
}

// filePath names the config or secret that is at a target.
func filePath(service types.ServiceConfig, target string) string {
	at := func(dir string, ref types.FileReferenceConfig) bool {
		path := ref.Target
		if path == "" {
			path = ref.Source
		}
		return path == target || dir+path == target
	}
	for _, ref := range service.Configs {
		if at("/", types.FileReferenceConfig(ref)) {
			return "configs." + ref.Source
		}
	}
	for _, ref := range service.Secrets {
		if at("/run/secrets/", types.FileReferenceConfig(ref)) {
			return "secrets." + ref.Source
		}
	}
	return "files." + target
}

// networkKey gives the key of a network that the engine knows by name.
func networkKey(spec state.ContainerSpec, name string) string {
	return strings.TrimPrefix(name, spec.Labels[state.LabelProject]+"_")
}

// pathIn gives the place of a field that a service can set in another one, too.
func pathIn(spec state.ContainerSpec, path string) string {
	d := spec.Config.Deploy
	if path == "mac_address" && spec.Config.MacAddress == "" && len(spec.Networks) > 0 {
		return "networks." + networkKey(spec, spec.Networks[0].Network) + "." + path
	}
	if d == nil {
		return path
	}
	limits, reserved := d.Resources.Limits, d.Resources.Reservations
	switch {
	case path == "restart" && d.RestartPolicy != nil:
		return "deploy.restart_policy"
	case path == "mem_limit" && limits != nil && limits.MemoryBytes != 0:
		return "deploy.resources.limits.memory"
	case path == "cpus" && limits != nil && limits.NanoCPUs != 0:
		return "deploy.resources.limits.cpus"
	case path == "pids_limit" && limits != nil && limits.Pids != 0:
		return "deploy.resources.limits.pids"
	case path == "mem_reservation" && reserved != nil && reserved.MemoryBytes != 0:
		return "deploy.resources.reservations.memory"
	}
	return path
}

// unordered is a list whose order says nothing.
type unordered []string

// differences compares two values of one form: a string, a list, a set, or a
// mapping, which is compared key by key.
func differences(path string, old, wanted any) []state.Difference {
	switch wanted := wanted.(type) {
	case string:
		if before, _ := old.(string); before != wanted {
			return []state.Difference{state.Changed(path, before, wanted)}
		}
	case []string:
		if before, _ := old.([]string); !slices.Equal(before, wanted) {
			return []state.Difference{state.Changed(path, listed(before), listed(wanted))}
		}
	case unordered:
		before, _ := old.(unordered)
		gone, added := without(before, wanted), without(wanted, before)
		if len(gone)+len(added) > 0 {
			return []state.Difference{state.Changed(path, strings.Join(gone, ", "), strings.Join(added, ", "))}
		}
	case map[string]string:
		before, _ := old.(map[string]string)
		var out []state.Difference
		keys := slices.AppendSeq(slices.Collect(maps.Keys(before)), maps.Keys(wanted))
		slices.Sort(keys)
		for _, key := range slices.Compact(keys) {
			a, was := before[key]
			b, is := wanted[key]
			if was != is || a != b {
				out = append(out, state.Changed(path+"."+key, quoted(a, was), quoted(b, is)))
			}
		}
		return out
	}
	return nil
}

// without gives what of a is not in b, sorted, each once.
func without(a, b unordered) []string {
	out := slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
	slices.Sort(out)
	return slices.Compact(out)
}

// quoted tells a value that is empty from one that is not there.
func quoted(value string, there bool) string {
	if there && value == "" {
		return `""`
	}
	return value
}

// listed writes a list as a compose file does.
func listed(list []string) string {
	if len(list) == 0 {
		return ""
	}
	out := slices.Clone(list)
	for i, s := range out {
		if s == "" || strings.ContainsAny(s, ", ") {
			out[i] = `"` + s + `"`
		}
	}
	return "[" + strings.Join(out, ", ") + "]"
}
