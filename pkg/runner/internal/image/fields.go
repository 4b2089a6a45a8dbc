package image

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"gopkg.in/yaml.v3"
)

// The extension of a build section that names a Go package.
const (
	extension   = "x-stackctl"
	extensionGo = "go"
)

// goPackage reads the extension; empty when it is not there.
func goPackage(config *types.BuildConfig) (string, error) {
	value, there := config.Extensions[extension]
	if !there || value == nil {
		return "", nil
	}
	settings, ok := value.(map[string]any)
	if !ok {
		return "", fmt.Errorf("build.%s is no mapping: write %s: {%s: ./package}", extension, extension, extensionGo)
	}
	value, there = settings[extensionGo]
	if !there {
		return "", nil
	}
	name, ok := value.(string)
	if !ok || name == "" {
		return "", fmt.Errorf("build.%s.%s is no path of a Go package", extension, extensionGo)
	}
	return name, nil
}

// checkSupported refuses what an engine cannot be asked without a session, and
// what is not translated.
func checkSupported(config *types.BuildConfig) error {
	if isRemote(config.Context) {
		return fmt.Errorf("build.context %s is not on this machine, which is not supported by stackctl yet: clone it", config.Context)
	}
	text, err := yaml.Marshal(config)
	if err != nil {
		return err
	}
	var fields map[string]any
	if err := yaml.Unmarshal(text, &fields); err != nil {
		return err
	}
	var refused []string
	for field, value := range fields {
		switch field {
		case "context", "dockerfile", "dockerfile_inline", "args", "labels", "target", "tags",
			"network", "extra_hosts", "no_cache", "pull", "platforms":
			continue
		case "provenance", "sbom":
			if value == "false" {
				continue // it is what the engine's own image store does anyway
			}
		}
		if !strings.HasPrefix(field, "x-") {
			refused = append(refused, "build."+field)
		}
	}
	slices.Sort(refused)
	switch len(refused) {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("field %s is not supported by stackctl yet", refused[0])
	}
	return errors.New("fields " + strings.Join(refused, ", ") + " are not supported by stackctl yet")
}

// isRemote tells a repository or an archive of the network from a folder.
func isRemote(context string) bool {
	return strings.Contains(context, "://") || strings.HasPrefix(context, "git@") || strings.HasPrefix(context, "github.com/")
}
