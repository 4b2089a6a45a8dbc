package spec

import (
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/stackctl/stackctl/pkg/spec/safety"
)

// document writes a stack as the tree of a compose file and notes, at the same
// walk, what cannot be written: so there is one place that knows which field
// is which path. It writes the long forms of the syntax; what is shortest to
// read is the printer's matter.
type document struct {
	stack    *Stack
	problems []Problem
}

// build returns the stack's tree with all of its faults. With faults the tree
// holds what is sound, so that the rest can still be loaded and checked.
func (s *Stack) build() (*yaml.Node, []Problem) {
	d := &document{stack: s}
	root := newMapping()
	switch {
	case s.Name == "":
	case projectName.MatchString(s.Name):
		root.text("name", s.Name)
	default:
		d.fault("name", fmt.Sprintf("%q is not a project name", s.Name),
			"use lower-case letters, digits, '-' and '_', and begin with a letter or digit")
	}
	root.set("services", resources(d, "services", s.Services, func(v *Service) string { return v.Name }, d.service))
	root.set("networks", resources(d, "networks", s.Networks, func(v *Network) string { return v.Name }, d.network))
	root.set("volumes", resources(d, "volumes", s.Volumes, func(v *Volume) string { return v.Name }, d.volume))
	root.set("secrets", resources(d, "secrets", s.Secrets, func(v *Secret) string { return v.Name }, d.secret))
	root.set("configs", resources(d, "configs", s.Configs, func(v *Config) string { return v.Name }, d.config))
	root.set(safety.Extension, d.allowed(safety.Extension, s.Allow).unlessEmpty())
	d.extra(root, "", s.Extra)
	if len(s.Services) == 0 {
		d.fault("services", "there is no service", "pass one to spec.New")
	}
	return root.node, d.problems
}

var (
	// projectName is the compose specification's rule, resourceName the
	// schema's for the keys of services, networks, volumes, secrets and configs.
	projectName  = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]*$`)
	resourceName = regexp.MustCompile(`^[a-zA-Z0-9._-]+$`)
)

func (d *document) fault(path, message, hint string) {
	d.problems = append(d.problems, Problem{Path: path, Message: message, Hint: hint})
}

// resources writes one section. A resource that is nil, or has a name that
// cannot be a key, or one that is taken, is reported and left out.
func resources[T any](d *document, section string, all []*T, name func(*T) string, write func(path string, of *T) mapping) *yaml.Node {
	m := newMapping()
	for i, resource := range all {
		if resource == nil {
			d.fault(fmt.Sprintf("%s[%d]", section, i), "is nil", "")
			continue
		}
		key := name(resource)
		path := section + "." + key
		switch {
		case !resourceName.MatchString(key):
			d.fault(fmt.Sprintf("%s[%d]", section, i), fmt.Sprintf("%q is not a name", key),
				"use letters, digits, '.', '-' and '_'")
		case m.has(key):
			d.fault(path, "is declared twice", "give each its own name")
		default:
			m.set(key, write(path, resource).node)
		}
	}
	return m.unlessEmpty()
}

// declared tells whether a reference can be written: its target is part of the
// stack. If not, it is reported.
func declared[T any](d *document, path, kind string, target *T, name func(*T) string, all []*T) bool {
	switch {
	case target == nil:
		d.fault(path, "refers to a nil "+kind, "")
		return false
	case !slices.Contains(all, target):
		d.fault(path, fmt.Sprintf("%s %q is not declared", kind, name(target)), "pass it to spec.New too")
		return false
	}
	return resourceName.MatchString(name(target))
}

func (d *document) service(path string, s *Service) mapping {
	m := newMapping()
	m.set("image", d.value(path+".image", s.Image))
	if s.Build != nil {
		m.set("build", d.build(path+".build", s.Build).node)
	}
	m.set("command", d.values(path+".command", s.Command))
	m.set("entrypoint", d.values(path+".entrypoint", s.Entrypoint))
	m.set("environment", d.valueMap(path+".environment", s.Environment))
	m.set("env_file", list(path+".env_file", s.EnvFiles, d.value))
	m.set("ports", list(path+".ports", s.Ports, d.port))
	m.set("volumes", list(path+".volumes", s.Mounts, d.mount))
	m.set("tmpfs", d.texts(path+".tmpfs", s.Tmpfs))
	m.set("networks", d.serviceNetworks(path+".networks", s))
	m.set("secrets", list(path+".secrets", s.Secrets, d.secretMount))
	m.set("configs", list(path+".configs", s.Configs, d.configMount))
	m.set("depends_on", d.dependsOn(path+".depends_on", s.DependsOn))
	if s.Healthcheck != nil {
		m.set("healthcheck", d.healthcheck(path+".healthcheck", s.Healthcheck).node)
	}
	m.text("restart", string(s.Restart))
	if s.Replicas < 0 {
		d.fault(path+".scale", fmt.Sprintf("%d replicas", s.Replicas), "set Replicas to 0 or more")
	} else {
		m.number("scale", s.Replicas)
	}
	m.set("profiles", d.texts(path+".profiles", s.Profiles))
	m.set("user", d.value(path+".user", s.User))
	m.set("working_dir", d.value(path+".working_dir", s.WorkingDir))
	m.set("hostname", d.value(path+".hostname", s.Hostname))
	m.set("container_name", d.value(path+".container_name", s.ContainerName))
	m.flag("init", s.Init)
	m.set("stop_signal", d.text(path+".stop_signal", s.StopSignal))
	m.set("stop_grace_period", d.duration(path+".stop_grace_period", s.StopGracePeriod))
	m.flag("read_only", s.ReadOnly && !s.hasCopies())
	m.set("cap_drop", d.texts(path+".cap_drop", s.CapDrop))
	m.set("cap_add", d.texts(path+".cap_add", s.CapAdd))
	m.set("security_opt", d.texts(path+".security_opt", s.SecurityOpt))
	m.set("mem_limit", d.value(path+".mem_limit", s.MemLimit))
	if s.PidsLimit < 0 {
		d.fault(path+".pids_limit", fmt.Sprintf("%d is no number of processes", s.PidsLimit), "set PidsLimit to 1 or more, or to 0 for no limit")
	} else {
		m.number("pids_limit", s.PidsLimit)
	}
	m.set("shm_size", d.value(path+".shm_size", s.ShmSize))
	m.set("labels", d.valueMap(path+".labels", s.Labels))
	m.set(safety.Extension, d.serviceExtension(path+"."+safety.Extension, s).unlessEmpty())
	d.extra(m, path, s.Extra)
	d.secretFiles(path+".environment", s)
	// A service can have its image from another one, or be run by a program.
	if !slices.ContainsFunc([]string{"image", "build", "extends", "provider"}, m.has) {
		d.fault(path, "has neither an image nor a build", "set Image or Build")
	}
	return m
}

func (d *document) serviceExtension(path string, s *Service) mapping {
	m := d.allowed(path, s.Allow)
	m.flag(ServiceExtensionReadOnly, s.ReadOnly && s.hasCopies())
	return m
}

// allowed writes a list where there are no reasons, as a person would.
func (d *document) allowed(path string, allow Allowed) mapping {
	m := newMapping()
	if len(allow) == 0 {
		return m
	}
	path += "." + safety.ExtensionAllow
	reasons, ids := newMapping(), []*yaml.Node{}
	isExplained := false
	for _, id := range slices.Sorted(maps.Keys(allow)) {
		at := path + "." + string(id)
		if !safety.Known(string(id)) {
			f := safety.Unknown(at, string(id))
			d.fault(f.Path, f.Message, f.Hint)
			continue
		}
		ids = append(ids, scalar("!!str", string(id)))
		if reason := d.text(at, allow[id]); reason != nil {
			isExplained = true
			reasons.set(string(id), reason)
		} else {
			reasons.set(string(id), null())
		}
	}
	if isExplained {
		m.set(safety.ExtensionAllow, reasons.node)
	} else {
		m.set(safety.ExtensionAllow, &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Content: ids})
	}
	return m
}

// hasCopies says that a secret or config of the service is in no file on the host,
// so that it is copied into the container.
func (s *Service) hasCopies() bool {
	return slices.ContainsFunc(s.Secrets, func(m SecretMount) bool { return m.Secret != nil && m.Secret.Variable != "" }) ||
		slices.ContainsFunc(s.Configs, func(m ConfigMount) bool {
			return m.Config != nil && (m.Config.Variable != "" || m.Config.Content != "")
		})
}

// secretFiles reports variables that name the file of a secret which the service
// does not mount: the components hand out both, and one is easily forgotten.
func (d *document) secretFiles(path string, s *Service) {
	for _, variable := range slices.Sorted(maps.Keys(s.Environment)) {
		name, isSecret := strings.CutPrefix(string(s.Environment[variable]), secretsFolder)
		if !isSecret || !slices.ContainsFunc(d.stack.Secrets, func(secret *Secret) bool { return secret != nil && secret.Name == name }) {
			continue
		}
		mounted := slices.ContainsFunc(s.Secrets, func(m SecretMount) bool { return m.Secret != nil && m.Secret.Name == name }) ||
			slices.ContainsFunc(s.Mounts, func(m Mount) bool {
				return strings.HasPrefix(secretsFolder, m.Target+"/") || strings.Contains(m.Short, secretsFolder[:len(secretsFolder)-1])
			})
		if !mounted {
			d.fault(path+"."+variable, fmt.Sprintf("names the file of the secret %q, which the service does not have", name),
				"add it to the service's Secrets: what gives EnvFor gives SecretMounts")
		}
	}
}

func (d *document) build(path string, b *Build) mapping {
	m := newMapping()
	m.set("context", d.value(path+".context", orElse(b.Context, ".")))
	m.set("dockerfile", d.value(path+".dockerfile", b.Dockerfile))
	m.set("args", d.valueMap(path+".args", b.Args))
	m.set("target", d.value(path+".target", b.Target))
	if b.GoPackage != "" {
		extension := newMapping()
		extension.set(BuildExtensionGo, d.text(path+"."+BuildExtension+"."+BuildExtensionGo, b.GoPackage))
		m.set(BuildExtension, extension.node)
	}
	d.extra(m, path, b.Extra)
	return m
}

func (d *document) port(path string, p Port) *yaml.Node {
	if p.Short != "" {
		if p.Host != "" || p.Container != 0 || p.HostIP != "" || p.Protocol != "" || p.Extra != nil {
			d.fault(path, "has both Short and other fields", "keep one of them")
		}
		return scalar("!!str", p.Short)
	}
	m := newMapping()
	if _, elsewhere := p.Extra["target"]; !elsewhere && (p.Container < 1 || p.Container > 65535) {
		d.fault(path+".target", fmt.Sprintf("%d is not a port", p.Container), "set Container to 1 to 65535")
		return nil
	}
	if host, known := p.Host.literal(); known && host != "" && !isPortRange(host) {
		d.fault(path+".published", fmt.Sprintf("%q is not a port", host), `set Host to a port or to a range such as "8000-8010"`)
		return nil
	}
	m.set("host_ip", d.value(path+".host_ip", p.HostIP))
	m.set("published", d.value(path+".published", p.Host))
	m.number("target", p.Container)
	m.set("protocol", d.text(path+".protocol", p.Protocol))
	d.extra(m, path, p.Extra)
	return m.node
}

func isPortRange(s string) bool {
	first, last, isRange := strings.Cut(s, "-")
	low, err := strconv.ParseUint(first, 10, 16)
	if err != nil || low == 0 {
		return false
	}
	if !isRange {
		return true
	}
	high, err := strconv.ParseUint(last, 10, 16)
	return err == nil && low <= high
}

func (d *document) mount(path string, mount Mount) *yaml.Node {
	if mount.Short != "" {
		if mount.Volume != nil || mount.HostPath != "" || mount.Target != "" || mount.ReadOnly || mount.Extra != nil {
			d.fault(path, "has both Short and other fields", "keep one of them")
		}
		return scalar("!!str", mount.Short)
	}
	m := newMapping()
	_, otherType := mount.Extra["type"]
	switch {
	case mount.Volume != nil && mount.HostPath != "":
		d.fault(path, "mounts both a volume and a host path", "set Volume or HostPath, not both")
		return nil
	case mount.HostPath != "":
		m.text("type", "bind")
		m.set("source", d.value(path+".source", bindSource(mount.HostPath)))
	case mount.Volume == nil && otherType:
	case !declared(d, path, "volume", mount.Volume, func(v *Volume) string { return v.Name }, d.stack.Volumes):
		return nil
	default:
		m.text("type", "volume")
		m.text("source", mount.Volume.Name)
	}
	if !strings.HasPrefix(mount.Target, "/") && !otherType {
		d.fault(path, fmt.Sprintf("target %q is not an absolute path", mount.Target), "begin Target with '/'")
		return nil
	}
	m.set("target", d.text(path+".target", mount.Target))
	m.flag("read_only", mount.ReadOnly)
	d.extra(m, path, mount.Extra)
	// What the short form of the syntax implies, so that both forms load alike.
	switch {
	case mount.Volume != nil && !m.has("volume"):
		m.set("volume", newMapping().node)
	case mount.HostPath != "" && !m.has("bind"):
		bind := newMapping()
		bind.flag("create_host_path", true)
		m.set("bind", bind.node)
	}
	return m.node
}

// bindSource makes a relative path begin with a dot, without which compose
// takes it for the name of a volume. What a variable begins with is not known.
func bindSource(path Value) Value {
	isWindows := len(path) > 1 && path[1] == ':'
	if strings.ContainsAny(string(path[:1]), `./~\`+nul) || isWindows {
		return path
	}
	return "./" + path
}

func (d *document) serviceNetworks(path string, s *Service) *yaml.Node {
	m := newMapping()
	for i, n := range s.Networks {
		at := fmt.Sprintf("%s[%d]", path, i)
		if !declared(d, at, "network", n, func(v *Network) string { return v.Name }, d.stack.Networks) {
			continue
		}
		if m.has(n.Name) {
			d.fault(at, fmt.Sprintf("network %q is joined twice", n.Name), "")
			continue
		}
		if options := s.NetworkOptions[n]; len(options) > 0 {
			of := newMapping()
			d.extra(of, path+"."+n.Name, options)
			m.set(n.Name, of.node)
			continue
		}
		m.set(n.Name, null())
	}
	for n := range s.NetworkOptions {
		if !slices.Contains(s.Networks, n) {
			d.fault(path, "NetworkOptions has a network that the service does not join", "put it into Networks too")
		}
	}
	return m.unlessEmpty()
}

func (d *document) secretMount(path string, mount SecretMount) *yaml.Node {
	if !declared(d, path, "secret", mount.Secret, func(v *Secret) string { return v.Name }, d.stack.Secrets) {
		return nil
	}
	return d.fileMount(path, mount.Secret.Name, mount.Target, mount.UID, mount.GID, mount.Mode)
}

func (d *document) configMount(path string, mount ConfigMount) *yaml.Node {
	if !declared(d, path, "config", mount.Config, func(v *Config) string { return v.Name }, d.stack.Configs) {
		return nil
	}
	return d.fileMount(path, mount.Config.Name, mount.Target, mount.UID, mount.GID, mount.Mode)
}

func (d *document) fileMount(path, source, target, uid, gid string, mode fs.FileMode) *yaml.Node {
	m := newMapping()
	m.text("source", source)
	m.set("target", d.text(path+".target", target))
	m.set("uid", d.text(path+".uid", uid))
	m.set("gid", d.text(path+".gid", gid))
	if mode != 0 {
		m.text("mode", fmt.Sprintf("%#o", uint32(mode)))
	}
	return m.node
}

func (d *document) dependsOn(path string, dependencies []Dependency) *yaml.Node {
	m := newMapping()
	for i, dependency := range dependencies {
		at := fmt.Sprintf("%s[%d]", path, i)
		if !declared(d, at, "service", dependency.Service, func(v *Service) string { return v.Name }, d.stack.Services) {
			continue
		}
		if m.has(dependency.Service.Name) {
			d.fault(at, fmt.Sprintf("service %q is depended on twice", dependency.Service.Name), "keep the stricter condition")
			continue
		}
		of := newMapping()
		switch dependency.Condition {
		case "":
			of.text("condition", string(ConditionStarted))
		case ConditionStarted, ConditionHealthy, ConditionCompleted:
			of.text("condition", string(dependency.Condition))
		default:
			d.fault(at, fmt.Sprintf("%q is not a condition", dependency.Condition), "use one of the Condition constants")
			continue
		}
		of.flag("restart", dependency.Restart)
		if dependency.Optional {
			of.set("required", scalar("!!bool", "false"))
		} else {
			of.set("required", scalar("!!bool", "true"))
		}
		m.set(dependency.Service.Name, of.node)
	}
	return m.unlessEmpty()
}

func (d *document) healthcheck(path string, h *Healthcheck) mapping {
	m := newMapping()
	m.set("test", d.values(path+".test", h.Test))
	m.set("interval", d.duration(path+".interval", h.Interval))
	m.set("timeout", d.duration(path+".timeout", h.Timeout))
	if h.Retries < 0 {
		d.fault(path+".retries", fmt.Sprintf("%d is not a number of retries", h.Retries), "set Retries to 0 or more")
	} else {
		m.number("retries", h.Retries)
	}
	m.set("start_period", d.duration(path+".start_period", h.StartPeriod))
	m.set("start_interval", d.duration(path+".start_interval", h.StartInterval))
	return m
}

// extra adds the keys that have no field. One that has is reported, because it
// would silently win over the field or lose against it.
func (d *document) extra(m mapping, path string, extra map[string]any) {
	for _, key := range slices.Sorted(maps.Keys(extra)) {
		at := strings.TrimPrefix(path+"."+key, ".")
		if m.has(key) {
			d.fault(at, "is set by a field and in Extra", "keep one of them")
			continue
		}
		node, err := encode(extra[key])
		if err != nil {
			d.fault(at, fmt.Sprintf("cannot be written as YAML: %v", err), "")
			continue
		}
		m.set(key, node)
	}
}

// encode makes a node of any value. Text is not written as YAML in between, and
// what holds text is written in flow style, because the encoder prints some
// texts of several lines as block scalars that no parser reads back.
func encode(value any) (*yaml.Node, error) {
	if text, ok := value.(string); ok {
		return scalar("!!str", text), nil
	}
	var node yaml.Node
	err := node.Encode(struct {
		Value any `yaml:",flow"`
	}{value})
	if err != nil {
		return nil, err
	}
	return node.Content[1], nil
}

func (d *document) network(path string, n *Network) mapping {
	m := newMapping()
	m.set("name", d.value(path+".name", n.EngineName))
	m.set("driver", d.text(path+".driver", n.Driver))
	m.flag("internal", n.Internal)
	m.flag("external", n.External)
	m.set("labels", d.valueMap(path+".labels", n.Labels))
	d.extra(m, path, n.Extra)
	return m
}

func (d *document) volume(path string, v *Volume) mapping {
	m := newMapping()
	m.set("name", d.value(path+".name", v.EngineName))
	m.set("driver", d.text(path+".driver", v.Driver))
	m.set("driver_opts", d.valueMap(path+".driver_opts", v.DriverOpts))
	m.flag("external", v.External)
	m.set("labels", d.valueMap(path+".labels", v.Labels))
	d.extra(m, path, v.Extra)
	return m
}

func (d *document) secret(path string, s *Secret) mapping {
	m := newMapping()
	m.set("file", d.value(path+".file", s.File))
	m.set("environment", d.text(path+".environment", s.Variable))
	m.flag("external", s.External)
	d.oneSource(m, path, s.Extra, "set File, Variable or External")
	return m
}

func (d *document) config(path string, c *Config) mapping {
	m := newMapping()
	m.set("file", d.value(path+".file", c.File))
	m.set("environment", d.text(path+".environment", c.Variable))
	m.set("content", d.value(path+".content", c.Content))
	m.flag("external", c.External)
	d.oneSource(m, path, c.Extra, "set File, Variable, Content or External")
	return m
}

// oneSource checks that text comes from one place, and adds the extra keys,
// among which there may be a place that has no field, such as a driver.
func (d *document) oneSource(m mapping, path string, extra map[string]any, hint string) {
	if sources := len(m.node.Content) / 2; sources > 1 || sources == 0 && len(extra) == 0 {
		d.fault(path, "needs exactly one source", hint)
		m.node.Content = nil
		m.flag("external", true)
	}
	d.extra(m, path, extra)
}

// value writes a Value: here, and only here, dollar signs are escaped.
func (d *document) value(path string, v Value) *yaml.Node {
	if v == "" {
		return nil
	}
	text, fault := v.compose()
	if fault != "" {
		d.fault(path, fault, "")
		return nil
	}
	return scalar("!!str", text)
}

func (d *document) text(path, s string) *yaml.Node { return d.value(path, Literal(s)) }

func (d *document) values(path string, vs []Value) *yaml.Node {
	// An empty list is not a missing one: it clears the image's command.
	if vs == nil {
		return nil
	}
	return sequence(path, vs, func(path string, v Value) *yaml.Node {
		if v == "" {
			return scalar("!!str", "")
		}
		return d.value(path, v)
	})
}

func (d *document) texts(path string, all []string) *yaml.Node { return list(path, all, d.text) }

func (d *document) valueMap(path string, values map[string]Value) *yaml.Node {
	m := newMapping()
	for _, key := range slices.Sorted(maps.Keys(values)) {
		at := path + "." + key
		switch {
		case key == "" || strings.ContainsAny(key, "=\x00"):
			d.fault(path, fmt.Sprintf("%q cannot be a name", key), "")
		case values[key] == "":
			m.set(key, scalar("!!str", ""))
		case values[key] == Inherited:
			m.set(key, null())
		default:
			m.set(key, d.value(at, values[key]))
		}
	}
	return m.unlessEmpty()
}

func (d *document) duration(path string, t time.Duration) *yaml.Node {
	switch {
	case t < 0:
		d.fault(path, fmt.Sprintf("%s is negative", t), "")
		return nil
	case t == 0:
		return nil
	}
	return scalar("!!str", t.String())
}

// mapping is a mapping node under construction; nil values are left out.
type mapping struct{ node *yaml.Node }

func newMapping() mapping {
	return mapping{&yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}}
}

func (m mapping) has(key string) bool {
	for i := 0; i < len(m.node.Content); i += 2 {
		if m.node.Content[i].Value == key {
			return true
		}
	}
	return false
}

func (m mapping) set(key string, value *yaml.Node) {
	if value != nil {
		m.node.Content = append(m.node.Content, scalar("!!str", key), value)
	}
}

func (m mapping) text(key, s string) {
	if s != "" {
		m.set(key, scalar("!!str", s))
	}
}

func (m mapping) number(key string, n int) {
	if n != 0 {
		m.set(key, scalar("!!int", strconv.Itoa(n)))
	}
}

func (m mapping) flag(key string, on bool) {
	if on {
		m.set(key, scalar("!!bool", "true"))
	}
}

func (m mapping) unlessEmpty() *yaml.Node {
	if len(m.node.Content) == 0 {
		return nil
	}
	return m.node
}

func list[T any](path string, all []T, write func(string, T) *yaml.Node) *yaml.Node {
	if node := sequence(path, all, write); len(node.Content) > 0 {
		return node
	}
	return nil
}

func sequence[T any](path string, all []T, write func(string, T) *yaml.Node) *yaml.Node {
	node := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
	for i, one := range all {
		if item := write(fmt.Sprintf("%s[%d]", path, i), one); item != nil {
			node.Content = append(node.Content, item)
		}
	}
	return node
}

func scalar(tag, value string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: value}
}

func null() *yaml.Node { return scalar("!!null", "") }
