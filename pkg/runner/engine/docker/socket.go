package docker

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/cli/cli/config/configfile"

	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// Where use_api_socket puts things in a container, as `docker run` does.
const (
	apiSocket      = "/var/run/docker.sock"
	socketConfig   = "/run/secrets/docker"
	configVariable = "DOCKER_CONFIG"
)

// withAPISocket gives a container the engine's socket, and the credentials that
// the client has for registries. The request is not changed.
func withAPISocket(c engine.CreateContainer, settings *configfile.ConfigFile) (engine.CreateContainer, error) {
	service := c.Spec.Config
	if !service.UseAPISocket {
		return c, nil
	}
	service.Volumes = append(slices.Clone(service.Volumes), types.ServiceVolumeConfig{
		Type: types.VolumeTypeBind, Source: apiSocket, Target: apiSocket,
	})
	credentials, err := settings.GetAllCredentials()
	if err != nil {
		return c, fmt.Errorf("use_api_socket: read the registries' credentials: %w", err)
	}
	var text strings.Builder
	if err := (&configfile.ConfigFile{AuthConfigs: credentials}).SaveToWriter(&text); err != nil {
		return c, fmt.Errorf("use_api_socket: write the registries' credentials: %w", err)
	}
	c.Spec.Files = append(slices.Clone(c.Spec.Files), state.File{
		Content: text.String(), Target: socketConfig + "/config.json",
	})
	// Whoever sets the variable has a configuration of his own.
	if _, set := service.Environment[configVariable]; !set {
		folder := socketConfig
		service.Environment = maps.Clone(service.Environment)
		if service.Environment == nil {
			service.Environment = types.MappingWithEquals{}
		}
		service.Environment[configVariable] = &folder
	}
	c.Spec.Config = service
	return c, nil
}
