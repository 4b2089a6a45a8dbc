package spec

import (
	"io/fs"
	"strconv"
	"time"

	"github.com/stackctl/stackctl/pkg/spec/safety"
)

// Service describes the containers of one service. It needs an Image, a Build
// or both; every other zero value leaves the matter to the image and the
// engine.
type Service struct {
	// Name is the key in the compose file and the host name by which other
	// services reach this one.
	Name string
	// Image is the image's reference. Empty with a Build: the image is named
	// <project>-<service>.
	Image Value
	// Build says how the image is made. Nil: it is pulled.
	Build *Build

	// Command replaces the image's command, Entrypoint its entry point.
	Command    []Value
	Entrypoint []Value
	// Environment is set in the container and wins over EnvFiles.
	Environment Env
	// EnvFiles are paths of files with NAME=value lines.
	EnvFiles []Value

	// Ports are published on the host.
	Ports []Port
	// Mounts puts volumes and host paths into the container.
	Mounts []Mount
	// Tmpfs are container paths that live in memory.
	Tmpfs []string
	// Networks are those that the containers join. Empty: the project's
	// default network.
	Networks []*Network
	// NetworkOptions are, for some of Networks, the keys that a compose file has
	// below them: "aliases", "ipv4_address"; see Extra.
	NetworkOptions map[*Network]map[string]any
	// Secrets are readable as files in the container.
	Secrets []SecretMount
	// Configs are readable as files in the container.
	Configs []ConfigMount

	// DependsOn holds back the start until other services are far enough.
	DependsOn []Dependency
	// Healthcheck tells when the service works. Nil: the image's own, if it
	// has one.
	Healthcheck *Healthcheck
	// Restart says what the engine does when a container exits. Empty: nothing.
	Restart RestartPolicy
	// Replicas is the number of containers. Zero: one.
	Replicas int
	// Profiles, when there are any, leave the service out unless one of them
	// is active.
	Profiles []string

	// User is the user (and group) that the process runs as: a name or
	// numbers, "65532:65532".
	User Value
	// WorkingDir is the process's working directory.
	WorkingDir Value
	// Hostname is the container's own host name.
	Hostname Value
	// ContainerName replaces <project>-<service>-<n>; only for one replica.
	ContainerName Value
	// Init runs the engine's small init as process 1, which reaps orphans.
	Init bool
	// StopSignal asks the process to end. Empty: the image's, else SIGTERM.
	StopSignal string
	// StopGracePeriod is the time it gets before it is killed. Zero: 10 s.
	StopGracePeriod time.Duration

	// ReadOnly mounts the container's root file system read-only. Docker Compose
	// cannot start such a service with a secret or config that comes from no file.
	// So with one it is written as an extension, which stackctl follows and Docker
	// Compose does not know: see [ServiceExtension].
	ReadOnly bool
	// CapDrop and CapAdd change the kernel capabilities: "ALL", "NET_ADMIN".
	CapDrop []string
	CapAdd  []string
	// SecurityOpt are security options: "no-new-privileges:true".
	SecurityOpt []string
	// MemLimit is the memory that the container may use, files in memory
	// included: "512m", "2g". Empty: as much as there is.
	MemLimit Value
	// PidsLimit is the number of processes and threads that it may have. Zero: as
	// many as the engine allows.
	PidsLimit int
	// ShmSize is the size of /dev/shm: "256m". Empty: the engine's, 64 MB.
	ShmSize Value

	// Labels are put on the containers.
	Labels map[string]Value
	// Allow says which findings of package safety are meant.
	Allow Allowed
	// Extra holds compose keys that have no field here, such as "sysctls" or
	// "logging", as they are written in a compose file: a $ in a string refers
	// to a variable, a Value means what it always does.
	Extra map[string]any
}

// AddTo implements Part.
func (s *Service) AddTo(stack *Stack) { stack.Services = appendOnce(stack.Services, s) }

func (s *Service) asService() *Service { return s }

// Dependable is a service, or a component that embeds one.
type Dependable interface {
	asService() *Service
}

// ServiceExtension is the key of the compose extension of a service for what
// Docker Compose cannot do. Its field ServiceExtensionReadOnly, when true, means what
// read_only does: the engine writes nothing to a read-only root, so Docker Compose
// refuses it beside files that it would have to copy there, and stackctl puts them
// into a volume.
const (
	ServiceExtension         = safety.Extension
	ServiceExtensionReadOnly = safety.ExtensionReadOnly
)

// BuildExtension is the key of the compose extension under a service's build
// section that tells stackctl how else the image can be made. Docker Compose
// ignores it. Its field BuildExtensionGo names a Go package by its directory,
// relative to the build context: the image's one layer is the static binary
// of that package, so a Go toolchain makes the same image as the Dockerfile.
const (
	BuildExtension   = "x-stackctl"
	BuildExtensionGo = "go"
)

// Allowed are findings of package safety that are meant: why, by rule. A reason may
// be empty. In a compose file they are at x-stackctl.allow.
type Allowed map[safety.Rule]string

// Build says how an image is made.
type Build struct {
	// Context is the directory that is sent to the builder, relative to the
	// compose file. Empty: the compose file's directory.
	Context Value
	// Dockerfile is a path relative to Context. Empty: Dockerfile.
	Dockerfile Value
	// Args are the Dockerfile's build arguments.
	Args Env
	// Target is the stage to build. Empty: the last one.
	Target Value
	// GoPackage is the directory, relative to Context and beginning with "./",
	// of the Go package whose static binary is the image's whole content; see
	// BuildExtension. Empty: the image can only be made from the Dockerfile.
	GoPackage string
	// Extra holds keys of the compose file's build section that have no field
	// here, such as "cache_from"; see Service.Extra.
	Extra map[string]any
}

// Port is a container's port published on the host.
type Port struct {
	// Host is the port on the host, or a range such as "8000-8010" of which
	// the engine takes a free one. Empty: any free port.
	Host Value
	// Container is the port that the service listens on, 1 to 65535.
	Container int
	// HostIP is the address on the host. Empty: all of them. Loopback keeps
	// the port from other machines.
	HostIP Value
	// Protocol is tcp or udp. Empty: tcp.
	Protocol string
	// Extra holds compose keys that have no field here, such as "app_protocol";
	// see Service.Extra.
	Extra map[string]any
	// Short is the whole entry in the short syntax of a compose file, as it is
	// written there, for what the fields cannot say: "3000-3005:3000-3005".
	// Nothing else is set then.
	Short string
}

// Loopback is the HostIP of a port that only this machine can reach.
const Loopback = "127.0.0.1"

// Publish publishes a container's port on all addresses of the host.
func Publish(host Value, container int) Port {
	return Port{Host: host, Container: container}
}

// PublishLocally publishes a container's port for this machine alone.
func PublishLocally(host Value, container int) Port {
	return Port{Host: host, Container: container, HostIP: Loopback}
}

// Mount puts a volume or a path of the host into a container: either Volume or
// HostPath is set, unless Extra has another "type" or Short says it all.
type Mount struct {
	// Volume is mounted at Target.
	Volume *Volume
	// HostPath is a path of the host, relative to the compose file. It is made
	// as a directory if it does not exist.
	HostPath Value
	// Target is an absolute path in the container.
	Target string
	// ReadOnly forbids the container to write there.
	ReadOnly bool
	// Extra holds compose keys that have no field here, such as "tmpfs"; see
	// Service.Extra. Its "volume" and "bind" take the place of the options that
	// a mount has without it.
	Extra map[string]any
	// Short is the whole entry in the short syntax of a compose file, as it is
	// written there, for what the fields cannot say: "${DATA:-./data}:/data:z".
	// Nothing else is set then.
	Short string
}

// Mounted mounts a volume.
func Mounted(v *Volume, target string) Mount {
	return Mount{Volume: v, Target: target}
}

// Bind mounts a file or directory of the host.
func Bind(hostPath Value, target string) Mount {
	return Mount{HostPath: hostPath, Target: target}
}

// secretsFolder is where secrets are in a container.
const secretsFolder = "/run/secrets/"

// SecretMount makes a secret readable in a container.
type SecretMount struct {
	Secret *Secret
	// Target is the file's path. Empty: /run/secrets/<name>.
	Target string
	// UID and GID are the numbers of the file's owner. Empty: root.
	UID, GID string
	// Mode are the file's permissions. Zero: 0444.
	Mode fs.FileMode
}

// MountSecret makes a secret readable at /run/secrets/<name>.
func MountSecret(s *Secret) SecretMount {
	return SecretMount{Secret: s}
}

// ConfigMount makes a config readable in a container.
type ConfigMount struct {
	Config *Config
	// Target is the file's path. Empty: /<name>.
	Target string
	// UID and GID are the numbers of the file's owner. Empty: root.
	UID, GID string
	// Mode are the file's permissions. Zero: 0444.
	Mode fs.FileMode
}

// MountConfig makes a config readable at a path.
func MountConfig(c *Config, target string) ConfigMount {
	return ConfigMount{Config: c, Target: target}
}

// Condition is how far a service must be before one that depends on it starts.
type Condition string

// The conditions of the compose specification. The zero value means
// ConditionStarted.
const (
	ConditionStarted   Condition = "service_started"
	ConditionHealthy   Condition = "service_healthy"
	ConditionCompleted Condition = "service_completed_successfully"
)

// Dependency holds back a service until another one is far enough.
type Dependency struct {
	Service   *Service
	Condition Condition
	// Restart restarts the dependent when the dependency is restarted by an
	// explicit operation.
	Restart bool
	// Optional lets the dependent start when the dependency is not part of the
	// project, for instance because its profile is not active.
	Optional bool
}

// Healthy waits until the service's healthcheck passes.
func Healthy(s Dependable) Dependency {
	return Dependency{Service: s.asService(), Condition: ConditionHealthy}
}

// Started waits until the service's containers run.
func Started(s Dependable) Dependency {
	return Dependency{Service: s.asService(), Condition: ConditionStarted}
}

// Completed waits until the service has ended with exit code 0.
func Completed(s Dependable) Dependency {
	return Dependency{Service: s.asService(), Condition: ConditionCompleted}
}

// RestartPolicy says what the engine does when a container exits.
type RestartPolicy string

// The engine's restart policies. The zero value means RestartNo.
const (
	RestartNo            RestartPolicy = "no"
	RestartAlways        RestartPolicy = "always"
	RestartOnFailure     RestartPolicy = "on-failure"
	RestartUnlessStopped RestartPolicy = "unless-stopped"
)

// RestartOnFailureAtMost restarts after a non-zero exit code, n times at most.
func RestartOnFailureAtMost(n int) RestartPolicy {
	return RestartOnFailure + ":" + RestartPolicy(strconv.Itoa(n))
}
