package runner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/event"
	"github.com/stackctl/stackctl/pkg/runner/internal/executor"
	"github.com/stackctl/stackctl/pkg/runner/internal/image"
	"github.com/stackctl/stackctl/pkg/runner/internal/preflight"
	"github.com/stackctl/stackctl/pkg/runner/plan"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// DefaultWaitTimeout is how long Up waits for each service to be ready.
const DefaultWaitTimeout = 2 * time.Minute

// logTail is how many of a failed container's last lines go into the error.
const logTail = 20

// aftercareTimeout bounds what is looked up after a run that failed or was cut.
const aftercareTimeout = 10 * time.Second

// PullPolicy says when images are fetched.
type PullPolicy = plan.PullPolicy

// The policies; the empty one leaves each service its own, which is
// [PullMissing] unless the stack says otherwise.
const (
	PullMissing = plan.PullMissing
	PullAlways  = plan.PullAlways
	PullNever   = plan.PullNever
)

// BuilderMode says what builds images.
type BuilderMode = image.Mode

// The modes; the empty one is BuilderAuto.
const (
	// BuilderAuto takes the Go toolchain for what is a Go program and the engine
	// for the rest, or for all when there is no toolchain.
	BuilderAuto = image.Auto
	// BuilderGo takes the Go toolchain only.
	BuilderGo = image.Go
	// BuilderEngine builds the Dockerfile through the engine only.
	BuilderEngine = image.Engine
)

// UpOptions change what Up does. The zero value brings the whole project up and
// waits until every service is ready.
type UpOptions struct {
	// Services limits the run to these and what they depend on.
	Services []string
	// Build builds images that are there already, too.
	Build bool
	// Builder says what builds; empty is BuilderAuto.
	Builder BuilderMode
	// Pull overrides every service's pull policy; empty leaves it.
	Pull PullPolicy
	// NoDeps leaves out what Services depend on.
	NoDeps bool
	// ForceRecreate replaces containers though nothing changed.
	ForceRecreate bool
	// NoRecreate keeps containers though something changed.
	NoRecreate bool
	// RenewVolumes lets replaced containers begin with empty anonymous volumes. The
	// ones before are kept on the engine.
	RenewVolumes bool
	// Rollback brings the old container back where the new one cannot start or is
	// not ready in time.
	Rollback bool
	// Grace is the time between stop signal and kill of what is stopped; nil for
	// each container's own.
	Grace *time.Duration
	// RemoveOrphans removes containers of services that the project no longer has.
	RemoveOrphans bool
	// NoWait ends when everything has started. What others depend on is waited
	// for all the same.
	NoWait bool
	// WaitTimeout bounds the wait for each container; zero is DefaultWaitTimeout.
	WaitTimeout time.Duration
	// SkipDefinitions leaves out whether containers were made from today's
	// definition: for the plan of a stack that was loaded without all of its
	// variables.
	SkipDefinitions bool
	// Offline lets no registry be asked for anything: images that are missing are
	// a *MissingImagesError. Base images of a build count.
	Offline bool
	// Archive holds images to load where the engine lacks them. Nothing is built or
	// pulled then. Nil for none.
	Archive Archive
}

func (o UpOptions) reconcile(now time.Time) plan.Options {
	return plan.Options{
		Services: o.Services, NoDeps: o.NoDeps, Build: o.Build, Pull: o.Pull, ForceRecreate: o.ForceRecreate,
		NoRecreate: o.NoRecreate, RenewVolumes: o.RenewVolumes, Rollback: o.Rollback, RemoveOrphans: o.RemoveOrphans,
		NoWait: o.NoWait, SkipDefinitions: o.SkipDefinitions, Grace: o.Grace, Now: now, Offline: o.Offline,
	}
}

// Report says how a run went.
type Report struct {
	Plan     *plan.Plan
	Outcomes []Outcome
	// Endpoints are the addresses that the project's containers publish; after Up.
	Endpoints []Endpoint
	Elapsed   time.Duration
}

// Up makes the engine have what the project wants, and waits until it is ready.
// It can be called again at any time: what is as it should be is left alone, and
// a run that was cut short is finished.
//
// The error is a *FailedError, an *InterruptedError, a *PortsError, a *PasswordError, a
// *LockedError, or one from before the run began; a report comes with it once a plan was made.
func (r *Runner) Up(ctx context.Context, p *types.Project, o UpOptions) (*Report, error) {
	began := r.now()
	info, err := r.engine.Info(ctx)
	if err != nil {
		return nil, err
	}
	release, err := r.hold(ctx, info, p.Name, "up")
	if err != nil {
		return nil, err
	}
	defer release()
	desired, observed, todo, err := r.decide(ctx, p, info, o)
	if err != nil {
		return nil, err
	}
	report := &Report{Plan: todo}
	if err := verify(ctx, todo, o.Archive); err != nil {
		return report, err
	}
	if err := r.preflight(ctx, info, todo); err != nil {
		return report, err
	}
	if err := r.checkPasswords(ctx, desired, observed, todo); err != nil {
		return report, err
	}
	after := observed.Containers
	err = r.execute(ctx, report, todo, observed, info, o)
	if err == nil && !todo.Empty() {
		if after, err = r.engine.Containers(ctx, p.Name); err == nil {
			tellEnded(report.Outcomes, after)
			err = fail(report.Outcomes)
		}
	}
	err = r.explain(ctx, p.Name, err)
	var failed *FailedError
	switch {
	case !o.Rollback:
	case errors.As(err, &failed):
		failed.RolledBack, failed.Rollback = r.rollBack(ctx, report, info, o)
	case err == nil: // what nothing requires may have failed
		back, problem := r.rollBack(ctx, report, info, o)
		for _, name := range back {
			r.warn("%s rolled back to what was there before", name)
		}
		if problem != nil {
			r.warn("%v", problem)
		}
	}
	report.Elapsed = r.now().Sub(began)
	if err != nil {
		return report, err
	}
	r.tellOptional(report)
	report.Endpoints = endpoints(after, desired, info)
	return report, nil
}

// preflight tells what the plan warns of and looks for what would make it fail
// half-way. The error is a *PortsError when host ports are taken.
func (r *Runner) preflight(ctx context.Context, info engine.Info, todo *plan.Plan) error {
	for _, warning := range todo.Warnings {
		r.sink.Emit(event.Event{Time: r.now(), Kind: event.Warning, Message: warning})
	}
	conflicts, err := preflight.Ports(ctx, r.engine, info.Local, todo)
	if err != nil {
		return err
	}
	if len(conflicts) == 0 {
		return nil
	}
	return portsError(conflicts)
}

func portsError(conflicts []preflight.Conflict) *PortsError {
	e := &PortsError{}
	for _, c := range conflicts {
		e.Conflicts = append(e.Conflicts, PortConflict(c))
	}
	return e
}

// execute runs a plan of Up with all that it needs around it.
func (r *Runner) execute(ctx context.Context, report *Report, todo *plan.Plan, observed state.Observed, info engine.Info, o UpOptions) error {
	if todo.Empty() {
		return nil
	}
	builder := &image.Builder{Engine: r.engine, Mode: o.Builder, Offline: o.Offline, Cache: r.cache}
	if slices.ContainsFunc(todo.Nodes, isBuild) {
		platform, err := r.engine.Platform(ctx)
		if err != nil {
			return err
		}
		builder.OS, builder.Arch = platform.OS, platform.Arch
	}
	x := &executor.Executor{
		Engine: r.engine, Builder: builder, Sink: r.sink, Now: r.now, Images: observed.Images, Archive: o.Archive,
	}
	wait, end := r.waiter(ctx, todo, info, o.WaitTimeout)
	defer end()
	x.Waiter, x.Ready = wait, r.checkStarted(todo)
	report.Outcomes = x.Run(ctx, todo)
	if err := fail(report.Outcomes); err != nil {
		return err
	}
	return nil
}

// tellEnded makes failures of waits for containers that got ready, and have ended
// since, while the rest was on its way.
func tellEnded(outcomes []Outcome, after []state.Container) {
	for i, out := range outcomes {
		wait, ok := out.Node.Op.(plan.WaitReady)
		if !ok || out.Status != Done {
			continue
		}
		for _, c := range after {
			if c.Name == wait.Container.Name && (c.State == "restarting" || c.State == "exited" && c.ExitCode != 0) {
				outcomes[i].Status = Failed
				outcomes[i].Err = &NotReadyError{
					Container: c.Name, Condition: wait.Condition, Exited: true, ExitCode: c.ExitCode,
					Reason: fmt.Sprintf("it had been, and has ended since with exit code %d", c.ExitCode),
				}
			}
		}
	}
}

// tellOptional warns of what failed and is required by nothing.
func (r *Runner) tellOptional(report *Report) {
	for _, out := range report.Outcomes {
		if out.Status == Failed {
			r.sink.Emit(event.Event{
				Time: r.now(), Kind: event.Warning,
				Message: fmt.Sprintf("%v; nothing requires %s, so the rest goes on without it", out.Err, plan.ServiceOf(out.Node.Op)),
			})
		}
	}
}

func isBuild(n plan.Node) bool {
	_, build := n.Op.(plan.BuildImage)
	return build
}

func isWait(n plan.Node) bool {
	_, wait := n.Op.(plan.WaitReady)
	return wait
}

// explain adds to the end of a run what a person wants to know next: the last
// lines of what failed, or what still runs after an interrupt.
func (r *Runner) explain(ctx context.Context, project string, err error) error {
	interrupted := ctx.Err() != nil
	cause := context.Cause(ctx)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), aftercareTimeout)
	defer cancel()
	var failed *FailedError
	switch {
	case errors.As(err, &failed):
		if failed.Engine = r.lost(ctx, failed); failed.Engine != nil {
			return err // nothing more can be found out
		}
		for i := range failed.Failures {
			f := &failed.Failures[i]
			f.Err = r.reason(ctx, *f)
			switch f.Node.Op.(type) {
			case plan.StartContainer, plan.WaitReady:
				f.Log = r.lastLines(ctx, f.Node.Op.Ref().Name)
			}
		}
	case interrupted:
		e := &InterruptedError{Cause: cause}
		containers, err := r.engine.Containers(ctx, project)
		e.Unknown = err
		for _, c := range containers {
			if c.Running() {
				e.Running = append(e.Running, c.Name)
			}
		}
		slices.Sort(e.Running)
		return e
	}
	return err
}

// lost says why the engine is not there any more, which is the reason behind a
// failure then: one that is stopped ends the containers before it stops to answer.
func (r *Runner) lost(ctx context.Context, failed *FailedError) error {
	var (
		unreachable *engine.UnreachableError
		lost        *engine.LostError
	)
	if _, err := r.engine.Now(ctx); errors.As(err, &unreachable) || errors.As(err, &lost) {
		return err
	}
	if errors.As(failed, &lost) {
		return lost
	}
	return nil
}

// lastLines gives the end of a container's log; none when it cannot be had,
// since an error is being reported already.
func (r *Runner) lastLines(ctx context.Context, container string) []engine.LogLine {
	var lines []engine.LogLine
	tail := logTail
	err := r.engine.Logs(ctx, container, engine.LogOptions{Tail: &tail}, func(l engine.LogLine) { lines = append(lines, l) })
	if err != nil {
		r.sink.Emit(event.Event{
			Time: r.now(), Kind: event.Warning,
			Message: fmt.Sprintf("the log of %s cannot be read: %v", container, err),
		})
	}
	return lines
}
