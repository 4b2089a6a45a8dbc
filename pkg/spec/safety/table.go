package safety

// The rules. What they are about, and why, is in the table below and, made from it, in
// docs/safety-rules.md.
const (
	Privileged      Rule = "privileged"
	HostNetwork     Rule = "host-network"
	HostPID         Rule = "host-pid"
	HostIPC         Rule = "host-ipc"
	DockerSocket    Rule = "docker-socket"
	HostPath        Rule = "host-path"
	HostDevice      Rule = "host-device"
	Capability      Rule = "dangerous-capability"
	Unconfined      Rule = "unconfined"
	PlainSecret     Rule = "plain-secret"
	BuildSecret     Rule = "build-secret"
	EnvInContext    Rule = "env-in-context"
	NoPassword      Rule = "no-password"
	ExposedDatabase Rule = "exposed-database"
	LatestTag       Rule = "latest-tag"
)

// table holds every rule, in the order in which findings of a service are told.
func table() []rule {
	return []rule{
		{
			Privileged, "`privileged: true`, of a service or of one of its hooks.",
			"The container has every capability and every device and no profile: whoever gets into it has the host.",
			"name what it needs with cap_add and devices",
			privileged,
		},
		{
			HostNetwork, "`network_mode: host`.",
			"The container reaches all that listens on the host's loopback, and what it listens on is open to the host's network.",
			"publish the ports that are needed",
			func(s *look) { host(s, "network_mode", s.service.NetworkMode, "shares the host's network") },
		},
		{
			HostPID, "`pid: host`.",
			"The container sees every process of the host with its arguments, and may reach into them.",
			"remove it; pid: service:NAME shares with one other service",
			func(s *look) { host(s, "pid", s.service.Pid, "shares the host's processes") },
		},
		{
			HostIPC, "`ipc: host`.",
			"The container can read and write the shared memory of the host's processes.",
			"remove it; shm_size makes the container's own larger, and ipc: service:NAME shares with one other service",
			func(s *look) { host(s, "ipc", s.service.Ipc, "shares the host's memory segments") },
		},
		{
			DockerSocket, "The socket of Docker, containerd, CRI-O or Podman, or its folder, as a mount; `use_api_socket: true`.",
			"Whoever can speak to the engine can start a privileged container. `read_only` does not help: a socket is written to all the same.",
			"put a proxy that lets only the needed calls through before the socket",
			dockerSocket,
		},
		{
			HostPath, "A system folder of the host, mounted writable: `/`, `/etc`, `/proc`, `/sys`, `/boot`, `/dev`, `/usr`, `/var`, `/root`, `/home`, the engine's own data; of a volume with such a `device`, too.",
			"Whoever can write there can change how the host works, and its users and programs.",
			"mount only the file or folder that is needed, and add :ro",
			hostPath,
		},
		{
			HostDevice, "A disk or the memory of the host as a device, or a `device_cgroup_rules` entry for all devices.",
			"Below the file system there are no permissions: every file of the host can be read and changed.",
			"mount the folder that is needed",
			hostDevice,
		},
		{
			Capability, "`cap_add` with `ALL`, `SYS_ADMIN`, `SYS_MODULE`, `SYS_RAWIO`, `SYS_BOOT`, `DAC_READ_SEARCH`, `BPF`, `MAC_ADMIN` or `MAC_OVERRIDE`.",
			"Each of them is known to lead out of a container.",
			"add only the capability that the program asks for",
			capability,
		},
		{
			Unconfined, "`security_opt` that turns seccomp, AppArmor, SELinux or the masked paths off.",
			"These profiles are what stops a program that has broken out of its own limits.",
			"remove it, or write a profile that allows what is needed",
			unconfined,
		},
		{
			PlainSecret, "A secret as the value of an environment variable, or on the command line. A secret is what is called one (`DB_PASSWORD`, `API_TOKEN`, not `DB_PASSWORD_FILE`), and a URL or a connection string with a password in it.",
			"`docker inspect` shows it to everybody who may use the engine; children inherit it, and error reports send it away.",
			"give it as a secret, which the program reads from a file below /run/secrets",
			plainSecret,
		},
		{
			BuildSecret, "A secret as a build argument.",
			"`docker history` shows it to everybody who has the image.",
			"give it under build.secrets, and read it with RUN --mount=type=secret",
			buildSecret,
		},
		{
			EnvInContext, "A `.env` in the folder that a Dockerfile is built from, which no `.dockerignore` leaves out.",
			"It is sent to the engine, and `COPY . .` puts it into the image, for everybody who has that.",
			"write the line .env into a .dockerignore beside it",
			envInContext,
		},
		{
			NoPassword, "A setting that lets everybody in: `POSTGRES_HOST_AUTH_METHOD: trust`, `MYSQL_ALLOW_EMPTY_PASSWORD`, `ALLOW_EMPTY_PASSWORD`, `xpack.security.enabled: false` and the like.",
			"Every container on the network is an administrator of the data.",
			"remove it, and give a password as a secret",
			noPassword,
		},
		{
			ExposedDatabase, "A port of a database, a cache or a queue that is published beyond the loopback: known by the image, the command or the port in the container.",
			"It can be reached by other machines, past a firewall such as ufw: the engine's rules come first.",
			"remove it, since services reach each other without; or publish it on 127.0.0.1",
			exposedDatabase,
		},
		{
			LatestTag, "An image without a tag, or with `latest`, that is not built here. A digest is a version, too.",
			"What runs depends on when it was pulled: two machines differ, and nobody can go back.",
			"name the version",
			latestTag,
		},
	}
}
