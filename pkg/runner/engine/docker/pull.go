package docker

import (
	"context"
	"fmt"

	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/registry"

	"github.com/stackctl/stackctl/pkg/runner/engine"
)

// hubKey is the name of Docker Hub in config.json.
const hubKey = "https://index.docker.io/v1/"

// Pull fetches an image, with the credentials that `docker login` has stored.
func (e *Engine) Pull(ctx context.Context, ref, platform string, each func(engine.Progress)) error {
	fail := func(err error) error {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return failed("pull", "image", ref, err)
	}
	auth, err := e.registryAuth(ref)
	if err != nil {
		return fail(err)
	}
	body, err := e.api.ImagePull(ctx, ref, image.PullOptions{RegistryAuth: auth, Platform: platform})
	if err != nil {
		return fail(err)
	}
	defer body.Close()
	err = readMessages(body, func(m message) error {
		if each != nil {
			each(engine.Progress{ID: m.ID, Text: m.Status, Current: m.Progress.Current, Total: m.Progress.Total})
		}
		return nil
	})
	if err != nil {
		return fail(err)
	}
	return nil
}

// registryAuth gives the credentials for the registry of an image, as the API
// takes them; empty when there are none.
func (e *Engine) registryAuth(ref string) (string, error) {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return "", err
	}
	settings, err := e.settings()
	if err != nil {
		return "", err
	}
	key := reference.Domain(named)
	if key == "docker.io" {
		key = hubKey
	}
	stored, err := settings.GetAuthConfig(key)
	if err != nil {
		return "", fmt.Errorf("credentials for %s: %w", key, err)
	}
	auth := registry.AuthConfig(stored)
	if auth == (registry.AuthConfig{}) || auth == (registry.AuthConfig{ServerAddress: auth.ServerAddress}) {
		return "", nil
	}
	return registry.EncodeAuthConfig(auth)
}
