package image

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/stackctl/stackctl/pkg/runner/state"
)

// archive is an image of one layer in the form that `docker save` writes and
// every engine loads. It is written here, in a few lines, because libraries for
// images bring registries and compressors along.
type archive struct {
	layer  []byte
	diffID digest.Digest // of the layer
	config []byte
	// digest is of everything that is in the image.
	digest string
}

// assemble makes an image that holds a program and nothing else. Nothing of this
// machine, nor the time, goes into it.
func assemble(program string, binary []byte, p target, config ocispec.ImageConfig) (archive, error) {
	layer, err := packOne(program, 0o755, binary)
	if err != nil {
		return archive{}, err
	}
	out := archive{layer: layer, diffID: digest.FromBytes(layer)}
	out.config, out.digest, err = describe(out.diffID, p, config)
	return out, err
}

// describe gives the config of an image of one layer, and the digest of everything
// that is in the image.
func describe(diffID digest.Digest, p target, config ocispec.ImageConfig) (text []byte, whole string, err error) {
	epoch := time.Unix(0, 0).UTC()
	image := ocispec.Image{
		Created:  &epoch,
		Platform: ocispec.Platform{OS: p.os, Architecture: p.arch, Variant: p.variant},
		Config:   config,
		RootFS:   ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{diffID}},
		History:  []ocispec.History{{Created: &epoch, CreatedBy: "stackctl: go build"}},
	}
	if text, err = json.Marshal(image); err != nil {
		return nil, "", err
	}
	whole = digest.FromBytes(text).String()
	image.Config.Labels = maps.Clone(config.Labels)
	if image.Config.Labels == nil {
		image.Config.Labels = map[string]string{}
	}
	image.Config.Labels[state.LabelBuild] = whole
	text, err = json.Marshal(image)
	return text, whole, err
}

// write writes the archive, with the references that the image gets.
func (a archive) write(w io.Writer, tags []string) error {
	const layer = "layer.tar"
	config := digest.FromBytes(a.config).Encoded() + ".json"
	manifest, err := json.Marshal([]struct {
		Config   string
		RepoTags []string
		Layers   []string
	}{{config, tags, []string{layer}}})
	if err != nil {
		return err
	}
	out := tar.NewWriter(w)
	for _, file := range []struct {
		name    string
		content []byte
	}{{layer, a.layer}, {config, a.config}, {"manifest.json", manifest}} {
		if err := add(out, file.name, 0o644, file.content); err != nil {
			return err
		}
	}
	return out.Close()
}

// packOne writes an archive of one file, owned by root.
func packOne(name string, mode int64, content []byte) ([]byte, error) {
	var out bytes.Buffer
	out.Grow(len(content) + 4<<10) // the content is copied once
	w := tar.NewWriter(&out)
	if err := add(w, name, mode, content); err != nil {
		return nil, err
	}
	err := w.Close()
	return out.Bytes(), err
}

func add(w *tar.Writer, name string, mode int64, content []byte) error {
	header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(content)), ModTime: time.Unix(0, 0)}
	if err := w.WriteHeader(header); err != nil {
		return err
	}
	_, err := w.Write(content)
	return err
}
