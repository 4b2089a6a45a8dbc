package executor

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/stackctl/stackctl/pkg/runner/event"
	"github.com/stackctl/stackctl/pkg/runner/plan"
)

// execLoad brings an image in from the archive.
func (r *run) execLoad(ctx context.Context, n plan.Node, op plan.LoadImage) error {
	archive, size, err := r.Archive.Image(op.Image)
	if err != nil {
		return fmt.Errorf("load image %q: %w", op.Image, err)
	}
	defer archive.Close()
	counted := &counter{Reader: archive, now: r.Now, tell: func(read int64) {
		r.emit(n, event.Event{Kind: event.Progress, Current: read, Total: size})
	}}
	if _, err := r.Engine.LoadImage(ctx, counted); err != nil {
		return fmt.Errorf("image %q: %w", op.Image, err)
	}
	return r.lookUpImage(ctx, op.Image)
}

// counter tells how much of a reader has been read, now and then.
type counter struct {
	io.Reader
	now  func() time.Time
	tell func(read int64)
	read int64
	told time.Time
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.read += int64(n)
	if now := c.now(); n > 0 && now.Sub(c.told) >= progressPause {
		c.told = now
		c.tell(c.read)
	}
	return n, err
}
