package support

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/compose-spec/compose-go/v2/types"
	"gopkg.in/yaml.v3"
)

// Problem is a use of a field that cannot be followed.
type Problem struct {
	// Path is where it is: "services.web.pre_start".
	Path string
	// Why says why, and what to do.
	Why string
}

func (p Problem) String() string { return p.Path + " is not supported: " + p.Why }

// Warning is a use of a field that means nothing on one engine.
type Warning struct {
	// Path is where it is: "services.web.deploy.placement".
	Path string
	// Why says why.
	Why string
}

func (w Warning) String() string { return w.Path + " " + w.Message() }

// Message is the warning without its place.
func (w Warning) Message() string { return "is ignored: " + w.Why }

// Error lists everything that a project says and that cannot be done.
type Error struct {
	Problems []Problem
}

func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Add takes over the problems of an *Error. Any other error is given back.
func (e *Error) Add(err error) error {
	var more *Error
	if !errors.As(err, &more) {
		return err
	}
	e.Problems = append(e.Problems, more.Problems...)
	return nil
}

// OrNil gives the error, or nil when it has no problems.
func (e *Error) OrNil() error {
	if len(e.Problems) == 0 {
		return nil
	}
	return e
}

// Check looks at every field that a project uses, those of builds excepted: see
// [CheckBuild]. api is the version that is spoken with the engine; empty leaves
// out what depends on it. The error is an *Error with all that is refused; the
// warnings name what is ignored.
func Check(p *types.Project, api string) (warnings []Warning, err error) {
	c := &checker{api: api, skip: buildPath}
	for _, name := range slices.Sorted(maps.Keys(p.Services)) {
		service := p.Services[name]
		c.section("services."+name, "services.*", service)
		for i, v := range service.Volumes {
			c.volume(fmt.Sprintf("services.%s.volumes[%d]", name, i), v)
		}
		c.addresses("services."+name, service)
		c.files("services."+name, p, service)
		if h := service.HealthCheck; h != nil && h.StartInterval != nil && h.StartPeriod == nil {
			c.refuse("services."+name+".healthcheck.start_interval", "it counts during start_period only: set that too")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Networks)) {
		c.section("networks."+name, "networks.*", p.Networks[name])
	}
	for _, name := range slices.Sorted(maps.Keys(p.Volumes)) {
		c.section("volumes."+name, "volumes.*", p.Volumes[name])
	}
	// What no service uses asks for nothing.
	configs, secrets := map[string]bool{}, map[string]bool{}
	for _, service := range p.Services {
		for _, ref := range service.Configs {
			configs[ref.Source] = true
		}
		for _, ref := range service.Secrets {
			secrets[ref.Source] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(configs)) {
		if object, declared := p.Configs[name]; declared {
			c.section("configs."+name, "configs.*", object)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(secrets)) {
		if object, declared := p.Secrets[name]; declared {
			c.section("secrets."+name, "secrets.*", object)
		}
	}
	if len(p.Jobs) > 0 {
		c.visit("jobs", "jobs", map[string]any{})
	}
	return c.result()
}

// CheckService is [Check] for one service, less what depends on the project's
// configs and secrets.
func CheckService(service types.ServiceConfig, api string) (warnings []Warning, err error) {
	return Check(&types.Project{Services: types.Services{service.Name: service}}, api)
}

// CheckBuild looks at what a service says of its build. It counts only when the
// service is built: an image that is there already runs in any case.
func CheckBuild(service types.ServiceConfig, api string) (warnings []Warning, err error) {
	if service.Build == nil {
		return nil, nil
	}
	c := &checker{api: api}
	path := "services." + service.Name + ".build"
	c.section(path, buildPath, service.Build)
	if len(service.Build.Platforms) > 1 && service.Platform == "" {
		c.refuse(path+".platforms", "it has more than one, and an engine holds one: name it with platform of the service")
	}
	return c.result()
}

// checker walks over what a project says.
type checker struct {
	api string
	// skip is a field that is not looked into.
	skip     string
	problems []Problem
	warnings []Warning
}

func (c *checker) result() ([]Warning, error) {
	slices.SortStableFunc(c.problems, func(a, b Problem) int { return cmp.Compare(a.Path, b.Path) })
	return c.warnings, (&Error{Problems: c.problems}).OrNil()
}

func (c *checker) refuse(path, why string) {
	c.problems = append(c.problems, Problem{path, why})
}

func (c *checker) ignore(path, why string) {
	c.warnings = append(c.warnings, Warning{path, why})
}

// section looks at a part of a project as the specification writes it.
func (c *checker) section(path, pattern string, part any) {
	text, err := yaml.Marshal(part)
	if err != nil {
		c.refuse(path, err.Error())
		return
	}
	var tree any
	if err := yaml.Unmarshal(text, &tree); err != nil {
		c.refuse(path, err.Error())
		return
	}
	c.children(path, pattern, tree)
}

// children looks at what is below a field.
func (c *checker) children(path, pattern string, value any) {
	switch value := value.(type) {
	case map[string]any:
		entries := index()[pattern]
		for _, key := range slices.Sorted(maps.Keys(value)) {
			switch {
			case entries.named && !strings.HasPrefix(key, "x-"):
				c.visit(path+"."+key, pattern+"."+key, value[key])
			case entries.free:
				c.children(path+"."+key, pattern+".*", value[key])
			}
		}
	case []any:
		for i, entry := range value {
			c.children(path+"["+strconv.Itoa(i)+"]", pattern+"[]", entry)
		}
	}
}

// visit looks at a field that is set.
func (c *checker) visit(path, pattern string, value any) {
	if pattern == c.skip {
		return
	}
	entry := index()[pattern]
	if entry.field == nil {
		c.refuse(path, "this release of stackctl does not know it")
		return
	}
	class, note, since := entry.field.Class, entry.field.Note, entry.field.Since
	for _, special := range entry.field.Cases {
		if special.Holds(value) {
			class, note, since = special.Class, special.Note, special.Since
			break
		}
	}
	switch {
	case class == Refused:
		c.refuse(path, note)
	case class == Ignored:
		c.ignore(path, note)
	case c.older(since):
		c.refuse(path, fmt.Sprintf("it needs %s or later (API %s), and the engine speaks API %s", releases[since], since, c.api))
	case !entry.field.Whole:
		c.children(path, pattern, value)
	}
}

// older says that the engine is older than an API version.
func (c *checker) older(since string) bool {
	return since != "" && c.api != "" && number(c.api) < number(since)
}

// number makes API versions comparable: "1.41" is 1041.
func number(api string) int {
	major, minor, _ := strings.Cut(api, ".")
	a, _ := strconv.Atoi(major)
	b, _ := strconv.Atoi(minor)
	return a*1000 + b
}

// volume looks at what belongs together in a mount.
func (c *checker) volume(path string, v types.ServiceVolumeConfig) {
	for _, options := range []struct {
		kind string
		set  bool
	}{
		{types.VolumeTypeBind, v.Bind != nil},
		{types.VolumeTypeVolume, v.Volume != nil},
		{types.VolumeTypeTmpfs, v.Tmpfs != nil},
		{types.VolumeTypeImage, v.Image != nil},
	} {
		if options.set && options.kind != v.Type {
			c.ignore(path+"."+options.kind, "the mount is of type "+v.Type)
		}
	}
	if v.Type == types.VolumeTypeBind && v.Bind != nil && v.Bind.SELinux != "" &&
		(!bool(v.Bind.CreateHostPath) || v.Bind.Recursive != "") {
		c.refuse(path+".bind.selinux", "an engine cannot do it together with bind.recursive or create_host_path: false")
	}
}

// addresses looks for MAC addresses that only an engine with several networks at
// the creation of a container can give.
func (c *checker) addresses(path string, service types.ServiceConfig) {
	if !c.older(api144) {
		return
	}
	for i, key := range service.NetworksByPriority() {
		if n := service.Networks[key]; i > 0 && n != nil && n.MacAddress != "" {
			c.refuse(fmt.Sprintf("%s.networks.%s.mac_address", path, key),
				fmt.Sprintf("on a second network it needs %s or later, and the engine speaks API %s", releases[api144], c.api))
		}
	}
}

// files looks for files that would have to be written to a read-only root.
func (c *checker) files(at string, p *types.Project, service types.ServiceConfig) {
	if !service.ReadOnly {
		return
	}
	// Secrets have a folder of their own, configs lie in the root if nothing else
	// is said.
	for i, ref := range service.Configs {
		object, declared := p.Configs[ref.Source]
		mounted := object.File != "" && ref.UID == "" && ref.GID == "" && ref.Mode == nil
		if declared && !mounted && path.Dir("/"+strings.TrimPrefix(ref.Target, "/")) == "/" {
			c.refuse(fmt.Sprintf("%s.configs[%d].target", at, i),
				"an engine writes nothing to a read-only root: give it a target in a folder, or take the config from a file")
		}
	}
}

// known is what the table has at a path.
type known struct {
	field *Field
	// named says that there are fields below; free, that there are names of the
	// user's choice.
	named, free bool
}

// index finds what the table has by path.
var index = sync.OnceValue(func() map[string]known {
	out := map[string]known{}
	fields := Fields()
	for i := range fields {
		path := fields[i].Path
		entry := out[path]
		entry.field = &fields[i]
		out[path] = entry
		for at := strings.LastIndex(path, "."); at >= 0; at = strings.LastIndex(path, ".") {
			parent := out[path[:at]]
			if path[at:] == ".*" {
				parent.free = true
			} else {
				parent.named = true
			}
			path = path[:at]
			out[path] = parent
		}
	}
	return out
})

// hasOtherCache says that a list of caches has one of another type.
func hasOtherCache(kind string) func(any) bool {
	return func(v any) bool {
		list, ok := v.([]any)
		return ok && slices.ContainsFunc(list, func(entry any) bool {
			text, ok := entry.(string)
			_, ours := CacheRef(text, kind)
			return !ok || !ours
		})
	}
}

// CacheRef reads an entry of build.cache_from or cache_to. It gives the image
// that the cache is in, and whether the entry is of the type that is asked for;
// an entry that is nothing but an image is of type registry.
func CacheRef(entry, kind string) (ref string, ok bool) {
	if !strings.Contains(entry, "=") {
		return entry, kind == "registry"
	}
	for attribute := range strings.SplitSeq(entry, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(attribute), "=")
		switch name {
		case "type":
			ok = value == kind
		case "ref":
			ref = value
		}
	}
	return ref, ok
}
