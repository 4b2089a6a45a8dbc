//go:build unix

package backup

import (
	"errors"
	"os"
)

// syncFolder writes a folder's names to the disk.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
