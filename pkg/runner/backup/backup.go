// Package backup is the form of a volume's backup on disk: three files in a
// folder, which belongs to whoever keeps them.
//
//	shop_data.tar.gz   the volume, as a tar archive whose names begin with "./"
//	shop_data.json     what it takes to make the volume again: a [Manifest]
//	shop_data.sha256   the sums of both, for `sha256sum -c` too
//
// The sums come last, so a backup that was cut has none, and is no backup. All are
// for their owner alone, since a volume holds data and a driver's options can hold
// passwords.
package backup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// version is that of the form; it grows when a reader of the one before would
// misread it.
const version = 1

// The ends of the files' names.
const (
	archiveEnd  = ".tar.gz"
	manifestEnd = ".json"
	sumsEnd     = ".sha256"
)

// Manifest says of what a backup was made.
type Manifest struct {
	// Version is that of the form; [Write] fills it in.
	Version int `json:"version"`
	// Volume is the engine's name of the volume, Key the project's own.
	Volume string `json:"volume"`
	Key    string `json:"key,omitempty"`
	// Project is empty for a volume that belonged to none.
	Project string            `json:"project,omitempty"`
	Driver  string            `json:"driver"`
	Options map[string]string `json:"options,omitempty"`
	Labels  map[string]string `json:"labels,omitempty"`
	// Created is when the volume was made, Taken when the backup was.
	Created time.Time `json:"created"`
	Taken   time.Time `json:"taken"`
	// Size is that of the archive before it was compressed, in bytes. Entries are its
	// files and folders. [Write] fills both in.
	Size    int64 `json:"size"`
	Entries int   `json:"entries"`
}

// Backup is one that was found on disk.
type Backup struct {
	Manifest
	// Archive is the path of the archive.
	Archive string
	// sum is that of the archive.
	sum string
}

// ExistsError says that a file is in the way: backups are never overwritten.
type ExistsError struct{ Path string }

func (e *ExistsError) Error() string {
	return e.Path + " is there already, and a backup is never overwritten"
}

// DamagedError says that a backup is not what was written.
type DamagedError struct{ Path, Reason string }

func (e *DamagedError) Error() string { return fmt.Sprintf("backup %s: %s", e.Path, e.Reason) }

// Check says whether a backup of a volume could be written into a folder, which
// need not exist. The error is an *[ExistsError] where one is there.
func Check(dir, volume string) error {
	if volume == "" || filepath.Base(volume) != volume || strings.HasPrefix(volume, ".") {
		return fmt.Errorf("volume %q has no name that a file could have", volume)
	}
	for _, end := range []string{archiveEnd, manifestEnd, sumsEnd} {
		path := filepath.Join(dir, volume+end)
		switch _, err := os.Lstat(path); {
		case err == nil:
			return &ExistsError{path}
		case !errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("backup of volume %s: %w", volume, err)
		}
	}
	return nil
}
