package compose

import (
	"cmp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// The orders in which people write keys. What is not listed comes after, by
// name, extensions last.

func sectionOrder() []string {
	return []string{"version", "name", "include", "services", "jobs", "models", "networks", "volumes", "secrets", "configs"}
}

func serviceOrder() []string {
	return []string{
		"extends", "profiles", "image", "build", "pull_policy", "platform", "container_name", "hostname",
		"command", "entrypoint", "environment", "env_file",
		"ports", "expose", "volumes", "tmpfs", "network_mode", "networks", "secrets", "configs",
		"depends_on", "healthcheck", "restart", "scale", "deploy",
		"stop_signal", "stop_grace_period", "init",
		"user", "working_dir", "read_only", "cap_drop", "cap_add", "security_opt", "privileged",
		"mem_limit", "pids_limit", "shm_size",
		"logging", "labels",
	}
}

func buildOrder() []string {
	return []string{"context", "dockerfile", "dockerfile_inline", "target", "args"}
}

func healthcheckOrder() []string {
	return []string{"test", "interval", "timeout", "retries", "start_period", "start_interval"}
}

func dependencyOrder() []string { return []string{"condition", "restart", "required"} }

func portOrder() []string {
	return []string{"name", "host_ip", "published", "target", "protocol", "app_protocol", "mode"}
}

func mountOrder() []string {
	return []string{"type", "source", "target", "read_only"}
}

func fileMountOrder() []string { return []string{"source", "target", "uid", "gid", "mode"} }

func resourceOrder() []string {
	return []string{"name", "external", "driver", "driver_opts", "file", "environment", "content"}
}

func compareKeys(a, b string) int {
	extension := func(s string) int {
		if strings.HasPrefix(s, "x-") {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(extension(a), extension(b)), cmp.Compare(a, b))
}

// sortServices puts each service after those it depends on, and leaves the
// rest as it is. Services on a cycle stay in their order, at the end.
func sortServices(services object) {
	names := services.keys()
	waiting := make(map[string][]string, len(names))
	for _, name := range names {
		for _, dependency := range dependencies(services.object(name).get("depends_on")) {
			if slices.Contains(names, dependency) {
				waiting[name] = append(waiting[name], dependency)
			}
		}
	}
	var sorted []*yaml.Node
	placed := map[string]bool{}
	for len(placed) < len(names) {
		next := slices.IndexFunc(names, func(name string) bool {
			return !placed[name] && !slices.ContainsFunc(waiting[name], func(on string) bool { return !placed[on] })
		})
		if next < 0 {
			next = slices.IndexFunc(names, func(name string) bool { return !placed[name] })
		}
		placed[names[next]] = true
		sorted = append(sorted, services.node.Content[2*next:2*next+2]...)
	}
	if services.node != nil {
		services.node.Content = sorted
	}
}

// dependencies returns the names in either form of depends_on.
func dependencies(n *yaml.Node) []string {
	names := asObject(n).keys()
	for _, item := range items(n) {
		names = append(names, item.Value)
	}
	return names
}
