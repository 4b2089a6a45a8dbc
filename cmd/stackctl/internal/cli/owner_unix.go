//go:build unix

package cli

import (
	"os"
	"syscall"
)

// giveTo gives a file to whom another one belongs. Only root can: with sudo, the
// file would otherwise be root's in the user's own folder, and closed to the
// user. Where it cannot be done the file stays with who made it.
func giveTo(path, like string) {
	info, err := os.Stat(like)
	if err != nil || os.Geteuid() != 0 {
		return
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok {
		_ = os.Chown(path, int(owner.Uid), int(owner.Gid))
	}
}
