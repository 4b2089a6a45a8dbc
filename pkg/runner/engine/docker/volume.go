package docker

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
)

// VolumeSizes asks for the disk usage. An engine before API 1.42 tells that of
// images and containers, too, whether one wants it or not.
func (e *Engine) VolumeSizes(ctx context.Context) (map[string]int64, error) {
	usage, err := e.api.DiskUsage(ctx, types.DiskUsageOptions{Types: []types.DiskUsageObject{types.VolumeObject}})
	if err != nil {
		return nil, failed("ask for", "disk usage of", e.endpoint.host, err)
	}
	out := map[string]int64{}
	for _, v := range usage.Volumes {
		if v != nil && v.UsageData != nil && v.UsageData.Size >= 0 {
			out[v.Name] = v.UsageData.Size
		}
	}
	return out, nil
}

// ReadFolder reads an archive.
func (e *Engine) ReadFolder(ctx context.Context, name, folder string, w io.Writer) error {
	// With a dot at its end the names in the archive begin with "./".
	archive, _, err := e.api.CopyFromContainer(ctx, name, path.Clean(folder)+"/.")
	if err != nil {
		return failed("read folder "+folder+" of", "container", e.containerName(ctx, name, err), err)
	}
	defer archive.Close()
	out := &lastError{w: w}
	if _, err := io.Copy(out, archive); err != nil {
		switch {
		case out.err != nil:
			return out.err
		case ctx.Err() != nil:
			err = context.Cause(ctx)
		}
		return failed("read folder "+folder+" of", "container", e.containerName(ctx, name, err), err)
	}
	return nil
}

// lastError keeps the error of a writer, to tell it from one of the reader.
type lastError struct {
	w   io.Writer
	err error
}

func (l *lastError) Write(p []byte) (int, error) {
	n, err := l.w.Write(p)
	if err != nil {
		l.err = err
	}
	return n, err
}

// WriteFolder unpacks an archive from the folder's parent on: an engine leaves the
// owner and mode of the folder itself alone, which is "./" there.
func (e *Engine) WriteFolder(ctx context.Context, name, folder string, archive io.Reader) error {
	renamed, w := io.Pipe()
	var broken error
	done := make(chan struct{})
	go func() {
		defer close(done)
		broken = moveInto(path.Base(folder), archive, w)
		_ = w.CloseWithError(broken) // never fails
	}()
	err := e.api.CopyToContainer(ctx, name, path.Dir(folder), renamed, container.CopyToContainerOptions{})
	_ = renamed.CloseWithError(errWritten) // never fails
	<-done
	switch {
	case ctx.Err() != nil && err != nil:
		err = context.Cause(ctx)
	// A client that is cut short, or answered before the end, closes the pipe: why is
	// in its own error.
	case broken != nil && !errors.Is(broken, errWritten) && !errors.Is(broken, io.ErrClosedPipe):
		err = broken // which is why the engine got no more
	}
	return failed("write folder "+folder+" of", "container", e.containerName(ctx, name, err), err)
}

// errWritten ends the making of an archive that the engine reads no further.
var errWritten = errors.New("the engine reads no further")

// moveInto puts all that is in an archive below a folder.
func moveInto(folder string, from io.Reader, to io.Writer) error {
	in, out := tar.NewReader(from), tar.NewWriter(to)
	for {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("archive: %w", err)
		}
		header.Name = below(folder, header.Name)
		if header.Typeflag == tar.TypeLink {
			header.Linkname = below(folder, header.Linkname)
		}
		header.Format = tar.FormatPAX // whatever form the longer name fits into
		if err := out.WriteHeader(header); err != nil {
			return err
		}
		if _, err := io.Copy(out, in); err != nil {
			return err
		}
	}
	return out.Close()
}

// below gives a name of an archive as it is from the folder's parent; a folder's
// own slash at its end stays.
func below(folder, name string) string {
	moved := path.Join(folder, name)
	if strings.HasSuffix(name, "/") {
		moved += "/"
	}
	return moved
}
