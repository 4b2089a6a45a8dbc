// Package lock lets one process at a time work on something. The lock is the
// kernel's, on an open file: it ends with the process, however that ends.
package lock

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Holder is who has a lock, as it says itself. It never decides anything.
type Holder struct {
	PID  int    `json:"pid"`
	Host string `json:"host"`
	// Verb is what it does: "up".
	Verb  string    `json:"verb"`
	Since time.Time `json:"since"`
}

// String gives "process 4242 (up, since 12:03:01)"; "another process" for the zero
// value, which is one that has not said who it is. One on another machine, which can
// share a home folder with this one, is named with it.
func (h Holder) String() string {
	if h.PID == 0 {
		return "another process"
	}
	where := ""
	if host, _ := os.Hostname(); host != h.Host {
		where = " on " + h.Host
	}
	return fmt.Sprintf("process %d%s (%s, since %s)", h.PID, where, h.Verb, h.Since.Format(time.TimeOnly))
}

// HeldError says that another has the lock.
type HeldError struct{ Holder Holder }

func (e *HeldError) Error() string { return "held by " + e.Holder.String() }

// Lock is a lock that was taken.
type Lock struct{ file *os.File }

// Take takes the lock that a file stands for, which is made when it is not there,
// and does not wait: the error is a *HeldError when another has it, in this process
// or in another.
func Take(path string, me Holder) (*Lock, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	for {
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, err
		}
		taken, err := try(file)
		switch {
		case err != nil:
			_ = file.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		case !taken:
			held := &HeldError{}
			// One that is just taken, or let go, may be empty.
			_ = json.NewDecoder(file).Decode(&held.Holder)
			_ = file.Close()
			return nil, held
		case !isAt(file, path): // whoever had it has removed the file since it was opened
			_ = file.Close()
			continue
		}
		text, err := json.Marshal(me)
		if err == nil && file.Truncate(0) == nil {
			_, _ = file.Write(text) // without it, others are not told who it is
		}
		return &Lock{file}, nil
	}
}

// Release lets the lock go. It may be called again.
func (l *Lock) Release() {
	if l.file == nil {
		return
	}
	_ = os.Remove(l.file.Name()) // it would only lie there; Windows keeps it while it is open
	_ = l.file.Close()
	l.file = nil
}

// isAt says that an open file is the one that its path leads to.
func isAt(file *os.File, path string) bool {
	opened, err := file.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(path)
	return err == nil && os.SameFile(opened, there)
}
