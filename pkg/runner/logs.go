package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// LogOptions choose lines. The zero value takes every line of every container.
type LogOptions struct {
	// Services limits the logs to these.
	Services []string
	// Follow goes on until the context ends, or no container is left to follow.
	// Containers that start meanwhile are followed too.
	Follow bool
	// Since leaves out what is older; zero takes all.
	Since time.Time
	// Tail takes each container's last lines only; nil takes all.
	Tail *int
}

// LogLine is one line of one container.
type LogLine struct {
	Service   string
	Container string
	engine.LogLine
}

// Logs gives the lines of a project's containers to each, one at a time: without
// Follow merged by time, with Follow as they come.
func (r *Runner) Logs(ctx context.Context, project string, o LogOptions, each func(LogLine)) error {
	if o.Follow {
		return r.followLogs(ctx, project, o, each)
	}
	containers, err := r.logged(ctx, project, o)
	if err != nil {
		return err
	}
	lines := make([][]LogLine, len(containers))
	g, ctx := errgroup.WithContext(ctx)
	for i, c := range containers {
		g.Go(func() error {
			return r.engine.Logs(ctx, c.ID, engine.LogOptions{Since: o.Since, Tail: o.Tail}, func(l engine.LogLine) {
				lines[i] = append(lines[i], LogLine{c.Service, c.Name, l})
			})
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	merged := slices.Concat(lines...)
	slices.SortStableFunc(merged, func(a, b LogLine) int { return a.Time.Compare(b.Time) })
	for _, line := range merged {
		each(line)
	}
	return nil
}

// logged gives the containers whose logs are asked for.
func (r *Runner) logged(ctx context.Context, project string, o LogOptions) ([]state.Container, error) {
	all, err := r.engine.Containers(ctx, project)
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	out := slices.DeleteFunc(all, func(c state.Container) bool {
		known[c.Service] = true
		return len(o.Services) > 0 && !slices.Contains(o.Services, c.Service)
	})
	for _, name := range o.Services {
		if !known[name] {
			return nil, fmt.Errorf("%w: %s has no container in project %s", ErrUnknownService, name, project)
		}
	}
	slices.SortFunc(out, func(a, b state.Container) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Number, b.Number), strings.Compare(a.Name, b.Name))
	})
	return out, nil
}

// followLogs reads every container's log as it grows. The events are subscribed
// to first, so that a container which starts meanwhile is not missed. The engine
// ends a log with the container's run, so a log that ends is taken up again if
// the container runs again by then, and otherwise when it starts.
func (r *Runner) followLogs(ctx context.Context, project string, o LogOptions, each func(LogLine)) error {
	ctx, cancel := context.WithCancel(ctx)
	f := &follower{runner: r, each: each, active: map[string]bool{}, last: map[string]time.Time{}, ended: make(chan string)}
	defer f.wg.Wait()
	defer cancel()
	events, err := r.engine.Events(ctx, project)
	if err != nil {
		return err
	}
	containers, err := r.logged(ctx, project, o)
	if err != nil || len(containers) == 0 {
		return err
	}
	first := map[string]bool{}
	for _, c := range containers {
		first[c.ID] = true
		f.follow(ctx, c, engine.LogOptions{Follow: true, Since: o.Since, Tail: o.Tail})
	}
	for {
		select {
		case <-ctx.Done():
			return nil // the way a follow is meant to end
		case id := <-f.ended:
			now, err := r.logged(ctx, project, LogOptions{})
			if ctx.Err() != nil {
				return nil
			}
			if err != nil {
				return r.followed(ctx, err)
			}
			alive := false
			for _, c := range now {
				if len(o.Services) > 0 && !slices.Contains(o.Services, c.Service) ||
					c.State == "exited" || c.State == "dead" || c.State == "created" {
					continue
				}
				alive = true
				// One that restarts has no log to follow before its next start, which
				// an event tells.
				if c.ID == id && c.State == "running" {
					f.follow(ctx, c, f.rest(id, o))
				}
			}
			if !alive {
				// An engine that is stopped ends its containers first.
				_, err := r.engine.Now(ctx)
				return r.followed(ctx, err)
			}
		case e, open := <-events:
			switch {
			case ctx.Err() != nil:
				return nil
			case !open:
				return errors.New("follow logs: the engine ended the event stream")
			case e.Err != nil:
				return fmt.Errorf("follow logs: %w", e.Err)
			case e.Action == "die":
				f.endOfRun(e.ID, e.Time)
			case e.Action == "start" && (len(o.Services) == 0 || slices.Contains(o.Services, e.Service)):
				c := state.Container{ID: e.ID, Service: e.Service, Name: e.Name}
				f.follow(ctx, c, f.fromStart(e, o, first[e.ID]))
			}
		}
	}
}

// followed is the end of a follow for a reason.
func (r *Runner) followed(ctx context.Context, err error) error {
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("follow logs: %w", err)
	}
	return nil
}

// follower reads several logs at once.
type follower struct {
	runner *Runner
	each   func(LogLine)
	ended  chan string // ids of containers whose log has ended
	wg     sync.WaitGroup

	mu     sync.Mutex
	active map[string]bool
	last   map[string]time.Time // up to when each container has been read, or its run had ended
}

// follow begins to read a container's log, unless it is being read.
func (f *follower) follow(ctx context.Context, c state.Container, o engine.LogOptions) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.active[c.ID] {
		return
	}
	f.active[c.ID] = true
	after := f.last[c.ID] // the engine's "since" includes the line at that time
	f.wg.Go(func() {
		err := f.runner.engine.Logs(ctx, c.ID, o, func(l engine.LogLine) {
			f.mu.Lock()
			defer f.mu.Unlock()
			if l.Time.After(after) {
				f.last[c.ID] = later(f.last[c.ID], l.Time)
				f.each(LogLine{c.Service, c.Name, l})
			}
		})
		f.mu.Lock()
		delete(f.active, c.ID)
		if err != nil && ctx.Err() == nil {
			f.each(LogLine{c.Service, c.Name, engine.LogLine{Stderr: true, Text: "the log ended: " + err.Error()}})
		}
		f.mu.Unlock()
		select {
		case f.ended <- c.ID:
		case <-ctx.Done():
		}
	})
}

// endOfRun notes that what a container wrote until then is no part of its next
// run.
func (f *follower) endOfRun(id string, at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last[id] = later(f.last[id], at)
}

// fromStart asks for what a container that has just started writes. The engine
// tells of a start after it, so the first lines can be older than the event: it is
// asked for all since the run before. Only where nothing is known of that run, and
// its lines were not asked for, the event has to do.
func (f *follower) fromStart(e engine.Event, o LogOptions, there bool) engine.LogOptions {
	f.mu.Lock()
	defer f.mu.Unlock()
	since, known := f.last[e.ID]
	switch {
	case known:
	case there && o.Tail != nil:
		since = e.Time
	default:
		since = o.Since
	}
	return engine.LogOptions{Follow: true, Since: since}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// rest asks for what comes after the last line that was read of a container; of
// one that has written nothing, for what was asked for at first.
func (f *follower) rest(id string, o LogOptions) engine.LogOptions {
	f.mu.Lock()
	defer f.mu.Unlock()
	if last, read := f.last[id]; read {
		return engine.LogOptions{Follow: true, Since: last}
	}
	return engine.LogOptions{Follow: true, Since: o.Since, Tail: o.Tail}
}
