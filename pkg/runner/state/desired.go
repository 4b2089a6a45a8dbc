package state

import (
	"cmp"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"golang.org/x/sync/errgroup"
)

// Desired is a project flattened to the concrete resources that an engine is to
// have: names filled in, one entry for each container, labels and hashes made.
type Desired struct {
	// Project is the project's name.
	Project string
	// Networks and Volumes are sorted by key, external ones included.
	Networks []NetworkSpec
	Volumes  []VolumeSpec
	// Services are sorted by name.
	Services []ServiceSpec
	// Inactive names the services that belong to the project but to no active
	// profile: their containers are no orphans.
	Inactive []string
}

// NetworkSpec is a network that is to exist.
type NetworkSpec struct {
	Key    string
	Name   string
	Labels map[string]string
	Config types.NetworkConfig
}

// External says that the network is somebody else's: it must exist, and it is
// never made, changed or removed.
func (n NetworkSpec) External() bool { return bool(n.Config.External) }

// Ref names the network.
func (n NetworkSpec) Ref() Ref { return Ref{KindNetwork, n.Name} }

// VolumeSpec is a volume that is to exist.
type VolumeSpec struct {
	Key    string
	Name   string
	Labels map[string]string
	Config types.VolumeConfig
}

// External says that the volume is somebody else's; see [NetworkSpec.External].
func (v VolumeSpec) External() bool { return bool(v.Config.External) }

// KeepsData says that what is in the volume stays when the volume is removed; see
// [Volume.KeepsData].
func (v VolumeSpec) KeepsData() bool { return v.External() || v.Config.DriverOpts["device"] != "" }

// Ref names the volume.
func (v VolumeSpec) Ref() Ref { return Ref{KindVolume, v.Name} }

// ServiceSpec is a service with everything that its containers share.
type ServiceSpec struct {
	Name string
	// Image is the reference that the containers run; for a service that is
	// built and names no image it is `<project>-<service>`.
	Image string
	// Hash is what the containers are made from; see [LabelHash].
	Hash string
	// ComposeHash is the same in Docker Compose's eyes; see [ComposeHash].
	ComposeHash string
	DependsOn   []Dependency
	// Containers has one entry for each replica, numbered from 1.
	Containers []ContainerSpec
	// BuildSecrets are what the service's build may read; Target is the id.
	BuildSecrets []File
	Config       types.ServiceConfig
}

// Dependency is one entry of a service's depends_on.
type Dependency struct {
	Service string
	// Condition is one of types.ServiceConditionStarted, ...Healthy and
	// ...CompletedSuccessfully.
	Condition string
	// Restart asks for a restart of the dependent after one of the dependency.
	Restart bool
	// Required is false where the dependency may be missing or fail.
	Required bool
}

// ContainerSpec is a container that is to exist. It is all that an engine needs
// to make it.
type ContainerSpec struct {
	Name    string
	Service string
	Number  int
	Image   string
	Labels  map[string]string
	// Networks are the attachments in the order of their priority; empty with a
	// network_mode.
	Networks []Attachment
	// VolumeNames gives the engine's name of each volume key.
	VolumeNames map[string]string
	// Files are the configs and secrets, each as a file in the container.
	Files  []File
	Config types.ServiceConfig
	// OneOff is set for a container that is made for one command; nil for the
	// container of a service.
	OneOff *OneOff
}

// OneOff is what a container has that is made for one command. The zero value is
// kept at its end, and has no input.
type OneOff struct {
	// AttachStdin ends the input of the container with that of the first who is
	// attached to it.
	AttachStdin bool
	// AutoRemove has the engine remove the container and its anonymous volumes when
	// it ends.
	AutoRemove bool
}

// Ref names the container.
func (c ContainerSpec) Ref() Ref { return Ref{KindContainer, c.Name} }

// Attachment is a container's place on a network.
type Attachment struct {
	// Network is the engine's name of the network.
	Network string
	// Aliases are the names that other containers reach it under.
	Aliases []string
	// Config is the rest, as the compose file has it; nil when it says nothing.
	Config *types.ServiceNetworkConfig
}

// File is a config or a secret in a container.
type File struct {
	// Source is the path on the engine's host to mount; empty when the file
	// comes from Content.
	Source  string
	Content string
	// Target is the absolute path in the container.
	Target   string
	UID, GID string
	// Mode is the permission bits; nil for the default, 0444.
	Mode *types.FileMode
	// Digest stands for what is in the file; empty when it cannot be read.
	Digest string
}

// String and GoString leave the content out: a file may be a secret, and what is
// printed ends in logs.
func (f File) String() string { return "file at " + f.Target }

// GoString is String for %#v.
func (f File) GoString() string { return f.String() }

// Flatten derives the desired resources from a loaded project. The project is
// not changed. The files of configs and secrets are read, since what is in them
// is part of what a container runs.
func Flatten(p *types.Project) (Desired, error) {
	d := Desired{Project: p.Name, Inactive: p.DisabledServiceNames()}
	slices.Sort(d.Inactive)
	for _, key := range slices.Sorted(maps.Keys(p.Networks)) {
		config := p.Networks[key]
		n := NetworkSpec{Key: key, Name: nameOr(config.Name, p.Name+"_"+key), Config: config}
		hash, err := networkHash(config)
		if err != nil {
			return Desired{}, fmt.Errorf("network %s: %w", key, err)
		}
		n.Labels = merge(config.Labels, map[string]string{
			LabelProject: p.Name, LabelNetwork: key, LabelVersion: ComposeVersion, LabelHash: hash,
		})
		d.Networks = append(d.Networks, n)
	}
	for _, key := range slices.Sorted(maps.Keys(p.Volumes)) {
		config := p.Volumes[key]
		v := VolumeSpec{Key: key, Name: nameOr(config.Name, p.Name+"_"+key), Config: config}
		// No config-hash: with one that differs, `docker compose up -y` would
		// delete the volume and its data. Without it, Compose leaves it alone.
		v.Labels = merge(config.Labels, map[string]string{
			LabelProject: p.Name, LabelVolume: key, LabelVersion: ComposeVersion,
		})
		d.Volumes = append(d.Volumes, v)
	}
	// Hashes take most of the time, and there are two for each service.
	names := slices.Sorted(maps.Keys(p.Services))
	d.Services = make([]ServiceSpec, len(names))
	faults := make([]error, len(names))
	var work errgroup.Group
	work.SetLimit(runtime.GOMAXPROCS(0))
	for i, name := range names {
		work.Go(func() error {
			d.Services[i], faults[i] = d.flattenService(p, p.Services[name])
			return faults[i]
		})
	}
	if work.Wait() != nil {
		first := slices.IndexFunc(faults, func(err error) bool { return err != nil })
		return Desired{}, fmt.Errorf("service %s: %w", names[first], faults[first])
	}
	return d, nil
}

// Service finds a service by name.
func (d *Desired) Service(name string) (*ServiceSpec, bool) {
	i, ok := slices.BinarySearchFunc(d.Services, name, func(s ServiceSpec, name string) int {
		return cmp.Compare(s.Name, name)
	})
	if !ok {
		return nil, false
	}
	return &d.Services[i], true
}

func (d *Desired) flattenService(p *types.Project, config types.ServiceConfig) (ServiceSpec, error) {
	s := ServiceSpec{Name: config.Name, Image: config.Image, Config: config}
	if s.Image == "" {
		s.Image = p.Name + "-" + s.Name
	}
	var err error
	if s.ComposeHash, err = ComposeHash(config); err != nil {
		return s, err
	}
	if readOnly, err := isReadOnly(config); err != nil {
		return s, err
	} else if readOnly {
		config.ReadOnly = true
		s.Config = config
	}
	for _, dep := range slices.Sorted(maps.Keys(config.DependsOn)) {
		c := config.DependsOn[dep]
		s.DependsOn = append(s.DependsOn, Dependency{dep, c.Condition, c.Restart, c.Required})
	}
	files, err := files(p, config)
	if err != nil {
		return s, err
	}
	if s.Hash, err = serviceHash(p, config, files); err != nil {
		return s, err
	}
	if s.BuildSecrets, err = buildSecrets(p, config); err != nil {
		return s, err
	}
	volumes := map[string]string{}
	for _, v := range d.Volumes {
		volumes[v.Key] = v.Name
	}
	for n := 1; n <= config.GetScale(); n++ {
		c := ContainerSpec{
			Name: config.ContainerName, Service: s.Name, Number: n, Image: s.Image,
			VolumeNames: volumes, Files: files, Config: config,
		}
		if c.Name == "" {
			c.Name = fmt.Sprintf("%s-%s-%d", p.Name, s.Name, n)
		}
		c.Networks = d.attachments(config, c.Name)
		// Custom labels are what a tool adds to those of the file, such as the files
		// that it took variables from; no definition holds them.
		c.Labels = merge(merge(config.Labels, config.CustomLabels), map[string]string{
			LabelProject:     p.Name,
			LabelService:     s.Name,
			LabelNumber:      strconv.Itoa(n),
			LabelOneOff:      "False",
			LabelVersion:     ComposeVersion,
			LabelWorkingDir:  p.WorkingDir,
			LabelConfigFiles: strings.Join(p.ComposeFiles, ","),
			LabelComposeHash: s.ComposeHash,
			LabelDependsOn:   formatDependsOn(p, s.DependsOn),
			LabelHash:        s.Hash,
			LabelFiles:       formatDigests(files),
		})
		s.Containers = append(s.Containers, c)
	}
	return s, nil
}

// The extension of a service for what Docker Compose cannot do: a root that nothing
// can write to, in a service that has secrets or configs which are in no file.
const (
	extension         = "x-stackctl"
	extensionReadOnly = "read_only"
)

// isReadOnly reads the extension.
func isReadOnly(config types.ServiceConfig) (bool, error) {
	value, there := config.Extensions[extension]
	if !there || value == nil {
		return false, nil
	}
	settings, ok := value.(map[string]any)
	if !ok {
		return false, fmt.Errorf("%s is no mapping: write %s: {%s: true}", extension, extension, extensionReadOnly)
	}
	value, there = settings[extensionReadOnly]
	if !there || value == nil {
		return false, nil
	}
	readOnly, ok := value.(bool)
	if !ok {
		return false, fmt.Errorf("%s.%s is neither true nor false", extension, extensionReadOnly)
	}
	return readOnly, nil
}

// attachments gives the networks of a container, highest priority first, as
// Compose connects them.
func (d *Desired) attachments(config types.ServiceConfig, container string) []Attachment {
	if config.NetworkMode != "" {
		return nil
	}
	var out []Attachment
	for _, key := range config.NetworksByPriority() {
		i := slices.IndexFunc(d.Networks, func(n NetworkSpec) bool { return n.Key == key })
		if i < 0 {
			continue // the loader refuses a network that is not declared
		}
		a := Attachment{Network: d.Networks[i].Name, Config: config.Networks[key]}
		a.Aliases = []string{container}
		if a.Config.ServiceNameAliasEnabled() {
			a.Aliases = []string{config.Name, container}
		}
		if a.Config != nil {
			a.Aliases = append(a.Aliases, a.Config.Aliases...)
		}
		a.Aliases = uniq(a.Aliases)
		out = append(out, a)
	}
	return out
}

// secretsFolder is where secrets are in a container.
const secretsFolder = "/run/secrets/"

// files gives the configs and secrets of a service with their content or path.
func files(p *types.Project, config types.ServiceConfig) ([]File, error) {
	var out []File
	add := func(what, dir string, ref types.FileReferenceConfig, object types.FileObjectConfig, known bool) error {
		switch {
		case !known:
			return fmt.Errorf("%s %q is not declared", what, ref.Source)
		case bool(object.External):
			return fmt.Errorf("%s %q is external: one engine without swarm has no store for it; give it a file, an environment variable or content", what, ref.Source)
		}
		f := File{Target: ref.Target, UID: ref.UID, GID: ref.GID, Mode: ref.Mode}
		if f.Target == "" {
			f.Target = ref.Source
		}
		if !strings.HasPrefix(f.Target, "/") {
			f.Target = dir + f.Target
		}
		if object.File != "" {
			f.Source = object.File
		} else {
			// The loader fills Content for `environment:` too.
			f.Content = object.Content
		}
		if content, known := f.read(); known && what == "secret" {
			f.Digest = secretDigest(p.Name, ref.Source, content)
		} else if known {
			f.Digest = shortDigest(content)
		}
		out = append(out, f)
		return nil
	}
	for _, ref := range config.Configs {
		object, known := p.Configs[ref.Source]
		if err := add("config", "/", types.FileReferenceConfig(ref), types.FileObjectConfig(object), known); err != nil {
			return nil, err
		}
	}
	for _, ref := range config.Secrets {
		object, known := p.Secrets[ref.Source]
		if err := add("secret", secretsFolder, types.FileReferenceConfig(ref), types.FileObjectConfig(object), known); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// read gives what is in a file; false for a folder and for what cannot be read: the
// engine may be able to, and says so if not.
func (f File) read() ([]byte, bool) {
	if f.Source == "" {
		return []byte(f.Content), true
	}
	content, err := os.ReadFile(f.Source)
	return content, err == nil
}

// HasDigest says whether a digest of [LabelFiles] is of what is in the file: by
// today's rule, or by the one of releases that digested secrets as configs.
func (f File) HasDigest(digest string) bool {
	if digest == f.Digest {
		return true
	}
	content, known := f.read()
	isOld := strings.HasPrefix(f.Digest, secretDigestVersion) && !strings.HasPrefix(digest, secretDigestVersion)
	return known && isOld && digest == shortDigest(content)
}

const (
	secretDigestVersion = "s1-"
	// secretRounds make a guess at a secret cost a few milliseconds.
	secretRounds = 10_000
)

// secretDigest tells two contents of a secret apart. It stands where many see it who
// must not learn the secret, so it is one that is slow to try passwords with, and
// another one in each project.
func secretDigest(project, secret string, content []byte) string {
	key, err := pbkdf2.Key(sha256.New, string(content), []byte("stackctl secret "+project+" "+secret), secretRounds, 9)
	if err != nil { // the lengths are fixed ones, which it takes
		return ""
	}
	return secretDigestVersion + hex.EncodeToString(key)
}

// shortDigest is long enough to tell two contents of one file apart, and too
// short to be a copy of either.
func shortDigest(content []byte) string { return digest(content)[:12] }

// formatDigests writes [LabelFiles].
func formatDigests(files []File) string {
	var parts []string
	for _, f := range files {
		if f.Digest != "" {
			parts = append(parts, f.Target+"="+f.Digest)
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, ",")
}

// buildSecrets gives the secrets of a build under the ids that its Dockerfile
// knows.
func buildSecrets(p *types.Project, config types.ServiceConfig) ([]File, error) {
	if config.Build == nil {
		return nil, nil
	}
	var out []File
	for _, ref := range config.Build.Secrets {
		secret, known := p.Secrets[ref.Source]
		switch {
		case !known:
			return nil, fmt.Errorf("build secret %q is not declared", ref.Source)
		case bool(secret.External):
			return nil, fmt.Errorf("build secret %q is external: one engine without swarm has no store for it; give it a file or an environment variable", ref.Source)
		}
		out = append(out, File{Source: secret.File, Content: secret.Content, Target: nameOr(ref.Target, ref.Source)})
	}
	return out, nil
}

// formatDependsOn writes [LabelDependsOn]. Optional dependencies that the project
// does not run are left out, as Compose does: nothing is ordered by them.
func formatDependsOn(p *types.Project, deps []Dependency) string {
	var parts []string
	for _, d := range deps {
		if _, there := p.Services[d.Service]; !there {
			continue
		}
		parts = append(parts, fmt.Sprintf("%s:%s:%t", d.Service, d.Condition, d.Restart))
	}
	return strings.Join(parts, ",")
}

// ParseDependsOn reads [LabelDependsOn]. Entries that it cannot read are left
// out: the label orders a `down`, and a wrong order is better than none.
func ParseDependsOn(label string) []Dependency {
	var deps []Dependency
	for part := range strings.SplitSeq(label, ",") {
		fields := strings.Split(part, ":")
		if fields[0] == "" {
			continue
		}
		d := Dependency{Service: fields[0], Condition: types.ServiceConditionStarted, Required: true}
		if len(fields) > 1 {
			d.Condition = fields[1]
		}
		if len(fields) > 2 {
			d.Restart = fields[2] == "true"
		}
		deps = append(deps, d)
	}
	return deps
}

func nameOr(name, fallback string) string {
	if name != "" {
		return name
	}
	return fallback
}

// merge lays ours over the user's labels and leaves empty ones out.
func merge(user types.Labels, ours map[string]string) map[string]string {
	out := map[string]string{}
	maps.Copy(out, user)
	for k, v := range ours {
		if v != "" {
			out[k] = v
		}
	}
	return out
}

func uniq(in []string) []string {
	var out []string
	for _, s := range in {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}
