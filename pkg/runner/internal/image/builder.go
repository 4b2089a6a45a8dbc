// Package image builds the images of services.
package image

import (
	"context"
	"errors"

	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// Mode says what builds images.
type Mode string

// The modes.
const (
	Auto   Mode = "auto"
	Go     Mode = "go"
	Engine Mode = "engine"
)

// Builder builds images of services. (Skeleton with the shape that pkg/runner uses.)
type Builder struct {
	Engine   engine.Engine
	Mode     Mode
	OS, Arch string
}

// Build leaves the image on the engine under s.Image.
func (b *Builder) Build(ctx context.Context, project string, s *state.ServiceSpec, each func(engine.Progress)) (note string, err error) {
	return "", errors.New("no builder yet")
}
