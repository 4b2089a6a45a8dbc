// Package executor acts out a plan. It decides nothing: what to do, in which
// order and why is all in the plan.
package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/event"
	"github.com/stackctl/stackctl/pkg/runner/plan"
	"github.com/stackctl/stackctl/pkg/runner/probe"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// Engine is what executing needs of an engine.
type Engine interface {
	engine.Mutator
	Image(ctx context.Context, ref string) (state.Image, error)
	Inspect(ctx context.Context, container string) (engine.Inspection, error)
	Pull(ctx context.Context, ref, platform string, each func(engine.Progress)) error
	Exec(ctx context.Context, container string, c engine.Command) (engine.ExecResult, error)
	LoadImage(ctx context.Context, archive io.Reader) (string, error)
}

// Archive holds images that are not on the engine.
type Archive interface {
	// Image opens a `docker save` archive of one image, and gives its size.
	Image(ref string) (io.ReadCloser, int64, error)
}

// Builder builds the image of a service.
type Builder interface {
	// Build leaves the image on the engine under s.Image. The note says how it
	// was built, or that nothing had to be.
	Build(ctx context.Context, project string, s *state.ServiceSpec, each func(engine.Progress)) (note string, err error)
}

// Volumes reads and writes what is in volumes.
type Volumes interface {
	// Backup writes a volume to a backup, and reads that again.
	Backup(ctx context.Context, v state.Volume, each func(engine.Progress)) error
	// Restore writes a backup into a volume. What it cannot complete it takes back,
	// where the volume was made for it.
	Restore(ctx context.Context, op plan.RestoreVolume, each func(engine.Progress)) error
}

// Executor runs plans.
type Executor struct {
	Engine  Engine
	Builder Builder
	// Waiter is used for WaitReady; plans without one need none.
	Waiter *probe.Waiter
	// Ready looks at a container that is healthy, before others start; nil for no
	// look.
	Ready func(ctx context.Context, c state.ContainerSpec, id string) error
	// Archive is used for LoadImage; plans without one need none.
	Archive Archive
	// Volumes is used for BackupVolume and RestoreVolume; plans without one need none.
	Volumes Volumes
	Sink    event.Sink
	Now     func() time.Time
	// Images are the images that are there, by reference.
	Images map[string]state.Image
}

// mutationTimeout bounds one operation that changes something. Such a one is not cut
// by a cancelled context, so that it is known whether it happened. It is longer than
// an engine may be silent on one call, whose error says more.
const mutationTimeout = 2 * time.Minute

// Status is how a node ended.
type Status string

// The ends.
const (
	Done    Status = "done"
	Failed  Status = "failed"
	Skipped Status = "skipped"
)

// Outcome is the end of one node.
type Outcome struct {
	Node   plan.Node
	Status Status
	// Err is why it failed.
	Err error
	// Because is the node whose failure made this one be skipped; 0 when the run
	// was cancelled from outside.
	Because int
	// Note says more of a success: "image unchanged, kept".
	Note    string
	Elapsed time.Duration
}

// Run runs all nodes of a plan, each as soon as what it needs has succeeded, and
// gives their outcomes in the plan's order. The first failure of
// what is not optional, or the end of ctx, lets nothing new begin: waits, pulls and
// builds end, and calls that change something are let finish.
func (x *Executor) Run(ctx context.Context, p *plan.Plan) []Outcome {
	ctx, abort := context.WithCancelCause(ctx)
	defer abort(nil)
	r := &run{
		Executor: x, project: p.Project, abort: abort,
		ids: map[string]string{}, kept: map[string]string{}, ended: map[string]bool{}, images: map[string]state.Image{},
		outcomes: make([]Outcome, len(p.Nodes)), done: make([]chan struct{}, len(p.Nodes)),
	}
	for ref, image := range x.Images {
		r.images[ref] = image
	}
	for i, n := range p.Nodes {
		r.done[i] = make(chan struct{})
		if _, pull := n.Op.(plan.PullImage); pull {
			r.pulls.Add(1)
		}
	}
	var wg sync.WaitGroup
	for i, n := range p.Nodes {
		wg.Go(func() {
			// The outcome is written before the channel is closed: whoever waits for
			// this node reads it then.
			r.outcomes[i] = r.node(ctx, n)
			close(r.done[i])
		})
	}
	wg.Wait()
	if slices.ContainsFunc(r.outcomes, func(out Outcome) bool { return out.Status != Done }) {
		r.putBack(ctx, p)
	}
	return r.outcomes
}

// run is one run of one plan.
type run struct {
	*Executor
	project  string
	abort    context.CancelCauseFunc
	outcomes []Outcome
	done     []chan struct{}
	// pulls counts the pulls that no registry has accepted yet.
	pulls sync.WaitGroup
	// ranges serialises the starts of containers with a range of host ports: the
	// engine can hand one port to two starts at a time.
	ranges sync.Mutex

	mu     sync.Mutex
	ids    map[string]string // ids of the containers made in this run, by name
	kept   map[string]string // states of the containers that were not replaced after all, by name
	ended  map[string]bool   // containers that were stopped in this run, by id
	images map[string]state.Image
}

// abortedError is the cause of the context after a failure.
type abortedError struct{ node int }

func (e *abortedError) Error() string { return fmt.Sprintf("cut short by the failure of #%d", e.node) }

// node waits for what a node needs, runs it and gives its outcome.
func (r *run) node(ctx context.Context, n plan.Node) Outcome {
	out := Outcome{Node: n}
	accepted := func() {}
	if _, pull := n.Op.(plan.PullImage); pull {
		accepted = sync.OnceFunc(r.pulls.Done)
		defer accepted()
	}
	for _, id := range n.Needs {
		<-r.done[id-1]
		if need := r.outcomes[id-1]; need.Status != Done {
			out.Status, out.Because = Skipped, need.Because
			if need.Status == Failed {
				out.Because = id
			}
			return r.emitEnd(out)
		}
	}
	for _, id := range n.After {
		<-r.done[id-1]
	}
	if changesEngine(n.Op) {
		// Nothing is changed until every image that has to be pulled is known to be
		// there to pull.
		r.pulls.Wait()
	}
	if ctx.Err() != nil {
		out.Status, out.Because = Skipped, because(ctx)
		return r.emitEnd(out)
	}
	began := r.Now()
	r.emit(n, event.Event{Kind: event.Started, Message: n.Cause})
	out.Note, out.Err = r.exec(ctx, n, accepted)
	out.Elapsed = r.Now().Sub(began)
	switch {
	case out.Err == nil:
		out.Status = Done
	case ctx.Err() != nil && (errors.Is(out.Err, context.Canceled) || errors.Is(out.Err, context.Cause(ctx))):
		// It did not fail: it was cut short.
		out.Status, out.Because, out.Err = Skipped, because(ctx), nil
	default:
		out.Status = Failed
		if !n.Optional {
			r.abort(&abortedError{n.ID})
		}
	}
	return r.emitEnd(out)
}

// because gives the node whose failure ended the context; 0 when it was ended
// from outside.
func because(ctx context.Context) int {
	var aborted *abortedError
	if errors.As(context.Cause(ctx), &aborted) {
		return aborted.node
	}
	return 0
}

// changesEngine says that a node changes what the project has on the engine.
// Pulls, loads and builds only add images.
func changesEngine(op plan.Op) bool {
	switch op.(type) {
	case plan.PullImage, plan.LoadImage, plan.BuildImage, plan.WaitReady:
		return false
	}
	return true
}

func (r *run) emit(n plan.Node, e event.Event) {
	e.Time, e.Node = r.Now(), n.ID
	e.Resource, e.Action = n.Op.Ref().String(), n.Op.Verb()
	r.Sink.Emit(e)
}

func (r *run) emitEnd(out Outcome) Outcome {
	e := event.Event{Message: out.Note, Elapsed: out.Elapsed, Err: out.Err}
	switch out.Status {
	case Done:
		e.Kind = event.Done
	case Failed:
		e.Kind = event.Failed
	case Skipped:
		e.Kind = event.Skipped
		e.Message = "cancelled"
		if out.Because != 0 {
			e.Message = fmt.Sprintf("because of #%d", out.Because)
		}
	}
	r.emit(out.Node, e)
	return out
}

// progress passes an engine's progress on as events.
func (r *run) progress(n plan.Node) func(engine.Progress) {
	return func(p engine.Progress) {
		text := p.Text
		// The id of a layer tells one from the others; that of a build's step is a
		// digest, which tells nobody anything.
		if _, build := n.Op.(plan.BuildImage); !build && p.ID != "" {
			text = strings.TrimSpace(p.ID + " " + text)
		}
		r.emit(n, event.Event{Kind: event.Progress, Message: text, Current: p.Current, Total: p.Total})
	}
}
