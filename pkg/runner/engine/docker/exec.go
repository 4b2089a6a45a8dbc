package docker

import (
	"context"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/stackctl/stackctl/pkg/runner/engine"
)

// Exec runs a command in a container. When ctx ends, Exec returns at once; the
// command itself goes on, for the engine has no call to end it.
func (e *Engine) Exec(ctx context.Context, name string, c engine.Command) (engine.ExecResult, error) {
	fail := func(err error) (engine.ExecResult, error) {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return engine.ExecResult{}, failed("exec in", "container", name, err)
	}
	// Ending this context closes the connection, whatever it waits for.
	bound, end := context.WithCancel(context.WithValue(ctx, bindConn{}, true))
	defer end()
	options := execOptions(c)
	options.AttachStdout, options.AttachStderr = true, true
	created, err := e.api.ContainerExecCreate(ctx, name, options)
	if err != nil {
		return fail(err)
	}
	stream, err := e.api.ContainerExecAttach(bound, created.ID, container.ExecAttachOptions{})
	if err != nil {
		return fail(err)
	}
	defer stream.Close()
	var out bounded
	if err := demultiplex(&out, &out, stream.Reader); err != nil || ctx.Err() != nil {
		return fail(err)
	}
	code, err := e.exitCode(ctx, created.ID)
	if err != nil {
		return fail(err)
	}
	return engine.ExecResult{ExitCode: code, Output: cut(out.String())}, nil
}

// exitCode waits for the end of an exec. Its output ends first, so the engine
// may still call it running, with an exit code of 0.
func (e *Engine) exitCode(ctx context.Context, exec string) (int, error) {
	pause := time.Millisecond
	for {
		state, err := e.api.ContainerExecInspect(ctx, exec)
		if err != nil {
			return 0, err
		}
		if !state.Running {
			return state.ExitCode, nil
		}
		select {
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-time.After(pause):
		}
		pause = min(2*pause, 100*time.Millisecond)
	}
}

// bounded keeps the beginning of what is written to it and takes the rest in
// silence, so that the writer is never blocked.
type bounded struct {
	strings.Builder
}

func (b *bounded) Write(p []byte) (int, error) {
	if free := outputLimit - b.Len(); free > 0 {
		b.Builder.Write(p[:min(free, len(p))])
	}
	return len(p), nil
}
