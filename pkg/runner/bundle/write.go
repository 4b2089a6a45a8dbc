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
	"os"
	"path"
	"slices"
	"time"
)

// Saver writes the `docker save` archive of one image.
type Saver func(ref string, w io.Writer) error

// Write writes a bundle. The images are saved one after the other: an engine that
// saves several at a time does so in any order. Layers are kept for a moment in
// tempDir, where they get the names that their content decides; empty for the
// system's.
func Write(w io.Writer, m Manifest, files []File, save Saver, tempDir string) error {
	out := &writer{tar: tar.NewWriter(w), sums: map[string]string{}, temp: tempDir}
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
	var list []saved
	for _, image := range m.Images {
		one, err := out.image(image.Ref, save)
		if err != nil {
			return err
		}
		if at := slices.IndexFunc(list, func(s saved) bool { return s.Config == one.Config }); at >= 0 {
			list[at].RepoTags = append(list[at].RepoTags, one.RepoTags...)
			continue
		}
		list = append(list, one)
	}
	content, err := json.Marshal(list)
	if err != nil {
		return err
	}
	if err := out.add(imagesEntry, 0o644, content); err != nil {
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

// image saves one image and gives its entry for the list of images.
func (w *writer) image(ref string, save Saver) (saved, error) {
	reader, pipe := io.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		pipe.CloseWithError(save(ref, pipe))
	}()
	one, err := w.copyImage(ref, reader)
	_ = reader.Close() // so that save ends, whatever happened here
	<-ended
	return one, err
}

// writer writes entries and notes their sums.
type writer struct {
	tar  *tar.Writer
	sums map[string]string
	temp string
}

// header leaves out all that depends on when and by whom it was written.
func header(name string, mode, size int64) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: size, ModTime: time.Unix(0, 0)}
}

func (w *writer) add(name string, mode int64, content []byte) error {
	return w.copy(name, mode, int64(len(content)), bytes.NewReader(content))
}

func (w *writer) copy(name string, mode, size int64, content io.Reader) error {
	if err := w.tar.WriteHeader(header(name, mode, size)); err != nil {
		return err
	}
	sum := sha256.New()
	if _, err := io.Copy(io.MultiWriter(w.tar, sum), content); err != nil {
		return err
	}
	w.sums[name] = hex.EncodeToString(sum.Sum(nil))
	return nil
}

// copyImage copies what loading needs of an engine's archive, less what is in the
// bundle already.
func (w *writer) copyImage(ref string, r io.Reader) (saved, error) {
	var list []saved
	names := map[string]string{} // in the bundle, by the engine's
	links := map[string]string{}
	for in := tar.NewReader(r); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return saved{}, err
		}
		name := path.Clean(h.Name)
		switch {
		case name == imagesEntry:
			if err := json.NewDecoder(in).Decode(&list); err != nil {
				return saved{}, fmt.Errorf("read %s of the engine's archive: %w", name, err)
			}
		case h.Typeflag == tar.TypeSymlink:
			links[name] = path.Join(path.Dir(name), h.Linkname)
		case h.Typeflag != tar.TypeReg || isLegacy(name):
		case path.Base(name) == legacyLayer:
			if names[name], err = w.layer(in); err != nil {
				return saved{}, err
			}
		default: // it is named after its content
			names[name] = name
			if _, there := w.sums[name]; there {
				continue
			}
			if err := w.copy(name, 0o644, h.Size, in); err != nil {
				return saved{}, err
			}
		}
	}
	one, err := pick(list, ref)
	if err != nil {
		return saved{}, fmt.Errorf("the engine's archive is not whole: %w", err)
	}
	renamed := func(name string) string {
		if target, linked := links[name]; linked {
			name = target
		}
		return names[name]
	}
	out := saved{Config: renamed(one.Config), RepoTags: one.RepoTags}
	for _, layer := range one.Layers {
		out.Layers = append(out.Layers, renamed(layer))
	}
	if out.Config == "" || slices.Contains(out.Layers, "") {
		return saved{}, fmt.Errorf("the engine's archive is not whole: image %s lacks a part", ref)
	}
	return out, nil
}

// legacyLayer is what older engines call every layer, in a folder that depends on
// the images above it.
const legacyLayer = "layer.tar"

// layer copies a layer under the name that its content decides, and gives it.
func (w *writer) layer(content io.Reader) (string, error) {
	file, err := os.CreateTemp(w.temp, ".stackctl-layer-*")
	if err != nil {
		return "", fmt.Errorf("keep a layer: %w", err)
	}
	defer os.Remove(file.Name())
	defer file.Close()
	sum := sha256.New()
	size, err := io.Copy(io.MultiWriter(file, sum), content)
	if err != nil {
		return "", fmt.Errorf("keep a layer: %w", err)
	}
	name := "blobs/sha256/" + hex.EncodeToString(sum.Sum(nil))
	if _, there := w.sums[name]; there {
		return name, nil
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return "", fmt.Errorf("keep a layer: %w", err)
	}
	return name, w.copy(name, 0o644, size, file)
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
