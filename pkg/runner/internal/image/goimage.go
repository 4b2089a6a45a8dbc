package image

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"sync"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// nonRoot is the user of the image, a number because there is no /etc/passwd. It
// is the one that distroless images call nonroot.
const nonRoot = "65532:65532"

// makeGo makes an image of a Go package's binary.
func (b *Builder) makeGo(ctx context.Context, r Request, t *toolchain, pkg string, p target, tags []string, each func(engine.Progress)) (Result, error) {
	if err := p.check(); err != nil {
		return Result{}, err
	}
	program, err := programName(r.Service.Build.Context, pkg)
	if err != nil {
		return Result{}, err
	}
	config := configOf(r, program)
	past := b.recall(ctx, t, program)
	if past.Layer != "" && !r.Service.Build.NoCache {
		_, digest, err := describe(past.Layer, p, config)
		if err != nil {
			return Result{}, fmt.Errorf("image of %s: %w", pkg, err)
		}
		if id, err := b.current(ctx, tags, digest); err != nil || id != "" {
			return Result{ImageID: id, How: HowGo}, err
		}
	}
	binary, err := t.compile(ctx, pkg, each)
	if err != nil {
		return Result{}, err
	}
	image, err := assemble(program, binary, p, config)
	if err != nil {
		return Result{}, fmt.Errorf("image of %s: %w", pkg, err)
	}
	var beside sync.WaitGroup // the engine takes longer to load
	beside.Go(func() { past.remember(ctx, image.diffID) })
	defer beside.Wait()
	id, err := b.current(ctx, tags, image.digest)
	if err != nil {
		return Result{}, err
	}
	if id != "" {
		return Result{ImageID: id, How: HowGo}, nil
	}
	each(engine.Progress{Text: "loading the image", Total: int64(len(binary))})
	if id, err = b.load(ctx, image, tags); err != nil {
		return Result{}, err
	}
	return Result{ImageID: id, Changed: true, How: HowGo}, nil
}

// programName is what the binary is called: the last element of the package's
// path.
func programName(dir, pkg string) (string, error) {
	full, err := filepath.Abs(filepath.Join(dir, pkg))
	if err != nil {
		return "", err
	}
	return filepath.Base(full), nil
}

// configOf gives what a container of the image runs.
func configOf(r Request, program string) ocispec.ImageConfig {
	config := ocispec.ImageConfig{
		Entrypoint: []string{"/" + program},
		User:       nonRoot,
		WorkingDir: "/",
		StopSignal: "SIGTERM",
		Labels:     labelsOf(r),
	}
	if len(r.Service.Ports) > 0 {
		config.ExposedPorts = map[string]struct{}{}
		for _, port := range r.Service.Ports {
			config.ExposedPorts[exposed(port)] = struct{}{}
		}
	}
	return config
}

func exposed(p types.ServicePortConfig) string {
	protocol := p.Protocol
	if protocol == "" {
		protocol = "tcp"
	}
	return fmt.Sprintf("%d/%s", p.Target, protocol)
}

// current gives the id of the engine's image when every tag has that content
// already; empty when one has not.
func (b *Builder) current(ctx context.Context, tags []string, digest string) (string, error) {
	var id string
	for _, tag := range tags {
		there, err := b.Engine.Image(ctx, tag)
		switch {
		case errdefs.IsNotFound(err):
			return "", nil
		case err != nil:
			return "", err
		case there.Labels[state.LabelBuild] != digest:
			return "", nil
		}
		id = there.ID
	}
	return id, nil
}

// load sends the image to the engine.
func (b *Builder) load(ctx context.Context, image archive, tags []string) (string, error) {
	reader, writer := io.Pipe()
	written := make(chan struct{})
	go func() {
		defer close(written)
		writer.CloseWithError(image.write(writer, tags))
	}()
	id, err := b.Engine.LoadImage(ctx, reader)
	_ = reader.Close()
	<-written
	return id, err
}
