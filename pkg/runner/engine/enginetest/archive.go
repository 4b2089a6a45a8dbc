package enginetest

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/stackctl/stackctl/pkg/runner/state"
)

// manifest is an entry of an archive's manifest.json.
type manifest struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// config is what an image in memory has for its configuration: enough to be the
// same image again when it is loaded.
type config struct {
	ID       string
	Labels   map[string]string
	Platform string
}

// SaveImages implements engine.Streamer. The archive has the form of a real one;
// every image has one layer, which holds the image's id.
func (e *Engine) SaveImages(ctx context.Context, refs []string, w io.Writer) error {
	if err := e.begin(ctx, "SaveImages", strings.Join(refs, " ")); err != nil {
		return err
	}
	defer e.mu.Unlock()
	out := tar.NewWriter(w)
	written := map[string]bool{}
	add := func(name string, content []byte) error {
		if written[name] {
			return nil
		}
		written[name] = true
		if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content)), ModTime: e.clock}); err != nil {
			return err
		}
		_, err := out.Write(content)
		return err
	}
	var all []manifest
	for _, ref := range refs {
		image, ok := e.images[ref]
		if !ok {
			return notFound("image", ref)
		}
		text, err := json.Marshal(config{image.ID, image.Labels, image.Platform})
		if err != nil {
			return err
		}
		m := manifest{
			Config: fmt.Sprintf("%x.json", sha256.Sum256(text)), RepoTags: []string{tagged(ref)},
			Layers: []string{fmt.Sprintf("%x/layer.tar", sha256.Sum256([]byte(image.ID)))},
		}
		if err := add(m.Layers[0], []byte(image.ID)); err != nil {
			return err
		}
		if err := add(m.Config, text); err != nil {
			return err
		}
		if at := slices.IndexFunc(all, func(other manifest) bool { return other.Config == m.Config }); at >= 0 {
			all[at].RepoTags = append(all[at].RepoTags, m.RepoTags...)
			continue
		}
		all = append(all, m)
	}
	text, err := json.Marshal(all)
	if err != nil {
		return err
	}
	if err := add("manifest.json", text); err != nil {
		return err
	}
	return out.Close()
}

// LoadImage implements engine.Streamer. An archive of SaveImages brings back the
// images that were saved; in any other one, an image's id is the digest of its
// configuration.
func (e *Engine) LoadImage(ctx context.Context, archive io.Reader) (string, error) {
	content, err := io.ReadAll(archive)
	if err != nil {
		return "", fmt.Errorf("load image: %w", err)
	}
	files := map[string][]byte{}
	for r := tar.NewReader(bytes.NewReader(content)); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", fmt.Errorf("load image: %w", err)
		}
		if files[header.Name], err = io.ReadAll(r); err != nil {
			return "", fmt.Errorf("load image: %w", err)
		}
	}
	var all []manifest
	if err := json.Unmarshal(files["manifest.json"], &all); err != nil {
		return "", fmt.Errorf("load image: manifest.json: %w", err)
	}
	var tags []string
	for _, m := range all {
		tags = append(tags, m.RepoTags...)
	}
	if err := e.begin(ctx, "LoadImage", strings.Join(tags, " ")); err != nil {
		return "", err
	}
	defer e.mu.Unlock()
	id := ""
	for _, m := range all {
		for _, name := range append([]string{m.Config}, m.Layers...) {
			if _, there := files[name]; !there {
				return "", fmt.Errorf("load image: the archive has no %s", name)
			}
		}
		var c config
		if err := json.Unmarshal(files[m.Config], &c); err != nil {
			return "", fmt.Errorf("load image: %s: %w", m.Config, err)
		}
		image := state.Image{ID: c.ID, Labels: c.Labels, Platform: c.Platform}
		if image.ID == "" {
			image.ID = fmt.Sprintf("sha256:%x", sha256.Sum256(files[m.Config]))
		}
		for _, tag := range m.RepoTags {
			e.images[strings.TrimSuffix(tag, ":latest")] = image // which a name without a tag means
		}
		id = image.ID
	}
	return id, nil
}

// tagged gives a reference with its tag.
func tagged(ref string) string {
	if strings.Contains(ref[strings.LastIndex(ref, "/")+1:], ":") {
		return ref
	}
	return ref + ":latest"
}
