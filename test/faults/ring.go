package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/stackctl/stackctl/test/faults/proxy"
)

// step is one operation of a ring: it leads from one state of the engine to the next.
type step struct {
	op  string
	run request
	// again is what a person runs after a failure. It is the same but for a rollback,
	// where it is the stack that worked.
	again request
	// fails says that the run ends with a container that is not ready.
	fails bool
	// emptied says that volumes are meant to go.
	emptied bool
}

// ring is a list of operations that leads back to where it began, so that each cycle
// tries one case of each and the recovery from one is the start of the next.
type ring struct {
	steps []step
	// begins is what brings the first state about; nil for the empty one.
	begins *request
}

var (
	first  = variant{Generation: "a", Replicas: 1}
	second = variant{Generation: "b", Replicas: 1}
	third  = variant{Generation: "a", Replicas: 3}
	broken = variant{Generation: "a", Replicas: 1, Broken: true}
)

// The operations, as the table has them.
var operations = []string{"up", "down -v", "recreate", "scale up", "scale down", "rollback"}

// rings are all of them; a recreation goes there and back and is one operation.
func rings() []ring {
	up := func(v variant) request { return request{Variant: v} }
	same := func(op string, r request) step { return step{op: op, run: r, again: r} }
	down := same("down -v", request{Down: true, Variant: first})
	down.emptied = true
	start := up(first)
	return []ring{
		{steps: []step{same("up", up(first)), down}},
		{begins: &start, steps: []step{same("recreate", up(second)), same("recreate", up(first))}},
		{begins: &start, steps: []step{same("scale up", up(third)), same("scale down", up(first))}},
		{begins: &start, steps: []step{{op: "rollback", run: request{Variant: broken, Rollback: true}, again: up(first), fails: true}}},
	}
}

// site is where one worker works on one ring, with a project of its own.
type site struct {
	stack  stack
	ring   ring
	queues map[string]*queue
	limits limits
	at     place
	engine string // the engine's socket
	api    *api
	proxy  *proxy.Proxy
	worker *process
	report func(verdict)

	reference []snapshot // after each step
	usual     []time.Duration
	anonymous []string // volumes without a name that have been seen
	last      snapshot // the one that was taken last
}

// limits are the times of a run.
type limits struct {
	// delay is that of the fault of this name.
	delay time.Duration
	// answer is how long the engine may be silent, and stalled that for a stall.
	answer, stalled time.Duration
	// deadline bounds a run, and slack what a run takes after that.
	deadline, slack time.Duration
}

var usualLimits = limits{
	delay: 5 * time.Second, answer: 30 * time.Second, stalled: 4 * time.Second,
	deadline: 5 * time.Minute, slack: time.Minute,
}

const marker = "marker"

// open makes what a site needs.
func (s *site) open(ctx context.Context) error {
	socket := filepath.Join(s.at.Dir, "proxy.sock")
	var err error
	if s.proxy, err = proxy.New(ctx, socket, s.engine); err != nil {
		return err
	}
	s.api = newAPI(s.engine)
	s.worker, err = startProcess(ctx)
	return err
}

// close leaves nothing behind.
func (s *site) close(ctx context.Context) error {
	if s.worker != nil {
		s.worker.stop()
	}
	if s.proxy != nil {
		s.proxy.Close()
	}
	return s.api.wipe(context.WithoutCancel(ctx), s.at.Project)
}

// buildTime bounds the first run of a stack that is built.
const buildTime = 10 * time.Minute

// build leaves the app's image on the engine, and nothing else.
func (s *site) build(ctx context.Context) error {
	r := request{Socket: s.engine, Stack: s.stack.name, At: s.at, Variant: first, Deadline: buildTime, Answer: buildTime}
	answer, err := s.ask(ctx, r, buildTime+s.limits.slack)
	if err == nil && answer.Err != "" {
		err = errors.New(answer.Err)
	}
	return err
}

// clean runs a request without a fault, straight to the engine.
func (s *site) clean(ctx context.Context, r request) (reply, error) {
	r.Socket, r.Stack, r.At = s.engine, s.stack.name, s.at
	r.Deadline, r.Answer = s.limits.deadline, s.limits.deadline
	return s.ask(ctx, r, s.limits.deadline+s.limits.slack)
}

// ask has a run done, and starts another process where that was its end.
func (s *site) ask(ctx context.Context, r request, patience time.Duration) (reply, error) {
	answer, err := s.worker.ask(r, patience)
	if err != nil {
		var restart error
		if s.worker, restart = startProcess(ctx); restart != nil {
			return answer, errors.Join(err, restart)
		}
	}
	return answer, err
}

// begin brings the first state about and goes round twice without a fault, for the
// references: the second time, everything has been replaced once.
func (s *site) begin(ctx context.Context) error {
	if err := s.restart(ctx); err != nil {
		return err
	}
	for round := range 2 {
		var seen []snapshot
		s.usual = nil
		for i, step := range s.ring.steps {
			s.proxy.Arm(0, proxy.None, 0)
			r := step.run
			r.Socket, r.Stack, r.At = filepath.Join(s.at.Dir, "proxy.sock"), s.stack.name, s.at
			r.Deadline, r.Answer = s.limits.deadline, s.limits.deadline
			answer, err := s.ask(ctx, r, s.limits.deadline+s.limits.slack)
			if err == nil {
				err = expected(step, answer)
			}
			if err != nil {
				return fmt.Errorf("%s without a fault: %w", step.op, err)
			}
			calls := s.proxy.Arm(0, proxy.None, 0).Calls
			s.queues[step.op].learn(len(calls))
			s.usual = append(s.usual, answer.Elapsed)
			now, err := s.state(ctx)
			if err != nil {
				return err
			}
			if round == 1 && !step.emptied {
				if diff := difference(s.reference[i].Meaning, now.Meaning); diff != "" {
					return fmt.Errorf("%s without a fault ends in two states (-first +second):\n%s", step.op, diff)
				}
			}
			seen = append(seen, now)
		}
		s.reference = seen
	}
	return nil
}

// restart removes everything and brings the first state about.
func (s *site) restart(ctx context.Context) error {
	if err := s.api.wipe(ctx, s.at.Project); err != nil {
		return err
	}
	s.anonymous, s.last = nil, snapshot{}
	if s.ring.begins == nil {
		return nil
	}
	answer, err := s.clean(ctx, *s.ring.begins)
	if err == nil && answer.Err != "" {
		err = errors.New(answer.Err)
	}
	if err != nil {
		return fmt.Errorf("bring the first state about: %w", err)
	}
	for _, folder := range s.stack.data {
		if err := s.api.mark(ctx, s.at.Project+"-"+folder[0]+"-1", folder[1], marker); err != nil {
			return err
		}
	}
	if s.stack.app != "" {
		port, err := s.api.appPort(ctx, s.at.Project, s.stack.app)
		if err == nil {
			err = addRow(ctx, port, marker)
		}
		if err != nil {
			return err
		}
	}
	_, err = s.state(ctx)
	return err
}

// state looks at where the project stands, with the rows of its app.
func (s *site) state(ctx context.Context) (snapshot, error) {
	files := slices.Clone(s.stack.files)
	if s.ring.begins != nil { // else nobody has put a marker there
		for _, folder := range s.stack.data {
			files = append(files, [2]string{folder[0], folder[1] + "/" + markerName})
		}
	}
	now, err := s.api.settle(ctx, files, s.at.Project)
	if err != nil {
		return now, err
	}
	s.last = now
	s.anonymous = append(s.anonymous, now.Anonymous...)
	if s.stack.app == "" || len(now.Meaning) == 0 || s.ring.begins == nil {
		return now, nil
	}
	port, err := s.api.appPort(ctx, s.at.Project, s.stack.app)
	text := ""
	if err == nil {
		text, err = rows(ctx, port)
	}
	switch {
	case err != nil:
		now.Meaning["rows"] = err.Error()
	case strings.Contains(text, marker):
		now.Meaning["rows"] = "are there"
	default:
		now.Meaning["rows"] = "are lost"
	}
	return now, nil
}

// expected says how a run without a fault differs from what it should be.
func expected(step step, answer reply) error {
	switch {
	case answer.Leaked != "":
		return errors.New("goroutines are left: " + answer.Leaked)
	case step.fails && answer.Err == "":
		return errors.New("it succeeded, and should not have")
	case step.fails && !answer.NotReady, !step.fails && answer.Err != "":
		return errors.New(answer.Err)
	}
	return nil
}

// round goes round until no case is left. Each step tries one, or goes on without a
// fault where it has none.
func (s *site) round(ctx context.Context) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	for at := 0; ; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		todo := s.ring.steps[at]
		c, found := s.queues[todo.op].take()
		if !found {
			if !slices.ContainsFunc(s.ring.steps, func(other step) bool { return s.queues[other.op].left() > 0 }) {
				return nil
			}
			if lost := s.goOn(ctx, todo, at); lost != "" {
				return fmt.Errorf("%s without a fault: %s", todo.op, lost)
			}
			at = (at + 1) % len(s.ring.steps)
			continue
		}
		moved, v, fired, err := s.try(ctx, todo, at, c)
		if err != nil {
			return err
		}
		if !fired {
			s.queues[todo.op].missed(c)
		}
		if fired || v.lost != "" {
			s.report(v)
		}
		if v.lost != "" {
			if err := s.restart(ctx); err != nil {
				return err
			}
			at = 0
			continue
		}
		if moved {
			at = (at + 1) % len(s.ring.steps)
		}
	}
}

// goOn does a step without a fault.
func (s *site) goOn(ctx context.Context, step step, at int) (lost string) {
	answer, err := s.clean(ctx, step.run)
	if err == nil {
		err = expected(step, answer)
	}
	if err != nil {
		return err.Error()
	}
	return s.compare(ctx, at)
}

// compare says how the engine's state differs from that of a run that never failed.
func (s *site) compare(ctx context.Context, at int) string {
	now, err := s.state(ctx)
	if err != nil {
		return "the state cannot be looked at: " + err.Error()
	}
	if diff := difference(s.reference[at].Meaning, now.Meaning); diff != "" {
		return "the state is another one (-never failed +failed once):\n" + diff
	}
	return ""
}

// try does a step with a fault, and what a person does next. moved says that the
// step has been done at the end, fired that the fault met a call.
func (s *site) try(ctx context.Context, step step, at int, c faultCase) (moved bool, v verdict, fired bool, err error) {
	v = verdict{stack: s.stack.name, op: step.op, faultCase: c}
	before := s.last
	r := step.run
	r.Socket, r.Stack, r.At = filepath.Join(s.at.Dir, "proxy.sock"), s.stack.name, s.at
	r.Deadline, r.Answer = s.limits.deadline, s.limits.answer
	if c.fault == proxy.Stall {
		// What stalls and is not ended by the engine's silence is ended by this.
		r.Deadline, r.Answer = 8*time.Second+4*s.usual[at], s.limits.stalled
	}
	s.proxy.Arm(c.n, c.fault, s.limits.delay)
	answer, asked := s.ask(ctx, r, r.Deadline+s.limits.slack)
	record := s.proxy.Arm(0, proxy.None, 0)
	v.call, v.err, fired = record.Hit, answer.Err, record.Hit != ""
	if ctx.Err() != nil {
		return false, v, false, context.Cause(ctx)
	}
	if v.lost = wrong(step, answer, asked); v.lost != "" {
		return false, v, fired, nil
	}
	after, err := s.state(ctx)
	if err != nil {
		return false, v, fired, err
	}
	same := maps.Equal(after.Meaning, s.reference[at].Meaning)
	switch {
	case answer.Err == "" && !same:
		v.lost = "it said that all went well; " + s.compare(ctx, at)
		return false, v, fired, nil
	case answer.Err != "" && slices.Equal(before.Exact, after.Exact):
		v.how = untouched
		return false, v, fired, nil
	case same && (answer.Err == "" || step.fails):
		v.how = inSpite
		moved = true
	default:
		v.how = byNext
		again, asked := s.clean(ctx, step.again)
		switch {
		case asked != nil:
			v.lost = "the next run: " + asked.Error()
		case again.Err != "":
			v.lost = "the next run failed: " + again.Err
		default:
			v.lost = s.compare(ctx, at)
		}
		moved = true
	}
	if ctx.Err() != nil {
		return false, v, false, context.Cause(ctx)
	}
	if v.lost == "" {
		v.lost = s.keeps(ctx, step, after, s.last)
	}
	return moved, v, fired, nil
}

// wrong says what is wrong with how a run with a fault ended, whatever it has done;
// empty for nothing.
func wrong(step step, answer reply, asked error) string {
	switch {
	case asked != nil:
		return asked.Error()
	case answer.Leaked != "":
		return "goroutines are left: " + answer.Leaked
	case answer.Err != "" && answer.Unclear != "":
		return "the error is not clear: " + answer.Unclear
	case step.fails && answer.Err == "":
		return "it succeeded, and should not have"
	}
	return ""
}

// keeps says which volumes a run has made anew that were there before, and which
// without a name it has left behind.
func (s *site) keeps(ctx context.Context, step step, before, now snapshot) string {
	if !step.emptied {
		for name, made := range before.Volumes {
			if now.Volumes[name] != made {
				return fmt.Sprintf("volume %s was made at %s and is now that of %q", name, made, now.Volumes[name])
			}
		}
		return ""
	}
	for _, name := range s.anonymous {
		if err := s.api.do(ctx, http.MethodGet, "/volumes/"+name, nil, nil); err == nil {
			return "volume " + name + " is left behind"
		}
	}
	s.anonymous = nil
	return ""
}

// folder makes the site's folder, which is short enough for a socket's path.
func folder(root string, n int) (string, error) {
	dir := filepath.Join(root, fmt.Sprint(n))
	return dir, os.MkdirAll(dir, 0o700)
}
