package probe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/containerd/errdefs"

	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// Waiter waits for containers of one run.
type Waiter struct {
	Engine Engine
	// Watch is the run's event stream.
	Watch *Watch
	// KnowsStartInterval says that the engine probes at start_interval by itself.
	KnowsStartInterval bool
	// Timeout bounds each wait; zero means no bound but the context's.
	Timeout time.Duration
	// Settle is how long a container has to run to be stable; zero means two
	// seconds. For one that only has to run it is a quarter of a second.
	Settle time.Duration
	// Found is told when a probe of ours has succeeded, with the look at the
	// container before it; nil for nobody.
	Found func(engine.Inspection)
}

// defaultSettle is long enough for a program to find out that it cannot work:
// that its configuration is wrong, or a file is missing.
const defaultSettle = 2 * time.Second

// briefSettle is how long a container has to run that has no healthcheck, to count
// as running: a program that cannot be run at all, or ends with its first line, is
// started all the same.
const briefSettle = 250 * time.Millisecond

// Wait ends when the container, named by its id, meets the condition, can no
// longer meet it, or the time is up: then with a *NotReadyError. The error of a
// cancelled context is its cause.
func (w *Waiter) Wait(ctx context.Context, id string, condition state.Condition) (Result, error) {
	parent := ctx
	if w.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, w.Timeout)
		defer cancel()
	}
	s := &wait{Waiter: w, id: id, condition: condition}
	result, err := s.run(ctx)
	switch {
	case err == nil:
	case parent.Err() != nil:
		err = context.Cause(parent)
	case ctx.Err() != nil && errors.Is(err, context.DeadlineExceeded):
		result, err = s.timeUp(parent)
	}
	result.Probes = s.probes
	return result, err
}

// wait is one wait for one container.
type wait struct {
	*Waiter
	id        string
	condition state.Condition

	// settled says that the container has run for the time in which one that cannot
	// work ends.
	settled     bool
	first, last engine.Inspection
	lastProbe   *engine.ProbeResult
	// exits counts the ends that events told of, probes our own probes.
	exits, probes int
	// exitCode is that of the last end that an event told of.
	exitCode int
}

// run looks once after the subscription began, so that no change falls between,
// and then reacts to events and to its own probes.
func (s *wait) run(ctx context.Context) (Result, error) {
	if err := s.Watch.open(ctx); err != nil {
		return Result{}, err
	}
	events, unsubscribe := s.Watch.subscribe(s.id)
	defer unsubscribe()
	if result, done, err := s.look(ctx); done || err != nil {
		return result, err
	}
	probes, stop := s.startProbes(ctx)
	defer stop()
	settle := time.NewTimer(s.settle())
	defer settle.Stop()
	var poll <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return Result{}, ctx.Err()
		case probe := <-probes:
			s.probes++
			s.lastProbe = &probe
			if probe.ExitCode == 0 {
				if s.Found != nil {
					s.Found(s.last)
				}
				return Result{Health: "healthy"}, nil
			}
			continue
		case e, open := <-events:
			if e.Action == "die" {
				s.exits++
				s.exitCode = e.ExitCode
			}
			if e.Action == "start" || e.Action == "die" { // the next run has all the time, too
				s.settled = false
				settle.Reset(s.settle())
			}
			switch {
			case !open:
				// No more events: look now and then instead.
				events = nil
				ticker := time.NewTicker(pollInterval)
				defer ticker.Stop()
				poll = ticker.C
			case e.Action == "die":
			case e.Action == "health_status" && e.Health == "healthy" && s.condition == state.Healthy:
				return Result{Health: "healthy"}, nil
			case e.Action == "start" && s.last.State != "running":
			case e.Action == "destroy", e.Action == "pause":
			default:
				continue // says nothing that would change the answer
			}
		case <-poll:
		case <-settle.C:
			s.settled = true
			if events != nil && s.last.State == "running" && s.exits == 0 && s.condition == state.Running {
				return Result{Health: s.last.Health}, nil // an event would have told of its end
			}
		}
		if result, done, err := s.look(ctx); done || err != nil {
			return result, err
		}
	}
}

// settle is how long the container has to run. One that has ended before has to
// show that it stays up.
func (s *wait) settle() time.Duration {
	if s.condition == state.Stable || s.exits > 0 {
		return cmp.Or(s.Settle, defaultSettle)
	}
	return cmp.Or(s.Settle, briefSettle)
}

// look inspects the container and decides.
func (s *wait) look(ctx context.Context) (Result, bool, error) {
	now, err := s.Engine.Inspect(ctx, s.id)
	if errdefs.IsNotFound(err) {
		return Result{}, true, s.notReady("it was removed", nil)
	}
	if err != nil {
		return Result{}, true, err
	}
	if s.first.ID == "" {
		s.first = now
	}
	s.last = now
	if s.probes == 0 {
		s.lastProbe = now.LastProbe
	}
	switch now.State {
	case "exited", "dead":
		return s.ended(now)
	case "restarting":
		return Result{}, false, s.looping(now)
	case "paused":
		return Result{}, true, s.notReady("it is paused", nil)
	case "running":
		switch {
		case (s.condition == state.Running || s.condition == state.Stable) && s.settled:
			return Result{Health: now.Health}, true, s.looping(now)
		case s.condition == state.Healthy && now.Healthcheck == nil && s.settled:
			// The image may have brought a healthcheck, and has not.
			return Result{}, true, s.looping(now)
		case s.condition == state.Healthy && now.Health == "healthy":
			return Result{Health: now.Health}, true, nil
		}
		return Result{}, false, s.looping(now)
	}
	return Result{}, false, nil
}

// lastLookTimeout bounds the look at a container whose time is up.
const lastLookTimeout = 5 * time.Second

// timeUp looks once more, since the last look may be long ago where the engine
// does the probing, and gives the error of a wait that has run out.
func (s *wait) timeUp(ctx context.Context) (Result, error) {
	looking, cancel := context.WithTimeout(ctx, lastLookTimeout)
	defer cancel()
	result, done, err := s.look(looking)
	var notReady *NotReadyError
	if errors.As(err, &notReady) || done && err == nil {
		return result, err
	}
	return Result{}, s.notReady(fmt.Sprintf("%s after %s", s.standing(), s.Timeout), func(e *NotReadyError) { e.TimedOut = true })
}

// looping gives an error for a container that its restart policy brings back
// again and again.
func (s *wait) looping(now engine.Inspection) error {
	exits := max(s.exits, now.RestartCount-s.first.RestartCount)
	if exits < maxExits {
		return nil
	}
	if now.State == "running" { // again, and has no exit code then
		now.ExitCode = s.exitCode
	}
	reason := fmt.Sprintf("it keeps ending, %d times so far, last with exit code %d", exits, now.ExitCode)
	if now.OOMKilled {
		reason += ", killed for using more memory than it may"
	}
	return s.exited(now, reason)
}

// ended decides for a container that does not run. One that its restart policy
// brings back is "restarting" in between, so this one stays as it is.
func (s *wait) ended(now engine.Inspection) (Result, bool, error) {
	if now.ExitCode == 0 && !now.OOMKilled && s.condition != state.Healthy {
		return Result{Completed: true}, true, nil
	}
	reason := fmt.Sprintf("it exited with code %d", now.ExitCode)
	if now.OOMKilled {
		reason = fmt.Sprintf("it was killed for using more memory than it may (exit code %d)", now.ExitCode)
	}
	if now.Error != "" {
		reason += ": " + now.Error
	}
	return Result{}, true, s.exited(now, reason)
}

func (s *wait) exited(now engine.Inspection, reason string) error {
	return s.notReady(reason, func(e *NotReadyError) { e.Exited, e.ExitCode, e.OOMKilled = true, now.ExitCode, now.OOMKilled })
}

func (s *wait) notReady(reason string, change func(*NotReadyError)) error {
	e := &NotReadyError{Container: s.last.Name, Condition: s.condition, Reason: reason, LastProbe: s.lastProbe}
	if change != nil {
		change(e)
	}
	return e
}

// standing says in words how the container stood when the time was up.
func (s *wait) standing() string {
	if s.last.State == "running" && s.last.Healthcheck != nil && s.condition == state.Healthy {
		return "still " + s.last.Health
	}
	return "still " + s.last.State
}

// startProbes runs the container's own healthcheck, one probe at a time, where
// the engine would look later than we can. The engine's first probe comes after
// a whole interval, or after start_interval if it knows that and start_period is
// set: then it is left to the engine, which does it at less cost.
func (s *wait) startProbes(ctx context.Context) (<-chan engine.ProbeResult, func()) {
	check := s.last.Healthcheck
	if s.condition != state.Healthy || check == nil || len(check.Command) == 0 {
		return nil, func() {}
	}
	if s.KnowsStartInterval && check.StartPeriod > 0 && check.StartInterval > 0 {
		return nil, func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	results := make(chan engine.ProbeResult)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for failed := 1; ; failed++ {
			var lost *engine.LostError
			began := time.Now()
			result, err := Once(ctx, s.Engine, s.id, check)
			switch {
			case errdefs.IsConflict(err), errors.As(err, &lost):
				// The container does not run now, and its events tell more; or the engine
				// does not, which the next look tells.
			case err != nil:
				result = engine.ProbeResult{ExitCode: -1, Output: err.Error()}
				fallthrough
			default:
				select {
				case results <- result:
				case <-ctx.Done():
					return
				}
				if result.ExitCode == 0 {
					return // one success is enough
				}
			}
			pause := time.NewTimer(pauseAfter(failed, time.Since(began), check))
			select {
			case <-pause.C:
			case <-ctx.Done():
				pause.Stop()
				return
			}
		}
	}()
	return results, func() {
		cancel()
		<-done
	}
}

// pauseAfter gives the pause after so many probes in a row that failed, the last of
// which took cost. What starts at once is found at once: the first pauses are as
// long as the probe took, twice as long and so on, up to the interval. A probe that
// is slow to run is run more seldom, so that probing takes at most half of the time.
func pauseAfter(failed int, cost time.Duration, check *engine.Healthcheck) time.Duration {
	return max(cost, min(time.Duration(failed)*max(cost, firstPause), interval(check)))
}

// Once runs a container's healthcheck one time, within its timeout.
func Once(ctx context.Context, e Engine, container string, check *engine.Healthcheck) (engine.ProbeResult, error) {
	timeout := check.Timeout
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("the healthcheck did not end within its timeout of %s", timeout))
	defer cancel()
	result, err := e.Exec(ctx, container, engine.Command{Args: check.Command})
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return engine.ProbeResult{}, err
	}
	return engine.ProbeResult(result), nil
}

func interval(check *engine.Healthcheck) time.Duration {
	if check.StartInterval > 0 {
		return check.StartInterval
	}
	return defaultInterval
}
