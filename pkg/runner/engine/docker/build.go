package docker

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/cli/cli/config/configfile"
	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/container"

	"github.com/stackctl/stackctl/pkg/runner/engine"
)

// Build builds a Dockerfile.
//
// The context is the body of one request and BuildKit runs inside of the engine:
// every engine from 20.10 on takes that without a session, and RUN --mount=type=cache
// works. A session is opened for what BuildKit has to ask for: secrets, ssh
// agents, and the credentials of the client for a private base image.
func (e *Engine) Build(ctx context.Context, b engine.BuildRequest, each func(engine.Progress)) (string, error) {
	if each == nil {
		each = func(engine.Progress) {}
	}
	id, err := e.build(ctx, b, build.BuilderBuildKit, each)
	// An engine for Windows has the classic builder alone, which asks for nothing.
	if errdefs.IsNotImplemented(err) && len(b.Secrets)+len(b.Agents) == 0 {
		id, err = e.build(ctx, b, build.BuilderV1, each)
	}
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return "", failed("build", "image", strings.Join(b.Tags, ", "), err)
	}
	return id, nil
}

func (e *Engine) build(ctx context.Context, b engine.BuildRequest, builder build.BuilderVersion, each func(engine.Progress)) (string, error) {
	settings, err := e.settings()
	if err != nil {
		return "", err
	}
	options := build.ImageBuildOptions{
		Version:     builder,
		Tags:        b.Tags,
		Labels:      b.Labels,
		BuildArgs:   settings.ParseProxyConfig(e.endpoint.host, withValues(b.Args)),
		Target:      b.Target,
		Platform:    b.Platform,
		NetworkMode: b.Network,
		ExtraHosts:  b.ExtraHosts,
		NoCache:     b.NoCache,
		PullParent:  b.Pull,
		Remove:      true,
		ForceRemove: true,
		CacheFrom:   b.CacheFrom,
		ShmSize:     b.ShmSize,
		Isolation:   container.Isolation(b.Isolation),
	}
	for _, u := range b.Ulimits {
		options.Ulimits = append(options.Ulimits, &container.Ulimit{Name: u.Name, Soft: u.Soft, Hard: u.Hard})
	}
	var archive io.Reader
	if b.Remote() {
		if b.Inline != "" {
			return "", fmt.Errorf("build context %s is not on this machine, and an inline Dockerfile is sent with a folder: put the Dockerfile there", b.Context)
		}
		options.RemoteContext, options.Dockerfile = b.Context, b.Dockerfile
	} else {
		source, err := openContext(b)
		if err != nil {
			return "", err
		}
		options.Dockerfile = source.dockerfile
		body, writer := io.Pipe()
		packed := make(chan struct{})
		go func() {
			defer close(packed)
			writer.CloseWithError(source.pack(ctx, writer))
		}()
		// The engine may answer before it has read all; packing must end then too.
		defer func() {
			_ = body.Close()
			<-packed
		}()
		archive = body
	}
	if builder == build.BuilderBuildKit {
		session, err := e.buildSession(ctx, b, settings)
		if err != nil {
			return "", err
		}
		if session != nil {
			defer session.close()
			options.SessionID = session.id
		}
	}
	response, err := e.api.ImageBuild(ctx, archive, options)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	return readBuild(response.Body, each)
}

// buildSession opens the session that a build needs; nil when it needs none. That
// for credentials alone is no condition: an engine that takes no sessions builds
// all the same from what anybody may pull.
func (e *Engine) buildSession(ctx context.Context, b engine.BuildRequest, settings *configfile.ConfigFile) (*session, error) {
	agents, err := e.agents(b.Agents)
	if err != nil {
		return nil, err
	}
	needed := len(b.Secrets)+len(agents) > 0
	if !needed && !settings.ContainsAuth() {
		return nil, nil
	}
	session, err := e.openSession(ctx, services{
		secrets: b.Secrets, agents: agents,
		credentials: func(host string) (user, secret string, err error) { return registryLogin(settings, host) },
	})
	if err != nil && !needed && ctx.Err() == nil {
		return nil, nil
	}
	return session, err
}

// agents finds the sockets of ssh agents; that of an empty path is the user's own.
func (e *Engine) agents(wanted map[string]string) (map[string]string, error) {
	out := map[string]string{}
	for id, socket := range wanted {
		if socket == "" {
			socket = e.agent
		}
		if socket == "" {
			return nil, fmt.Errorf("build.ssh %s: no ssh agent runs: start one, add the key with ssh-add, and let SSH_AUTH_SOCK name it", id)
		}
		info, err := os.Stat(socket)
		if err != nil {
			return nil, fmt.Errorf("build.ssh %s: %w", id, err)
		}
		if info.Mode()&fs.ModeSocket == 0 {
			return nil, fmt.Errorf("build.ssh %s: %s is not the socket of an ssh agent: stackctl reads no keys; add it to an agent with ssh-add", id, socket)
		}
		out[id] = socket
	}
	return out, nil
}

// registryLogin gives the stored user and password for the host of a registry, as
// BuildKit names it; empty when there are none.
func registryLogin(settings *configfile.ConfigFile, host string) (user, secret string, err error) {
	if host == "registry-1.docker.io" || host == "docker.io" {
		host = hubKey
	}
	auth, err := settings.GetAuthConfig(host)
	if err != nil {
		return "", "", fmt.Errorf("credentials for %s: %w", host, err)
	}
	if auth.IdentityToken != "" {
		return "", auth.IdentityToken, nil
	}
	return auth.Username, auth.Password, nil
}

// withValues leaves the arguments out that have no value.
func withValues(args map[string]*string) map[string]*string {
	out := map[string]*string{}
	for name, value := range args {
		if value != nil {
			out[name] = value
		}
	}
	return out
}

// readBuild reads the answer of either builder.
func readBuild(r io.Reader, each func(engine.Progress)) (string, error) {
	var id string
	steps := newSteps(each)
	err := readMessages(r, func(m message) error {
		switch {
		case m.ID == traceID:
			var record []byte // base64 in JSON
			if err := json.Unmarshal(m.Aux, &record); err != nil {
				return fmt.Errorf("read the build's progress: %w", err)
			}
			return steps.trace(record)
		case len(m.Aux) > 0:
			// {"ID": "sha256:..."} of BuildKit (as moby.image.id) or the classic builder.
			var result struct{ ID string }
			if err := json.Unmarshal(m.Aux, &result); err == nil {
				id = cmp.Or(result.ID, id)
			}
		case m.Stream != "":
			steps.classic(m.Stream)
		case m.Status != "":
			each(engine.Progress{ID: m.ID, Text: m.Status, Current: m.Progress.Current, Total: m.Progress.Total})
		}
		return nil
	})
	switch {
	case err != nil:
		return "", classified(steps.explain(err))
	case id == "":
		return "", errors.New("the engine ended the build and named no image")
	}
	return id, nil
}
