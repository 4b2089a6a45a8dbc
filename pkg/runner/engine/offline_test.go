package engine_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stackctl/stackctl/pkg/runner/engine"
)

// registryUser is an engine that notes whether it was to ask a registry.
type registryUser struct {
	engine.Engine
	pulled, builtWithPull bool
}

func (r *registryUser) Pull(context.Context, string, string, func(engine.Progress)) error {
	r.pulled = true
	return nil
}

func (r *registryUser) Build(_ context.Context, b engine.BuildRequest, _ func(engine.Progress)) (string, error) {
	r.builtWithPull = b.Pull
	return "sha256:1", nil
}

func TestOffline(t *testing.T) {
	behind := &registryUser{}
	e := engine.Offline(behind)
	err := e.Pull(t.Context(), "redis:7", "", nil)
	var pull *engine.PullError
	if !errors.As(err, &pull) || pull.Reason != engine.PullOffline || behind.pulled {
		t.Errorf("pull: error %v, asked %v", err, behind.pulled)
	}
	if id, err := e.Build(t.Context(), engine.BuildRequest{Pull: true}, nil); id == "" || err != nil || behind.builtWithPull {
		t.Errorf("build: %q, %v, asked %v", id, err, behind.builtWithPull)
	}
}
