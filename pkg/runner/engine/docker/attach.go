package docker

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync/atomic"
	"syscall"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"

	"github.com/stackctl/stackctl/pkg/runner/engine"
)

// ExecAttached runs a command in a container with the caller's streams.
func (e *Engine) ExecAttached(ctx context.Context, name string, c engine.Command, s engine.Streams) (int, error) {
	fail := func(err error) (int, error) { return 0, detachedOr(ctx, "exec in", name, err) }
	bound, end := context.WithCancel(context.WithValue(ctx, bindConn{}, true))
	defer end()
	options := execOptions(c)
	options.AttachStdin, options.AttachStdout, options.AttachStderr = s.In != nil, true, true
	options.Tty, options.ConsoleSize = s.Terminal != nil, consoleSize(s.Terminal)
	created, err := e.api.ContainerExecCreate(ctx, name, options)
	if err != nil {
		return fail(err)
	}
	stream, err := e.api.ContainerExecAttach(bound, created.ID, container.ExecAttachOptions{
		Tty: options.Tty, ConsoleSize: options.ConsoleSize,
	})
	if err != nil {
		return fail(err)
	}
	defer stream.Close()
	resizing := e.followSize(bound, s.Terminal, func(ctx context.Context, o container.ResizeOptions) error {
		return e.api.ContainerExecResize(ctx, created.ID, o)
	})
	defer func() { end(); <-resizing }()
	if err := exchange(ctx, stream, s, options.Tty); err != nil {
		if !errors.Is(err, engine.ErrDetached) {
			return fail(err)
		}
		if state, inspectErr := e.api.ContainerExecInspect(ctx, created.ID); inspectErr != nil || state.Running {
			return fail(errors.Join(err, inspectErr))
		}
	}
	code, err := e.exitCode(ctx, created.ID)
	if err != nil {
		return fail(err)
	}
	return code, nil
}

// ExecDetached starts a command in a container. Its output goes nowhere.
func (e *Engine) ExecDetached(ctx context.Context, name string, c engine.Command) error {
	created, err := e.api.ContainerExecCreate(ctx, name, execOptions(c))
	if err == nil {
		err = e.api.ContainerExecStart(ctx, created.ID, container.ExecStartOptions{Detach: true})
	}
	return failed("exec in", "container", name, err)
}

func execOptions(c engine.Command) container.ExecOptions {
	return container.ExecOptions{
		Cmd: c.Args, User: c.User, WorkingDir: c.WorkingDir, Env: c.Env, Privileged: c.Privileged,
	}
}

// StartAttached starts a container with the caller's streams. It attaches and
// begins to wait before the start: a short run would otherwise be over by then.
func (e *Engine) StartAttached(ctx context.Context, name string, s engine.Streams, started func()) (int, error) {
	fail := func(action string, err error) (int, error) { return 0, detachedOr(ctx, action, name, err) }
	bound, end := context.WithCancel(context.WithValue(ctx, bindConn{}, true))
	defer end()
	look, err := e.api.ContainerInspect(ctx, name)
	if err != nil {
		return fail("inspect", err)
	}
	removes := look.ContainerJSONBase != nil && look.HostConfig != nil && look.HostConfig.AutoRemove
	tty := look.Config != nil && look.Config.Tty
	stream, err := e.api.ContainerAttach(bound, name, container.AttachOptions{
		Stream: true, Stdin: s.In != nil, Stdout: true, Stderr: true,
	})
	if err != nil {
		return fail("attach to", err)
	}
	defer stream.Close()
	waiting := e.waitEnd(bound, name, removes)
	if err := e.api.ContainerStart(ctx, name, container.StartOptions{}); err != nil {
		return fail("start", err)
	}
	if started != nil {
		started()
	}
	resizing := e.followSize(bound, s.Terminal, func(ctx context.Context, o container.ResizeOptions) error {
		return e.api.ContainerResize(ctx, name, o)
	})
	defer func() { end(); <-resizing }()
	if err := exchange(ctx, stream, s, tty); err != nil {
		if !errors.Is(err, engine.ErrDetached) {
			return fail("attach to", err)
		}
		look, inspectErr := e.api.ContainerInspect(ctx, name)
		switch {
		case errdefs.IsNotFound(inspectErr): // the engine has removed it
		case inspectErr != nil:
			return fail("inspect", inspectErr)
		case look.ContainerJSONBase != nil && look.State != nil && look.State.Running:
			return fail("attach to", err)
		}
	}
	result := <-waiting
	if result.err != nil {
		return fail("wait for", result.err)
	}
	return result.code, nil
}

// detachedOr says what failed, or plainly that the user let go.
func detachedOr(ctx context.Context, action, name string, err error) error {
	switch {
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case errors.Is(err, engine.ErrDetached):
		return engine.ErrDetached
	}
	return failed(action, "container", name, err)
}

type ended struct {
	code int
	err  error
}

// waitEnd waits for the next end of a container, with removed for its removal
// too. The engine waits when it returns.
func (e *Engine) waitEnd(ctx context.Context, name string, removed bool) <-chan ended {
	condition := container.WaitConditionNextExit
	if removed {
		condition = container.WaitConditionRemoved
	}
	out := make(chan ended, 1)
	results, errs := e.api.ContainerWait(ctx, name, condition)
	go func() {
		select {
		case r := <-results:
			end := ended{code: int(r.StatusCode)}
			if r.Error != nil && r.Error.Message != "" {
				end.err = errors.New(r.Error.Message)
			}
			out <- end
		case err := <-errs:
			out <- ended{err: err}
		}
	}()
	return out
}

// followSize gives the terminal of a command the caller's size, and each new one.
// A resize that fails is no failure of the command: it may have ended. The channel
// is closed when it has stopped, which it does with ctx.
func (e *Engine) followSize(ctx context.Context, t *engine.Terminal, resize func(context.Context, container.ResizeOptions) error) <-chan struct{} {
	done := make(chan struct{})
	if t == nil {
		close(done)
		return done
	}
	go func() {
		defer close(done)
		size, resized := t.Size, t.Resized
		for {
			if size.Rows > 0 && size.Columns > 0 {
				_ = resize(ctx, container.ResizeOptions{Height: uint(size.Rows), Width: uint(size.Columns)})
			}
			var open bool
			select {
			case <-ctx.Done():
				return
			case size, open = <-resized:
				if !open {
					return
				}
			}
		}
	}()
	return done
}

// consoleSize is the size that the command starts with; engines before API 1.42
// know it only after the first resize.
func consoleSize(t *engine.Terminal) *[2]uint {
	if t == nil || t.Size.Rows <= 0 || t.Size.Columns <= 0 {
		return nil
	}
	return &[2]uint{uint(t.Size.Rows), uint(t.Size.Columns)}
}

// exchange copies input to a command and its output back, until the output ends.
// The input's end closes one half of the connection. It is not waited for: whoever
// types has nothing more to say to a command that has ended.
func exchange(ctx context.Context, stream types.HijackedResponse, s engine.Streams, tty bool) error {
	var letGo atomic.Bool
	if s.In != nil {
		in := s.In
		if tty {
			in = &keyWatch{in: in}
		}
		go func() {
			// Another error is the command's end, which the output tells of, or one of
			// the input, after which nothing more comes.
			if _, err := io.Copy(stream.Conn, in); errors.Is(err, engine.ErrDetached) {
				letGo.Store(true)
				stream.Close()
				return
			}
			_ = stream.CloseWrite()
		}()
	}
	out, errOut := s.Out, s.Err
	if out == nil {
		out = io.Discard
	}
	if errOut == nil {
		errOut = io.Discard
	}
	var err error
	if tty {
		_, err = io.Copy(out, stream.Reader)
	} else {
		err = demultiplex(out, errOut, stream.Reader)
	}
	if s.In != nil && errors.Is(err, syscall.ECONNRESET) {
		// An end like any other, with input that nobody has read. Whether the command
		// has ended is asked for next.
		err = nil
	}
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case letGo.Load():
		return engine.ErrDetached
	}
	return err
}

// detachKeys are ctrl-p and ctrl-q, as for the docker command.
var detachKeys = []byte{16, 17}

// keyWatch ends with ErrDetached where the keys to let go come, which go no
// further: Docker 20.10 ends a command by them. The first of the two is held back
// until the next key tells what it means.
type keyWatch struct {
	in          io.Reader
	held, letGo bool
}

// Read needs room for two keys.
func (w *keyWatch) Read(p []byte) (int, error) {
	for {
		if w.letGo {
			return 0, engine.ErrDetached
		}
		start := 0
		if w.held {
			start = copy(p, detachKeys[:1])
			w.held = false
		}
		n, err := w.in.Read(p[start:])
		n += start
		if i := bytes.Index(p[:n], detachKeys); i >= 0 {
			w.letGo = true
			n, err = i, nil
		} else if err == nil && n > 0 && p[n-1] == detachKeys[0] {
			w.held = true
			n--
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// SignalContainer sends a signal to a container.
func (e *Engine) SignalContainer(ctx context.Context, name, signal string) error {
	return failed("signal", "container", name, e.api.ContainerKill(ctx, name, signal))
}
