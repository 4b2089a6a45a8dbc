package runner

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/event"
	"github.com/stackctl/stackctl/pkg/runner/internal/lock"
)

// The pauses between two tries to begin with a project that another is at work on.
const (
	firstPause = 50 * time.Millisecond
	lastPause  = 250 * time.Millisecond
)

// LockHolder is who works on a project, as it says itself; the zero value is one
// that has not.
type LockHolder = lock.Holder

// LockedError says that another was at work on the project for as long as
// [WithLockWait] waits. Nothing was changed.
type LockedError struct {
	Project string
	// Holder was at work last.
	Holder LockHolder
	Waited time.Duration
}

func (e *LockedError) Error() string {
	return fmt.Sprintf("project %s: %s is at work on it; waited %s for its end", e.Project, e.Holder, e.Waited)
}

// hold waits until nobody else is at work on the project, and keeps others out of
// it until release is called, once or more. A verb that changes something begins
// with it, before it looks at the engine: what it sees stays so until it acts.
//
// The error is a *LockedError, or the cause of the end of ctx. Where the lock
// cannot be had at all the verb goes on without, with a warning: it was always
// possible to lose what another does at the same time, and Docker Compose knows of
// no lock either.
func (r *Runner) hold(ctx context.Context, info engine.Info, project, verb string) (release func(), err error) {
	if r.cache == "" {
		return func() {}, nil
	}
	began, pause := time.Now(), time.Duration(0)
	host, _ := os.Hostname() // for a message only
	me := LockHolder{PID: os.Getpid(), Host: host, Verb: verb}
	for {
		me.Since = r.now()
		held := &lock.HeldError{}
		switch taken, err := lock.Take(r.lockFile(info, project), me); {
		case err == nil:
			return taken.Release, nil
		case !errors.As(err, &held):
			r.warn("two commands on project %s at the same time would not be noticed: %v", project, err)
			return func() {}, nil
		case r.lockWait > 0 && time.Since(began) >= r.lockWait:
			return nil, &LockedError{Project: project, Holder: held.Holder, Waited: r.lockWait}
		case pause == 0:
			r.sink.Emit(event.Event{
				Time: r.now(), Kind: event.Info,
				Message: fmt.Sprintf("waiting for %s, which is at work on project %s", held.Holder, project),
			})
		}
		pause = min(cmp.Or(2*pause, firstPause), lastPause)
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(pause):
		}
	}
}

// lockFile is the same for all that work on a project of an engine: a socket has
// one, whatever path leads to it.
func (r *Runner) lockFile(info engine.Info, project string) string {
	endpoint := info.Endpoint
	if path, isSocket := strings.CutPrefix(endpoint, "unix://"); isSocket {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			endpoint = "unix://" + real
		}
	}
	sum := sha256.Sum256([]byte(endpoint + "\x00" + project))
	return filepath.Join(r.cache, "locks", hex.EncodeToString(sum[:12]))
}
