//go:build !windows

package lock

import (
	"errors"
	"os"
	"syscall"
)

// try locks the file unless another has it. Programs that are started do not
// inherit it.
func try(file *os.File) (taken bool, err error) {
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EWOULDBLOCK):
			return false, nil
		default:
			return err == nil, err
		}
	}
}
