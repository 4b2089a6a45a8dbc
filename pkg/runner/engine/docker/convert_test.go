package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/cli/cli/config/configfile"
	clitypes "github.com/docker/cli/cli/config/types"
	"github.com/docker/docker/api/types/blkiodev"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/go-connections/nat"
	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// desired loads a compose file as the rest of stackctl does.
func desired(t *testing.T, text string) state.Desired {
	t.Helper()
	project, err := loader.LoadWithContext(context.Background(), types.ConfigDetails{
		WorkingDir:  "/work",
		ConfigFiles: []types.ConfigFile{{Filename: "compose.yml", Content: []byte(text)}},
		Environment: types.Mapping{},
	}, func(o *loader.Options) { o.SetProjectName("shop", true) })
	if err != nil {
		t.Fatal(err)
	}
	d, err := state.Flatten(project)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// only gives the first container of a compose file's service web. Its labels are
// taken away: they are tested with package state.
func only(t *testing.T, text string) state.ContainerSpec {
	t.Helper()
	d := desired(t, text)
	web, known := d.Service("web")
	if !known {
		t.Fatal("there is no service web")
	}
	spec := web.Containers[0]
	spec.Labels = nil
	return spec
}

// blank is what becomes of a service that says nothing but its image.
func blank() creation {
	no := false
	return creation{
		name: "shop-web-1",
		config: &container.Config{
			AttachStdout: true, AttachStderr: true, Image: "app", Labels: map[string]string{},
		},
		host: &container.HostConfig{
			NetworkMode: "none",
			ExtraHosts:  []string{},
			Resources:   container.Resources{OomKillDisable: &no},
		},
	}
}

func TestConvert(t *testing.T) {
	yes := true
	for _, test := range []struct {
		name string
		// service is the text below "web:"; rest is what stands beside services.
		service, rest string
		request       engine.CreateContainer
		api           string
		want          func(*creation)
	}{
		{
			name:    "nothing but an image",
			service: `network_mode: none`,
			want:    func(*creation) {},
		},
		{
			name: "process",
			service: `
    network_mode: none
    command: ["serve", "--all"]
    entrypoint: /entry.sh -x
    environment: {B: "2", A: "one two", GONE: null}
    user: "1000:5"
    working_dir: /srv
    hostname: web
    domainname: example.test
    stop_signal: SIGINT
    stop_grace_period: 1500ms
    init: true
    tty: true
    stdin_open: true
    platform: linux/arm/v7`,
			want: func(c *creation) {
				grace := 2
				c.config.Cmd = []string{"serve", "--all"}
				c.config.Entrypoint = []string{"/entry.sh", "-x"}
				c.config.Env = []string{"A=one two", "B=2", "GONE"}
				c.config.User = "1000:5"
				c.config.WorkingDir = "/srv"
				c.config.Hostname = "web"
				c.config.Domainname = "example.test"
				c.config.StopSignal = "SIGINT"
				c.config.StopTimeout = &grace
				c.config.Tty, c.config.OpenStdin = true, true
				c.host.Init = &yes
				c.platform = &ocispec.Platform{OS: "linux", Architecture: "arm", Variant: "v7"}
			},
		},
		{
			name: "emptied command and entrypoint",
			service: `
    network_mode: none
    command: []
    entrypoint: []`,
			want: func(c *creation) {
				c.config.Cmd, c.config.Entrypoint = []string{}, []string{}
			},
		},
		{
			name: "ports",
			service: `
    network_mode: none
    ports: ["80", "8000-8010:81", "127.0.0.1:53:53/udp", "127.0.0.2:53:53/udp"]
    expose: ["9000-9001", "70/udp"]`,
			want: func(c *creation) {
				c.config.ExposedPorts = nat.PortSet{
					"80/tcp": {}, "81/tcp": {}, "53/udp": {}, "9000/tcp": {}, "9001/tcp": {}, "70/udp": {},
				}
				c.host.PortBindings = nat.PortMap{
					"80/tcp": {{}},
					"81/tcp": {{HostPort: "8000-8010"}},
					"53/udp": {{HostIP: "127.0.0.1", HostPort: "53"}, {HostIP: "127.0.0.2", HostPort: "53"}},
				}
			},
		},
		{
			name: "mounts",
			service: `
    network_mode: none
    volumes:
      - data:/data
      - data:/ro:ro
      - data:/nocopy:nocopy
      - /anonymous
      - /host:/bind
      - /host:/shared:ro,z,rshared
      - {type: bind, source: /must, target: /exist, bind: {create_host_path: false}}
      - {type: bind, source: /flat, target: /flat, read_only: true, bind: {recursive: disabled}}
      - {type: tmpfs, target: /tmp1, tmpfs: {size: 1m, mode: 01777}}
      - {type: volume, source: data, target: /sub, volume: {subpath: a/b}}
    tmpfs: ["/run", "/var/tmp:size=1m,mode=700"]`,
			rest: "volumes: {data: {}}",
			want: func(c *creation) {
				c.host.Binds = []string{"/host:/bind:rw", "/host:/shared:ro,z,rshared"}
				c.host.Mounts = []mount.Mount{
					{Type: "volume", Source: "shop_data", Target: "/data", VolumeOptions: &mount.VolumeOptions{}},
					{Type: "volume", Source: "shop_data", Target: "/ro", ReadOnly: true, VolumeOptions: &mount.VolumeOptions{}},
					{Type: "volume", Source: "shop_data", Target: "/nocopy", VolumeOptions: &mount.VolumeOptions{NoCopy: true}},
					{Type: "volume", Target: "/anonymous", VolumeOptions: &mount.VolumeOptions{}},
					{Type: "bind", Source: "/must", Target: "/exist", BindOptions: &mount.BindOptions{}},
					{Type: "bind", Source: "/flat", Target: "/flat", ReadOnly: true, BindOptions: &mount.BindOptions{CreateMountpoint: true, NonRecursive: true}},
					{Type: "tmpfs", Target: "/tmp1", TmpfsOptions: &mount.TmpfsOptions{SizeBytes: 1 << 20, Mode: 0o1777}},
					{Type: "volume", Source: "shop_data", Target: "/sub", VolumeOptions: &mount.VolumeOptions{Subpath: "a/b"}},
				}
				c.host.Tmpfs = map[string]string{"/run": "", "/var/tmp": "size=1m,mode=700"}
			},
		},
		{
			name: "kept volumes and files",
			service: `
    network_mode: none
    configs: [{source: fixed, target: /etc/fixed}]
    secrets: [typed]
    volumes:
      - /data
      - named:/named`,
			rest: "volumes: {named: {}}\nconfigs: {fixed: {file: /host/fixed}}\nsecrets: {typed: {environment: TYPED}}",
			request: engine.CreateContainer{Keep: []state.Mount{
				{Type: "volume", Name: "old-data", Target: "/data"},
				{Type: "volume", Name: "old-image", Target: "/image"},
				{Type: "volume", Name: "old-named", Target: "/named"},
				{Type: "tmpfs", Target: "/run"},
			}},
			want: func(c *creation) {
				c.host.Mounts = []mount.Mount{
					{Type: "volume", Source: "old-data", Target: "/data", VolumeOptions: &mount.VolumeOptions{}},
					{Type: "volume", Source: "shop_named", Target: "/named", VolumeOptions: &mount.VolumeOptions{}},
					{Type: "volume", Source: "old-image", Target: "/image"},
					{Type: "bind", Source: "/host/fixed", Target: "/etc/fixed", ReadOnly: true},
				}
			},
		},
		{
			name: "networks at once",
			service: `
    mac_address: "02:42:00:00:00:01"
    networks:
      back: {priority: 10, aliases: [db], ipv4_address: 10.1.0.5, ipv6_address: "fd00::5", link_local_ips: ["169.254.1.1"]}
      front: {driver_opts: {speed: high}, gw_priority: 3, interface_name: eth7}`,
			rest: "networks: {back: {}, front: {name: edge}}",
			want: func(c *creation) {
				c.host.NetworkMode = "shop_back"
				c.network = &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{
					"shop_back": {
						Aliases:    []string{"web", "shop-web-1", "db"},
						MacAddress: "02:42:00:00:00:01",
						IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: "10.1.0.5", IPv6Address: "fd00::5", LinkLocalIPs: []string{"169.254.1.1"}},
					},
					"edge": {
						Aliases:    []string{"web", "shop-web-1"},
						DriverOpts: map[string]string{"speed": "high", interfaceOption: "eth7"},
						GwPriority: 3,
					},
				}}
			},
		},
		{
			name: "networks one after the other",
			service: `
    networks:
      back: {priority: 10, mac_address: "02:42:00:00:00:01"}
      front: {aliases: [site]}`,
			rest: "networks: {back: {}, front: {}}",
			api:  "1.41",
			want: func(c *creation) {
				c.config.MacAddress = "02:42:00:00:00:01" //nolint:staticcheck // what these engines take
				c.host.NetworkMode = "shop_back"
				c.network = &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{
					"shop_back": {Aliases: []string{"web", "shop-web-1"}},
				}}
				c.connect = []connection{{"shop_front", &network.EndpointSettings{Aliases: []string{"web", "shop-web-1", "site"}}}}
			},
		},
		{
			name: "healthcheck",
			service: `
    network_mode: none
    healthcheck: {test: check, interval: 5s, timeout: 4s, retries: 3, start_period: 20s, start_interval: 100ms}`,
			want: func(c *creation) {
				c.config.Healthcheck = &container.HealthConfig{
					Test: []string{"CMD-SHELL", "check"}, Interval: 5 * time.Second, Timeout: 4 * time.Second,
					Retries: 3, StartPeriod: 20 * time.Second, StartInterval: 100 * time.Millisecond,
				}
			},
		},
		{
			name: "healthcheck of an engine that does not know start_interval",
			service: `
    network_mode: none
    healthcheck: {test: [CMD, check], start_period: 20s, start_interval: 100ms}`,
			api: "1.43",
			want: func(c *creation) {
				c.config.Healthcheck = &container.HealthConfig{Test: []string{"CMD", "check"}, StartPeriod: 20 * time.Second}
			},
		},
		{
			name: "healthcheck off",
			service: `
    network_mode: none
    healthcheck: {disable: true}`,
			want: func(c *creation) { c.config.Healthcheck = &container.HealthConfig{Test: []string{"NONE"}} },
		},
		{
			name: "restart",
			service: `
    network_mode: none
    restart: on-failure:4`,
			want: func(c *creation) {
				c.host.RestartPolicy = container.RestartPolicy{Name: "on-failure", MaximumRetryCount: 4}
			},
		},
		{
			name: "deploy",
			service: `
    network_mode: none
    restart: always
    deploy:
      restart_policy: {condition: any, max_attempts: 2, delay: 5s}
      placement: {constraints: [node.role == manager]}
      resources:
        limits: {cpus: "0.1", memory: 64m, pids: 50}
        reservations: {memory: 32m, devices: [{capabilities: [gpu], count: 1, driver: nvidia}]}`,
			want: func(c *creation) {
				pids := int64(50)
				c.host.RestartPolicy = container.RestartPolicy{Name: "always", MaximumRetryCount: 2}
				c.host.Memory, c.host.MemoryReservation = 64<<20, 32<<20
				c.host.NanoCPUs = 100_000_000
				c.host.PidsLimit = &pids
				c.host.DeviceRequests = []container.DeviceRequest{{Driver: "nvidia", Count: 1, Capabilities: [][]string{{"gpu"}}}}
			},
		},
		{
			name: "security",
			service: `
    network_mode: host
    read_only: true
    privileged: true
    cap_add: [NET_ADMIN]
    cap_drop: [ALL]
    security_opt: [no-new-privileges:true, systempaths=unconfined, seccomp=profile.json]
    userns_mode: host
    group_add: ["5"]
    sysctls: {net.core.somaxconn: 1024}
    ulimits: {nproc: 100, nofile: {soft: 10, hard: 20}}`,
			want: func(c *creation) {
				c.host.NetworkMode = "host"
				c.host.ReadonlyRootfs, c.host.Privileged = true, true
				c.host.CapAdd, c.host.CapDrop = []string{"NET_ADMIN"}, []string{"ALL"}
				c.host.SecurityOpt = []string{"no-new-privileges:true", "seccomp=<profile.json>"}
				c.host.MaskedPaths, c.host.ReadonlyPaths = []string{}, []string{}
				c.host.UsernsMode = "host"
				c.host.GroupAdd = []string{"5"}
				c.host.Sysctls = map[string]string{"net.core.somaxconn": "1024"}
				c.host.Ulimits = []*container.Ulimit{{Name: "nofile", Soft: 10, Hard: 20}, {Name: "nproc", Soft: 100, Hard: 100}}
			},
		},
		{
			name: "namespaces, names and the rest of the host",
			service: `
    network_mode: bridge
    ipc: shareable
    pid: host
    uts: host
    cgroup: private
    cgroup_parent: /mine
    runtime: runc
    isolation: default
    shm_size: 1m
    oom_score_adj: 5
    oom_kill_disable: true
    storage_opt: {size: 1G}
    annotations: {a: b}
    dns: 10.0.0.1
    dns_search: [example.test]
    dns_opt: [ndots:1]
    extra_hosts: {b: 10.0.0.2, a: 10.0.0.1}
    logging: {driver: local, options: {max-size: 1m}}
    volumes_from: ["container:other:ro"]
    devices: ["/dev/fuse:/dev/fuse:rwm", "vendor.com/gpu=0"]
    device_cgroup_rules: ["c 1:3 mr"]`,
			want: func(c *creation) {
				c.host.NetworkMode = "bridge"
				c.host.IpcMode, c.host.PidMode, c.host.UTSMode, c.host.CgroupnsMode = "shareable", "host", "host", "private"
				c.host.CgroupParent, c.host.Runtime, c.host.Isolation = "/mine", "runc", "default"
				c.host.ShmSize, c.host.OomScoreAdj, c.host.OomKillDisable = 1<<20, 5, &yes
				c.host.StorageOpt = map[string]string{"size": "1G"}
				c.host.Annotations = map[string]string{"a": "b"}
				c.host.DNS, c.host.DNSSearch, c.host.DNSOptions = []string{"10.0.0.1"}, []string{"example.test"}, []string{"ndots:1"}
				c.host.ExtraHosts = []string{"a:10.0.0.1", "b:10.0.0.2"}
				c.host.LogConfig = container.LogConfig{Type: "local", Config: map[string]string{"max-size": "1m"}}
				c.host.VolumesFrom = []string{"other:ro"}
				c.host.Devices = []container.DeviceMapping{{PathOnHost: "/dev/fuse", PathInContainer: "/dev/fuse", CgroupPermissions: "rwm"}}
				c.host.DeviceRequests = []container.DeviceRequest{{Driver: "cdi", DeviceIDs: []string{"vendor.com/gpu=0"}}}
				c.host.DeviceCgroupRules = []string{"c 1:3 mr"}
			},
		},
		{
			name: "resources",
			service: `
    network_mode: none
    cpus: 1.5
    cpu_shares: 5
    cpu_period: 6
    cpu_quota: 7
    cpu_rt_period: 8
    cpu_rt_runtime: 9
    cpu_count: 2
    cpu_percent: 50
    cpuset: 0-1
    mem_limit: 64m
    mem_reservation: 32m
    memswap_limit: 128m
    mem_swappiness: 10
    pids_limit: 100
    gpus: [{count: 1, driver: nvidia}]
    blkio_config:
      weight: 300
      weight_device: [{path: /dev/sda, weight: 400}]
      device_read_bps: [{path: /dev/sda, rate: 1k}]
      device_read_iops: [{path: /dev/sda, rate: 2}]
      device_write_bps: [{path: /dev/sda, rate: 3k}]
      device_write_iops: [{path: /dev/sda, rate: 4}]`,
			want: func(c *creation) {
				swappiness, pids := int64(10), int64(100)
				r := &c.host.Resources
				r.NanoCPUs, r.CPUShares, r.CPUPeriod, r.CPUQuota = 1_500_000_000, 5, 6, 7
				r.CPURealtimePeriod, r.CPURealtimeRuntime, r.CPUCount, r.CPUPercent = 8, 9, 2, 5000
				r.CpusetCpus = "0-1"
				r.Memory, r.MemoryReservation, r.MemorySwap = 64<<20, 32<<20, 128<<20
				r.MemorySwappiness, r.PidsLimit = &swappiness, &pids
				r.DeviceRequests = []container.DeviceRequest{{Driver: "nvidia", Count: 1, Capabilities: [][]string{{"gpu"}}}}
				r.BlkioWeight = 300
				r.BlkioWeightDevice = []*blkiodev.WeightDevice{{Path: "/dev/sda", Weight: 400}}
				r.BlkioDeviceReadBps = []*blkiodev.ThrottleDevice{{Path: "/dev/sda", Rate: 1024}}
				r.BlkioDeviceReadIOps = []*blkiodev.ThrottleDevice{{Path: "/dev/sda", Rate: 2}}
				r.BlkioDeviceWriteBps = []*blkiodev.ThrottleDevice{{Path: "/dev/sda", Rate: 3 * 1024}}
				r.BlkioDeviceWriteIOps = []*blkiodev.ThrottleDevice{{Path: "/dev/sda", Rate: 4}}
			},
		},
		{
			name:    "another name and more labels",
			service: `network_mode: none`,
			request: engine.CreateContainer{Name: "shop-web-1-next", Labels: map[string]string{state.LabelReplace: "id"}},
			want: func(c *creation) {
				c.name = "shop-web-1-next"
				c.config.Labels = map[string]string{state.LabelReplace: "id"}
			},
		},
		{
			name: "references to services",
			service: `
    network_mode: service:db
    ipc: service:db
    pid: service:cache
    volumes_from: [db, "cache:ro", "container:other:ro"]`,
			rest: "  db: {image: db, ipc: shareable}\n  cache: {image: cache}",
			want: func(c *creation) {
				c.host.NetworkMode, c.host.IpcMode, c.host.PidMode = "container:db-id", "container:db-id", "container:cache-id"
				c.host.VolumesFrom = []string{"db-id", "cache-id:ro", "other:ro"}
			},
		},
		{
			name: "links",
			service: `
    networks: [back]
    links: [db, "db:database"]
    external_links: [other, "other:alias"]`,
			rest: "  db: {image: db}\nnetworks: {back: {}}",
			want: func(c *creation) {
				links := []string{
					"shop-db-1:db", "shop-db-1:db-1", "shop-db-1:shop-db-1",
					"shop-db-2:db", "shop-db-2:db-1", "shop-db-2:shop-db-1",
					"shop-db-1:database", "shop-db-1:db-1", "shop-db-1:shop-db-1",
					"shop-db-2:database", "shop-db-2:db-1", "shop-db-2:shop-db-1",
					"other:other", "other:alias",
				}
				c.host.NetworkMode = "shop_back"
				c.host.Links = links
				c.network = &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{
					"shop_back": {Aliases: []string{"web", "shop-web-1"}, Links: links},
				}}
			},
		},
		{
			name: "credentials of Windows",
			service: `
    network_mode: none
    security_opt: [no-new-privileges:true]
    credential_spec: {file: spec.json, registry: key}`,
			want: func(c *creation) {
				c.host.SecurityOpt = []string{"no-new-privileges:true", "credentialspec=file://spec.json", "credentialspec=registry://key"}
			},
		},
		{
			name: "mounts of newer engines",
			service: `
    network_mode: none
    volumes:
      - {type: image, source: app, target: /image, image: {subpath: a}}
      - {type: bind, source: /ro, target: /ro, read_only: true, bind: {recursive: readonly}}
      - {type: bind, source: /rw, target: /rw, read_only: true, bind: {recursive: writable, propagation: rslave}}
      - {type: npipe, source: '\\.\pipe\a', target: '\\.\pipe\b'}
      - {type: volume, target: /new, consistency: cached, volume: {labels: {a: b}}}`,
			want: func(c *creation) {
				c.host.Mounts = []mount.Mount{
					{Type: "image", Source: "app", Target: "/image", ImageOptions: &mount.ImageOptions{Subpath: "a"}},
					{Type: "bind", Source: "/ro", Target: "/ro", ReadOnly: true, BindOptions: &mount.BindOptions{CreateMountpoint: true, ReadOnlyForceRecursive: true}},
					{Type: "bind", Source: "/rw", Target: "/rw", ReadOnly: true, BindOptions: &mount.BindOptions{CreateMountpoint: true, ReadOnlyNonRecursive: true, Propagation: "rslave"}},
					{Type: "npipe", Source: `\\.\pipe\a`, Target: `\\.\pipe\b`},
					{Type: "volume", Target: "/new", Consistency: "cached", VolumeOptions: &mount.VolumeOptions{Labels: map[string]string{"a": "b"}}},
				}
			},
		},
		{
			name: "files in a read-only root",
			service: `
    network_mode: none
    read_only: true
    tmpfs: ["/run"]
    volumes: ["data:/data"]
    configs: [{source: typed, target: /etc/app/conf}, {source: typed, target: /etc/app/other}, {source: typed, target: /data/sub/conf}]
    secrets: [{source: owned, uid: "5"}, plain]`,
			rest:    "volumes: {data: {}}\nconfigs: {typed: {content: x}}\nsecrets: {owned: {file: /host/owned}, plain: {file: /host/plain}}",
			request: engine.CreateContainer{Keep: []state.Mount{{Type: "volume", Name: "old", Target: "/run/secrets"}}},
			want: func(c *creation) {
				c.host.ReadonlyRootfs = true
				c.host.Tmpfs = map[string]string{"/run": ""}
				c.host.Mounts = []mount.Mount{
					{Type: "volume", Source: "shop_data", Target: "/data", VolumeOptions: &mount.VolumeOptions{}},
					{Type: "volume", Target: "/etc/app"},
					{Type: "volume", Source: "old", Target: "/run/secrets"},
					{Type: "bind", Source: "/host/plain", Target: "/run/secrets/plain", ReadOnly: true},
				}
			},
		},
		{
			name: "what is elsewhere",
			service: `
    network_mode: none
    x-mine: {a: b}
    profiles: []
    pull_policy: always
    build: .
    scale: 1
    develop: {watch: []}
    attach: false`,
			want: func(*creation) {},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.request.Spec = only(t, "services:\n  web:\n    image: app\n    "+strings.TrimSpace(test.service)+"\n"+test.rest)
			api := test.api
			if api == "" {
				api = "1.51"
			}
			got, err := convert(test.request, surroundings{
				api:     api,
				project: "shop",
				seccomp: func(path string) (string, error) { return "<" + path + ">", nil },
				peers: func(service string) ([]peer, error) {
					return []peer{{id: service + "-id", name: "shop-" + service + "-1"}, {id: "second-id", name: "shop-" + service + "-2"}}, nil
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			want := blank()
			test.want(&want)
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(creation{}, connection{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestConvertRefuses(t *testing.T) {
	for _, test := range []struct {
		name, service, rest, api, want string
	}{
		{
			name: "fields that are refused", service: "umask: \"022\"\n    pre_start: [{command: [a]}]",
			want: "services.web.pre_start is not supported",
		},
		{
			name: "a service that has no container", service: `network_mode: "service:db"`, rest: "  db: {image: db}",
			want: "service db, which it refers to, has no container",
		},
		{
			name: "volumes of one that has none", service: `volumes_from: [db]`, rest: "  db: {image: db}",
			want: "volumes_from: service db, which it refers to, has no container",
		},
		{name: "start_interval alone", service: "healthcheck: {test: x, start_interval: 1s}", want: "services.web.healthcheck.start_interval is not supported: it counts during start_period only"},
		{name: "annotations", service: "annotations: {a: b}", api: "1.42", want: "services.web.annotations is not supported: it needs Docker 24"},
		{
			name: "two MAC addresses", service: "mac_address: \"02:42:00:00:00:02\"\n    networks: {a: {mac_address: \"02:42:00:00:00:01\"}}", rest: "networks: {a: {}}",
			want: "network shop_a: mac_address is 02:42:00:00:00:01 here and 02:42:00:00:00:02 on the service",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := desired(t, "services:\n  web:\n    image: app\n    "+test.service+"\n"+test.rest)
			web, _ := d.Service("web")
			api := test.api
			if api == "" {
				api = "1.51"
			}
			_, err := convert(engine.CreateContainer{Spec: web.Containers[0]}, surroundings{
				api: api, peers: func(string) ([]peer, error) { return nil, nil },
			})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, want %q", err, test.want)
			}
		})
	}
}

func TestConvertNetworkAndVolume(t *testing.T) {
	d := desired(t, `
services: {web: {image: app, networks: [back], volumes: ["data:/data"]}}
networks:
  back:
    driver: bridge
    driver_opts: {mtu: "1400"}
    internal: true
    attachable: true
    enable_ipv6: true
    enable_ipv4: false
    labels: {mine: "yes"}
    ipam:
      driver: default
      options: {a: b}
      config: [{subnet: 10.1.0.0/16, ip_range: 10.1.1.0/24, gateway: 10.1.0.1, aux_addresses: {x: 10.1.0.9}}]
volumes:
  data: {driver: local, driver_opts: {type: tmpfs}, labels: {mine: "yes"}}
`)
	yes, no := true, false
	if diff := cmp.Diff(network.CreateOptions{
		Driver: "bridge", Options: map[string]string{"mtu": "1400"}, Internal: true, Attachable: true,
		EnableIPv4: &no, EnableIPv6: &yes, Labels: d.Networks[0].Labels,
		IPAM: &network.IPAM{Driver: "default", Options: map[string]string{"a": "b"}, Config: []network.IPAMConfig{
			{Subnet: "10.1.0.0/16", IPRange: "10.1.1.0/24", Gateway: "10.1.0.1", AuxAddress: map[string]string{"x": "10.1.0.9"}},
		}},
	}, convertNetwork(d.Networks[0])); diff != "" {
		t.Errorf("network (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(volume.CreateOptions{
		Name: "shop_data", Driver: "local", DriverOpts: map[string]string{"type": "tmpfs"}, Labels: d.Volumes[0].Labels,
	}, convertVolume(d.Volumes[0])); diff != "" {
		t.Errorf("volume (-want +got):\n%s", diff)
	}
}

func TestProxyOfTheConfigFileGivesWay(t *testing.T) {
	proxy, own := "http://proxy", "http://own"
	got := environment(map[string]*string{"HTTP_PROXY": &proxy, "FTP_PROXY": &proxy}, types.MappingWithEquals{"HTTP_PROXY": &own})
	if diff := cmp.Diff([]string{"FTP_PROXY=http://proxy", "HTTP_PROXY=http://own"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestUploads(t *testing.T) {
	dir := t.TempDir()
	source := filepath.Join(dir, "key")
	if err := os.WriteFile(source, []byte("from a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	text := `
services:
  web:
    image: app
    READ_ONLY
    volumes: ["data:/data"]
    configs: [{source: typed, target: /etc/app/conf, mode: 0440}, {source: typed, target: /data/sub/conf}, mounted]
    secrets: [{source: owned, uid: "5", gid: "6", mode: 0400}]
volumes: {data: {}}
configs: {typed: {content: text}, mounted: {file: SOURCE}}
secrets: {owned: {file: SOURCE}}`
	text = strings.ReplaceAll(text, "SOURCE", source)
	hidden := `
services:
  web:
    image: app
    tmpfs: [/run, /scratch/tmp]
    volumes: [{type: tmpfs, target: /cache}, "data:/scratch/tmp/kept"]
    configs: [{source: typed, target: /cache/a/conf}, {source: typed, target: /scratch/tmp/kept/conf}, {source: typed, target: /scratch/conf}]
    secrets: [typed]
volumes: {data: {}}
configs: {typed: {content: text}}
secrets: {typed: {environment: TYPED}}`
	type entry struct {
		Name, Content string
		Mode          int64
		UID, GID      int
	}
	for name, test := range map[string]struct {
		text, readOnly string
		want           map[string][]entry
	}{
		"folders below a tmpfs": {hidden, "", map[string][]entry{
			"/":            {{"scratch/tmp/kept/conf", "text", 0o444, 0, 0}, {"scratch/conf", "text", 0o444, 0, 0}},
			"/cache/a":     {{"conf", "text", 0o444, 0, 0}},
			"/run/secrets": {{"typed", "", 0o444, 0, 0}},
		}},
		"a root that can be written": {text, "", map[string][]entry{"/": {
			{"etc/app/conf", "text", 0o440, 0, 0}, {"data/sub/conf", "text", 0o444, 0, 0}, {"run/secrets/owned", "from a file", 0o400, 5, 6},
		}}},
		"a read-only root": {text, "read_only: true", map[string][]entry{
			"/data":        {{"sub/conf", "text", 0o444, 0, 0}},
			"/etc/app":     {{"conf", "text", 0o440, 0, 0}},
			"/run/secrets": {{"owned", "from a file", 0o400, 5, 6}},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			list, err := uploads(only(t, strings.Replace(test.text, "READ_ONLY", test.readOnly, 1)))
			if err != nil {
				t.Fatal(err)
			}
			got := map[string][]entry{}
			for _, u := range list {
				archive := tar.NewReader(bytes.NewReader(u.tar))
				for {
					h, err := archive.Next()
					if errors.Is(err, io.EOF) {
						break
					}
					if err != nil {
						t.Fatal(err)
					}
					content, err := io.ReadAll(archive)
					if err != nil {
						t.Fatal(err)
					}
					got[u.folder] = append(got[u.folder], entry{h.Name, string(content), h.Mode, h.Uid, h.Gid})
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestUploadsRefuse(t *testing.T) {
	for name, test := range map[string]struct {
		readOnly bool
		tmpfs    []string
		file     state.File
		want     string
	}{
		"read-only root": {true, nil, state.File{Target: "/x", Content: "x"}, "file at /x: nothing can be written to a read-only root"},
		"tmpfs":          {true, []string{"/run/secrets:size=1m"}, state.File{Target: "/run/secrets/x", Content: "x"}, "/run/secrets is a tmpfs"},
		"user by name":   {false, nil, state.File{Target: "/etc/x", Content: "x", UID: "www-data"}, `uid: "www-data" is not a number`},
		"no such file":   {false, nil, state.File{Target: "/etc/x", Source: "/no/such/file", UID: "1"}, "file at /etc/x: open /no/such/file"},
	} {
		spec := state.ContainerSpec{Files: []state.File{test.file}}
		spec.Config.ReadOnly, spec.Config.Tmpfs = test.readOnly, test.tmpfs
		if _, err := uploads(spec); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error is %v, want %q", name, err, test.want)
		}
	}
	mounted := state.ContainerSpec{Files: []state.File{{Target: "/etc/x", Source: "/host/x"}}}
	mounted.Config.ReadOnly = true
	if list, err := uploads(mounted); err != nil || list != nil {
		t.Errorf("a mounted file: %v, error %v", list, err)
	}
}

func TestAPISocket(t *testing.T) {
	spec := only(t, "services: {web: {image: app, use_api_socket: true, environment: {A: b}}}")
	settings := configfile.New("")
	settings.AuthConfigs = map[string]clitypes.AuthConfig{"registry.example": {Username: "me", Password: "secret", ServerAddress: "registry.example"}}
	got, err := withAPISocket(engine.CreateContainer{Spec: spec}, settings)
	if err != nil {
		t.Fatal(err)
	}
	want := []types.ServiceVolumeConfig{{Type: "bind", Source: "/var/run/docker.sock", Target: "/var/run/docker.sock"}}
	if diff := cmp.Diff(want, got.Spec.Config.Volumes); diff != "" {
		t.Errorf("volumes (-want +got):\n%s", diff)
	}
	if value := got.Spec.Config.Environment["DOCKER_CONFIG"]; value == nil || *value != "/run/secrets/docker" {
		t.Errorf("DOCKER_CONFIG is %v", value)
	}
	if len(got.Spec.Files) != 1 || got.Spec.Files[0].Target != "/run/secrets/docker/config.json" ||
		!strings.Contains(got.Spec.Files[0].Content, `"auth": "bWU6c2VjcmV0"`) {
		t.Errorf("files are %+v", got.Spec.Files)
	}
	if len(spec.Config.Volumes)+len(spec.Files) != 0 || spec.Config.Environment["DOCKER_CONFIG"] != nil {
		t.Error("the request was changed")
	}
	own := "/mine"
	spec.Config.Environment["DOCKER_CONFIG"] = &own
	if got, err = withAPISocket(engine.CreateContainer{Spec: spec}, settings); err != nil || *got.Spec.Config.Environment["DOCKER_CONFIG"] != own {
		t.Errorf("a variable of one's own was changed, error %v", err)
	}
	spec.Config.UseAPISocket = false
	if got, err = withAPISocket(engine.CreateContainer{Spec: spec}, nil); err != nil || len(got.Spec.Config.Volumes) != 0 {
		t.Errorf("not asked for: %+v, error %v", got.Spec.Config.Volumes, err)
	}
}

// The lowest number comes first, and of two with one number the newer, or the one
// that runs.
func TestSortPeers(t *testing.T) {
	numbered := func(id, number string, created int64) container.Summary {
		return container.Summary{ID: id, Names: []string{"/" + id}, Created: created, Labels: map[string]string{state.LabelNumber: number}}
	}
	running := numbered("turn", "3", 5)
	running.State = container.StateRunning
	var got []string
	for _, p := range sortPeers([]container.Summary{numbered("ten", "10", 1), numbered("old", "2", 1), numbered("new", "2", 5), numbered("aside", "3", 5), running}) {
		got = append(got, p.id)
	}
	if diff := cmp.Diff([]string{"new", "old", "turn", "aside", "ten"}, got); diff != "" {
		t.Error(diff)
	}
}
