package state

import (
	"maps"
	"net"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
)

// Observed is one snapshot of what an engine has of a project.
type Observed struct {
	Project string
	// Containers are those with the project's label, one-off ones left out,
	// sorted by service, number, name.
	Containers []Container
	// OneOffs are the containers of `docker compose run`: they are nobody's
	// replicas, and go with the project.
	OneOffs []Container
	// Networks and Volumes are those with the project's label, and besides them
	// every one that has a name which the project wants. Sorted by name.
	Networks []Network
	Volumes  []Volume
	// Remnants are what runs have left that were cut while they removed a container.
	Remnants []Remnants
	// Strangers are containers of no or another project. They are looked for only
	// where a network of this one has to be replaced, or a volume is to be removed,
	// read or written.
	Strangers []Container
	// Images holds the images that the project's services name, by reference.
	// One that is not there is not on the engine.
	Images map[string]Image
}

// Container is a container as the engine has it.
type Container struct {
	ID      string
	Name    string
	Project string
	Service string
	// Number is 0 where the label is missing.
	Number int
	OneOff bool
	// Helper says what a container is for that is never started, and mounts a volume
	// for the engine to read or write it; empty for any other. Helpers are one-off
	// containers, too. See [LabelHelper].
	Helper  string
	Image   string
	ImageID string
	// State is created, running, paused, restarting, removing, exited or dead.
	State string
	// Health is starting, healthy or unhealthy; empty without a healthcheck.
	Health string
	// ExitCode is that of the last run; it counts when State is exited.
	ExitCode int
	// Status is the engine's own sentence: "Up 5 minutes (healthy)".
	Status  string
	Created time.Time
	// Hash and ComposeHash are the labels of those names, empty when absent.
	Hash        string
	ComposeHash string
	// Compared says that Differences were looked for, since neither hash is the
	// one of today's definition.
	Compared    bool
	Differences []Difference
	// ConfigFiles are the files that its stack was loaded from; nil where the label
	// is missing.
	ConfigFiles []string
	DependsOn   []Dependency
	Ports       []Port
	// Networks gives the id of each network by name; the id is empty while a
	// container has never run, on some engines.
	Networks map[string]string
	// SharesNetwork is the container, by id or name, whose network it lives in;
	// empty for one that has networks of its own.
	SharesNetwork string
	Mounts        []Mount
	// Files are the configs and secrets by their path in it; nil where the label is
	// missing.
	Files []string
	// Carried are the anonymous volumes that it has from the container which it
	// replaced.
	Carried []string
}

// Running says that the container has a process, or is about to have one again.
func (c Container) Running() bool {
	return c.State == "running" || c.State == "restarting" || c.State == "paused"
}

// SecretVolumes names the anonymous volumes that hold nothing but secrets: the folder
// of secrets gets one where nothing can be written to a read-only root.
func (c Container) SecretVolumes() []string {
	var out []string
	for _, m := range c.Mounts {
		inFolder := strings.HasPrefix(m.Target+"/", secretsFolder)
		holds := func(file string) bool { return inFolder && path.Dir(file) == m.Target }
		if m.Anonymous() && slices.ContainsFunc(c.Files, holds) {
			out = append(out, m.Name)
		}
	}
	return out
}

// DataVolumes are its anonymous volumes but those of secrets: they may hold data, and
// nobody finds them without the container.
func (c Container) DataVolumes() []Mount {
	secrets := c.SecretVolumes()
	return slices.DeleteFunc(slices.Clone(c.Mounts), func(m Mount) bool {
		return !m.Anonymous() || slices.Contains(secrets, m.Name)
	})
}

// Ref names the container.
func (c Container) Ref() Ref { return Ref{KindContainer, c.Name} }

// Port is a container's port, published or not.
type Port struct {
	HostIP        string `json:"hostIP,omitempty"`
	HostPort      int    `json:"hostPort,omitempty"`
	ContainerPort int    `json:"containerPort"`
	Protocol      string `json:"protocol"`
}

// Overlaps says that two host ports exclude each other.
func (p Port) Overlaps(other Port) bool {
	if p.HostPort != other.HostPort || p.HostPort == 0 || p.Protocol != other.Protocol {
		return false
	}
	a, b := net.ParseIP(p.HostIP), net.ParseIP(other.HostIP)
	return a == nil || b == nil || a.IsUnspecified() || b.IsUnspecified() || a.Equal(b)
}

// FixedPort gives the host port that a service asks for; false when it takes any
// that is free, of a range or of all.
func FixedPort(p types.ServicePortConfig) (Port, bool) {
	number, err := strconv.Atoi(p.Published)
	if err != nil || number == 0 {
		return Port{}, false
	}
	protocol := p.Protocol
	if protocol == "" {
		protocol = "tcp"
	}
	return Port{HostIP: p.HostIP, HostPort: number, ContainerPort: int(p.Target), Protocol: protocol}, true
}

// Mount is a mount of a container.
type Mount struct {
	// Type is volume, bind or tmpfs.
	Type string
	// Name is the volume's name; empty for other types.
	Name   string
	Target string
}

// MountsVolume says that the container has a volume, by the engine's name of it.
func (c Container) MountsVolume(name string) bool {
	return slices.ContainsFunc(c.Mounts, func(m Mount) bool { return m.Name == name && m.Type == "volume" })
}

// Anonymous says that the mount is a volume which nobody has named: the engine
// gives such a one 64 hexadecimal digits for a name.
func (m Mount) Anonymous() bool {
	return m.Type == "volume" && len(m.Name) == 64 && strings.Trim(m.Name, "0123456789abcdef") == ""
}

// Network is a network as the engine has it.
type Network struct {
	ID      string
	Name    string
	Project string
	Key     string
	Driver  string
	// Hash is the label of that name, empty when absent.
	Hash       string
	Internal   bool
	Attachable bool
	IPv6       bool
	Options    map[string]string
	// Labels are all of them, the tools' own too.
	Labels map[string]string
	// IPAMDriver is how addresses are given out, Pools where from.
	IPAMDriver string
	Pools      []Pool
}

// Pool is a range of addresses of a network.
type Pool struct {
	Subnet, IPRange, Gateway string
	// Aux are addresses that are given to nobody, by name.
	Aux map[string]string
}

// Ref names the network.
func (n Network) Ref() Ref { return Ref{KindNetwork, n.Name} }

// Spec gives the network as one that is to exist, to make it once more.
func (n Network) Spec() NetworkSpec {
	out := NetworkSpec{Key: n.Key, Name: n.Name, Labels: n.Labels}
	c := &out.Config
	c.Name, c.Driver, c.DriverOpts = n.Name, n.Driver, n.Options
	c.Internal, c.Attachable, c.EnableIPv6 = n.Internal, n.Attachable, &n.IPv6
	c.Ipam.Driver = n.IPAMDriver
	for _, p := range n.Pools {
		pool := &types.IPAMPool{}
		pool.Subnet, pool.IPRange, pool.Gateway, pool.AuxiliaryAddresses = p.Subnet, p.IPRange, p.Gateway, p.Aux
		c.Ipam.Config = append(c.Ipam.Config, pool)
	}
	return out
}

// Volume is a volume as the engine has it.
type Volume struct {
	Name    string
	Project string
	Key     string
	Driver  string
	Created time.Time
	Options map[string]string
	// Labels are all of them, the tools' own too.
	Labels map[string]string
}

// KeepsData says that what is in the volume stays when the volume is removed: it is only
// mounted from elsewhere, from a folder or by NFS.
func (v Volume) KeepsData() bool { return v.Options["device"] != "" }

// Remnants are anonymous volumes of a container that is removed, or about to be, and
// which the engine does not remove with it.
type Remnants struct {
	// Note is the volume that names them; it holds nothing.
	Note string
	// Container is the id of the container.
	Container string
	Volumes   []string
}

const remnantsInfix = "_remnants-"

// RemnantsOf are volumes of a container; the project's label and theirs are all that
// the note has.
func RemnantsOf(c Container, volumes []string) (Remnants, VolumeSpec) {
	name := c.Project + remnantsInfix + c.ID
	return Remnants{name, c.ID, volumes}, VolumeSpec{Name: name, Labels: map[string]string{
		LabelProject: c.Project, LabelRemnants: strings.Join(volumes, ","),
	}}
}

// Remnants gives what a volume is a note of; false for any other volume. What has a
// name is nobody's remnant, whatever a note says.
func (v Volume) Remnants() (Remnants, bool) {
	list, is := v.Labels[LabelRemnants]
	volumes := slices.DeleteFunc(strings.Split(list, ","), func(name string) bool {
		return !(Mount{Type: "volume", Name: name}).Anonymous()
	})
	return Remnants{v.Name, strings.TrimPrefix(v.Name, v.Project+remnantsInfix), volumes}, is
}

// Ref names the note.
func (r Remnants) Ref() Ref { return Ref{KindVolume, r.Note} }

// Ref names the volume.
func (v Volume) Ref() Ref { return Ref{KindVolume, v.Name} }

// Image is an image as the engine has it.
type Image struct {
	ID     string
	Labels map[string]string
	// Size is in bytes.
	Size int64
	// Tagged is when the engine got or made it under this name; zero when unknown.
	Tagged time.Time
	// Platform is as Docker writes it: "linux/amd64", "linux/arm/v7".
	Platform string
	// Digests are the names that registries know the image by:
	// "redis@sha256:...". One that was built or loaded has none.
	Digests []string
}

// ContainerFromLabels fills in what the labels of a container say, whose mounts are
// known.
func ContainerFromLabels(c Container, labels map[string]string) Container {
	c.Project = labels[LabelProject]
	c.Service = labels[LabelService]
	c.Number, _ = strconv.Atoi(labels[LabelNumber])
	c.OneOff = labels[LabelOneOff] == "True"
	c.Helper = labels[LabelHelper]
	c.Hash = labels[LabelHash]
	c.ComposeHash = labels[LabelComposeHash]
	c.DependsOn = ParseDependsOn(labels[LabelDependsOn])
	if files := labels[LabelConfigFiles]; files != "" {
		c.ConfigFiles = strings.Split(files, ",")
	}
	for entry := range strings.SplitSeq(labels[LabelFiles], ",") {
		if i := strings.LastIndexByte(entry, '='); i > 0 {
			c.Files = append(c.Files, entry[:i])
		}
	}
	// A label may be one of the image, which says nothing of this container.
	carried := strings.Split(labels[LabelCarried], ",")
	for _, m := range c.Mounts {
		if m.Anonymous() && slices.Contains(carried, m.Name) {
			c.Carried = append(c.Carried, m.Name)
		}
	}
	return c
}

// Network finds a network by its name on the engine.
func (o *Observed) Network(name string) (Network, bool) {
	i := slices.IndexFunc(o.Networks, func(n Network) bool { return n.Name == name })
	if i < 0 {
		return Network{}, false
	}
	return o.Networks[i], true
}

// Replaces says that a network of the project's own is there and differs from the
// wanted one.
func (o *Observed) Replaces(want NetworkSpec) bool {
	there, exists := o.Network(want.Name)
	return exists && !want.External() && there.Project == o.Project &&
		there.Hash != want.Labels[LabelHash] && len(want.Differences(there)) > 0
}

// Volume finds a volume by its name on the engine.
func (o *Observed) Volume(name string) (Volume, bool) {
	i := slices.IndexFunc(o.Volumes, func(v Volume) bool { return v.Name == name })
	if i < 0 {
		return Volume{}, false
	}
	return o.Volumes[i], true
}

// Services names the services that have a container, sorted.
func (o *Observed) Services() []string {
	seen := map[string]bool{}
	for _, c := range o.Containers {
		seen[c.Service] = true
	}
	return slices.Sorted(maps.Keys(seen))
}
