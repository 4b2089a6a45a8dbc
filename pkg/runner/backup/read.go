package backup

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Find gives the backups in a folder, or the one whose archive, or other file, a
// path names, sorted by volume. It reads the small files only: see
// [Backup.Verify]. The error is a *[DamagedError] for one without its sums or with
// a manifest that does not fit them, and wraps fs.ErrNotExist where there is none.
func Find(path string) ([]*Backup, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("backup: %w", err)
	}
	if !info.IsDir() {
		for _, end := range []string{archiveEnd, manifestEnd, sumsEnd} {
			if base, found := strings.CutSuffix(path, end); found {
				b, err := open(base)
				if err != nil {
					return nil, err
				}
				return []*Backup{b}, nil
			}
		}
		return nil, &DamagedError{path, "it is not the file of a backup, whose name ends in " + archiveEnd}
	}
	archives, err := filepath.Glob(filepath.Join(escaped(path), "*"+archiveEnd))
	if err != nil {
		return nil, fmt.Errorf("backups in %s: %w", path, err)
	}
	if len(archives) == 0 {
		return nil, fmt.Errorf("no backup is in %s: %w", path, fs.ErrNotExist)
	}
	var out []*Backup
	for _, archive := range archives {
		b, err := open(strings.TrimSuffix(archive, archiveEnd))
		if err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, nil
}

// escaped lets a path stand for itself in a pattern.
func escaped(path string) string {
	return strings.NewReplacer("*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
}

// open reads what is beside an archive.
func open(base string) (*Backup, error) {
	archive := base + archiveEnd
	damaged := func(reason string, args ...any) (*Backup, error) {
		return nil, &DamagedError{archive, fmt.Sprintf(reason, args...)}
	}
	sums, err := readSums(base + sumsEnd)
	if errors.Is(err, fs.ErrNotExist) {
		return damaged("it has no %s, which is written last: it was cut, or the file was not copied along", filepath.Base(base)+sumsEnd)
	}
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(base + manifestEnd)
	if errors.Is(err, fs.ErrNotExist) {
		return damaged("it has no %s", filepath.Base(base)+manifestEnd)
	}
	if err != nil {
		return nil, fmt.Errorf("backup: %w", err)
	}
	b := &Backup{Archive: archive, sum: sums[filepath.Base(archive)]}
	sum := sha256.Sum256(text)
	if hex.EncodeToString(sum[:]) != sums[filepath.Base(base)+manifestEnd] {
		return damaged("%s is not what was written: its sum differs", filepath.Base(base)+manifestEnd)
	}
	if err := json.Unmarshal(text, &b.Manifest); err != nil {
		return damaged("%s: %v", filepath.Base(base)+manifestEnd, err)
	}
	if b.Version != version {
		return damaged("it has version %d of the form, and this stackctl reads %d", b.Version, version)
	}
	if b.Volume == "" {
		return damaged("%s names no volume", filepath.Base(base)+manifestEnd)
	}
	return b, nil
}

// readSums reads lines of a sum and a name.
func readSums(path string) (map[string]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("backup: %w", err)
	}
	out := map[string]string{}
	for line := range strings.Lines(string(text)) {
		sum, name, _ := strings.Cut(strings.TrimRight(line, "\n"), "  ")
		out[name] = sum
	}
	return out, nil
}

// Verify reads the archive to its end: the sum, and the structure. The error is a
// *[DamagedError] where it is not what was written.
func (b *Backup) Verify(ctx context.Context) error {
	entries, err := b.verify(ctx)
	if err == nil && entries != b.Entries {
		return &DamagedError{b.Archive, fmt.Sprintf("it has %d entries, and had %d", entries, b.Entries)}
	}
	return err
}

// Open opens the archive, without its compression.
func (b *Backup) Open() (io.ReadCloser, error) {
	f, err := os.Open(b.Archive)
	if err != nil {
		return nil, fmt.Errorf("backup: %w", err)
	}
	zip, err := gzip.NewReader(bufio.NewReaderSize(f, 1<<20))
	if err != nil {
		_ = f.Close() // the error is told already
		return nil, &DamagedError{b.Archive, err.Error()}
	}
	return &unzipped{zip, f}, nil
}

type unzipped struct {
	*gzip.Reader
	file *os.File
}

func (u *unzipped) Close() error { return errors.Join(u.Reader.Close(), u.file.Close()) }

// verify gives the number of entries.
func (b *Backup) verify(ctx context.Context) (int, error) {
	f, err := os.Open(b.Archive)
	if err != nil {
		return 0, fmt.Errorf("backup: %w", err)
	}
	defer f.Close()
	sum := sha256.New()
	file := bufio.NewReaderSize(io.TeeReader(&interruptible{ctx, f}, sum), 1<<20)
	entries, size, fault := walk(file)
	_, err = io.Copy(io.Discard, file)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return 0, fmt.Errorf("backup: %w", err)
	}
	switch { // the sum first: it says whether the file is to blame, or what was put into it
	case hex.EncodeToString(sum.Sum(nil)) != b.sum:
		return 0, &DamagedError{b.Archive, "it is not what was written: its sum differs"}
	case fault != nil:
		return 0, &DamagedError{b.Archive, fault.Error()}
	case size != b.Size:
		return 0, &DamagedError{b.Archive, fmt.Sprintf("it holds %d bytes, and held %d", size, b.Size)}
	}
	return entries, nil
}

// interruptible ends with its context.
type interruptible struct {
	ctx context.Context
	r   io.Reader
}

func (i *interruptible) Read(p []byte) (int, error) {
	if i.ctx.Err() != nil {
		return 0, context.Cause(i.ctx)
	}
	return i.r.Read(p)
}

// walk reads a compressed archive to its end, and gives its entries and its size.
func walk(r io.Reader) (entries int, size int64, err error) {
	zip, err := gzip.NewReader(r)
	if err != nil {
		return 0, 0, err
	}
	whole := &ending{Reader: zip}
	archive := tar.NewReader(whole)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return 0, 0, fmt.Errorf("entry %d: %w", entries+1, err)
		}
		if !filepath.IsLocal(header.Name) {
			return 0, 0, fmt.Errorf("entry %d, %q, is outside of the volume", entries+1, header.Name)
		}
		if _, err := io.Copy(io.Discard, archive); err != nil {
			return 0, 0, fmt.Errorf("%s: %w", header.Name, err)
		}
		entries++
	}
	if _, err := io.Copy(io.Discard, whole); err != nil {
		return 0, 0, err
	}
	// A reader takes an archive that was cut between two entries for a whole one.
	if whole.size%512 != 0 || len(whole.last) < endLength || !bytes.Equal(whole.last, make([]byte, endLength)) {
		return 0, 0, errors.New("it was cut: the archive has no end")
	}
	return entries, whole.size, nil
}

// endLength is that of the zeros that an archive ends with.
const endLength = 1024

// ending keeps the end of what is read.
type ending struct {
	io.Reader
	size int64
	last []byte
}

func (e *ending) Read(p []byte) (int, error) {
	n, err := e.Reader.Read(p)
	e.size += int64(n)
	if n >= endLength {
		e.last = append(e.last[:0], p[n-endLength:n]...)
	} else {
		e.last = append(e.last, p[:n]...)
		e.last = e.last[max(0, len(e.last)-endLength):]
	}
	return n, err
}
