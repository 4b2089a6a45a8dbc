package state

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
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
// pkg/compose/hash.go). It depends on compose-go's JSON, so Compose releases
// with another compose-go may compute another.
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
	return digest(text), nil
}

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
