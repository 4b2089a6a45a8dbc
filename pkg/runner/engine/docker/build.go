package docker

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/build"

	"github.com/stackctl/stackctl/pkg/runner/engine"
)

// Build builds a Dockerfile.
//
// The context is the body of one request and BuildKit runs inside of the engine:
// every engine from 20.10 on takes that without a session, and RUN --mount=type=cache
// works. What needs a session does not: build secrets, ssh, and credentials of
// the client for a private base image.
func (e *Engine) Build(ctx context.Context, b engine.BuildRequest, each func(engine.Progress)) (string, error) {
	if each == nil {
		each = func(engine.Progress) {}
	}
	id, err := e.build(ctx, b, build.BuilderBuildKit, each)
	if errdefs.IsNotImplemented(err) {
		// An engine for Windows has the classic builder alone.
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
	source, err := openContext(b)
	if err != nil {
		return "", err
	}
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
	response, err := e.api.ImageBuild(ctx, body, build.ImageBuildOptions{
		Version:     builder,
		Dockerfile:  source.dockerfile,
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
	})
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	return readBuild(response.Body, each)
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
		return "", steps.explain(err)
	case id == "":
		return "", errors.New("the engine ended the build and named no image")
	}
	return id, nil
}
