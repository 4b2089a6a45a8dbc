package enginetest

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// FillVolume puts files into a volume, by name; none empty it.
func (e *Engine) FillVolume(volume string, files map[string]string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.contents, volume)
	if len(files) > 0 {
		e.contents[volume] = pack(files)
	}
}

// pack makes an archive of files, as an engine does of a folder.
func pack(files map[string]string) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	// Writing to memory does not fail.
	_ = w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "./", Mode: 0o755})
	for _, name := range slices.Sorted(maps.Keys(files)) {
		_ = w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "./" + name, Mode: 0o644, Size: int64(len(files[name]))})
		_, _ = io.WriteString(w, files[name])
	}
	_ = w.Close()
	return b.Bytes()
}

// VolumeContents gives the files that a volume holds, by name.
func (e *Engine) VolumeContents(volume string) map[string]string {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := map[string]string{}
	for r := tar.NewReader(bytes.NewReader(e.contents[volume])); ; {
		header, err := r.Next()
		if err != nil {
			return out
		}
		if header.Typeflag == tar.TypeReg {
			content, _ := io.ReadAll(r) // from memory
			out[strings.TrimPrefix(header.Name, "./")] = string(content)
		}
	}
}

// VolumeSizes implements engine.Observer: a volume has the size of its archive.
func (e *Engine) VolumeSizes(ctx context.Context) (map[string]int64, error) {
	if err := e.begin(ctx, "VolumeSizes", ""); err != nil {
		return nil, err
	}
	defer e.mu.Unlock()
	out := map[string]int64{}
	for name := range e.volumes {
		out[name] = int64(len(e.contents[name]))
	}
	return out, nil
}

// mounted gives the volume that a container has at a folder.
func (e *Engine) mounted(ref, folder string) (string, error) {
	c, err := e.find(ref)
	if err != nil {
		return "", err
	}
	for _, m := range c.Mounts {
		if m.Target == folder && m.Name != "" {
			return m.Name, nil
		}
	}
	return "", notFound("folder", folder)
}

// ReadFolder implements engine.Streamer, for folders that are volumes.
func (e *Engine) ReadFolder(ctx context.Context, ref, folder string, w io.Writer) error {
	if err := e.begin(ctx, "ReadFolder", e.nameOf(ref)+" "+folder); err != nil {
		return err
	}
	volume, err := e.mounted(ref, folder)
	content := e.contents[volume]
	e.mu.Unlock()
	if err != nil {
		return err
	}
	if content == nil {
		content = pack(nil)
	}
	for len(content) > 0 { // in pieces, as they come from an engine
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n := min(len(content), 512)
		if _, err := w.Write(content[:n]); err != nil {
			return err
		}
		content = content[n:]
	}
	return nil
}

// WriteFolder implements engine.Streamer, for folders that are volumes. What came
// before an error stays.
func (e *Engine) WriteFolder(ctx context.Context, ref, folder string, archive io.Reader) error {
	content, err := io.ReadAll(archive)
	if err != nil {
		return fmt.Errorf("write folder %s: %w", folder, err)
	}
	e.mu.Lock()
	volume, mountErr := e.mounted(ref, folder)
	if mountErr == nil {
		e.contents[volume] = content[:len(content)/2]
	}
	e.mu.Unlock()
	if mountErr != nil {
		return mountErr
	}
	if err := e.begin(ctx, "WriteFolder", e.nameOf(ref)+" "+folder); err != nil {
		return err
	}
	defer e.mu.Unlock()
	if ctx.Err() != nil { // it ended while a test held the call up
		return context.Cause(ctx)
	}
	e.contents[volume] = content
	return nil
}
