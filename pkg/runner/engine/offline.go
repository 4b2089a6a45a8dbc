package engine

import (
	"context"
	"errors"
)

// Offline gives the same engine, but one that asks no registry for anything:
// every pull fails, and builds do not ask whether there are newer base images. A
// build whose base image is missing would still have the engine ask, so that is
// for the caller to look up before.
func Offline(e Engine) Engine { return offline{e} }

type offline struct{ Engine }

var errOffline = errors.New("no registry may be asked")

// Pull implements Streamer.
func (offline) Pull(_ context.Context, ref, _ string, _ func(Progress)) error {
	return &PullError{Image: ref, Reason: PullOffline, Err: errOffline}
}

// Build implements Streamer.
func (o offline) Build(ctx context.Context, b BuildRequest, each func(Progress)) (string, error) {
	b.Pull = false
	return o.Engine.Build(ctx, b, each)
}
