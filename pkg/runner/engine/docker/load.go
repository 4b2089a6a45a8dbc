package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/docker/docker/client"
)

// LoadImage loads an archive. The engine's answer is a sentence for people, the
// only place where it names what it loaded.
func (e *Engine) LoadImage(ctx context.Context, archive io.Reader) (string, error) {
	fail := func(err error) (string, error) {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return "", fmt.Errorf("load image: %w", trimmed(err))
	}
	response, err := e.api.ImageLoad(ctx, archive, client.ImageLoadWithQuiet(true))
	if err != nil {
		return fail(err)
	}
	defer response.Body.Close()
	var loaded string
	err = readMessages(response.Body, func(m message) error {
		for line := range strings.Lines(m.Stream) {
			if name, found := strings.CutPrefix(strings.TrimSpace(line), "Loaded image ID: "); found {
				loaded = name
			} else if name, found := strings.CutPrefix(strings.TrimSpace(line), "Loaded image: "); found {
				loaded = name
			}
		}
		return nil
	})
	switch {
	case err != nil:
		return fail(err)
	case loaded == "":
		return fail(errors.New("the engine does not say what it loaded"))
	}
	image, err := e.Image(ctx, loaded)
	if err != nil {
		return fail(err)
	}
	return image.ID, nil
}
