package support

import (
	"slices"
	"strconv"
)

// API versions that something depends on, and the releases that brought them.
const (
	api142 = "1.42"
	api143 = "1.43"
	api144 = "1.44"
	api145 = "1.45"
	api148 = "1.48"
	api149 = "1.49"
)

var releases = map[string]string{
	api142: "Docker 23", api143: "Docker 24", api144: "Docker 25",
	api145: "Docker 26", api148: "Docker 28", api149: "Docker 28.1",
}

// Reasons that several fields share.
const (
	oneEngine = "it is for a scheduler of many machines, and there is one engine"
	swarmOnly = "it is kept by a swarm, and one engine has no store for it"
	byLoader  = "read while the file is loaded"
	inWatch   = "for `docker compose watch`, which reads it; says nothing about what runs"
)

type section struct {
	title  string
	fields []Field
}

// sections gives the table in the order of its documentation.
func sections() []section {
	return []section{
		{"Top of the file", topLevel()},
		{"Services", service()},
		{"What runs", process()},
		{"Isolation and privileges", isolation()},
		{"Resources", resources()},
		{"Images and builds", images()},
		{"Mounts, configs and secrets of a service", mounts()},
		{"Ports", ports()},
		{"A service's networks", attachments()},
		{"Deploy", deploy()},
		{"Networks", networks()},
		{"Volumes", volumes()},
		{"Configs and secrets", configsAndSecrets()},
	}
}

// Fields gives every field of the specification.
func Fields() []Field {
	var out []Field
	for _, s := range sections() {
		out = append(out, s.fields...)
	}
	return out
}

func topLevel() []Field {
	return []Field{
		mapped("name", "the project's name: in names and in `com.docker.compose.project`"),
		mapped("version", "nothing: the specification has no versions any more, and Compose takes it without a word too").whole(),
		mapped("include", byLoader).whole(),
		mapped("services", "containers"),
		mapped("networks", "networks"),
		mapped("volumes", "volumes"),
		mapped("configs", "files in containers"),
		mapped("secrets", "files in containers"),
		refused("models", "it needs Docker Model Runner, which is no part of the Engine API: run the model in a service"),
		ignored("jobs", "an engine runs nothing at a time of day, and `up` starts services: make it a service in a profile, and start it when it is due"),
	}
}

func service() []Field {
	return below("services.*.", slices.Concat(
		[]Field{
			mapped("attach", "nothing: `stackctl up` follows no output, and `stackctl logs` shows what it is asked for"),
			mapped("container_name", "the container's name"),
			mapped("depends_on", "edges of the plan; label `com.docker.compose.depends_on`"),
			mapped("depends_on.*.condition", "what is waited for"),
			mapped("depends_on.*.required", "whether it may be absent"),
			mapped("depends_on.*.restart", "whether the dependent is restarted with it"),
			mapped("develop", inWatch).whole(),
			mapped("extends", byLoader).whole(),
			mapped("label_file", byLoader),
			mapped("labels", "Labels"),
			mapped("profiles", "whether the service is part of the run"),
			refused("provider", "the service is run by a program of its own, not by an engine: start that by hand and leave the service out"),
			refused("models", "it needs Docker Model Runner, which is no part of the Engine API: run the model in a service"),
			mapped("restart", "HostConfig.RestartPolicy"),
			mapped("scale", "the number of containers"),
			refused("pre_start", "it is an init container of Compose 5: make it a service of its own, and wait for it with depends_on and service_completed_successfully"),
			mapped("post_start", "run in the container after its start"),
			mapped("pre_stop", "run in the container before its stop"),
			mapped("healthcheck", "Healthcheck"),
			mapped("healthcheck.disable", "Healthcheck.Test NONE"),
			mapped("healthcheck.interval", "Healthcheck.Interval"),
			mapped("healthcheck.retries", "Healthcheck.Retries"),
			mapped("healthcheck.start_interval", "Healthcheck.StartInterval from Docker 25 on; stackctl itself probes with older ones"),
			mapped("healthcheck.start_period", "Healthcheck.StartPeriod"),
			mapped("healthcheck.test", "Healthcheck.Test"),
			mapped("healthcheck.timeout", "Healthcheck.Timeout"),
		},
		below("post_start[].", hook()...),
		below("pre_stop[].", hook()...),
	)...)
}

func hook() []Field {
	return []Field{
		mapped("command", "Cmd of an exec"),
		mapped("environment", "Env of the exec"),
		mapped("privileged", "Privileged of the exec"),
		mapped("user", "User of the exec"),
		mapped("working_dir", "WorkingDir of the exec"),
	}
}

// process is what runs in a container.
func process() []Field {
	return below("services.*.",
		mapped("command", "Cmd"),
		mapped("entrypoint", "Entrypoint"),
		mapped("env_file", byLoader),
		mapped("env_file[].format", byLoader),
		mapped("env_file[].path", byLoader),
		mapped("env_file[].required", byLoader),
		mapped("environment", "Env"),
		mapped("hostname", "Hostname"),
		mapped("domainname", "Domainname"),
		mapped("init", "HostConfig.Init"),
		mapped("stdin_open", "OpenStdin"),
		mapped("stop_grace_period", "StopTimeout, in whole seconds"),
		mapped("stop_signal", "StopSignal"),
		mapped("tty", "Tty"),
		refused("umask", "the Engine API has no field for it: set it in the entrypoint"),
		mapped("user", "User"),
		mapped("working_dir", "WorkingDir"),
		mapped("logging", "HostConfig.LogConfig"),
		mapped("logging.driver", "HostConfig.LogConfig.Type"),
		mapped("logging.options", "HostConfig.LogConfig.Config"),
		mapped("annotations", "HostConfig.Annotations").since(api143),
	)
}

// isolation is what a container shares with others, and what it may do.
func isolation() []Field {
	return below("services.*.",
		mapped("cap_add", "HostConfig.CapAdd"),
		mapped("cap_drop", "HostConfig.CapDrop"),
		mapped("cgroup", "HostConfig.CgroupnsMode"),
		mapped("credential_spec", "HostConfig.SecurityOpt credentialspec; Windows engines only"),
		refused("credential_spec.config", swarmOnly+": use file or registry"),
		mapped("credential_spec.file", "`credentialspec=file://`; Windows engines only"),
		mapped("credential_spec.registry", "`credentialspec=registry://`; Windows engines only"),
		mapped("group_add", "HostConfig.GroupAdd"),
		mapped("ipc", "HostConfig.IpcMode; `service:` becomes the id of that service's first container"),
		mapped("isolation", "HostConfig.Isolation; an engine on Linux takes `default` only"),
		mapped("pid", "HostConfig.PidMode; `service:` becomes the id of that service's first container"),
		mapped("privileged", "HostConfig.Privileged"),
		mapped("read_only", "HostConfig.ReadonlyRootfs"),
		mapped("runtime", "HostConfig.Runtime"),
		mapped("security_opt", "HostConfig.SecurityOpt; a seccomp profile's text in place of its path"),
		mapped("sysctls", "HostConfig.Sysctls"),
		mapped("use_api_socket", "the engine's socket, and a config.json with the registries' credentials, in the container"),
		mapped("userns_mode", "HostConfig.UsernsMode"),
		mapped("uts", "HostConfig.UTSMode").but(Refused, "`service:NAME`", hasPrefix("service:"),
			"a container shares host names with the host or with nobody"),
	)
}

func resources() []Field {
	limits := "HostConfig.Ulimits"
	return below("services.*.", slices.Concat(
		[]Field{
			mapped("blkio_config", "the HostConfig.Blkio fields"),
			mapped("blkio_config.weight", "HostConfig.BlkioWeight"),
			mapped("blkio_config.weight_device", "HostConfig.BlkioWeightDevice"),
			mapped("blkio_config.weight_device[].path", "Path"),
			mapped("blkio_config.weight_device[].weight", "Weight"),
		},
		throttle("device_read_bps", "BlkioDeviceReadBps"),
		throttle("device_read_iops", "BlkioDeviceReadIOps"),
		throttle("device_write_bps", "BlkioDeviceWriteBps"),
		throttle("device_write_iops", "BlkioDeviceWriteIOps"),
		[]Field{
			mapped("cgroup_parent", "HostConfig.CgroupParent"),
			mapped("cpu_count", "HostConfig.CpuCount; Windows engines only"),
			mapped("cpu_percent", "HostConfig.CpuPercent; Windows engines only"),
			mapped("cpu_period", "HostConfig.CpuPeriod"),
			mapped("cpu_quota", "HostConfig.CpuQuota"),
			mapped("cpu_rt_period", "HostConfig.CpuRealtimePeriod"),
			mapped("cpu_rt_runtime", "HostConfig.CpuRealtimeRuntime"),
			mapped("cpu_shares", "HostConfig.CpuShares"),
			mapped("cpus", "HostConfig.NanoCpus"),
			mapped("cpuset", "HostConfig.CpusetCpus"),
			mapped("device_cgroup_rules", "HostConfig.DeviceCgroupRules"),
			mapped("devices", "HostConfig.Devices; names of the Container Device Interface go to DeviceRequests"),
			mapped("devices[].permissions", "CgroupPermissions"),
			mapped("devices[].source", "PathOnHost"),
			mapped("devices[].target", "PathInContainer"),
			mapped("gpus", "HostConfig.DeviceRequests, with the capability `gpu`"),
			mapped("gpus[].capabilities", "Capabilities"),
			mapped("gpus[].count", "Count"),
			mapped("gpus[].device_ids", "DeviceIDs"),
			mapped("gpus[].driver", "Driver"),
			mapped("gpus[].options", "Options"),
			mapped("mem_limit", "HostConfig.Memory"),
			mapped("mem_reservation", "HostConfig.MemoryReservation"),
			mapped("mem_swappiness", "HostConfig.MemorySwappiness"),
			mapped("memswap_limit", "HostConfig.MemorySwap"),
			mapped("oom_kill_disable", "HostConfig.OomKillDisable"),
			mapped("oom_score_adj", "HostConfig.OomScoreAdj"),
			mapped("pids_limit", "HostConfig.PidsLimit"),
			mapped("shm_size", "HostConfig.ShmSize"),
			mapped("ulimits", limits),
			mapped("ulimits.*.hard", "Hard"),
			mapped("ulimits.*.soft", "Soft"),
		},
	)...)
}

func throttle(name, becomes string) []Field {
	return below("blkio_config."+name,
		mapped("", "HostConfig."+becomes),
		mapped("[].path", "Path"),
		mapped("[].rate", "Rate"),
	)
}

// images are where the image of a service comes from. What is said of builds
// counts only when something is built.
func images() []Field {
	return slices.Concat(
		below("services.*.",
			mapped("image", "Image"),
			mapped("platform", "the platform of the pull, the build and the container"),
			mapped("pull_policy", "whether the image is pulled or built").
				but(Ignored, "`refresh`, `daily`, `weekly`, `every_...`", isRefresh,
					"the image is pulled when it is missing: `stackctl pull` fetches a newer one"),
			ignored("pull_refresh_after", "Compose does not read it either: `stackctl pull` fetches a newer image"),
			mapped("build", "a build through the engine, or with the Go toolchain for `x-stackctl.go`"),
		),
		below(buildPath+".",
			refused("additional_contexts", "the Engine API's build takes one context; "+composeBuilds),
			mapped("args", "buildargs"),
			mapped("cache_from", "cachefrom").
				but(Ignored, "of a type other than `registry`", hasOtherCache("registry"),
					"the Engine API's build reads caches from images only; what is built is the same"),
			mapped("cache_to", "the build argument `BUILDKIT_INLINE_CACHE`").
				but(Ignored, "of a type other than `inline`", hasOtherCache("inline"),
					"the Engine API's build writes a cache into the image only; what is built is the same"),
			mapped("context", "the body of the request; `remote` for a repository or an archive on the network"),
			mapped("dockerfile", "dockerfile; one outside of the context is sent with it"),
			mapped("dockerfile_inline", "a file that is sent with the context"),
			refused("entitlements", "the Engine API's build grants none but the host's network; "+composeBuilds),
			mapped("extra_hosts", "extrahosts"),
			mapped("isolation", "isolation; Windows engines only"),
			mapped("labels", "labels"),
			mapped("network", "networkmode").but(Refused, "other than `default`, `host`, `none`", isNetwork,
				"the engine's BuildKit joins no network of containers: use default, host or none"),
			mapped("no_cache", "nocache"),
			mapped("no_cache_filter", "nocache: the API knows no stages, so all of them are built anew"),
			mapped("platforms", "platform: one, the one of `platform` when there are several"),
			refused("privileged", "the Engine API's build grants no privileges; "+composeBuilds),
			mapped("provenance", "nothing when false").
				but(Ignored, "other than false", isNot("false"), "the Engine API's build writes no attestations; what is built is the same"),
			mapped("sbom", "nothing when false").
				but(Ignored, "other than false", isNot("false"), "the Engine API's build writes no attestations; what is built is the same"),
			mapped("pull", "pull"),
			mapped("secrets", "BuildKit asks for them while it builds"),
			mapped("secrets[].source", "the secret, by file or environment"),
			mapped("secrets[].target", "its id in the Dockerfile; the source's name if unset"),
			ignored("secrets[].uid", "the Dockerfile says it, with RUN --mount=type=secret,uid="),
			ignored("secrets[].gid", "the Dockerfile says it, with RUN --mount=type=secret,gid="),
			ignored("secrets[].mode", "the Dockerfile says it, with RUN --mount=type=secret,mode="),
			mapped("shm_size", "shmsize").since(api142),
			mapped("ssh", "the sockets of ssh agents, which BuildKit asks for while it builds; key files have to be added to an agent"),
			mapped("tags", "t"),
			mapped("target", "target"),
			mapped("ulimits", "ulimits").since(api142),
			mapped("ulimits.*.hard", "Hard"),
			mapped("ulimits.*.soft", "Soft"),
		),
	)
}

// buildPath is where the fields of a build begin.
const buildPath = "services.*.build"

const composeBuilds = "`docker compose build` can, and stackctl runs the image that it leaves"

func isNetwork(v any) bool { return v != "default" && v != "host" && v != "none" }

func isRefresh(v any) bool {
	return v == "refresh" || v == "daily" || v == "weekly" || hasPrefix("every_")(v)
}

func isNot(want any) func(any) bool { return func(v any) bool { return v != want } }

// numbersOnly is why a user or group is no name.
const numbersOnly = "names mean nothing outside of the container: give the number"

func isName(v any) bool {
	text, ok := v.(string)
	_, err := strconv.Atoi(text)
	return ok && err != nil
}

func mounts() []Field {
	file := func(name string) []Field {
		return below(name,
			mapped("", "files in the container: one from a file is mounted, all others are copied; with read_only their folder gets a volume"),
			mapped("[].source", "the one that is meant"),
			mapped("[].target", "the file's path"),
			mapped("[].uid", "the file's owner; a file that names one is copied instead of mounted").but(Refused, "a name", isName, numbersOnly),
			mapped("[].gid", "the file's group; a file that names one is copied instead of mounted").but(Refused, "a name", isName, numbersOnly),
			mapped("[].mode", "the file's mode; a file that names one is copied instead of mounted"),
		)
	}
	return below("services.*.", slices.Concat(
		[]Field{
			mapped("storage_opt", "HostConfig.StorageOpt"),
			mapped("tmpfs", "HostConfig.Tmpfs"),
			mapped("volumes_from", "HostConfig.VolumesFrom; a service becomes the id of its first container"),
			mapped("volumes", "HostConfig.Binds and Mounts"),
			mapped("volumes[].type", "Type").
				butSince(api148, "`image`", is("image")).
				but(Refused, "`cluster`", is("cluster"), "these volumes are a swarm's"),
			mapped("volumes[].source", "Source"),
			mapped("volumes[].target", "Target"),
			mapped("volumes[].read_only", "ReadOnly"),
			mapped("volumes[].consistency", "Consistency; it counts on Docker Desktop"),
			mapped("volumes[].bind", "BindOptions"),
			mapped("volumes[].bind.create_host_path", "CreateMountpoint, or a bind that makes the folder"),
			mapped("volumes[].bind.propagation", "Propagation"),
			mapped("volumes[].bind.recursive", "NonRecursive, ReadOnlyNonRecursive, ReadOnlyForceRecursive").
				butSince(api144, "`readonly`", is("readonly")),
			mapped("volumes[].bind.selinux", "the option `z` or `Z` of a bind"),
			mapped("volumes[].image", "ImageOptions"),
			mapped("volumes[].image.subpath", "Subpath"),
			mapped("volumes[].tmpfs", "TmpfsOptions"),
			mapped("volumes[].tmpfs.mode", "Mode"),
			mapped("volumes[].tmpfs.size", "SizeBytes"),
			mapped("volumes[].volume", "VolumeOptions"),
			mapped("volumes[].volume.labels", "Labels of the volume, if the engine makes it with the container"),
			mapped("volumes[].volume.nocopy", "NoCopy"),
			mapped("volumes[].volume.subpath", "Subpath").since(api145),
		},
		file("configs"),
		file("secrets"),
	)...)
}

func ports() []Field {
	return below("services.*.",
		mapped("expose", "ExposedPorts"),
		mapped("ports", "ExposedPorts and HostConfig.PortBindings"),
		mapped("ports[].app_protocol", "the scheme of the address that `up` prints"),
		mapped("ports[].host_ip", "HostIp"),
		mapped("ports[].mode", "nothing: a port of the one host is published in both modes"),
		mapped("ports[].name", "nothing: it names the port for people and tools that read the file"),
		mapped("ports[].protocol", "the protocol of the port"),
		mapped("ports[].published", "HostPort"),
		mapped("ports[].target", "the port"),
	)
}

// attachments are a service's place on networks.
func attachments() []Field {
	return below("services.*.",
		mapped("dns", "HostConfig.Dns"),
		mapped("dns_opt", "HostConfig.DnsOptions"),
		mapped("dns_search", "HostConfig.DnsSearch"),
		mapped("external_links", "Links to containers of others"),
		mapped("extra_hosts", "HostConfig.ExtraHosts"),
		mapped("links", "Links to the containers of the service, under its name and theirs"),
		mapped("mac_address", "MacAddress of the first network"),
		mapped("network_mode", "HostConfig.NetworkMode; `service:` becomes the id of that service's first container"),
		mapped("networks", "NetworkingConfig"),
		mapped("networks.*.aliases", "Aliases"),
		mapped("networks.*.driver_opts", "DriverOpts"),
		mapped("networks.*.gw_priority", "GwPriority").since(api148),
		mapped("networks.*.interface_name", "DriverOpts `com.docker.network.endpoint.ifname`").since(api149),
		mapped("networks.*.ipv4_address", "IPAMConfig.IPv4Address"),
		mapped("networks.*.ipv6_address", "IPAMConfig.IPv6Address"),
		mapped("networks.*.link_local_ips", "IPAMConfig.LinkLocalIPs"),
		mapped("networks.*.mac_address", "MacAddress; before Docker 25 of the first network only"),
		mapped("networks.*.priority", "the order of the networks: the first one is the container's own"),
		mapped("networks.*.use_service_name_alias", "whether the service's name is one of Aliases"),
	)
}

func deploy() []Field {
	return below("services.*.deploy",
		mapped("", "what of it one engine can do"),
		ignored(".endpoint_mode", oneEngine),
		ignored(".labels", "they are for the service of a swarm, not for its containers: use labels of the service"),
		mapped(".mode", "`replicated` is what stackctl does").
			but(Ignored, "`global`", is("global"), "with one engine it is one container for each of replicas").
			but(Ignored, "a job", isJob, "a swarm's job; use restart: \"no\" and service_completed_successfully"),
		ignored(".placement", oneEngine),
		mapped(".replicas", "the number of containers"),
		mapped(".resources", "limits and reservations"),
		mapped(".resources.limits", "limits"),
		mapped(".resources.limits.cpus", "HostConfig.NanoCpus"),
		mapped(".resources.limits.memory", "HostConfig.Memory"),
		mapped(".resources.limits.pids", "HostConfig.PidsLimit"),
		mapped(".resources.reservations", "reservations"),
		ignored(".resources.reservations.cpus", oneEngine),
		mapped(".resources.reservations.devices", "HostConfig.DeviceRequests"),
		mapped(".resources.reservations.devices[].capabilities", "Capabilities"),
		mapped(".resources.reservations.devices[].count", "Count"),
		mapped(".resources.reservations.devices[].device_ids", "DeviceIDs"),
		mapped(".resources.reservations.devices[].driver", "Driver"),
		mapped(".resources.reservations.devices[].options", "Options"),
		ignored(".resources.reservations.generic_resources", oneEngine),
		mapped(".resources.reservations.memory", "HostConfig.MemoryReservation"),
		mapped(".restart_policy", "HostConfig.RestartPolicy, before `restart`"),
		mapped(".restart_policy.condition", "Name"),
		mapped(".restart_policy.max_attempts", "MaximumRetryCount"),
		ignored(".restart_policy.delay", "an engine chooses the delay itself: 100 ms at first, then twice as long each time"),
		ignored(".restart_policy.window", "an engine has no field for it: a container that has run for 10 s counts as started"),
		ignored(".rollback_config", oneEngine),
		ignored(".update_config", oneEngine),
	)
}

func isJob(v any) bool { return v == "replicated-job" || v == "global-job" }

func networks() []Field {
	return below("networks.*.",
		mapped("attachable", "Attachable"),
		mapped("driver", "Driver"),
		mapped("driver_opts", "Options"),
		mapped("enable_ipv4", "EnableIPv4").butSince(api148, "false", is(false)),
		mapped("enable_ipv6", "EnableIPv6"),
		mapped("external", "the network has to be there; it is never changed"),
		mapped("external.name", byLoader),
		mapped("internal", "Internal"),
		mapped("ipam", "IPAM"),
		mapped("ipam.config", "IPAM.Config"),
		mapped("ipam.config[].aux_addresses", "AuxAddress"),
		mapped("ipam.config[].gateway", "Gateway"),
		mapped("ipam.config[].ip_range", "IPRange"),
		mapped("ipam.config[].subnet", "Subnet"),
		mapped("ipam.driver", "IPAM.Driver"),
		mapped("ipam.options", "IPAM.Options"),
		mapped("labels", "Labels"),
		mapped("name", "Name"),
	)
}

func volumes() []Field {
	return below("volumes.*.",
		mapped("driver", "Driver"),
		mapped("driver_opts", "DriverOpts"),
		mapped("external", "the volume has to be there; it is never changed"),
		mapped("external.name", byLoader),
		mapped("labels", "Labels"),
		mapped("name", "Name"),
	)
}

func configsAndSecrets() []Field {
	object := []Field{
		mapped("environment", "the file's text"),
		mapped("external", "nothing when false").but(Refused, "true", is(true), swarmOnly+": give it a file, an environment variable or content"),
		refused("external.name", swarmOnly),
		mapped("file", "a bind of the file, or its text where uid, gid or mode is given"),
		ignored("labels", "a file has none"),
		mapped("name", "nothing: a file is known by its path"),
		refused("template_driver", swarmOnly),
	}
	return slices.Concat(
		below("configs.*.", slices.Clone(object)...),
		below("configs.*.", mapped("content", "the file's text")),
		below("secrets.*.", slices.Clone(object)...),
		below("secrets.*.",
			refused("driver", swarmOnly),
			refused("driver_opts", swarmOnly),
		),
	)
}
