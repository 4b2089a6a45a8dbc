package image

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/state"
	"github.com/stackctl/stackctl/pkg/runner/support"
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

// caches gives the images that a build may take over layers from.
func caches(config *types.BuildConfig) []string {
	var out []string
	for _, entry := range config.CacheFrom {
		if ref, ok := support.CacheRef(entry, "registry"); ok {
			out = append(out, ref)
		}
	}
	return out
}

// arguments gives the arguments of a build. An inline cache is one of them: the
// API has no other word for it.
func arguments(config *types.BuildConfig) map[string]*string {
	inline := slices.ContainsFunc(config.CacheTo, func(entry string) bool {
		_, ok := support.CacheRef(entry, "inline")
		return ok
	})
	if _, set := config.Args[inlineCache]; !inline || set {
		return config.Args
	}
	args := maps.Clone(config.Args)
	if args == nil {
		args = types.MappingWithEquals{}
	}
	yes := "1"
	args[inlineCache] = &yes
	return args
}

// inlineCache is the argument that has BuildKit write its cache into the image.
const inlineCache = "BUILDKIT_INLINE_CACHE"

func ulimits(in map[string]*types.UlimitsConfig) []engine.Ulimit {
	var out []engine.Ulimit
	for _, name := range slices.Sorted(maps.Keys(in)) {
		if u := in[name]; u != nil {
			out = append(out, engine.Ulimit{
				Name: name, Soft: int64(cmp.Or(u.Soft, u.Single)), Hard: int64(cmp.Or(u.Hard, u.Single)),
			})
		}
	}
	return out
}

// agents gives the ssh agents of a build, by id.
func agents(keys types.SSHConfig) map[string]string {
	var out map[string]string
	for _, key := range keys {
		if out == nil {
			out = map[string]string{}
		}
		out[key.ID] = key.Path
	}
	return out
}

// secrets reads the secrets of a build.
func secrets(files []state.File) (map[string][]byte, error) {
	var out map[string][]byte
	for _, f := range files {
		content := []byte(f.Content)
		if f.Source != "" {
			var err error
			if content, err = os.ReadFile(f.Source); err != nil {
				return nil, fmt.Errorf("build secret %s: %w", f.Target, err)
			}
		}
		if out == nil {
			out = map[string][]byte{}
		}
		out[f.Target] = content
	}
	return out, nil
}
