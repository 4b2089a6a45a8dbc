package docker

import (
	"context"
	"fmt"
	"io"
	"strings"
)

// SaveImages writes an archive.
func (e *Engine) SaveImages(ctx context.Context, refs []string, w io.Writer) error {
	fail := func(err error) error {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return fmt.Errorf("save images %s: %w", strings.Join(refs, ", "), trimmed(err))
	}
	// Asked one by one before: a missing one ends the archive in its middle, or is
	// an error without a class, as the engine's age has it.
	for _, ref := range refs {
		if _, err := e.Image(ctx, ref); err != nil {
			return err
		}
	}
	archive, err := e.api.ImageSave(ctx, refs)
	if err != nil {
		return fail(err)
	}
	defer archive.Close()
	if _, err := io.Copy(w, archive); err != nil {
		return fail(err)
	}
	return nil
}
