package backup_test

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackctl/stackctl/pkg/runner/backup"
)

var manifest = backup.Manifest{
	Volume: "shop_data", Key: "data", Project: "shop", Driver: "local", Labels: map[string]string{"a": "b"},
	Created: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Taken: time.Date(2026, 2, 2, 3, 4, 5, 0, time.UTC),
}

// volume writes an archive as an engine does.
func volume(names ...string) func(io.Writer) error {
	return func(w io.Writer) error {
		archive := tar.NewWriter(w)
		for _, name := range names {
			if err := archive.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: 5}); err != nil {
				return err
			}
			if _, err := io.WriteString(archive, "hello"); err != nil {
				return err
			}
		}
		return archive.Close()
	}
}

func write(t *testing.T, dir string) *backup.Backup {
	t.Helper()
	b, err := backup.Write(t.Context(), dir, manifest, volume("./a", "./b"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestWriteAndFind(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "one")
	write(t, dir)
	for _, path := range []string{dir, filepath.Join(dir, "shop_data.tar.gz"), filepath.Join(dir, "shop_data.sha256")} {
		found, err := backup.Find(path)
		if err != nil {
			t.Fatal(err)
		}
		want := manifest
		want.Version, want.Size, want.Entries = 1, 3072, 2
		if len(found) != 1 || cmp.Diff(want, found[0].Manifest) != "" {
			t.Fatalf("%s: %+v", path, found)
		}
		if err := found[0].Verify(t.Context()); err != nil {
			t.Error(err)
		}
	}
	// For their owner alone, and nothing else is there.
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprint(info.Mode(), " ", e.Name()))
	}
	want := []string{"-rw------- shop_data.json", "-rw------- shop_data.sha256", "-rw------- shop_data.tar.gz"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder: %v, %v", info.Mode(), err)
	}
}

func TestNothingIsOverwritten(t *testing.T) {
	for _, end := range []string{".tar.gz", ".json", ".sha256"} {
		dir := t.TempDir()
		path := filepath.Join(dir, "shop_data"+end)
		if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
		var exists *backup.ExistsError
		if _, err := backup.Write(t.Context(), dir, manifest, volume("./a")); !errors.As(err, &exists) || exists.Path != path {
			t.Errorf("%s: %v", end, err)
		}
		if text, err := os.ReadFile(path); err != nil || string(text) != "mine" {
			t.Errorf("%s: %q, %v", end, text, err)
		}
	}
}

// Two that write the same backup at once, as for two engines with a volume of that
// name, do not write into one file: the first is whole, and the other is told.
func TestOneWriterAtATime(t *testing.T) {
	dir := t.TempDir()
	var second error
	first, err := backup.Write(t.Context(), dir, manifest, func(w io.Writer) error {
		_, second = backup.Write(t.Context(), dir, manifest, volume("./other"))
		return volume("./a", "./b")(w)
	})
	if err != nil || second == nil {
		t.Fatalf("the first: %v; the second: %v", err, second)
	}
	if err := first.Verify(t.Context()); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 3 {
		t.Errorf("left %v, %v", left, err)
	}
}

// What cannot be written, or is no whole archive, leaves nothing.
func TestWriteLeavesNothingAfterAnError(t *testing.T) {
	broken := errors.New("broken")
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	whole := volume("./a", "./b")
	cut := func(at int64) func(io.Writer) error {
		return func(w io.Writer) error {
			var b strings.Builder
			if err := whole(&b); err != nil {
				return err
			}
			_, err := io.WriteString(w, b.String()[:at])
			return err
		}
	}
	for _, test := range []struct {
		name string
		ctx  context.Context
		read func(io.Writer) error
		want string
	}{
		{"the engine fails", t.Context(), func(w io.Writer) error { _, _ = w.Write(make([]byte, 100)); return broken }, "broken"},
		{"cut in a file", t.Context(), cut(514), "unexpected EOF"},
		{"cut between files", t.Context(), cut(1024), "the archive has no end"},
		{"cut in the end", t.Context(), cut(2048 + 512), "the archive has no end"},
		{"nothing at all", t.Context(), cut(0), "the archive has no end"},
		{"outside of the volume", t.Context(), volume("../a"), "outside of the volume"},
		{"cancelled", cancelled, whole, "context canceled"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			_, err := backup.Write(test.ctx, dir, manifest, test.read)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %s", err, test.want)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("left %v, %v", left, err)
			}
		})
	}
}

// Every kind of damage is seen.
func TestDamage(t *testing.T) {
	flip := func(at int) func([]byte) []byte {
		return func(b []byte) []byte {
			b[(at+len(b))%len(b)] ^= 1
			return b
		}
	}
	for _, test := range []struct {
		name, file string
		change     func([]byte) []byte // nil removes the file
	}{
		{"a bit of the archive", "shop_data.tar.gz", flip(60)},
		{"a bit of gzip's header, which changes nothing", "shop_data.tar.gz", flip(5)},
		{"the last bit", "shop_data.tar.gz", flip(-1)},
		{"an end that is missing", "shop_data.tar.gz", func(b []byte) []byte { return b[:len(b)-1] }},
		{"an end that is too long", "shop_data.tar.gz", func(b []byte) []byte { return append(b, 0) }},
		{"an empty archive", "shop_data.tar.gz", func([]byte) []byte { return nil }},
		{"the manifest", "shop_data.json", flip(30)},
		{"no manifest", "shop_data.json", nil},
		{"a sum", "shop_data.sha256", flip(3)},
		{"no sums", "shop_data.sha256", nil},
		{"empty sums", "shop_data.sha256", func([]byte) []byte { return nil }},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir)
			path := filepath.Join(dir, test.file)
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if test.change == nil {
				err = os.Remove(path)
			} else {
				err = os.WriteFile(path, test.change(text), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			found, err := backup.Find(dir)
			if err == nil {
				err = found[0].Verify(t.Context())
			}
			var damaged *backup.DamagedError
			if !errors.As(err, &damaged) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestFindNothing(t *testing.T) {
	if _, err := backup.Find(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an empty folder: %v", err)
	}
	if _, err := backup.Find(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
	path := filepath.Join(t.TempDir(), "x.txt")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var damaged *backup.DamagedError
	if _, err := backup.Find(path); !errors.As(err, &damaged) {
		t.Errorf("another file: %v", err)
	}
}
