package bundle

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
)

// largestFile bounds what is read into memory of a bundle's own entries.
const largestFile = 64 << 20

// Bundle is a bundle in a file. Its methods may be called by many goroutines.
type Bundle struct {
	Manifest
	// Files are the compose text and what the stack refers to, sorted.
	Files []File

	path    string
	entries map[string]entry
	list    []saved
	sums    map[string]string
}

// entry is where an entry's content is in the file.
type entry struct{ offset, size int64 }

// Open reads what is in a bundle, less the images' content, and checks that the
// file is whole. The error is a *DamagedError, or that the file cannot be read.
func Open(name string) (*Bundle, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	b := &Bundle{path: name, entries: map[string]entry{}}
	if err := b.read(file); err != nil {
		return nil, err
	}
	return b, nil
}

func (b *Bundle) damaged(why string, err error) error {
	return &DamagedError{Path: b.path, Why: why, Err: err}
}

const (
	notOne   = "it is no bundle of stackctl"
	cutShort = "it is damaged or was cut short"
)

func (b *Bundle) read(file *os.File) error {
	in := tar.NewReader(file)
	for first := true; ; first = false {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil && first {
			return b.damaged(notOne, err)
		}
		if err != nil {
			return b.damaged(cutShort, err)
		}
		if first && h.Name != manifestEntry {
			return b.damaged(notOne, nil)
		}
		// The reader takes headers only from the file, and jumps over contents.
		offset, err := file.Seek(0, io.SeekCurrent)
		if err != nil {
			return fmt.Errorf("read bundle: %w", err)
		}
		if _, twice := b.entries[h.Name]; twice { // one would be read, and the other one verified
			return b.damaged(fmt.Sprintf("it holds %s twice", h.Name), nil)
		}
		b.entries[h.Name] = entry{offset: offset, size: h.Size}
		if err := b.readOwn(h, in); err != nil {
			return err
		}
	}
	if b.sums == nil {
		return b.damaged(cutShort, errors.New("its end is missing"))
	}
	return b.check(file)
}

// readOwn reads an entry of the bundle's own.
func (b *Bundle) readOwn(h *tar.Header, in io.Reader) error {
	if h.Name != imagesEntry && !strings.HasPrefix(h.Name, folder) {
		return nil
	}
	if h.Size > largestFile {
		return b.damaged(h.Name+" is too large", nil)
	}
	content, err := io.ReadAll(in)
	if err != nil {
		return b.damaged(cutShort, err)
	}
	var into any
	switch h.Name {
	case manifestEntry:
		into = &b.Manifest
	case imagesEntry:
		into = &b.list
	case sumsEntry:
		into = &b.sums
	default:
		name := strings.TrimPrefix(h.Name, folder)
		if path.Clean(name) != name || strings.HasPrefix(name, "../") || path.IsAbs(name) || strings.Contains(name, `\`) {
			return b.damaged(fmt.Sprintf("%q is no name for an entry", h.Name), nil)
		}
		b.Files = append(b.Files, File{Name: name, Mode: os.FileMode(h.Mode).Perm(), Content: content})
		return nil
	}
	if err := json.Unmarshal(content, into); err != nil {
		return b.damaged(cutShort, fmt.Errorf("%s: %w", h.Name, err))
	}
	if h.Name == manifestEntry && b.Version != Version {
		return b.damaged(fmt.Sprintf("its form is version %d, and this stackctl reads version %d", b.Version, Version), nil)
	}
	return nil
}

// check looks at everything but the images' content.
func (b *Bundle) check(file *os.File) error {
	own := []string{manifestEntry, imagesEntry}
	for _, f := range b.Files {
		own = append(own, folder+f.Name)
	}
	for _, name := range own {
		if err := b.verify(file, name); err != nil {
			return err
		}
	}
	if !slices.ContainsFunc(b.Files, func(f File) bool { return f.Name == ComposeFile }) {
		return b.damaged("it holds no compose file", nil)
	}
	for _, image := range b.Images {
		parts, err := b.parts(image.Ref)
		if err != nil {
			return err
		}
		for _, name := range parts {
			if _, there := b.sums[name]; !there {
				return b.damaged(cutShort, fmt.Errorf("image %s lacks %s", image.Ref, name))
			}
		}
	}
	return nil
}

// parts are the entries that an image is made of, each once.
func (b *Bundle) parts(ref string) ([]string, error) {
	image, err := pick(b.list, ref)
	if err != nil {
		return nil, b.damaged(cutShort, err)
	}
	var out []string
	for _, name := range append([]string{image.Config}, image.Layers...) {
		if _, there := b.entries[name]; !there {
			return nil, b.damaged(cutShort, fmt.Errorf("image %s lacks %s", ref, name))
		}
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out, nil
}

// verify compares an entry with its sum.
func (b *Bundle) verify(file io.ReaderAt, name string) error {
	e := b.entries[name]
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(file, e.offset, e.size)); err != nil {
		return b.damaged(cutShort, err)
	}
	if hex.EncodeToString(sum.Sum(nil)) != b.sums[name] {
		return b.damaged("it is damaged", fmt.Errorf("%s has another content than was written", name))
	}
	return nil
}

// Compose gives the compose text.
func (b *Bundle) Compose() []byte {
	at := slices.IndexFunc(b.Files, func(f File) bool { return f.Name == ComposeFile })
	return b.Files[at].Content // Open has seen to it that there is one
}

// Platform gives the platform that the images are for.
func (b *Bundle) Platform() string { return b.Manifest.Platform }

// IDs gives the ids of the images by reference.
func (b *Bundle) IDs() map[string]string {
	ids := map[string]string{}
	for _, image := range b.Images {
		ids[image.Ref] = image.ID
	}
	return ids
}

// Verify reads the content of images and compares it with what was written. The
// error is a *DamagedError.
func (b *Bundle) Verify(ctx context.Context, refs []string) error {
	file, err := os.Open(b.path)
	if err != nil {
		return err
	}
	defer file.Close()
	seen := map[string]bool{}
	for _, ref := range refs {
		parts, err := b.parts(ref)
		if err != nil {
			return err
		}
		for _, name := range parts {
			if seen[name] {
				continue
			}
			seen[name] = true
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err := b.verify(file, name); err != nil {
				return err
			}
		}
	}
	return nil
}

// Image opens a `docker save` archive of one image, and gives about how many bytes
// it has.
func (b *Bundle) Image(ref string) (io.ReadCloser, int64, error) {
	image, err := pick(b.list, ref)
	if err != nil {
		return nil, 0, b.damaged(cutShort, err)
	}
	file, err := os.Open(b.path)
	if err != nil {
		return nil, 0, err
	}
	reader, pipe := io.Pipe()
	ended := make(chan struct{})
	var size int64
	for _, name := range append([]string{image.Config}, image.Layers...) {
		size += b.entries[name].size
	}
	go func() {
		defer close(ended)
		pipe.CloseWithError(b.writeImage(pipe, file, image))
	}()
	return &imageReader{reader, file, ended}, size, nil
}

// writeImage writes an archive with the very entries that the image's list names.
func (b *Bundle) writeImage(w io.Writer, file io.ReaderAt, image saved) error {
	out := tar.NewWriter(w)
	list, err := json.Marshal([]saved{image})
	if err != nil {
		return err
	}
	write := func(name string, size int64, content io.Reader) error {
		if err := out.WriteHeader(header(name, 0o644, size)); err != nil {
			return err
		}
		_, err := io.Copy(out, content)
		return err
	}
	seen := map[string]bool{}
	for _, name := range append([]string{image.Config}, image.Layers...) {
		if seen[name] {
			continue
		}
		seen[name] = true
		e := b.entries[name]
		if err := write(name, e.size, io.NewSectionReader(file, e.offset, e.size)); err != nil {
			return err
		}
	}
	if err := write(imagesEntry, int64(len(list)), bytes.NewReader(list)); err != nil {
		return err
	}
	return out.Close()
}

// imageReader waits for the writer's end, so that the file is not closed under it.
type imageReader struct {
	*io.PipeReader
	file  *os.File
	ended chan struct{}
}

// Close implements io.Closer.
func (r *imageReader) Close() error {
	_ = r.PipeReader.Close() // it never fails
	<-r.ended
	return r.file.Close()
}
