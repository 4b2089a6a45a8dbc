package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/stackctl/stackctl/pkg/runner"
	"github.com/stackctl/stackctl/pkg/runner/engine"
)

// retryPause is the time between two tries to reach an engine that is away.
const retryPause = 500 * time.Millisecond

// watchStatus prints the status again whenever the engine tells of a change of
// one of the project's containers, and ends with ctx. On a terminal the table is
// drawn over the one before. An engine that goes away is waited for: all that is
// shown comes from it anew, so nothing is missed.
func (o *statusOptions) watchStatus(ctx context.Context, e engine.Engine, project string, look func() (runner.Status, error)) error {
	w := &statusWatch{statusOptions: o, look: look}
	for {
		err := w.watch(ctx, e, project)
		if ctx.Err() != nil || !isAway(err) {
			return err
		}
		if !w.away {
			w.away = true
			w.before, w.height = nil, 0 // what comes is not drawn over the warning
			o.warn(err.Error() + "; waiting for it")
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(retryPause):
		}
	}
}

// isAway says that there is no engine to ask, now.
func isAway(err error) bool {
	var (
		unreachable *engine.UnreachableError
		lost        *engine.LostError
	)
	return errors.As(err, &unreachable) || errors.As(err, &lost)
}

// statusWatch is what is on the screen.
type statusWatch struct {
	*statusOptions
	look   func() (runner.Status, error)
	before []byte
	height int
	// away says that the engine did not answer when it was asked last.
	away bool
}

// watch prints the status with every change, until the engine's events end.
func (w *statusWatch) watch(ctx context.Context, e engine.Engine, project string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// Subscribed first, so that no change falls between.
	events, err := e.Events(ctx, project)
	if err != nil {
		return err
	}
	for {
		status, err := w.look()
		if err != nil {
			return err
		}
		w.away = false
		var now bytes.Buffer
		if err := w.printStatus(&now, status); err != nil {
			return err
		}
		if !bytes.Equal(now.Bytes(), w.before) {
			if err := w.redraw(now.String(), w.height); err != nil {
				return err
			}
			w.before, w.height = now.Bytes(), strings.Count(now.String(), "\n")
		}
		if err := nextChange(ctx, events); err != nil {
			return err
		}
	}
}

// redraw prints a new table, on a terminal in place of the last one.
func (o *statusOptions) redraw(text string, height int) error {
	switch {
	case height == 0 || o.format != formatTable:
	case o.app.OutTTY && !o.isDumb():
		text = fmt.Sprintf("\r\x1b[%dA", height) + strings.ReplaceAll(text, "\n", "\x1b[K\n") + "\x1b[J"
	default:
		text = "\n" + text
	}
	_, err := io.WriteString(o.app.Out, text)
	return err
}

// nextChange waits for an event, and takes those that came with it.
func nextChange(ctx context.Context, events <-chan engine.Event) error {
	take := func(e engine.Event, open bool) error {
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !open:
			return &engine.LostError{Err: io.ErrUnexpectedEOF}
		case e.Err != nil:
			return e.Err
		}
		return nil
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case e, open := <-events:
		if err := take(e, open); err != nil {
			return err
		}
	}
	for {
		select {
		case e, open := <-events:
			if err := take(e, open); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}
