package docker

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/registry"

	"github.com/stackctl/stackctl/pkg/runner/engine"
)

// hubKey is the name of Docker Hub in config.json.
const hubKey = "https://index.docker.io/v1/"

// Pull fetches an image, with the credentials that `docker login` has stored.
func (e *Engine) Pull(ctx context.Context, ref, platform string, each func(engine.Progress)) error {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return failed("pull", "image", ref, err)
	}
	fail := func(reason engine.PullReason, err error) error {
		if ctx.Err() != nil {
			return failed("pull", "image", ref, context.Cause(ctx))
		}
		return &engine.PullError{
			Image: ref, Registry: reference.Domain(named),
			Reason: cmp.Or(reason, pullReason(err)), Err: trimmed(err),
		}
	}
	auth, err := e.registryAuth(reference.Domain(named))
	if err != nil {
		return fail(engine.PullCredentials, err)
	}
	body, err := e.api.ImagePull(ctx, ref, image.PullOptions{RegistryAuth: auth, Platform: platform})
	if err != nil {
		return fail("", err)
	}
	defer body.Close()
	err = readMessages(body, func(m message) error {
		if each != nil {
			each(engine.Progress{
				ID: m.ID, Text: m.Status, Phase: layerPhases[m.Status],
				Current: m.Progress.Current, Total: m.Progress.Total,
			})
		}
		return nil
	})
	if err != nil {
		return fail("", err)
	}
	return nil
}

// layerPhases are the engine's words for where a layer stands. "Pulling from
// library/redis", which has the tag for its id, is none of them.
var layerPhases = map[string]engine.Phase{
	"Pulling fs layer":   engine.PhaseWaiting,
	"Waiting":            engine.PhaseWaiting,
	"Downloading":        engine.PhaseDownloading,
	"Verifying Checksum": engine.PhaseDownloaded,
	"Download complete":  engine.PhaseDownloaded,
	"Extracting":         engine.PhaseExtracting,
	"Pull complete":      engine.PhaseComplete,
	"Already exists":     engine.PhaseComplete,
}

// pullReason finds out why a registry gave nothing. The engine passes on what it
// has heard or met as one sentence, with the status 500 for most of it, so the
// sentence is all there is to go by.
func pullReason(err error) engine.PullReason {
	switch {
	case errdefs.IsNotFound(err):
		return engine.PullNotFound
	case errdefs.IsUnauthorized(err), errdefs.IsPermissionDenied(err):
		return engine.PullUnauthorized
	}
	for _, known := range []struct {
		words  string
		reason engine.PullReason
	}{
		{"no basic auth credentials", engine.PullUnauthorized},
		{"unauthorized", engine.PullUnauthorized},
		{"authentication required", engine.PullUnauthorized},
		{"denied", engine.PullUnauthorized},
		{"manifest unknown", engine.PullNotFound},
		{"no such host", engine.PullNoHost},
		{"server gave HTTP response to HTTPS client", engine.PullPlainHTTP},
		{"toomanyrequests", engine.PullLimited},
		{"connection refused", engine.PullNoAnswer},
		{"no route to host", engine.PullNoAnswer},
		{"network is unreachable", engine.PullNoAnswer},
		{"i/o timeout", engine.PullNoAnswer},
		{"TLS handshake timeout", engine.PullNoAnswer},
		{"Client.Timeout exceeded", engine.PullNoAnswer},
		{"server misbehaving", engine.PullNoHost},
		{"Temporary failure in name resolution", engine.PullNoHost},
	} {
		if strings.Contains(err.Error(), known.words) {
			return known.reason
		}
	}
	return engine.PullFailed
}

// registryAuth gives the credentials for a registry, as the API takes them; empty
// when there are none.
func (e *Engine) registryAuth(domain string) (string, error) {
	settings, err := e.settings()
	if err != nil {
		return "", err
	}
	key := domain
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
