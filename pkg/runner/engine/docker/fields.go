package docker

import (
	"fmt"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"gopkg.in/yaml.v3"
)

// fieldClass says what becomes of a field of a service.
type fieldClass int

const (
	// unsupported fields are refused. It is the class of every field that has no
	// other, so one that the specification gains is never dropped in silence.
	unsupported fieldClass = iota
	// mapped fields are translated.
	mapped
	// elsewhere are fields that say nothing about a container: others read them.
	elsewhere
)

// classOf gives the class of a field by its name in a compose file.
func classOf(field string) fieldClass {
	switch field {
	case "annotations", "blkio_config", "cap_add", "cap_drop", "cgroup", "cgroup_parent",
		"command", "configs", "container_name", "cpu_count", "cpu_percent", "cpu_period",
		"cpu_quota", "cpu_rt_period", "cpu_rt_runtime", "cpu_shares", "cpus", "cpuset",
		"deploy", "device_cgroup_rules", "devices", "dns", "dns_opt", "dns_search",
		"domainname", "entrypoint", "environment", "expose", "extra_hosts", "gpus",
		"group_add", "healthcheck", "hostname", "image", "init", "ipc", "isolation",
		"labels", "logging", "mac_address", "mem_limit", "mem_reservation",
		"mem_swappiness", "memswap_limit", "network_mode", "networks", "oom_kill_disable",
		"oom_score_adj", "pid", "pids_limit", "platform", "ports", "privileged",
		"read_only", "restart", "runtime", "secrets", "security_opt", "shm_size",
		"stdin_open", "stop_grace_period", "stop_signal", "storage_opt", "sysctls",
		"tmpfs", "tty", "ulimits", "user", "userns_mode", "uts", "volumes",
		"volumes_from", "working_dir":
		return mapped
	case "attach", "build", "depends_on", "develop", "env_file", "extends", "label_file",
		"profiles", "pull_policy", "pull_refresh_after", "scale":
		return elsewhere
	}
	if strings.HasPrefix(field, "x-") {
		return elsewhere
	}
	return unsupported
}

// checkSupported refuses a service that says more than [convert] translates.
//
// Of deploy, what only a scheduler of many machines could follow (placement,
// update_config, rollback_config, endpoint_mode, labels, the delays of its
// restart_policy and the reservation of CPUs) is passed over, as Docker Compose
// does: it asks nothing of a container.
func checkSupported(service types.ServiceConfig) error {
	text, err := yaml.Marshal(service)
	if err != nil {
		return fmt.Errorf("service %s: %w", service.Name, err)
	}
	var fields map[string]any
	if err := yaml.Unmarshal(text, &fields); err != nil {
		return fmt.Errorf("service %s: %w", service.Name, err)
	}
	var refused []string
	for field := range fields {
		if classOf(field) == unsupported {
			refused = append(refused, field)
		}
	}
	for field, value := range map[string]string{
		"network_mode": service.NetworkMode, "ipc": service.Ipc, "pid": service.Pid,
		"uts": service.Uts, "cgroup": service.Cgroup,
	} {
		if strings.HasPrefix(value, types.ServicePrefix) {
			refused = append(refused, field+": "+value)
		}
	}
	for _, from := range service.VolumesFrom {
		if !strings.HasPrefix(from, types.ContainerPrefix) {
			refused = append(refused, "volumes_from: "+from)
		}
	}
	if len(refused) == 0 {
		return nil
	}
	slices.Sort(refused)
	noun, verb := "field", "is"
	if len(refused) > 1 {
		noun, verb = "fields", "are"
	}
	return fmt.Errorf("service %s: %s %s %s not supported by stackctl yet", service.Name, noun, strings.Join(refused, ", "), verb)
}
