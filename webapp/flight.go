package main

import (
	"context"

	"golang.org/x/sync/singleflight"
)

// flights joins callers that ask for the same thing at the same time into one
// call. The call belongs to no single caller: it lives as long as the app, so
// a caller that goes away takes nothing from the others.
type flights struct {
	group singleflight.Group
	life  context.Context // ends when the app closes
}

// do runs call once for all that ask for key at the moment, and gives up
// waiting, without ending the call, when ctx ends. call sets its own deadlines.
func (f *flights) do(ctx context.Context, key string, call func(ctx context.Context) (any, error)) (any, error) {
	done := f.group.DoChan(key, func() (any, error) { return call(f.life) })
	select {
	case result := <-done:
		return result.Val, result.Err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// forget makes the next caller start a call of its own rather than join one
// that may have read what has changed since.
func (f *flights) forget(key string) { f.group.Forget(key) }
