package spec

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/distribution/reference"

	"github.com/stackctl/stackctl/internal/nearest"
)

// Check reports every fault of a loaded project, sorted by path: all that
// compose-go's loader checks one at a time, and beyond that
//
//   - a dependency that must be healthy but has no healthcheck,
//   - two services that publish one port of the host,
//   - an image's name that is none,
//   - a secret or a config of a variable that is not set, and a secret of an empty one
//     where a variable that ends with _FILE has the service read it,
//   - start_interval without start_period, which the engine would ignore,
//   - a restart policy that the engine does not know.
//
// An image can bring a healthcheck of its own, which is not known before it is
// pulled: such a service has to repeat it. Services whose profile is not active
// are not checked.
func Check(p *types.Project) []Problem {
	var problems []Problem
	for _, f := range check(p) {
		problems = append(problems, f.Problem)
	}
	return tidy(problems)
}

// finding is a problem with what diagnose needs to know of it.
type finding struct {
	Problem
	// about are further paths that the problem follows from.
	about []string
	// loader is set for what the loader's own consistency check finds too.
	loader bool
	// undeclared is set for what refers to something that is not there.
	undeclared bool
}

// checker collects the findings of one project.
type checker struct {
	project  *types.Project
	findings []finding
}

func check(p *types.Project) []finding {
	c := &checker{project: p}
	if len(p.Services) == 0 && len(p.DisabledServices) == 0 {
		c.found("services", "there is no service", "add one")
	}
	for _, name := range slices.Sorted(maps.Keys(p.Services)) {
		path := "services." + name
		service := p.Services[name]
		c.image(path, service)
		c.references(path, service)
		c.dependencies(path, service)
		c.healthcheck(path, service.HealthCheck)
		c.restart(path, service.Restart)
		c.replicas(path, service)
		c.targets(path, service)
		c.emptySecrets(path, service)
	}
	for _, name := range slices.Sorted(maps.Keys(p.Secrets)) {
		if s := p.Secrets[name]; !bool(s.External) && s.File == "" && s.Environment == "" {
			c.inconsistent("secrets."+name, "has no source", "set file or environment")
		}
	}
	c.variables()
	c.cycles()
	c.ports()
	c.engineNames()
	return c.findings
}

func (c *checker) found(path, message, hint string, about ...string) {
	c.findings = append(c.findings, finding{Problem: Problem{Path: path, Message: message, Hint: hint}, about: about})
}

// inconsistent is found for the rules that the loader has as well.
func (c *checker) inconsistent(path, message, hint string, about ...string) {
	c.found(path, message, hint, about...)
	c.findings[len(c.findings)-1].loader = true
}

func (c *checker) image(path string, s types.ServiceConfig) {
	if s.Build == nil && s.Image == "" && s.Provider == nil {
		c.inconsistent(path, "has neither an image nor a build", "set image or build", path+".image", path+".build")
	}
	if s.Image != "" {
		if _, err := reference.ParseNormalizedNamed(s.Image); err != nil {
			c.found(path+".image", fmt.Sprintf("%q is not the name of an image: %v", s.Image, err), "")
		}
	}
	if s.Build == nil {
		return
	}
	if s.Build.DockerfileInline != "" && s.Build.Dockerfile != "" {
		c.inconsistent(path+".build", "has both dockerfile and dockerfile_inline", "keep one of them")
	}
	for i, secret := range s.Build.Secrets {
		c.declared(fmt.Sprintf("%s.build.secrets[%d]", path, i), "secret", secret.Source, has(c.project.Secrets, secret.Source))
	}
}

// references reports what a service uses and nobody declares.
func (c *checker) references(path string, s types.ServiceConfig) {
	for _, name := range slices.Sorted(maps.Keys(s.Networks)) {
		c.declared(path+".networks."+name, "network", name, has(c.project.Networks, name))
	}
	for i, v := range s.Volumes {
		if v.Type == types.VolumeTypeVolume && v.Source != "" {
			c.declared(fmt.Sprintf("%s.volumes[%d]", path, i), "volume", v.Source, has(c.project.Volumes, v.Source))
		}
	}
	for i, v := range s.Secrets {
		c.declared(fmt.Sprintf("%s.secrets[%d]", path, i), "secret", v.Source, has(c.project.Secrets, v.Source))
	}
	for i, v := range s.Configs {
		c.declared(fmt.Sprintf("%s.configs[%d]", path, i), "config", v.Source, has(c.project.Configs, v.Source))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Models)) {
		c.declared(path+".models."+name, "model", name, has(c.project.Models, name))
	}
	if s.NetworkMode != "" && len(s.Networks) > 0 {
		c.inconsistent(path, "has both network_mode and networks", "keep one of them")
	}
	if name, shared := strings.CutPrefix(s.NetworkMode, types.ServicePrefix); shared && !has(c.project.Services, name) {
		c.undeclared(path+".network_mode", "service", name, "declare it under services", c.names("service"))
	}
}

// variables reports the secrets and configs that services use and whose variable is
// not set: a container would find an empty file.
func (c *checker) variables() {
	used := map[string]string{}
	use := func(kind, source string, objects map[string]types.FileObjectConfig) {
		if variable := objects[source].Environment; variable != "" {
			used[kind+"."+source+".environment"] = variable
		}
	}
	secrets := map[string]types.FileObjectConfig{}
	for name, s := range c.project.Secrets {
		secrets[name] = types.FileObjectConfig(s)
	}
	configs := map[string]types.FileObjectConfig{}
	for name, s := range c.project.Configs {
		configs[name] = types.FileObjectConfig(s)
	}
	for _, service := range c.project.Services {
		for _, s := range service.Secrets {
			use("secrets", s.Source, secrets)
		}
		for _, s := range service.Configs {
			use("configs", s.Source, configs)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(used)) {
		if _, set := c.project.Environment[used[path]]; !set {
			c.found(path, fmt.Sprintf("variable %s is not set", used[path]), "set it in the environment or in .env")
		}
	}
}

// emptySecrets reports the secrets that a service is told to read from their file,
// and that are empty: Docker Compose makes no file of such a one at all.
func (c *checker) emptySecrets(path string, s types.ServiceConfig) {
	for i, mount := range s.Secrets {
		variable := c.project.Secrets[mount.Source].Environment
		if value, set := c.project.Environment[variable]; variable == "" || !set || value != "" {
			continue
		}
		target := mount.Target
		if target == "" {
			target = mount.Source
		}
		if !strings.HasPrefix(target, "/") {
			target = secretsFolder + target
		}
		for _, name := range slices.Sorted(maps.Keys(s.Environment)) {
			if file := s.Environment[name]; strings.HasSuffix(name, "_FILE") && file != nil && *file == target {
				c.found("secrets."+mount.Source+".environment", fmt.Sprintf("variable %s is empty", variable),
					"set it in the environment or in .env", fmt.Sprintf("%s.secrets[%d]", path, i))
				break
			}
		}
	}
}

func (c *checker) declared(path, kind, name string, known bool) {
	if !known {
		c.undeclared(path, kind, name, fmt.Sprintf("declare it under the top-level %ss", kind), c.names(kind))
	}
}

// undeclared reports what refers to nothing, and what it may have meant.
func (c *checker) undeclared(path, kind, name, hint string, known []string) {
	if near := nearest.Name(name, known); near != "" {
		hint = fmt.Sprintf("did you mean %s? Otherwise %s", near, hint)
	}
	c.inconsistent(path, fmt.Sprintf("%s %q is not declared", kind, name), hint, kind+"s."+name)
	c.findings[len(c.findings)-1].undeclared = true
}

// names are those that are declared of a kind.
func (c *checker) names(kind string) []string {
	switch kind {
	case "network":
		return slices.DeleteFunc(slices.Collect(maps.Keys(c.project.Networks)), func(name string) bool { return name == "default" })
	case "volume":
		return slices.Collect(maps.Keys(c.project.Volumes))
	case "secret":
		return slices.Collect(maps.Keys(c.project.Secrets))
	case "config":
		return slices.Collect(maps.Keys(c.project.Configs))
	case "service":
		return slices.Collect(maps.Keys(c.project.Services))
	}
	return nil
}

func has[T any](all map[string]T, name string) bool {
	_, ok := all[name]
	return ok
}

func (c *checker) dependencies(path string, s types.ServiceConfig) {
	for _, name := range slices.Sorted(maps.Keys(s.DependsOn)) {
		at := path + ".depends_on." + name
		dependency := s.DependsOn[name]
		target, enabled := c.project.Services[name]
		switch {
		case !enabled && has(c.project.DisabledServices, name):
			if dependency.Required {
				c.inconsistent(at, fmt.Sprintf("service %q is left out, because none of its profiles is active", name),
					"activate one, or set required: false")
			}
		case !enabled:
			c.undeclared(c.dependencyPath(s.Name, name), "service", name, "declare it under services", c.names("service"))
		case dependency.Condition == types.ServiceConditionHealthy && !isHealthChecked(target):
			c.found(at, fmt.Sprintf("waits until %q is healthy, but that has no healthcheck", name),
				fmt.Sprintf("give services.%s a healthcheck, or depend on it with condition service_started", name),
				"services."+name+".healthcheck")
		}
	}
}

// isHealthChecked takes a healthcheck without a test for one that changes the
// times of the image's own.
func isHealthChecked(s types.ServiceConfig) bool {
	h := s.HealthCheck
	return h != nil && !h.Disable && (len(h.Test) == 0 || h.Test[0] != "NONE")
}

func (c *checker) healthcheck(path string, h *types.HealthCheckConfig) {
	if h == nil {
		return
	}
	path += ".healthcheck"
	if len(h.Test) > 0 && !slices.Contains([]string{"CMD", "CMD-SHELL", "NONE"}, h.Test[0]) {
		c.inconsistent(path+".test", fmt.Sprintf("begins with %q", h.Test[0]), "begin the list with CMD, CMD-SHELL or NONE")
	}
	if h.StartInterval != nil && *h.StartInterval > 0 && (h.StartPeriod == nil || *h.StartPeriod <= 0) {
		c.found(path+".start_interval", "has no effect without start_period", "set start_period, or remove start_interval", path+".start_period")
	}
}

func (c *checker) restart(path, policy string) {
	name, _, _ := strings.Cut(policy, ":")
	switch RestartPolicy(name) {
	case "", RestartNo, RestartAlways, RestartOnFailure, RestartUnlessStopped:
	default:
		c.found(path+".restart", fmt.Sprintf("%q is not a restart policy", policy), "use no, always, on-failure or unless-stopped")
	}
}

func (c *checker) replicas(path string, s types.ServiceConfig) {
	deployed := s.Deploy != nil && s.Deploy.Replicas != nil
	switch {
	case s.Scale != nil && deployed && *s.Scale != *s.Deploy.Replicas:
		c.inconsistent(path, "has different numbers in scale and deploy.replicas", "keep one of them")
	case s.GetScale() < 0:
		c.inconsistent(path, fmt.Sprintf("has %d replicas", s.GetScale()), "set 0 or more")
	case s.GetScale() > 1 && s.ContainerName != "":
		c.inconsistent(path+".container_name", fmt.Sprintf("%d replicas cannot have one name", s.GetScale()), "remove container_name")
	}
}

// targets reports two mounts at one place of a container.
func (c *checker) targets(path string, s types.ServiceConfig) {
	mounted := map[string]string{}
	mount := func(at, target string) {
		if first, taken := mounted[target]; taken {
			c.inconsistent(at, fmt.Sprintf("mounts at %s, as does %s", target, first), "mount one of them elsewhere", first)
			return
		}
		mounted[target] = at
	}
	for i, tmpfs := range s.Tmpfs {
		target, _, _ := strings.Cut(tmpfs, ":")
		mount(fmt.Sprintf("%s.tmpfs[%d]", path, i), target)
	}
	for i, v := range s.Volumes {
		mount(fmt.Sprintf("%s.volumes[%d]", path, i), v.Target)
	}
}

// cycles reports circles of dependencies, each from its first name in
// alphabetical order. Circles that share a part are not all named: mending one
// shows the next.
func (c *checker) cycles() {
	const (
		open = 1 + iota
		done
	)
	state := map[string]int{}
	var trail []string
	var visit func(name string)
	visit = func(name string) {
		state[name] = open
		trail = append(trail, name)
		for _, next := range slices.Sorted(maps.Keys(c.project.Services[name].DependsOn)) {
			if !has(c.project.Services, next) {
				continue
			}
			switch state[next] {
			case open:
				c.cycle(trail[slices.Index(trail, next):])
			case done:
			default:
				visit(next)
			}
		}
		trail = trail[:len(trail)-1]
		state[name] = done
	}
	for _, name := range slices.Sorted(maps.Keys(c.project.Services)) {
		if state[name] == 0 {
			visit(name)
		}
	}
}

func (c *checker) cycle(names []string) {
	circle := rotated(names)
	circle = append(circle, circle[0])
	c.inconsistent(c.dependencyPath(circle[0], circle[1]),
		"dependency cycle: "+strings.Join(circle, " -> "), "remove one of these dependencies")
}

// rotated lets a circle begin with its first name in alphabetical order.
func rotated(names []string) []string {
	first := slices.Index(names, slices.Min(names))
	return slices.Concat(names[first:], names[:first])
}

// dependencyPath is where a service says that it depends on another: the loader adds
// what follows from other words to depends_on.
func (c *checker) dependencyPath(name, on string) string {
	path, s := "services."+name, c.project.Services[name]
	for i, link := range s.Links {
		if service, _, _ := strings.Cut(link, ":"); service == on {
			return fmt.Sprintf("%s.links[%d]", path, i)
		}
	}
	for i, from := range s.VolumesFrom {
		if service, _, _ := strings.Cut(from, ":"); service == on {
			return fmt.Sprintf("%s.volumes_from[%d]", path, i)
		}
	}
	for _, shared := range [][2]string{{"pid", s.Pid}, {"ipc", s.Ipc}, {"network_mode", s.NetworkMode}} {
		if shared[1] == types.ServicePrefix+on {
			return path + "." + shared[0]
		}
	}
	return path + ".depends_on." + on
}

// engineName is what the engine accepts as the name of a container or a volume.
var engineName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]+$`)

// engineNames reports names that no engine accepts.
func (c *checker) engineNames() {
	const hint = "use two or more letters, digits, '.', '-' and '_', with a letter or digit first"
	for name, s := range c.project.Services {
		if s.ContainerName != "" && !engineName.MatchString(s.ContainerName) {
			c.found("services."+name+".container_name", fmt.Sprintf("%q cannot be the name of a container", s.ContainerName), hint)
		}
	}
	for key, v := range c.project.Volumes {
		if v.Name != "" && (v.Driver == "" || v.Driver == "local") && !engineName.MatchString(v.Name) {
			c.found("volumes."+key+".name", fmt.Sprintf("%q cannot be the name of a volume", v.Name), hint)
		}
	}
}
