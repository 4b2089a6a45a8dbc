package docker

import (
	"cmp"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/blkiodev"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/go-connections/nat"

	"github.com/stackctl/stackctl/pkg/runner/state"
)

// point is one field of a service that is compared.
type point struct {
	// path is where a compose file has it.
	path string
	// read gives its value in one form: a string, a list, a set or a mapping.
	read func(v *view) any
	// fields are those of the Engine API that it is read from.
	fields []string
}

// points are all that is compared of a container.
var points = []point{
	{"hostname", func(v *view) any { return v.config.Hostname }, []string{"Config.Hostname"}},
	{"domainname", func(v *view) any { return v.config.Domainname }, []string{"Config.Domainname"}},
	{"user", func(v *view) any { return v.config.User }, []string{"Config.User"}},
	{"expose", func(v *view) any { return exposedSet(v) }, []string{"Config.ExposedPorts"}},
	{"tty", func(v *view) any { return truthText(&v.config.Tty) }, []string{"Config.Tty"}},
	{"stdin_open", func(v *view) any { return truthText(&v.config.OpenStdin) }, []string{"Config.OpenStdin"}},
	{"environment", func(v *view) any { return variableMap(v.config.Env) }, []string{"Config.Env"}},
	{"command", func(v *view) any { return []string(v.config.Cmd) }, []string{"Config.Cmd"}},
	{"entrypoint", func(v *view) any { return []string(v.config.Entrypoint) }, []string{"Config.Entrypoint"}},
	{"healthcheck.test", func(v *view) any { return probeText(v.config.Healthcheck) }, []string{"HealthConfig.Test"}},
	{
		"healthcheck", func(v *view) any { return probeTiming(v.config.Healthcheck) },
		[]string{
			"Config.Healthcheck", "HealthConfig.Interval", "HealthConfig.Timeout", "HealthConfig.StartPeriod",
			"HealthConfig.StartInterval", "HealthConfig.Retries",
		},
	},
	{"working_dir", func(v *view) any { return path.Clean("/" + v.config.WorkingDir) }, []string{"Config.WorkingDir"}},
	{"mac_address", func(v *view) any { return strings.ToLower(v.config.MacAddress) }, []string{"Config.MacAddress"}}, //nolint:staticcheck // where older engines have it
	{"labels", func(v *view) any { return labelMap(v.config.Labels) }, []string{"Config.Labels"}},
	{"stop_signal", func(v *view) any { return signalText(v.config.StopSignal) }, []string{"Config.StopSignal"}},
	{"stop_grace_period", func(v *view) any { return graceText(v.config.StopTimeout) }, []string{"Config.StopTimeout"}},

	{"volumes", func(v *view) any { return mountMap(v) }, []string{"HostConfig.Binds", "HostConfig.Mounts", "Config.Volumes"}},
	{"tmpfs", func(v *view) any { return tmpfsMap(v.host.Tmpfs) }, []string{"HostConfig.Tmpfs"}},
	{"volumes_from", func(v *view) any { return volumesFromSet(v.host.VolumesFrom) }, []string{"HostConfig.VolumesFrom"}},
	{"volume_driver", func(v *view) any { return v.host.VolumeDriver }, []string{"HostConfig.VolumeDriver"}},
	{"logging.driver", func(v *view) any { return v.host.LogConfig.Type }, []string{"HostConfig.LogConfig"}},
	{"logging.options", func(v *view) any { return v.host.LogConfig.Config }, []string{"HostConfig.LogConfig"}},
	{"links", func(v *view) any { return bridgeLinks(v) }, []string{"HostConfig.Links"}},
	{"network_mode", func(v *view) any { return modeText(v) }, []string{"HostConfig.NetworkMode"}},
	{"ports", func(v *view) any { return portSet(v) }, []string{"HostConfig.PortBindings"}},
	{"restart", func(v *view) any { return restartText(v.host.RestartPolicy) }, []string{"HostConfig.RestartPolicy"}},
	{"annotations", func(v *view) any { return v.host.Annotations }, []string{"HostConfig.Annotations"}},
	{"cap_add", func(v *view) any { return capabilitySet(v.host.CapAdd) }, []string{"HostConfig.CapAdd"}},
	{"cap_drop", func(v *view) any { return capabilitySet(v.host.CapDrop) }, []string{"HostConfig.CapDrop"}},
	{"cgroup", func(v *view) any { return string(v.host.CgroupnsMode) }, []string{"HostConfig.CgroupnsMode"}},
	{"dns", func(v *view) any { return v.host.DNS }, []string{"HostConfig.DNS"}},
	{"dns_opt", func(v *view) any { return v.host.DNSOptions }, []string{"HostConfig.DNSOptions"}},
	{"dns_search", func(v *view) any { return v.host.DNSSearch }, []string{"HostConfig.DNSSearch"}},
	{"extra_hosts", func(v *view) any { return hostMap(v.host.ExtraHosts) }, []string{"HostConfig.ExtraHosts"}},
	{"group_add", func(v *view) any { return unordered(v.host.GroupAdd) }, []string{"HostConfig.GroupAdd"}},
	{"ipc", func(v *view) any { return string(v.host.IpcMode) }, []string{"HostConfig.IpcMode"}},
	{"oom_score_adj", func(v *view) any { return strconv.Itoa(v.host.OomScoreAdj) }, []string{"HostConfig.OomScoreAdj"}},
	{"pid", func(v *view) any { return string(v.host.PidMode) }, []string{"HostConfig.PidMode"}},
	{"privileged", func(v *view) any { return truthText(&v.host.Privileged) }, []string{"HostConfig.Privileged"}},
	{"read_only", func(v *view) any { return truthText(&v.host.ReadonlyRootfs) }, []string{"HostConfig.ReadonlyRootfs"}},
	{"security_opt", func(v *view) any { return securitySet(v) }, []string{"HostConfig.SecurityOpt", "HostConfig.MaskedPaths", "HostConfig.ReadonlyPaths"}},
	{"storage_opt", func(v *view) any { return v.host.StorageOpt }, []string{"HostConfig.StorageOpt"}},
	{"uts", func(v *view) any { return string(v.host.UTSMode) }, []string{"HostConfig.UTSMode"}},
	{"userns_mode", func(v *view) any { return string(v.host.UsernsMode) }, []string{"HostConfig.UsernsMode"}},
	{"shm_size", func(v *view) any { return sizeText(v.host.ShmSize) }, []string{"HostConfig.ShmSize"}},
	{"sysctls", func(v *view) any { return v.host.Sysctls }, []string{"HostConfig.Sysctls"}},
	{"runtime", func(v *view) any { return v.host.Runtime }, []string{"HostConfig.Runtime"}},
	{"isolation", func(v *view) any { return strings.TrimPrefix(string(v.host.Isolation), "default") }, []string{"HostConfig.Isolation"}},
	{"init", func(v *view) any { return optionalText(v.host.Init) }, []string{"HostConfig.Init"}},

	{"cpu_shares", func(v *view) any { return numberText(v.host.CPUShares) }, []string{"Resources.CPUShares"}},
	{"mem_limit", func(v *view) any { return sizeText(v.host.Memory) }, []string{"Resources.Memory"}},
	{"memswap_limit", func(v *view) any { return sizeText(v.host.MemorySwap) }, []string{"Resources.MemorySwap"}},
	{"mem_reservation", func(v *view) any { return sizeText(v.host.MemoryReservation) }, []string{"Resources.MemoryReservation"}},
	{"mem_swappiness", func(v *view) any { return swappinessText(v.host.MemorySwappiness) }, []string{"Resources.MemorySwappiness"}},
	{"oom_kill_disable", func(v *view) any { return truthText(v.host.OomKillDisable) }, []string{"Resources.OomKillDisable"}},
	{"cpus", func(v *view) any { return cpuText(v.host.NanoCPUs) }, []string{"Resources.NanoCPUs"}},
	{"cgroup_parent", func(v *view) any { return v.host.CgroupParent }, []string{"Resources.CgroupParent"}},
	{"blkio_config.weight", func(v *view) any { return numberText(int64(v.host.BlkioWeight)) }, []string{"Resources.BlkioWeight"}},
	{"blkio_config.weight_device", func(v *view) any { return weightSet(v.host.BlkioWeightDevice) }, []string{"Resources.BlkioWeightDevice"}},
	{"blkio_config.device_read_bps", func(v *view) any { return rateSet(v.host.BlkioDeviceReadBps) }, []string{"Resources.BlkioDeviceReadBps"}},
	{"blkio_config.device_write_bps", func(v *view) any { return rateSet(v.host.BlkioDeviceWriteBps) }, []string{"Resources.BlkioDeviceWriteBps"}},
	{"blkio_config.device_read_iops", func(v *view) any { return rateSet(v.host.BlkioDeviceReadIOps) }, []string{"Resources.BlkioDeviceReadIOps"}},
	{"blkio_config.device_write_iops", func(v *view) any { return rateSet(v.host.BlkioDeviceWriteIOps) }, []string{"Resources.BlkioDeviceWriteIOps"}},
	{"cpu_period", func(v *view) any { return numberText(v.host.CPUPeriod) }, []string{"Resources.CPUPeriod"}},
	{"cpu_quota", func(v *view) any { return numberText(v.host.CPUQuota) }, []string{"Resources.CPUQuota"}},
	{"cpu_rt_period", func(v *view) any { return numberText(v.host.CPURealtimePeriod) }, []string{"Resources.CPURealtimePeriod"}},
	{"cpu_rt_runtime", func(v *view) any { return numberText(v.host.CPURealtimeRuntime) }, []string{"Resources.CPURealtimeRuntime"}},
	{"cpuset", func(v *view) any { return v.host.CpusetCpus }, []string{"Resources.CpusetCpus"}},
	{"cpu_count", func(v *view) any { return numberText(v.host.CPUCount) }, []string{"Resources.CPUCount"}},
	{"cpu_percent", func(v *view) any { return numberText(v.host.CPUPercent) }, []string{"Resources.CPUPercent"}},
	{"devices", func(v *view) any { return deviceSet(v.host.Devices) }, []string{"Resources.Devices"}},
	{"device_cgroup_rules", func(v *view) any { return unordered(v.host.DeviceCgroupRules) }, []string{"Resources.DeviceCgroupRules"}},
	{"gpus", func(v *view) any { return requestSet(v.host.DeviceRequests) }, []string{"Resources.DeviceRequests"}},
	{"pids_limit", func(v *view) any { return pidsText(v.host.PidsLimit) }, []string{"Resources.PidsLimit"}},
	{"ulimits", func(v *view) any { return limitMap(v.host.Ulimits) }, []string{"Resources.Ulimits"}},
}

// endpointPoint is one field of a service's place on a network.
type endpointPoint struct {
	path string
	// read is as in point; own are the container's own names.
	read   func(e *network.EndpointSettings, own []string) any
	fields []string
}

// endpointPoints are all that is compared of an attachment.
var endpointPoints = []endpointPoint{
	{"aliases", func(e *network.EndpointSettings, own []string) any { return aliasSet(e, own) }, []string{"EndpointSettings.Aliases"}},
	{"links", func(e *network.EndpointSettings, _ []string) any { return linkSet(e.Links) }, []string{"EndpointSettings.Links"}},
	{"ipv4_address", func(e *network.EndpointSettings, _ []string) any { return addressText(ipamOf(e).IPv4Address) }, []string{"EndpointSettings.IPAMConfig"}},
	{"ipv6_address", func(e *network.EndpointSettings, _ []string) any { return addressText(ipamOf(e).IPv6Address) }, []string{"EndpointSettings.IPAMConfig"}},
	{"link_local_ips", func(e *network.EndpointSettings, _ []string) any { return addressSet(ipamOf(e).LinkLocalIPs) }, []string{"EndpointSettings.IPAMConfig"}},
	{"mac_address", func(e *network.EndpointSettings, _ []string) any { return strings.ToLower(e.MacAddress) }, []string{"EndpointSettings.MacAddress"}},
	{"driver_opts", func(e *network.EndpointSettings, _ []string) any { return e.DriverOpts }, []string{"EndpointSettings.DriverOpts"}},
	{"gw_priority", func(e *network.EndpointSettings, _ []string) any { return strconv.Itoa(e.GwPriority) }, []string{"EndpointSettings.GwPriority"}},
}

// notCompared are the fields of the Engine API that say nothing here, and why.
var notCompared = map[string]string{
	"Config.AttachStdin":                   "of the client that makes the container, which attaches to nothing",
	"Config.AttachStdout":                  "as AttachStdin",
	"Config.AttachStderr":                  "as AttachStdin",
	"Config.StdinOnce":                     "as AttachStdin",
	"Config.ArgsEscaped":                   "comes with the image",
	"Config.Image":                         "the images are compared by their ids",
	"Config.NetworkDisabled":               "no compose file can say it",
	"Config.OnBuild":                       "comes with the image, and means builds only",
	"Config.Shell":                         "comes with the image",
	"HostConfig.ContainerIDFile":           "a file that the docker command writes",
	"HostConfig.AutoRemove":                "no compose file can say it",
	"HostConfig.ConsoleSize":               "of the terminal that the container was made from",
	"HostConfig.Cgroup":                    "no compose file can say it",
	"HostConfig.PublishAllPorts":           "no compose file can say it",
	"HostConfig.Resources":                 "its fields are compared one by one",
	"Resources.CpusetMems":                 "no compose file can say it",
	"Resources.KernelMemory":               "no compose file can say it",
	"Resources.KernelMemoryTCP":            "no compose file can say it",
	"Resources.IOMaximumIOps":              "no compose file can say it",
	"Resources.IOMaximumBandwidth":         "no compose file can say it",
	"EndpointSettings.NetworkID":           "the networks are compared by their ids",
	"EndpointSettings.EndpointID":          "given by the engine",
	"EndpointSettings.Gateway":             "given by the engine",
	"EndpointSettings.IPAddress":           "given by the engine; the one asked for is in IPAMConfig",
	"EndpointSettings.IPPrefixLen":         "given by the engine",
	"EndpointSettings.IPv6Gateway":         "given by the engine",
	"EndpointSettings.DNSNames":            "the engine makes them of the aliases",
	"EndpointSettings.GlobalIPv6Address":   "given by the engine; the one asked for is in IPAMConfig",
	"EndpointSettings.GlobalIPv6PrefixLen": "given by the engine",
}

func truthText(b *bool) string { return strconv.FormatBool(b != nil && *b) }

// optionalText tells "no" from "as the engine does by default".
func optionalText(b *bool) string {
	if b == nil {
		return ""
	}
	return strconv.FormatBool(*b)
}

func numberText(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

// sizeText writes a size as a compose file does: "64m".
func sizeText(n int64) string {
	for _, unit := range []struct {
		size int64
		name string
	}{{1 << 30, "g"}, {1 << 20, "m"}, {1 << 10, "k"}} {
		if n > 0 && n%unit.size == 0 {
			return strconv.FormatInt(n/unit.size, 10) + unit.name
		}
	}
	return numberText(n)
}

// cpuText rounds to a millionth: some release of Compose sends 0.1 as a little more.
func cpuText(nano int64) string {
	if nano == 0 {
		return ""
	}
	return strconv.FormatFloat(float64((nano+500)/1000)/1e6, 'f', -1, 64)
}

func pidsText(n *int64) string {
	if n == nil || *n <= 0 { // both mean no limit
		return ""
	}
	return numberText(*n)
}

func swappinessText(n *int64) string {
	if n == nil || *n == -1 {
		return ""
	}
	return strconv.FormatInt(*n, 10)
}

// defaultGrace is the engine's, in seconds.
const defaultGrace = 10

func graceText(seconds *int) string {
	n := defaultGrace
	if seconds != nil {
		n = *seconds
	}
	return (time.Duration(n) * time.Second).String()
}

func signalText(name string) string {
	name = strings.ToUpper(cmp.Or(name, "SIGTERM"))
	if _, err := strconv.Atoi(name); err == nil || strings.HasPrefix(name, "SIG") {
		return name
	}
	return "SIG" + name
}

// variableMap leaves out those without a value: they are not set.
func variableMap(env []string) map[string]string {
	out := map[string]string{}
	for _, variable := range env {
		if name, value, found := strings.Cut(variable, "="); found {
			out[name] = value
		}
	}
	return out
}

// labelMap leaves out those of the tools, which say how a container came to be,
// and those that Docker Desktop adds.
func labelMap(labels map[string]string) map[string]string {
	out := map[string]string{}
	for name, value := range labels {
		tools := false
		for _, prefix := range []string{"com.docker.compose.", "io.stackctl.", "desktop.docker.io/"} {
			tools = tools || strings.HasPrefix(name, prefix)
		}
		if !tools {
			out[name] = value
		}
	}
	return out
}

// exposedSet writes out ranges, which some release of Compose leaves to the engine.
func exposedSet(v *view) unordered {
	var out unordered
	for port := range v.config.ExposedPorts {
		first, last, err := nat.ParsePortRangeToInt(port.Port())
		if err != nil {
			out = append(out, string(port))
			continue
		}
		for n := first; n <= last; n++ {
			out = append(out, strconv.Itoa(n)+"/"+port.Proto())
		}
	}
	return out
}

// portSet writes what is published in short syntax. "0.0.0.0" is not the same as no
// address: that is IPv6 too.
func portSet(v *view) unordered {
	var out unordered
	for port, bindings := range v.host.PortBindings {
		for _, b := range bindings {
			text := port.Port() + "/" + port.Proto()
			if b.HostIP != "" || b.HostPort != "" && b.HostPort != "0" {
				text = strings.TrimPrefix(b.HostPort, "0") + ":" + text
			}
			if b.HostIP != "" {
				text = b.HostIP + ":" + text
			}
			out = append(out, text)
		}
	}
	return out
}

// The engine's defaults for healthchecks.
const (
	defaultProbeInterval = 30 * time.Second
	defaultStartInterval = 5 * time.Second
	defaultProbeRetries  = 3
)

func probeText(h *container.HealthConfig) []string {
	if !probes(h) {
		return []string{"NONE"}
	}
	return h.Test
}

func probeTiming(h *container.HealthConfig) map[string]string {
	if h == nil {
		h = &container.HealthConfig{}
	}
	return map[string]string{
		"interval":       cmp.Or(h.Interval, defaultProbeInterval).String(),
		"timeout":        cmp.Or(h.Timeout, defaultProbeInterval).String(),
		"start_period":   h.StartPeriod.String(),
		"start_interval": cmp.Or(h.StartInterval, defaultStartInterval).String(),
		"retries":        strconv.Itoa(cmp.Or(h.Retries, defaultProbeRetries)),
	}
}

// modeText leaves out which of its networks a container was made on.
func modeText(v *view) string {
	m := v.host.NetworkMode
	switch {
	case v.attached && m.IsUserDefined():
		return ""
	case m == "default":
		return network.NetworkBridge
	}
	return string(m)
}

func restartText(p container.RestartPolicy) string {
	switch {
	case p.Name == "":
		return string(container.RestartPolicyDisabled)
	case p.MaximumRetryCount > 0:
		return fmt.Sprintf("%s:%d", p.Name, p.MaximumRetryCount)
	}
	return string(p.Name)
}

func capabilitySet(names []string) unordered {
	var out unordered
	for _, name := range names {
		out = append(out, strings.TrimPrefix(strings.ToUpper(name), "CAP_"))
	}
	return out
}

// hostMap gives the addresses of each name.
func hostMap(entries []string) map[string]string {
	lists := map[string][]string{}
	for _, entry := range entries {
		i := strings.IndexAny(entry, ":=")
		if i < 0 {
			continue
		}
		name := entry[:i]
		lists[name] = append(lists[name], strings.Trim(entry[i+1:], "[]"))
	}
	out := map[string]string{}
	for name, list := range lists {
		slices.Sort(list)
		out[name] = strings.Join(list, ", ")
	}
	return out
}

// securitySet tells the engine's own paths from none by whether there are any: which
// they are is a matter of its version. What a privileged container gets by itself
// is left out.
func securitySet(v *view) unordered {
	var out unordered
	h := &v.host
	shared := h.Privileged || h.IpcMode.IsHost() || h.IpcMode.IsContainer() || h.PidMode.IsHost() || h.PidMode.IsContainer()
	for _, option := range h.SecurityOpt {
		name, value, found := strings.Cut(option, "=")
		if !found {
			name, value, _ = strings.Cut(option, ":")
		}
		switch {
		case name == "label" && shared:
		case name == "no-new-privileges":
			if value != "false" {
				out = append(out, name)
			}
		case value == "":
			out = append(out, name)
		default:
			out = append(out, name+"="+value)
		}
	}
	unconfined := h.MaskedPaths != nil && len(h.MaskedPaths) == 0 && h.ReadonlyPaths != nil && len(h.ReadonlyPaths) == 0
	if unconfined && !h.Privileged {
		out = append(out, "systempaths=unconfined")
	}
	return out
}

func weightSet(list []*blkiodev.WeightDevice) unordered {
	var out unordered
	for _, d := range list {
		if d != nil {
			out = append(out, fmt.Sprintf("%s %d", d.Path, d.Weight))
		}
	}
	return out
}

func rateSet(list []*blkiodev.ThrottleDevice) unordered {
	var out unordered
	for _, d := range list {
		if d != nil {
			out = append(out, fmt.Sprintf("%s %d", d.Path, d.Rate))
		}
	}
	return out
}

func deviceSet(list []container.DeviceMapping) unordered {
	var out unordered
	for _, d := range list {
		out = append(out, d.PathOnHost+":"+cmp.Or(d.PathInContainer, d.PathOnHost)+":"+cmp.Or(d.CgroupPermissions, "rwm"))
	}
	return out
}

func requestSet(list []container.DeviceRequest) unordered {
	var out unordered
	for _, r := range list {
		var kinds []string
		for _, all := range r.Capabilities {
			all = slices.Sorted(slices.Values(all))
			kinds = append(kinds, strings.Join(slices.Compact(all), "+"))
		}
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s count=%d ids=%v %v %v", r.Driver, r.Count, r.DeviceIDs, kinds, r.Options)))
	}
	return out
}

func limitMap(list []*container.Ulimit) map[string]string {
	out := map[string]string{}
	for _, u := range list {
		if u != nil {
			out[u.Name] = strconv.FormatInt(u.Soft, 10) + ":" + strconv.FormatInt(u.Hard, 10)
		}
	}
	return out
}

func tmpfsMap(list map[string]string) map[string]string {
	out := map[string]string{}
	for target, options := range list {
		parts := strings.Split(options, ",")
		slices.Sort(parts)
		out[path.Clean(target)] = strings.Join(parts, ",")
	}
	return out
}

func volumesFromSet(list []string) unordered {
	var out unordered
	for _, from := range list {
		name, access, _ := strings.Cut(from, ":")
		out = append(out, name+":"+cmp.Or(access, "rw"))
	}
	return out
}

func aliasSet(e *network.EndpointSettings, own []string) unordered {
	return slices.DeleteFunc(slices.Clone(e.Aliases), func(alias string) bool { return slices.Contains(own, alias) })
}

func linkSet(list []string) unordered {
	var out unordered
	for _, link := range list {
		name, alias, _ := strings.Cut(link, ":")
		out = append(out, name+":"+cmp.Or(alias, name))
	}
	return out
}

// bridgeLinks gives the links on the engine's own bridge, which inspecting writes
// as "/name:/container/alias". On other networks they are with the endpoints.
func bridgeLinks(v *view) unordered {
	if modeText(v) != network.NetworkBridge {
		return nil
	}
	out := linkSet(v.host.Links)
	for i, link := range out {
		name, alias, _ := strings.Cut(link, ":")
		out[i] = strings.TrimPrefix(name, "/") + ":" + path.Base(alias)
	}
	return out
}

func ipamOf(e *network.EndpointSettings) network.EndpointIPAMConfig {
	if e.IPAMConfig == nil {
		return network.EndpointIPAMConfig{}
	}
	return *e.IPAMConfig
}

func addressText(text string) string {
	if parsed, err := netip.ParseAddr(text); err == nil {
		return parsed.String()
	}
	return text
}

func addressSet(list []string) unordered {
	var out unordered
	for _, text := range list {
		out = append(out, addressText(text))
	}
	return out
}

// mountMap gives what is at each target, whichever way it was asked for. Anonymous
// volumes are all the same, and so are those that the image declares.
func mountMap(v *view) map[string]string {
	out := map[string]string{}
	for target := range v.config.Volumes {
		out[path.Clean(target)] = anonymousVolume
	}
	for _, bind := range v.host.Binds {
		target, text := bindText(bind)
		out[target] = text
	}
	for _, m := range v.host.Mounts {
		out[path.Clean(m.Target)] = mountText(m)
	}
	return out
}

const anonymousVolume = "anonymous volume"

// sourceText names a volume or a path on the host.
func sourceText(isVolume bool, source string) string {
	switch {
	case !isVolume:
		return path.Clean(source)
	case source == "" || (state.Mount{Type: "volume", Name: source}).Anonymous():
		return anonymousVolume
	}
	return source
}
