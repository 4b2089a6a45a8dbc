package bundle_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/stackctl/stackctl/pkg/runner/bundle"
)

// FuzzOpen opens any bytes as a bundle, and one that something has changed: what
// opens is what was written, and no name in it leads out of a folder.
func FuzzOpen(f *testing.F) {
	whole := write(f)
	f.Add(whole, uint32(0), []byte{})
	f.Add(whole[:len(whole)/2], uint32(600), []byte{1})
	f.Add([]byte{}, uint32(1500), []byte("../"))
	f.Add([]byte("no bundle"), uint32(len(whole)-2000), []byte("0000"))
	f.Fuzz(func(t *testing.T, content []byte, at uint32, over []byte) {
		if b := openAny(t, content); b != nil {
			readAll(t, b)
		}
		changed := bytes.Clone(whole)
		copy(changed[int(at)%len(changed):], over)
		b := openAny(t, changed)
		if b == nil {
			return
		}
		want := manifest
		want.Version = bundle.Version
		if diff := cmp.Diff(want, b.Manifest); diff != "" {
			t.Errorf("manifest (-want +got):\n%s", diff)
		}
		// The mode is in no sum.
		if diff := cmp.Diff([]bundle.File{files[1], files[0]}, b.Files, cmpopts.IgnoreFields(bundle.File{}, "Mode"),
			cmpopts.SortSlices(func(a, b bundle.File) bool { return a.Name < b.Name })); diff != "" {
			t.Errorf("files (-want +got):\n%s", diff)
		}
		readAll(t, b)
	})
}

// openAny opens a bundle; nil when it is none.
func openAny(t *testing.T, content []byte) *bundle.Bundle {
	t.Helper()
	path := filepath.Join(t.TempDir(), "shop.tar")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := bundle.Open(path)
	if err != nil {
		var damaged *bundle.DamagedError
		if !errors.As(err, &damaged) {
			t.Errorf("an error of no class: %v", err)
		}
		return nil
	}
	return b
}

// readAll reads all that is in a bundle.
func readAll(t *testing.T, b *bundle.Bundle) {
	t.Helper()
	seen := map[string]bool{}
	for _, file := range b.Files {
		if !filepath.IsLocal(file.Name) || seen[file.Name] {
			t.Errorf("a file is called %q", file.Name)
		}
		seen[file.Name] = true
	}
	_ = b.Compose()
	for ref := range b.IDs() {
		verified := b.Verify(t.Context(), []string{ref})
		archive, _, err := b.Image(ref)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, archive); err != nil && verified == nil {
			t.Errorf("image %s is as it was written, and cannot be read: %v", ref, err)
		}
		if err := archive.Close(); err != nil {
			t.Error(err)
		}
	}
}
