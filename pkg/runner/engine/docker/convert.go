package docker

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/strslice"
	"github.com/docker/docker/api/types/versions"
	"github.com/docker/go-connections/nat"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/support"
)

// surroundings are what a conversion depends on besides the request itself.
type surroundings struct {
	// api is the version that was agreed on.
	api string
	// proxy are the variables that config.json gives to every container.
	proxy map[string]*string
	// seccomp gives the text of a seccomp profile; nil when none can be read.
	seccomp func(path string) (string, error)
	project string
	// peers gives the containers of another service of the project.
	peers func(service string) ([]peer, error)
}

func (s surroundings) atLeast(version string) bool {
	return versions.GreaterThanOrEqualTo(s.api, version)
}

// creation is a container in the Engine API's words.
type creation struct {
	name     string
	config   *container.Config
	host     *container.HostConfig
	network  *network.NetworkingConfig
	platform *ocispec.Platform
	// connect are networks to connect to before the start, in order: an engine
	// before API 1.44 makes a container on one network only.
	connect []connection
}

type connection struct {
	network  string
	endpoint *network.EndpointSettings
}

// convert translates a request as Docker Compose does, so that what both make
// is the same. A field that it does not know is an error, never dropped.
func convert(c engine.CreateContainer, s surroundings) (creation, error) {
	service := c.Spec.Config
	if _, err := support.CheckService(service, s.api); err != nil {
		return creation{}, err
	}
	out := creation{name: cmp.Or(c.Name, c.Spec.Name)}
	var err error
	if out.config, err = convertConfig(c, s); err != nil {
		return creation{}, err
	}
	if out.host, err = convertHost(c, s); err != nil {
		return creation{}, err
	}
	if err := convertNetworks(c.Spec, s, out.host.Links, &out); err != nil {
		return creation{}, err
	}
	out.platform = parsePlatform(service.Platform)
	return out, nil
}

func convertConfig(c engine.CreateContainer, s surroundings) (*container.Config, error) {
	service := c.Spec.Config
	exposed, err := exposedPorts(service)
	if err != nil {
		return nil, err
	}
	labels := maps.Clone(c.Spec.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, c.Labels)
	return &container.Config{
		Hostname:     service.Hostname,
		Domainname:   service.DomainName,
		User:         service.User,
		AttachStdout: true,
		AttachStderr: true,
		ExposedPorts: exposed,
		Tty:          service.Tty,
		OpenStdin:    service.StdinOpen,
		Env:          environment(s.proxy, service.Environment),
		Cmd:          strslice.StrSlice(service.Command),
		Healthcheck:  convertHealth(service.HealthCheck, s),
		Image:        c.Spec.Image,
		WorkingDir:   service.WorkingDir,
		Entrypoint:   strslice.StrSlice(service.Entrypoint),
		Labels:       labels,
		StopSignal:   service.StopSignal,
		StopTimeout:  seconds(service.StopGracePeriod),
	}, nil
}

func convertHost(c engine.CreateContainer, s surroundings) (*container.HostConfig, error) {
	service := c.Spec.Config
	binds, mounts, err := convertMounts(c)
	if err != nil {
		return nil, err
	}
	ports, err := portBindings(service)
	if err != nil {
		return nil, err
	}
	security, unconfined, err := securityOptions(service.SecurityOpt, s)
	if err != nil {
		return nil, err
	}
	if spec := service.CredentialSpec; spec != nil {
		security = append(security, credentialSpec(spec)...)
	}
	namespaces := []string{networkMode(c.Spec), service.Ipc, service.Pid}
	for i := range namespaces {
		if namespaces[i], err = s.shared(namespaces[i]); err != nil {
			return nil, err
		}
	}
	from, err := volumesFrom(service, s)
	if err != nil {
		return nil, err
	}
	links, err := links(c.Spec, s)
	if err != nil {
		return nil, err
	}
	host := &container.HostConfig{
		Annotations:    service.Annotations,
		Binds:          binds,
		Mounts:         mounts,
		PortBindings:   ports,
		NetworkMode:    container.NetworkMode(namespaces[0]),
		RestartPolicy:  restartPolicy(service),
		VolumesFrom:    from,
		Links:          links,
		VolumeDriver:   service.VolumeDriver,
		CapAdd:         service.CapAdd,
		CapDrop:        service.CapDrop,
		CgroupnsMode:   container.CgroupnsMode(service.Cgroup),
		DNS:            service.DNS,
		DNSOptions:     service.DNSOpts,
		DNSSearch:      service.DNSSearch,
		ExtraHosts:     service.ExtraHosts.AsList(":"),
		GroupAdd:       service.GroupAdd,
		IpcMode:        container.IpcMode(namespaces[1]),
		OomScoreAdj:    int(service.OomScoreAdj),
		PidMode:        container.PidMode(namespaces[2]),
		Privileged:     service.Privileged,
		ReadonlyRootfs: service.ReadOnly,
		SecurityOpt:    security,
		StorageOpt:     service.StorageOpt,
		UTSMode:        container.UTSMode(service.Uts),
		UsernsMode:     container.UsernsMode(service.UserNSMode),
		ShmSize:        int64(service.ShmSize),
		Sysctls:        service.Sysctls,
		Runtime:        service.Runtime,
		Isolation:      container.Isolation(service.Isolation),
		Init:           service.Init,
		Resources:      convertResources(service),
	}
	slices.Sort(host.ExtraHosts)
	if service.Logging != nil {
		host.LogConfig = container.LogConfig{Type: service.Logging.Driver, Config: service.Logging.Options}
	}
	if len(service.Tmpfs) > 0 {
		host.Tmpfs = map[string]string{}
		for _, entry := range service.Tmpfs {
			target, options, _ := strings.Cut(entry, ":")
			host.Tmpfs[target] = options
		}
	}
	if unconfined {
		// Empty, not nil: nil stands for the engine's defaults.
		host.MaskedPaths, host.ReadonlyPaths = []string{}, []string{}
	}
	return host, nil
}

// environment gives the variables sorted. One without a value goes without "=":
// the engine takes it out of what the image sets.
func environment(proxy map[string]*string, service types.MappingWithEquals) []string {
	merged := maps.Clone(proxy)
	if merged == nil {
		merged = map[string]*string{}
	}
	maps.Copy(merged, service)
	var out []string
	for _, name := range slices.Sorted(maps.Keys(merged)) {
		if value := merged[name]; value != nil {
			name += "=" + *value
		}
		out = append(out, name)
	}
	return out
}

func exposedPorts(service types.ServiceConfig) (nat.PortSet, error) {
	ports := nat.PortSet{}
	for _, p := range service.Ports {
		port, err := containerPort(p)
		if err != nil {
			return nil, err
		}
		ports[port] = struct{}{}
	}
	for _, e := range service.Expose {
		protocol, digits := nat.SplitProtoPort(e)
		start, end, err := nat.ParsePortRangeToInt(digits)
		if err != nil {
			return nil, fmt.Errorf("expose %q: %w", e, err)
		}
		for n := start; n <= end; n++ {
			port, err := nat.NewPort(protocol, strconv.Itoa(n))
			if err != nil {
				return nil, fmt.Errorf("expose %q: %w", e, err)
			}
			ports[port] = struct{}{}
		}
	}
	if len(ports) == 0 {
		return nil, nil
	}
	return ports, nil
}

// portBindings gives the published ports. An empty host port lets the engine
// choose, and so does a range.
func portBindings(service types.ServiceConfig) (nat.PortMap, error) {
	var ports nat.PortMap
	for _, p := range service.Ports {
		port, err := containerPort(p)
		if err != nil {
			return nil, err
		}
		if ports == nil {
			ports = nat.PortMap{}
		}
		ports[port] = append(ports[port], nat.PortBinding{HostIP: p.HostIP, HostPort: p.Published})
	}
	return ports, nil
}

func containerPort(p types.ServicePortConfig) (nat.Port, error) {
	port, err := nat.NewPort(cmp.Or(p.Protocol, "tcp"), strconv.FormatUint(uint64(p.Target), 10))
	if err != nil {
		return "", fmt.Errorf("port %d: %w", p.Target, err)
	}
	return port, nil
}

func convertHealth(h *types.HealthCheckConfig, s surroundings) *container.HealthConfig {
	if h == nil {
		return nil
	}
	if h.Disable {
		return &container.HealthConfig{Test: []string{"NONE"}}
	}
	out := &container.HealthConfig{
		Test:        h.Test,
		Interval:    duration(h.Interval),
		Timeout:     duration(h.Timeout),
		StartPeriod: duration(h.StartPeriod),
	}
	if h.Retries != nil {
		out.Retries = int(*h.Retries)
	}
	// An older engine refuses it; the probes of stackctl take its place.
	if s.atLeast(api144) {
		out.StartInterval = duration(h.StartInterval)
	}
	return out
}

// restartPolicy takes the one of deploy where both are given, as Compose does.
func restartPolicy(service types.ServiceConfig) container.RestartPolicy {
	if d := service.Deploy; d != nil && d.RestartPolicy != nil {
		policy := container.RestartPolicy{Name: restartMode(d.RestartPolicy.Condition)}
		if d.RestartPolicy.MaxAttempts != nil {
			policy.MaximumRetryCount = int(*d.RestartPolicy.MaxAttempts)
		}
		return policy
	}
	name, count, _ := strings.Cut(service.Restart, ":")
	attempts, _ := strconv.Atoi(count)
	return container.RestartPolicy{Name: restartMode(name), MaximumRetryCount: attempts}
}

func restartMode(condition string) container.RestartPolicyMode {
	switch condition {
	case "none":
		return container.RestartPolicyDisabled
	case "any":
		return container.RestartPolicyAlways
	}
	return container.RestartPolicyMode(condition)
}

// securityOptions puts the text of a seccomp profile in place of its file, and
// finds "systempaths=unconfined", which the API has other fields for.
func securityOptions(options []string, s surroundings) (out []string, unconfined bool, err error) {
	for _, option := range options {
		name, value, found := strings.Cut(option, "=")
		if !found {
			name, value, _ = strings.Cut(option, ":")
		}
		switch {
		case option == "systempaths=unconfined":
			unconfined = true
		case name == "seccomp" && value != "unconfined" && value != "builtin" && s.seccomp != nil:
			profile, err := s.seccomp(value)
			if err != nil {
				return nil, false, fmt.Errorf("security_opt: seccomp profile: %w", err)
			}
			out = append(out, "seccomp="+profile)
		default:
			out = append(out, option)
		}
	}
	return out, unconfined, nil
}

// credentialSpec names the credentials of a container for Windows.
func credentialSpec(spec *types.CredentialSpecConfig) []string {
	var out []string
	if spec.File != "" {
		out = append(out, "credentialspec=file://"+spec.File)
	}
	if spec.Registry != "" {
		out = append(out, "credentialspec=registry://"+spec.Registry)
	}
	return out
}

func parsePlatform(platform string) *ocispec.Platform {
	if platform == "" {
		return nil
	}
	parts := strings.SplitN(platform, "/", 3)
	if len(parts) == 1 {
		if parts[0] == "linux" || parts[0] == "windows" {
			return &ocispec.Platform{OS: parts[0]}
		}
		return &ocispec.Platform{Architecture: parts[0]}
	}
	out := &ocispec.Platform{OS: parts[0], Architecture: parts[1]}
	if len(parts) == 3 {
		out.Variant = parts[2]
	}
	return out
}

func duration(d *types.Duration) time.Duration {
	if d == nil {
		return 0
	}
	return time.Duration(*d)
}

// seconds rounds up: a grace period under a second must not become none.
func seconds(d *types.Duration) *int {
	if d == nil {
		return nil
	}
	return wholeSeconds(time.Duration(*d))
}

func wholeSeconds(d time.Duration) *int {
	n := int((d + time.Second - 1) / time.Second)
	return &n
}
