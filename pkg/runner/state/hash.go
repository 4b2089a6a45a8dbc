package state

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"gopkg.in/yaml.v3"
)

// hashVersion is the version of [serviceHash]'s rules. A hash that differs says
// little: a container is replaced only for what differs in meaning.
const hashVersion = "v2:"

// notRun are the keys of a service that say nothing about what its containers
// run: a change in them must not recreate any.
var notRun = []string{
	"attach", "build", "container_name", "depends_on", "develop", "env_file",
	"label_file", "name", "profiles", "pull_policy", "pull_refresh_after", "scale",
}

// Definition gives what a service says about its containers, as a compose file
// writes it: without what only others read, and without extensions.
func Definition(s types.ServiceConfig) (map[string]any, error) {
	text, err := yaml.Marshal(s)
	if err != nil {
		return nil, err
	}
	var definition map[string]any
	if err := yaml.Unmarshal(text, &definition); err != nil {
		return nil, err
	}
	for key := range definition {
		if slices.Contains(notRun, key) || strings.HasPrefix(key, "x-") {
			delete(definition, key)
		}
	}
	if deploy, ok := definition["deploy"].(map[string]any); ok {
		delete(deploy, "replicas")
	}
	return definition, nil
}

// serviceHash digests what the containers of a service are made from, as
// "v2:<hex>". It works on the service as the compose specification writes it,
// not on Go's view of it, so that another release of compose-go gives the same
// hash for the same meaning. Networks and volumes count under the names that
// the engine knows them by, and configs and secrets with what is in them.
func serviceHash(p *types.Project, s types.ServiceConfig, files []File) (string, error) {
	definition, err := Definition(s)
	if err != nil {
		return "", fmt.Errorf("hash: %w", err)
	}
	if networks, ok := definition["networks"].(map[string]any); ok {
		renamed := map[string]any{}
		for key, config := range networks {
			renamed[nameOr(p.Networks[key].Name, key)] = config
		}
		definition["networks"] = renamed
		if s.NetworkMode == "" && isBare(networks) {
			// Attachments without settings are compared by the networks' ids.
			delete(definition, "networks")
		}
	}
	if volumes, ok := definition["volumes"].([]any); ok {
		for _, v := range volumes {
			if mount, ok := v.(map[string]any); ok && mount["type"] == types.VolumeTypeVolume {
				if key, ok := mount["source"].(string); ok {
					mount["source"] = nameOr(p.Volumes[key].Name, key)
				}
			}
		}
	}
	if contents := formatDigests(files); contents != "" {
		definition["#contents"] = contents
	}
	// encoding/json sorts the keys of maps.
	canonical, err := json.Marshal(prune(definition))
	if err != nil {
		return "", fmt.Errorf("hash: %w", err)
	}
	return hashVersion + digest(canonical), nil
}

// networkHash digests a network's definition by the rules of [serviceHash].
func networkHash(n types.NetworkConfig) (string, error) {
	text, err := yaml.Marshal(n)
	if err != nil {
		return "", fmt.Errorf("hash: %w", err)
	}
	var definition map[string]any
	if err := yaml.Unmarshal(text, &definition); err != nil {
		return "", fmt.Errorf("hash: %w", err)
	}
	delete(definition, "name")
	canonical, err := json.Marshal(prune(definition))
	if err != nil {
		return "", fmt.Errorf("hash: %w", err)
	}
	return hashVersion + digest(canonical), nil
}

// ComposeHash is the hash that Docker Compose compares to decide whether a
// container is to be recreated: sha256 over the JSON of the loaded service with
// what does not concern a container cleared (docker/compose,
// pkg/compose/hash.go). The keys stand in an order of their own, which Compose
// keeps whatever compose-go does to its types. What is in them is compose-go's
// JSON, so Compose releases with another compose-go may compute another hash.
func ComposeHash(s types.ServiceConfig) (string, error) {
	s.Build = nil
	s.PullPolicy = ""
	s.Scale = nil
	if s.Deploy != nil {
		deploy := *s.Deploy
		deploy.Replicas = nil
		s.Deploy = &deploy
	}
	s.DependsOn = nil
	s.Profiles = nil
	text, err := json.Marshal(s)
	if err != nil {
		return "", fmt.Errorf("compose hash: %w", err)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return "", fmt.Errorf("compose hash: %w", err)
	}
	keys := slices.SortedFunc(maps.Keys(fields), func(a, b string) int {
		return cmp.Or(cmp.Compare(composeRank(a), composeRank(b)), cmp.Compare(a, b))
	})
	var ordered bytes.Buffer
	for i, key := range keys {
		separator := ","
		if i == 0 {
			separator = "{"
		}
		fmt.Fprintf(&ordered, "%s%q:%s", separator, key, fields[key])
	}
	ordered.WriteByte('}')
	return digest(ordered.Bytes()), nil
}

// composeRank is the place of a key in the text that Compose hashes. One that it
// does not list comes last.
func composeRank(key string) int {
	if i := slices.Index(composeOrder, key); i >= 0 {
		return i
	}
	return len(composeOrder)
}

// composeOrder is the order in which compose-go had a service's fields when
// Compose fixed it.
var composeOrder = strings.Fields(`
	profiles annotations attach build develop blkio_config cap_add cap_drop cgroup_parent
	cgroup cpu_count cpu_percent cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpus
	cpuset cpu_shares command configs container_name credential_spec depends_on deploy
	device_cgroup_rules devices dns dns_opt dns_search dockerfile domainname entrypoint
	provider environment env_file expose extends external_links extra_hosts group_add gpus
	hostname healthcheck image init ipc isolation labels label_file links logging log_driver
	log_opt mem_limit mem_reservation memswap_limit mem_swappiness mac_address models net
	network_mode networks oom_kill_disable oom_score_adj pid pids_limit platform ports
	privileged pull_policy read_only restart runtime scale secrets security_opt shm_size
	stdin_open stop_grace_period stop_signal storage_opt sysctls tmpfs tty ulimits
	use_api_socket user userns_mode uts volume_driver volumes volumes_from working_dir
	pre_start post_start pre_stop pull_refresh_after`)

// SameHash says that a container was made from today's definition of its service,
// by our own hash or by Compose's. If not, it may still be the same in meaning.
func SameHash(c Container, s ServiceSpec) bool {
	if c.Hash == "" {
		return c.ComposeHash == s.ComposeHash
	}
	return c.Hash == s.Hash
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// isBare says that no attachment has a setting.
func isBare(networks map[string]any) bool {
	for _, config := range networks {
		if prune(config) != nil {
			return false
		}
	}
	return true
}

// prune takes nulls and empty collections out, so that "not said" and "said to
// be nothing" are the same. It gives nil when nothing is left.
func prune(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, value := range v {
			if value := prune(value); value != nil {
				out[key] = value
			}
		}
		if len(out) == 0 {
			return nil
		}
		return out
	case []any:
		if len(v) == 0 {
			return nil
		}
		out := make([]any, len(v)) // an entry may be nothing, and still count
		for i := range v {
			out[i] = prune(v[i])
		}
		return out
	default:
		return v
	}
}
