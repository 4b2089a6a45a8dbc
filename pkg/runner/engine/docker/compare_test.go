package docker

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/blkiodev"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/go-connections/nat"
	"github.com/google/go-cmp/cmp"

	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// structs are the parts of a container in the Engine API.
var structs = map[string]reflect.Type{
	"Config":           reflect.TypeFor[container.Config](),
	"HealthConfig":     reflect.TypeFor[container.HealthConfig](),
	"HostConfig":       reflect.TypeFor[container.HostConfig](),
	"Resources":        reflect.TypeFor[container.Resources](),
	"EndpointSettings": reflect.TypeFor[network.EndpointSettings](),
}

// compared gives the paths that each field of the API is compared under.
func compared() map[string][]string {
	out := map[string][]string{}
	for _, p := range points {
		for _, field := range p.fields {
			out[field] = append(out[field], p.path)
		}
	}
	for _, p := range endpointPoints {
		for _, field := range p.fields {
			out[field] = append(out[field], p.path)
		}
	}
	return out
}

// A field that a new release of the API brings is either compared, or somebody has
// thought about why not.
func TestEveryFieldIsComparedOrSaidNotToBe(t *testing.T) {
	is := compared()
	known := map[string]bool{}
	for name, kind := range structs {
		for i := range kind.NumField() {
			field := name + "." + kind.Field(i).Name
			known[field] = true
			reason, left := notCompared[field]
			switch {
			case left && is[field] != nil:
				t.Errorf("%s is compared as %s, and is not compared because %s", field, is[field], reason)
			case !left && is[field] == nil:
				t.Errorf("%s is not compared, and nothing says why", field)
			}
		}
	}
	for _, field := range append(slices.Collect(maps.Keys(is)), slices.Collect(maps.Keys(notCompared))...) {
		if !known[field] {
			t.Errorf("the API has no %s", field)
		}
	}
}

// sample gives a value that nothing is by default.
func sample(kind reflect.Type) reflect.Value {
	out := reflect.New(kind).Elem()
	switch kind.Kind() {
	case reflect.String:
		out.SetString("x=y:z")
	case reflect.Bool:
		out.SetBool(true)
	case reflect.Int, reflect.Int64:
		out.SetInt(7000)
	case reflect.Uint, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		out.SetUint(7000)
	case reflect.Pointer:
		out.Set(reflect.New(kind.Elem()))
		out.Elem().Set(sample(kind.Elem()))
	case reflect.Slice:
		out.Set(reflect.Append(out, sample(kind.Elem())))
	case reflect.Map:
		out.Set(reflect.MakeMap(kind))
		out.SetMapIndex(sample(kind.Key()), sample(kind.Elem()))
	case reflect.Struct:
		for i := range kind.NumField() {
			out.Field(i).Set(sample(kind.Field(i).Type))
		}
	default:
		panic("no sample of " + kind.String())
	}
	return out
}

// What a point says it is read from, it is read from.
func TestEachFieldIsSeen(t *testing.T) {
	for field, paths := range compared() {
		part, name, _ := strings.Cut(field, ".")
		kind, _ := structs[part].FieldByName(name)
		value := sample(kind.Type)
		if name == "MaskedPaths" || name == "ReadonlyPaths" {
			value = reflect.ValueOf([]string{}) // empty means none; nil, the engine's own
		}
		var endpoint network.EndpointSettings
		bare := func() *view {
			v := &view{}
			v.config.Healthcheck = &container.HealthConfig{}
			v.host.NetworkMode = network.NetworkBridge // where links are the container's
			return v
		}
		is := bare()
		target := map[string]any{
			"Config": &is.config, "HealthConfig": is.config.Healthcheck, "HostConfig": &is.host, "Resources": &is.host.Resources,
			"EndpointSettings": &endpoint,
		}[part]
		if name == "MaskedPaths" || name == "ReadonlyPaths" { // which go together
			is.host.MaskedPaths, is.host.ReadonlyPaths = []string{}, []string{}
		}
		want := bare()
		reflect.ValueOf(target).Elem().FieldByName(name).Set(value)
		differing := compareViews(is, want, state.ContainerSpec{})
		for _, p := range endpointPoints {
			differing = append(differing, differences(p.path, p.read(&endpoint, nil), p.read(&network.EndpointSettings{}, nil))...)
		}
		if len(differing) == 0 {
			t.Errorf("%s: nothing differs", field)
		}
		for _, d := range differing {
			if !slices.ContainsFunc(paths, func(path string) bool { return d.Path == path || strings.HasPrefix(d.Path, path+".") }) {
				t.Errorf("%s: %s differs, want one of %q", field, d.Path, paths)
			}
		}
	}
}

// able is an engine whose kernel can do everything.
var able = system.Info{
	MemoryLimit: true, SwapLimit: true, PidsLimit: true, OomKillDisable: true,
	CPUShares: true, CPUCfsPeriod: true, CPUCfsQuota: true, CPUSet: true,
	DefaultRuntime: "runc", LoggingDriver: "json-file",
}

const anonymousName = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// asMade is what an engine shows of a container for which nothing was asked.
func asMade() container.InspectResponse {
	return container.InspectResponse{
		ContainerJSONBase: &container.ContainerJSONBase{
			ID: "aaaabbbbccccdddd", Name: "/shop-web-1", State: &container.State{Status: container.StateRunning},
			HostConfig: &container.HostConfig{
				NetworkMode: "shop_default", IpcMode: "private", CgroupnsMode: "host", Runtime: "runc", ShmSize: 64 << 20,
				LogConfig:     container.LogConfig{Type: "json-file", Config: map[string]string{"max-size": "10m"}},
				RestartPolicy: container.RestartPolicy{Name: "no"},
				MaskedPaths:   []string{"/proc/kcore"}, ReadonlyPaths: []string{"/proc/sys"},
				PortBindings: nat.PortMap{}, DNS: []string{}, Resources: container.Resources{Devices: []container.DeviceMapping{}},
			},
		},
		Config: &container.Config{Hostname: "aaaabbbbcccc", Image: "app", AttachStdout: true, Labels: map[string]string{}},
		NetworkSettings: &container.NetworkSettings{Networks: map[string]*network.EndpointSettings{
			"shop_default": {Aliases: []string{"shop-web-1", "web", "aaaabbbbcccc"}, MacAddress: "02:42:ac:12:00:02", IPAddress: "172.18.0.2"},
		}},
	}
}

func TestCompareAfterTheEngine(t *testing.T) {
	for _, test := range []struct {
		name string
		// service and rest are in the compose file.
		service, rest string
		// image and info are what the engine adds from; info is able by default.
		image func(*image.InspectResponse)
		info  func(*system.Info)
		api   string
		is    func(*container.InspectResponse)
		want  []string
	}{
		{name: "nothing"},
		{
			name: "what the image sets",
			image: func(i *image.InspectResponse) {
				i.Config.Env = []string{"PATH=/bin", "A=image"}
				i.Config.Cmd, i.Config.Entrypoint = []string{"serve"}, []string{"/entry"}
				i.Config.User, i.Config.WorkingDir, i.Config.StopSignal = "app", "/srv", "SIGQUIT"
				i.Config.Labels = map[string]string{"by": "image"}
				i.Config.ExposedPorts = map[string]struct{}{"80/tcp": {}}
				i.Config.Volumes = map[string]struct{}{"/data": {}}
				i.Config.Healthcheck = &container.HealthConfig{Test: []string{"CMD", "true"}, Interval: time.Second}
			},
			service: `environment: {B: "2"}`,
			is: func(c *container.InspectResponse) {
				c.Config.Env = []string{"B=2", "PATH=/bin", "A=image"}
				c.Config.Cmd, c.Config.Entrypoint = []string{"serve"}, []string{"/entry"}
				c.Config.User, c.Config.WorkingDir, c.Config.StopSignal = "app", "/srv", "SIGQUIT"
				c.Config.Labels = map[string]string{"by": "image"}
				c.Config.ExposedPorts = nat.PortSet{"80/tcp": {}}
				c.Config.Volumes = map[string]struct{}{"/data": {}}
				c.Config.Healthcheck = &container.HealthConfig{Test: []string{"CMD", "true"}, Interval: time.Second}
			},
		},
		{
			name: "what the image no longer decides",
			image: func(i *image.InspectResponse) {
				i.Config.Env = []string{"A=image"}
				i.Config.Cmd, i.Config.Entrypoint, i.Config.User = []string{"serve"}, []string{"/entry"}, "app"
			},
			service: "environment: [A]\n    entrypoint: [/own]\n    user: root",
			is: func(c *container.InspectResponse) {
				c.Config.Env = []string{"A=image"}
				c.Config.Cmd, c.Config.Entrypoint, c.Config.User = []string{"serve"}, []string{"/entry"}, "app"
			},
			want: []string{
				"command: [serve] is taken out", "entrypoint: [/entry] → [/own]",
				"environment.A: image is taken out", "user: app → root",
			},
		},
		{
			name: "an entrypoint of nothing",
			image: func(i *image.InspectResponse) {
				i.Config.Cmd, i.Config.Entrypoint = []string{"serve"}, []string{"/entry"}
			},
			service: `entrypoint: [""]`,
			is:      func(c *container.InspectResponse) { c.Config.Cmd = nil },
		},
		{
			name: "part of a healthcheck",
			image: func(i *image.InspectResponse) {
				i.Config.Healthcheck = &container.HealthConfig{Test: []string{"CMD", "true"}, Retries: 7}
			},
			service: "healthcheck: {interval: 9s}",
			is: func(c *container.InspectResponse) {
				c.Config.Healthcheck = &container.HealthConfig{Test: []string{"CMD", "true"}, Retries: 7, Interval: 8 * time.Second}
			},
			want: []string{"healthcheck.interval: 8s → 9s"},
		},
		{
			name:    "a healthcheck that ends",
			service: "healthcheck: {disable: true}",
			is: func(c *container.InspectResponse) {
				c.Config.Healthcheck = &container.HealthConfig{Test: []string{"CMD", "true"}, Interval: 8 * time.Second}
			},
			want: []string{"healthcheck.test: [CMD, true] → [NONE]"},
		},
		{
			name: "a bind in either form, and volumes that were kept",
			service: `
    volumes: [/src:/bind:ro, data:/named, /anonymous, {type: bind, source: /src, target: /mounted, bind: {create_host_path: false}}]`,
			rest: "volumes: {data: {}}",
			is: func(c *container.InspectResponse) {
				c.HostConfig.Binds = []string{"shop_data:/named:rw", "/src:/mounted"}
				c.HostConfig.Mounts = []mount.Mount{
					{Type: mount.TypeBind, Source: "/src", Target: "/bind/", ReadOnly: true, BindOptions: &mount.BindOptions{CreateMountpoint: true, Propagation: "rprivate"}},
					{Type: mount.TypeVolume, Source: anonymousName, Target: "/anonymous"},
				}
			},
		},
		{
			name:    "mounts",
			service: "volumes: [data:/data:ro, /src:/src, /new]",
			rest:    "volumes: {data: {}}",
			is: func(c *container.InspectResponse) {
				c.HostConfig.Binds = []string{"shop_other:/data:nocopy", "/old:/src:z,rshared"}
				c.HostConfig.Mounts = []mount.Mount{{Type: mount.TypeTmpfs, Target: "/scratch", TmpfsOptions: &mount.TmpfsOptions{SizeBytes: 1 << 20, Mode: 0o700}}}
			},
			want: []string{
				"volumes./data: shop_other nocopy → shop_data ro",
				"volumes./new: anonymous volume is new",
				"volumes./scratch: tmpfs mode=700 size=1m is taken out",
				"volumes./src: /old propagation=rshared selinux=z → /src",
			},
		},
		{
			name:    "ports",
			service: `ports: ["127.0.0.1:8080:80", "53:53/udp", "81"]`,
			is: func(c *container.InspectResponse) {
				c.Config.ExposedPorts = nat.PortSet{"80/tcp": {}, "53/udp": {}, "81/tcp": {}}
				c.HostConfig.PortBindings = nat.PortMap{
					"80/tcp": {{HostIP: "127.0.0.1", HostPort: "8081"}}, "53/udp": {{HostPort: "53"}}, "81/tcp": {{HostPort: "0"}},
				}
			},
			want: []string{"ports: 127.0.0.1:8081:80/tcp → 127.0.0.1:8080:80/tcp"},
		},
		{
			name:    "an address for IPv4 alone",
			service: `ports: ["0.0.0.0:8080:80"]`,
			is: func(c *container.InspectResponse) {
				c.Config.ExposedPorts = nat.PortSet{"80/tcp": {}}
				c.HostConfig.PortBindings = nat.PortMap{"80/tcp": {{HostPort: "8080"}}}
			},
			want: []string{"ports: 8080:80/tcp → 0.0.0.0:8080:80/tcp"},
		},
		{
			name:    "capabilities and security",
			service: "cap_add: [CAP_NET_ADMIN, SYS_TIME]\n    security_opt: [\"no-new-privileges:true\", \"systempaths=unconfined\"]",
			is: func(c *container.InspectResponse) {
				c.HostConfig.CapAdd = []string{"CAP_SYS_TIME", "CAP_NET_ADMIN"}
				c.HostConfig.SecurityOpt = []string{"no-new-privileges=true"}
				c.HostConfig.MaskedPaths, c.HostConfig.ReadonlyPaths = []string{}, []string{}
			},
		},
		{
			name:    "privileged",
			service: "privileged: true",
			is: func(c *container.InspectResponse) {
				c.HostConfig.Privileged = true
				c.HostConfig.SecurityOpt = []string{"label=disable"}
				c.HostConfig.MaskedPaths, c.HostConfig.ReadonlyPaths = nil, nil
			},
		},
		{
			name:    "memory and swap",
			service: "mem_limit: 64m",
			is:      func(c *container.InspectResponse) { c.HostConfig.Memory, c.HostConfig.MemorySwap = 64<<20, 128<<20 },
		},
		{
			name:    "a kernel that counts no swap",
			service: "mem_limit: 64m\n    memswap_limit: 96m",
			info:    func(i *system.Info) { i.SwapLimit = false },
			is:      func(c *container.InspectResponse) { c.HostConfig.Memory, c.HostConfig.MemorySwap = 64<<20, -1 },
		},
		{
			name:    "a kernel that limits nothing",
			service: "cpu_percent: 50\n    mem_limit: 64m\n    pids_limit: 9\n    cpu_shares: 7\n    cpu_quota: 5000\n    cpu_period: 100000\n    cpuset: \"0\"\n    oom_kill_disable: true",
			info: func(i *system.Info) {
				*i = system.Info{DefaultRuntime: "runc", LoggingDriver: "json-file"}
			},
			is: func(c *container.InspectResponse) { c.HostConfig.MemorySwap = -1 },
		},
		{
			name:    "resources",
			service: "deploy: {resources: {limits: {memory: 1g, cpus: \"0.1\"}}}\n    ulimits: {nofile: 5}\n    blkio_config: {weight: 300}",
			is: func(c *container.InspectResponse) {
				c.HostConfig.Memory, c.HostConfig.MemorySwap, c.HostConfig.NanoCPUs = 64<<20, 128<<20, 200000003
				c.HostConfig.Ulimits = []*container.Ulimit{{Name: "nofile", Soft: 4, Hard: 5}}
				c.HostConfig.BlkioWeight = 200
				c.HostConfig.BlkioDeviceReadBps = []*blkiodev.ThrottleDevice{{Path: "/dev/sda", Rate: 5}}
			},
			want: []string{
				"blkio_config.device_read_bps: /dev/sda 5 is taken out", "blkio_config.weight: 200 → 300",
				"deploy.resources.limits.cpus: 0.2 → 0.1", "deploy.resources.limits.memory: 64m → 1g",
				"ulimits.nofile: 4:5 → 5:5",
			},
		},
		{
			name:    "a release of Compose that rounds a share of a CPU otherwise",
			service: "cpus: 0.1",
			is:      func(c *container.InspectResponse) { c.HostConfig.NanoCPUs = 100000001 },
		},
		{
			name:    "half a second, which Compose cuts off",
			service: "stop_grace_period: 1500ms\n    expose: [\"3000-3001\"]",
			is: func(c *container.InspectResponse) {
				second := 1
				c.Config.StopTimeout = &second
				c.Config.ExposedPorts = nat.PortSet{"3000-3001/tcp": {}}
			},
		},
		{
			name:    "half a second, which Compose makes none",
			service: "stop_grace_period: 500ms",
			is:      func(c *container.InspectResponse) { c.Config.StopTimeout = new(int) },
			want:    []string{"stop_grace_period: 0s → 1s"},
		},
		{
			name:    "a namespace of control groups by default",
			info:    func(i *system.Info) { i.SecurityOptions = []string{"name=cgroupns"}; i.CgroupVersion = "2" },
			is:      func(c *container.InspectResponse) { c.HostConfig.CgroupnsMode = "private" },
			service: "init: true",
			want:    []string{"init: true is new"},
		},
		{
			name:    "another log driver",
			service: "logging: {driver: local, options: {max-file: \"2\"}}",
			want:    []string{"logging.driver: json-file → local", "logging.options.max-file: 2 is new", "logging.options.max-size: 10m is taken out"},
		},
		{
			name:    "options of the engine's own log driver",
			service: "logging: {options: {max-file: \"2\"}}",
			want:    []string{"logging.options.max-file: 2 is new"},
		},
		{
			name:    "labels of tools",
			service: "labels: {mine: a}",
			is: func(c *container.InspectResponse) {
				c.Config.Labels = map[string]string{"mine": "b", "com.docker.compose.x": "y", "io.stackctl.x": "y", "desktop.docker.io/x": "y", "gone": ""}
			},
			want: []string{`labels.gone: "" is taken out`, "labels.mine: b → a"},
		},
		{
			name:    "networks",
			service: `networks: {default: {aliases: [db], ipv4_address: 172.18.0.9, mac_address: "02:42:AC:12:00:02"}}`,
			is: func(c *container.InspectResponse) {
				c.NetworkSettings.Networks["shop_default"].IPAMConfig = &network.EndpointIPAMConfig{IPv4Address: "172.18.0.8"}
				c.NetworkSettings.Networks["shop_default"].DriverOpts = map[string]string{"a": "b"}
			},
			want: []string{
				"networks.default.aliases: db is new", "networks.default.driver_opts.a: b is taken out",
				"networks.default.ipv4_address: 172.18.0.8 → 172.18.0.9",
			},
		},
		{
			name: "an address on an older engine", api: "1.41",
			service: `networks: {default: {mac_address: "02:42:ac:12:00:03"}}`,
			is:      func(c *container.InspectResponse) { c.Config.MacAddress = "02:42:ac:12:00:02" }, //nolint:staticcheck // older engines have it here
			want:    []string{"networks.default.mac_address: 02:42:ac:12:00:02 → 02:42:ac:12:00:03"},
		},
		{
			name:    "on another container's network",
			service: `network_mode: "container:db"`,
			is: func(c *container.InspectResponse) {
				c.HostConfig.NetworkMode = "container:cache"
				c.Config.Hostname = "cache"
				c.NetworkSettings.Networks = nil
			},
			want: []string{"network_mode: container:cache → container:db"},
		},
		{
			name:    "made on another of its networks",
			service: "networks: [default, back]",
			rest:    "networks: {back: {}}",
			is: func(c *container.InspectResponse) {
				c.HostConfig.NetworkMode = "shop_default"
				c.NetworkSettings.Networks["shop_back"] = &network.EndpointSettings{Aliases: []string{"web"}}
			},
		},
		{
			name:    "secrets",
			service: "environment: {POSTGRES_PASSWORD: new, URL: \"postgres://a:b@db\"}\n    command: [redis-server, --requirepass, new]",
			is: func(c *container.InspectResponse) {
				c.Config.Env, c.Config.Cmd = []string{"POSTGRES_PASSWORD=old"}, []string{"redis-server", "--requirepass", "old"}
			},
			want: []string{"command changed", "environment.POSTGRES_PASSWORD changed", "environment.URL changed"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			service := strings.TrimSpace(test.service)
			spec := desired(t, "services:\n  web:\n    image: app\n    "+service+"\n"+test.rest).Services[0].Containers[0]
			api := test.api
			if api == "" {
				api = "1.45"
			}
			made, err := convert(engine.CreateContainer{Spec: spec}, surroundings{api: api})
			if err != nil {
				t.Fatal(err)
			}
			there, info := asMade(), able
			from := image.InspectResponse{}
			fill(&from.Config)
			if test.image != nil {
				test.image(&from)
			}
			if test.info != nil {
				test.info(&info)
			}
			if test.is != nil {
				test.is(&there)
			}
			is, want := viewOf(there, spec), wantedView(made, spec)
			want.settleGrace(is, spec.Config)
			want.settle(is, defaults{info: info, image: from, id: there.ID, api: api})
			all := append(compareViews(is, want, spec), compareEndpoints(is, want, spec, there)...)
			var got []string
			for _, d := range all {
				got = append(got, d.String())
			}
			slices.Sort(got)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// fill makes what a pointer leads to; the image's configuration has a type that
// this module does not import.
func fill[T any](p **T) { *p = new(T) }

func TestChangedFiles(t *testing.T) {
	old := digests("/etc/a=1,/etc/b=2,/etc/with=sign=3")
	now := digests("/etc/a=1,/etc/b=4,/etc/c=5")
	if diff := cmp.Diff([]string{"/etc/b", "/etc/c", "/etc/with=sign"}, changedFiles(old, now)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	spec := only(t, `
services: {web: {image: app, configs: [{source: conf, target: /etc/a}, plain], secrets: [token, {source: cert, target: sub/cert}]}}
configs: {conf: {content: a}, plain: {content: b}}
secrets: {token: {file: /t}, cert: {file: /c}}
`)
	for target, want := range map[string]string{
		"/etc/a": "configs.conf", "/plain": "configs.plain", "/run/secrets/token": "secrets.token",
		"/run/secrets/sub/cert": "secrets.cert", "/gone": "files./gone",
	} {
		if got := filePath(spec.Config, target); got != want {
			t.Errorf("%s: %s, want %s", target, got, want)
		}
	}
}

func TestBindText(t *testing.T) {
	for bind, want := range map[string]string{
		"/src:/target":                  "/target: /src",
		"/src/:/target/:ro":             "/target: /src ro",
		"data:/target:rw,nocopy":        "/target: data nocopy",
		`C:\src:/target:ro`:             `/target: C:\src ro`,
		"/target":                       "/target: anonymous volume",
		"/src:/target:ro,Z,rslave":      "/target: /src propagation=rslave ro selinux=Z",
		anonymousName + ":/target":      "/target: anonymous volume",
		"/src:/target:rprivate,default": "/target: /src",
		"data:/target:rw,z":             "/target: data",
	} {
		target, text := bindText(bind)
		if got := fmt.Sprintf("%s: %s", target, text); got != want {
			t.Errorf("%s: %q, want %q", bind, got, want)
		}
	}
}
