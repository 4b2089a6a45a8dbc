package backup

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/stackctl/stackctl/pkg/runner/internal/lock"
)

// Write makes a backup in a folder, which is made when it is missing. read writes
// the volume as a tar archive. What was written is read again before it gets its
// name: the sum, and the archive to its end. After an error nothing is there.
func Write(ctx context.Context, dir string, m Manifest, read func(io.Writer) error) (*Backup, error) {
	if err := Check(dir, m.Volume); err != nil {
		return nil, err
	}
	fail := func(err error) (*Backup, error) {
		return nil, fmt.Errorf("backup of volume %s: %w", m.Volume, err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fail(err)
	}
	// Another may write a volume of the same name, of another engine or for another
	// project, and would write into the file that was just verified.
	host, _ := os.Hostname() // for a message only
	me := lock.Holder{PID: os.Getpid(), Host: host, Verb: "volume backup", Since: time.Now()}
	alone, err := lock.Take(filepath.Join(dir, "."+m.Volume+".lock"), me)
	var held *lock.HeldError
	switch {
	case errors.As(err, &held):
		return fail(fmt.Errorf("%s writes one to %s", held.Holder, dir))
	case err == nil: // else the file system knows no locks
		defer alone.Release()
	}
	if err := Check(dir, m.Volume); err != nil { // by who had the lock before
		return nil, err
	}
	files := []*file{newFile(dir, m.Volume+archiveEnd), newFile(dir, m.Volume+manifestEnd), newFile(dir, m.Volume+sumsEnd)}
	defer func() {
		for _, f := range files {
			_ = os.Remove(f.temporary) // not there any more when all went well
		}
	}()
	archive, manifest, sums := files[0], files[1], files[2]
	if err := archive.write(func(w io.Writer) (err error) {
		m.Size, err = compress(w, read)
		return err
	}); err != nil {
		return fail(err)
	}
	m.Version = version
	b := &Backup{Archive: archive.temporary, sum: archive.sum}
	b.Size = m.Size
	entries, err := b.verify(ctx)
	if err != nil {
		return fail(err)
	}
	m.Entries = entries
	if err := manifest.write(func(w io.Writer) error {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(m)
	}); err != nil {
		return fail(err)
	}
	if err := sums.write(func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%s  %s\n%s  %s\n", archive.sum, filepath.Base(archive.path), manifest.sum, filepath.Base(manifest.path))
		return err
	}); err != nil {
		return fail(err)
	}
	for _, f := range files {
		if err := os.Rename(f.temporary, f.path); err != nil {
			return fail(err)
		}
	}
	if err := syncFolder(dir); err != nil {
		return fail(err)
	}
	return &Backup{Manifest: m, Archive: archive.path, sum: archive.sum}, nil
}

// compress compresses what read writes, and gives its size.
func compress(w io.Writer, read func(io.Writer) error) (int64, error) {
	// Most of a backup's time goes here; the best of ratios takes four times as long
	// for a tenth less.
	zip, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		return 0, err
	}
	counted := &counter{w: zip}
	if err := read(counted); err != nil {
		return 0, err
	}
	return counted.n, zip.Close()
}

// counter counts what is written.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// file is one that is written under another name first.
type file struct{ path, temporary, sum string }

// newFile names a file. What a run that was killed has left under the temporary
// name is written over.
func newFile(dir, name string) *file {
	return &file{path: filepath.Join(dir, name), temporary: filepath.Join(dir, "."+name+".part")}
}

// write writes a file to the disk, and takes its sum.
func (f *file) write(content func(io.Writer) error) error {
	out, err := os.OpenFile(f.temporary, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	sum := sha256.New()
	buffered := bufio.NewWriterSize(io.MultiWriter(out, sum), 1<<20)
	err = content(buffered)
	if err == nil {
		err = buffered.Flush()
	}
	if err == nil {
		err = out.Sync()
	}
	f.sum = hex.EncodeToString(sum.Sum(nil))
	return errors.Join(err, out.Close())
}
