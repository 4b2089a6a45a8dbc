package bundle_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackctl/stackctl/pkg/runner/bundle"
	"github.com/stackctl/stackctl/pkg/runner/engine/enginetest"
)

var (
	manifest = bundle.Manifest{
		Project: "shop", Sources: []string{"compose.yaml"}, Platform: "linux/amd64",
		Images: []bundle.Image{
			{Ref: "redis:7", ID: "sha256:redis", Platform: "linux/amd64"},
			{Ref: "app", ID: "sha256:app", Platform: "linux/amd64"},
			{Ref: "copy", ID: "sha256:app", Platform: "linux/amd64"},
		},
	}
	files = []bundle.File{
		{Name: "files/1/b.conf", Mode: 0o600, Content: []byte("b")},
		{Name: bundle.ComposeFile, Mode: 0o644, Content: []byte("services: {}\n")},
	}
)

func newEngine() *enginetest.Engine {
	e := enginetest.New()
	for _, image := range manifest.Images {
		e.AddImage(image.Ref, image.ID)
	}
	return e
}

// write gives the bytes of a bundle.
func write(tb testing.TB) []byte {
	tb.Helper()
	e := newEngine()
	var out bytes.Buffer
	err := bundle.Write(&out, manifest, files, func(ref string, w io.Writer) error {
		return e.SaveImages(tb.Context(), []string{ref}, w)
	}, tb.TempDir())
	if err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

func open(t *testing.T, content []byte) (*bundle.Bundle, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "shop.tar")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return bundle.Open(path)
}

// Of two entries with one name, one would be verified and the other one read.
func TestEntryThatIsThereTwice(t *testing.T) {
	content := write(t)
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for r := tar.NewReader(bytes.NewReader(content)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(h.Name, bundle.ComposeFile) {
			other := *h
			other.Size = 4
			err = errors.Join(w.WriteHeader(&other), second(w.Write([]byte("evil"))))
		}
		if err := errors.Join(err, w.WriteHeader(h), second(w.Write(body))); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	var damaged *bundle.DamagedError
	if _, err := open(t, out.Bytes()); !errors.As(err, &damaged) {
		t.Errorf("got %v", err)
	}
}

func second(_ int, err error) error { return err }

// What was written is read, each image can be loaded alone, and an engine loads
// the whole file.
func TestRoundTrip(t *testing.T) {
	content := write(t)
	if !bytes.Equal(content, write(t)) {
		t.Error("the same stack gives other bytes")
	}
	b, err := open(t, content)
	if err != nil {
		t.Fatal(err)
	}
	want := manifest
	want.Version = bundle.Version
	if diff := cmp.Diff(want, b.Manifest); diff != "" {
		t.Errorf("manifest (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]bundle.File{files[1], files[0]}, b.Files); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if got := string(b.Compose()); got != "services: {}\n" {
		t.Errorf("compose text %q", got)
	}
	if err := b.Verify(t.Context(), []string{"redis:7", "app", "copy"}); err != nil {
		t.Error(err)
	}

	there := enginetest.New()
	archive, size, err := b.Image("copy")
	if err != nil {
		t.Fatal(err)
	}
	if id, err := there.LoadImage(t.Context(), archive); err != nil || id != "sha256:app" {
		t.Errorf("loaded %q, %v", id, err)
	}
	if err := archive.Close(); err != nil || size == 0 {
		t.Errorf("close: %v; size %d", err, size)
	}
	if diff := cmp.Diff("image copy\n", there.Dump()); diff != "" {
		t.Errorf("one image (-want +got):\n%s", diff)
	}
	if _, err := there.LoadImage(t.Context(), bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("image app\nimage copy\nimage redis:7\n", there.Dump()); diff != "" {
		t.Errorf("all of it (-want +got):\n%s", diff)
	}
}

// Nobody has to read an archive to its end.
func TestImageThatIsNotRead(t *testing.T) {
	b, err := open(t, write(t))
	if err != nil {
		t.Fatal(err)
	}
	archive, _, err := b.Image("app")
	if err != nil {
		t.Fatal(err)
	}
	if err := archive.Close(); err != nil {
		t.Error(err)
	}
}

// A bundle that is cut short anywhere is refused.
func TestCutShort(t *testing.T) {
	content := write(t)
	// An archive ends with two empty blocks, which say nothing.
	for size := 0; size <= len(content)-1024-512; size += 512 {
		_, err := open(t, content[:size])
		var damaged *bundle.DamagedError
		if !errors.As(err, &damaged) {
			t.Errorf("cut to %d of %d bytes: error %v", size, len(content), err)
		}
	}
}

// A bundle with one bit changed is refused, at the latest when images are loaded
// from it, unless the bit means nothing.
func TestDamaged(t *testing.T) {
	content := write(t)
	whole, err := open(t, content)
	if err != nil {
		t.Fatal(err)
	}
	harmless := 0
	for at := 0; at < len(content)-1024; at += 7 {
		if content[at] == 0 {
			continue // what fills the blocks means nothing
		}
		changed := bytes.Clone(content)
		changed[at] ^= 1
		b, err := open(t, changed)
		if err == nil {
			err = b.Verify(t.Context(), []string{"redis:7", "app", "copy"})
		}
		if err == nil && cmp.Equal(whole.Manifest, b.Manifest) && cmp.Equal(whole.Files, b.Files) {
			harmless++
			continue
		}
		var damaged *bundle.DamagedError
		if !errors.As(err, &damaged) {
			t.Errorf("changed byte %d of %d: error %v", at, len(content), err)
		}
	}
	if harmless > 5 { // separators of a header's sum
		t.Errorf("%d changes were not noticed", harmless)
	}
}

func TestNoBundle(t *testing.T) {
	var saved bytes.Buffer
	if err := newEngine().SaveImages(t.Context(), []string{"app"}, &saved); err != nil {
		t.Fatal(err)
	}
	var evil bytes.Buffer
	w := tar.NewWriter(&evil)
	for _, name := range []string{"stackctl/bundle.json", "stackctl/../../outside"} {
		content := []byte(`{"version": 1}`)
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	for name, test := range map[string]struct {
		content []byte
		want    string
	}{
		"text":              {[]byte("no archive at all, but longer than a block of an archive: " + string(make([]byte, 600))), "it is no bundle of stackctl"},
		"docker save":       {saved.Bytes(), "it is no bundle of stackctl"},
		"a name above":      {evil.Bytes(), `"stackctl/../../outside" is no name for an entry`},
		"a version to come": {bytes.Replace(write(t), []byte(`"version": 1`), []byte(`"version": 2`), 1), "its form is version 2, and this stackctl reads version 1"},
	} {
		_, err := open(t, test.content)
		var damaged *bundle.DamagedError
		if !errors.As(err, &damaged) || damaged.Why != test.want {
			t.Errorf("%s: error %v, want %q", name, err, test.want)
		}
	}
}

// An engine that gives less than it was asked for makes no bundle.
func TestWriteRefusesALackingArchive(t *testing.T) {
	e := newEngine()
	err := bundle.Write(io.Discard, manifest, files, func(_ string, w io.Writer) error {
		return e.SaveImages(t.Context(), []string{"redis:7"}, w)
	}, "")
	if err == nil {
		t.Error("no error")
	}
	broken := errors.New("the engine is out of sorts")
	if err := bundle.Write(io.Discard, manifest, files, func(string, io.Writer) error { return broken }, ""); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
}

func TestTag(t *testing.T) {
	for ref, want := range map[string]string{
		"redis": "redis:latest", "docker.io/library/redis:7": "redis:7", "127.0.0.1:5000/a/b": "127.0.0.1:5000/a/b:latest",
	} {
		if got, err := bundle.Tag(ref); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", ref, got, err, want)
		}
	}
	_, err := bundle.Tag("redis@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")
	if !errors.Is(err, bundle.ErrDigest) {
		t.Errorf("error %v", err)
	}
}

// part is an entry of an engine's archive.
type part struct{ name, link, content string }

func archive(t *testing.T, parts []part) func(string, io.Writer) error {
	t.Helper()
	return func(_ string, w io.Writer) error {
		out := tar.NewWriter(w)
		for _, p := range parts {
			h := &tar.Header{Typeflag: tar.TypeReg, Name: p.name, Mode: 0o644, Size: int64(len(p.content)), ModTime: time.Now()}
			if p.link != "" {
				h = &tar.Header{Typeflag: tar.TypeSymlink, Name: p.name, Linkname: p.link}
			}
			if err := out.WriteHeader(h); err != nil {
				return err
			}
			if _, err := io.WriteString(out, p.content); err != nil {
				return err
			}
		}
		return out.Close()
	}
}

// Both forms that engines save in give the same entries, whichever of two equal
// layers is a link; one that lacks a layer gives no bundle.
func TestFormsOfArchives(t *testing.T) {
	const (
		layer = "a layer"
		name  = "blobs/sha256/a9f1ee1b3c5f5d3d6dae0a08a2b2bb7ca7f7cbd5f8e7c4b9a4a7a2a4b4d2a0c5"
	)
	sum := fmt.Sprintf("blobs/sha256/%x", sha256.Sum256([]byte(layer)))
	one := bundle.Manifest{Images: []bundle.Image{{Ref: "app"}}}
	list := func(config, first, second string) part {
		return part{name: "manifest.json", content: fmt.Sprintf(`[{"Config": %q, "RepoTags": ["app:latest"], "Layers": [%q, %q]}]`, config, first, second)}
	}
	for form, test := range map[string]struct {
		parts []part
		fails bool
	}{
		"20.10": {parts: []part{
			{name: "1/VERSION", content: "1.0"},
			{name: "1/layer.tar", content: layer},
			{name: "2/layer.tar", link: "../1/layer.tar"},
			{name: name, content: "{}"},
			list(name, "1/layer.tar", "2/layer.tar"),
			{name: "repositories", content: "{}"},
		}},
		"20.10, the other is the link": {parts: []part{
			{name: "1/layer.tar", link: "../2/layer.tar"},
			{name: "2/layer.tar", content: layer},
			{name: name, content: "{}"},
			list(name, "1/layer.tar", "2/layer.tar"),
		}},
		"26.1":    {parts: []part{{name: sum, content: layer}, {name: name, content: "{}"}, {name: "index.json", content: "{}"}, list(name, sum, sum)}},
		"a layer": {parts: []part{{name: sum, content: layer}, {name: name, content: "{}"}, list(name, sum, "none")}, fails: true},
		"a list":  {parts: []part{{name: sum, content: layer}}, fails: true},
	} {
		var out bytes.Buffer
		err := bundle.Write(&out, one, files, archive(t, test.parts), t.TempDir())
		if test.fails {
			if err == nil {
				t.Errorf("without %s: no error", form)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", form, err)
			continue
		}
		var entries []string
		for r := tar.NewReader(&out); ; {
			h, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			entries = append(entries, h.Name)
		}
		want := []string{"stackctl/bundle.json", "stackctl/compose.yml", "stackctl/files/1/b.conf", sum, name, "manifest.json", "stackctl/sums.json"}
		if diff := cmp.Diff(want, entries); diff != "" {
			t.Errorf("%s (-want +got):\n%s", form, diff)
		}
	}
}
