package runner

import (
	"context"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/event"
	"github.com/stackctl/stackctl/pkg/runner/internal/executor"
	"github.com/stackctl/stackctl/pkg/runner/internal/observer"
	"github.com/stackctl/stackctl/pkg/runner/plan"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// Runner works on one engine. It may be used by many goroutines.
type Runner struct {
	engine engine.Engine
	sink   event.Sink
	now    func() time.Time
	cache  string
	// lockWait is zero for no bound.
	lockWait time.Duration
}

// Option changes a Runner.
type Option func(*Runner)

// WithEvents sends everything that happens to sink. The default discards it.
func WithEvents(sink event.Sink) Option { return func(r *Runner) { r.sink = sink } }

// WithClock replaces time.Now, for elapsed times that a test can predict.
func WithClock(now func() time.Time) Option { return func(r *Runner) { r.now = now } }

// WithCache names a folder for what can be made again, which need not exist yet:
// there, a Runner remembers what went into the images that it builds with the Go
// toolchain, and does not build them again before that changes. The default is to
// build every time.
//
// Of all Runners with the same folder, in this process and in others, one at a time
// changes a project of an engine: the others wait for it. Those without a folder do
// not know of each other.
func WithCache(dir string) Option { return func(r *Runner) { r.cache = dir } }

// WithLockWait bounds how long a verb waits for another that is at work on the same
// project; the error is a *[LockedError] then. Zero, the default, waits until the
// context ends.
func WithLockWait(d time.Duration) Option { return func(r *Runner) { r.lockWait = d } }

// New makes a Runner for an engine, such as docker.New gives.
func New(e engine.Engine, opts ...Option) *Runner {
	r := &Runner{engine: e, sink: event.Discard, now: time.Now}
	for _, opt := range opts {
		opt(r)
	}
	return r
}

// Outcome is how one node of a plan ended.
type Outcome = executor.Outcome

// Outcome statuses.
const (
	Done    = executor.Done
	Failed  = executor.Failed
	Skipped = executor.Skipped
)

// observe flattens a project and looks at the engine; anyDefinition leaves out the
// closer look at what was made from another definition than today's.
func (r *Runner) observe(ctx context.Context, p *types.Project, anyDefinition bool) (state.Desired, state.Observed, error) {
	desired, err := state.Flatten(p)
	if err != nil {
		return state.Desired{}, state.Observed{}, err
	}
	observed, err := observer.Observe(ctx, r.engine, observer.WantOf(desired))
	if err != nil {
		return desired, observed, err
	}
	r.recall(ctx, &observed)
	if !anyDefinition {
		err = observer.Compare(ctx, r.engine, desired, &observed)
	}
	return desired, observed, err
}

// Plan says what Up would do, and changes nothing. The engine's ports are not
// looked at.
func (r *Runner) Plan(ctx context.Context, p *types.Project, o UpOptions) (*plan.Plan, error) {
	info, err := r.engine.Info(ctx)
	if err != nil {
		return nil, err
	}
	_, _, todo, err := r.decide(ctx, p, info, o)
	return todo, err
}
