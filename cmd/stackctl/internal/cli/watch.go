package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/stackctl/stackctl/pkg/runner"
	"github.com/stackctl/stackctl/pkg/runner/engine"
)

// watchStatus prints the status again whenever the engine tells of a change of
// one of the project's containers, and ends with ctx. On a terminal the table is
// drawn over the one before.
func (o *statusOptions) watchStatus(ctx context.Context, e engine.Engine, project string, look func() (runner.Status, error)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// Subscribed first, so that no change falls between.
	events, err := e.Events(ctx, project)
	if err != nil {
		return err
	}
	var (
		before []byte
		height int
	)
	for {
		status, err := look()
		if err != nil {
			return err
		}
		var now bytes.Buffer
		if err := o.printStatus(&now, status); err != nil {
			return err
		}
		if !bytes.Equal(now.Bytes(), before) {
			if err := o.redraw(now.String(), height); err != nil {
				return err
			}
			before, height = now.Bytes(), strings.Count(now.String(), "\n")
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
			return errors.New("watch the stack: the engine ended the event stream")
		case e.Err != nil:
			return fmt.Errorf("watch the stack: %w", e.Err)
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
