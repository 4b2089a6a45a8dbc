package bundle

import (
	"archive/tar"
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"time"
)

// Write writes a bundle. save writes the `docker save` archive of the images that
// the manifest names.
func Write(w io.Writer, m Manifest, files []File, save func(io.Writer) error) error {
	out := &writer{tar: tar.NewWriter(w), sums: map[string]string{}}
	m.Version = Version
	description, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	if err := out.add(manifestEntry, 0o644, append(description, '\n')); err != nil {
		return err
	}
	files = slices.SortedFunc(slices.Values(files), func(a, b File) int { return cmp.Compare(a.Name, b.Name) })
	for _, f := range files {
		if err := out.add(folder+f.Name, int64(f.Mode.Perm()), f.Content); err != nil {
			return err
		}
	}
	reader, pipe := io.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		pipe.CloseWithError(save(pipe))
	}()
	err = out.copyImages(reader, m.Images)
	_ = reader.Close() // so that save ends, whatever happened here
	<-ended
	if err != nil {
		return err
	}
	sums, err := json.Marshal(out.sums) // sorted by name
	if err != nil {
		return err
	}
	if err := out.add(sumsEntry, 0o644, sums); err != nil {
		return err
	}
	return out.tar.Close()
}

// writer writes entries and notes their sums.
type writer struct {
	tar  *tar.Writer
	sums map[string]string
}

// header leaves out all that depends on when and by whom it was written.
func header(kind byte, name string, mode, size int64) *tar.Header {
	return &tar.Header{Typeflag: kind, Name: name, Mode: mode, Size: size, ModTime: time.Unix(0, 0)}
}

func (w *writer) add(name string, mode int64, content []byte) error {
	return w.copy(name, mode, int64(len(content)), bytes.NewReader(content))
}

func (w *writer) copy(name string, mode, size int64, content io.Reader) error {
	if err := w.tar.WriteHeader(header(tar.TypeReg, name, mode, size)); err != nil {
		return err
	}
	sum := sha256.New()
	if _, err := io.Copy(io.MultiWriter(w.tar, sum), content); err != nil {
		return err
	}
	w.sums[name] = hex.EncodeToString(sum.Sum(nil))
	return nil
}

// copyImages copies what loading needs of an engine's archive: each entry once,
// in the engine's order, which is that of the names. The list of images comes in
// any order, so it is sorted.
func (w *writer) copyImages(r io.Reader, images []Image) error {
	var list []saved
	for in := tar.NewReader(r); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		name := path.Clean(h.Name)
		switch {
		case name == imagesEntry:
			if err := json.NewDecoder(in).Decode(&list); err != nil {
				return fmt.Errorf("read %s of the engine's archive: %w", name, err)
			}
		case h.Typeflag == tar.TypeSymlink:
			if err := w.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: h.Linkname, Mode: 0o777, ModTime: time.Unix(0, 0)}); err != nil {
				return err
			}
		case h.Typeflag == tar.TypeReg && !isLegacy(name):
			if err := w.copy(name, 0o644, h.Size, in); err != nil {
				return err
			}
		}
	}
	for i := range list {
		slices.Sort(list[i].RepoTags)
	}
	slices.SortFunc(list, func(a, b saved) int { return cmp.Compare(a.Config, b.Config) })
	for _, image := range images {
		if _, err := pick(list, image.Ref); err != nil {
			return fmt.Errorf("the engine's archive is not whole: %w", err)
		}
	}
	content, err := json.Marshal(list)
	if err != nil {
		return err
	}
	return w.add(imagesEntry, 0o644, content)
}

// isLegacy says that an entry is for engines before 1.10, or is an index that
// manifest.json says the same as.
func isLegacy(name string) bool {
	switch path.Base(name) {
	case "VERSION", "json", "repositories", "index.json", "oci-layout":
		return true
	}
	return false
}

// pick finds the image that has a reference.
func pick(list []saved, ref string) (saved, error) {
	tag, err := Tag(ref)
	if err != nil {
		return saved{}, err
	}
	for _, s := range list {
		if slices.Contains(s.RepoTags, tag) {
			return saved{Config: s.Config, RepoTags: []string{tag}, Layers: s.Layers}, nil
		}
	}
	return saved{}, fmt.Errorf("it does not have image %s", ref)
}
