package cli

import (
	"fmt"

	"github.com/stackctl/stackctl/pkg/runner/engine"
)

// commandStreams are the user's streams for a command in a container: with a
// terminal when input and output both are one and it is wanted.
func (a *App) commandStreams(terminal, input bool) engine.Streams {
	s := engine.Streams{Out: a.Out, Err: a.Err}
	if input {
		s.In = a.In
	}
	if terminal && input && a.InTTY && a.OutTTY {
		s.Terminal = &engine.Terminal{}
	}
	return s
}

// lendTerminal gives the user's terminal to a command, until release is called:
// its keys as they are, and its size with every change. Without a terminal it does
// nothing.
func (a *App) lendTerminal(t *engine.Terminal) (release func(), err error) {
	if t == nil {
		return func() {}, nil
	}
	restore, stop := func() {}, func() {}
	if a.Raw != nil {
		if restore, err = a.Raw(); err != nil {
			return nil, fmt.Errorf("put the terminal into raw mode: %w", err)
		}
	}
	t.Size = a.terminalSize()
	if a.Resizes != nil {
		var changes <-chan struct{}
		changes, stop = a.Resizes()
		t.Resized = a.followSize(changes)
	}
	return func() {
		stop()
		restore()
	}, nil
}

func (a *App) terminalSize() engine.Size {
	if a.Size == nil {
		return engine.Size{}
	}
	columns, rows := a.Size()
	return engine.Size{Columns: columns, Rows: rows}
}

// followSize gives the terminal's size after each change, the last one where there
// were several. It ends with the changes.
func (a *App) followSize(changes <-chan struct{}) <-chan engine.Size {
	sizes := make(chan engine.Size, 1)
	go func() {
		for range changes {
			select {
			case <-sizes: // nobody has taken it, and it is out of date
			default:
			}
			sizes <- a.terminalSize()
		}
	}()
	return sizes
}
