package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/stackctl/stackctl/cmd/stackctl/internal/display"
	"github.com/stackctl/stackctl/pkg/runner"
	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/event"
)

type upOptions struct {
	*globalOptions
	services      []string
	detach        bool
	attach        bool
	build         bool
	builder       runner.BuilderMode
	pull          runner.PullPolicy
	quietPull     bool
	forceRecreate bool
	noRecreate    bool
	noDeps        bool
	renewVolumes  bool
	rollback      bool
	grace         *time.Duration
	removeOrphans bool
	wait          bool
	noWait        bool
	waitTimeout   *time.Duration
	dryRun        bool
}

func newUpCommand(g *globalOptions) *cobra.Command {
	timeout := runner.DefaultWaitTimeout
	opts := &upOptions{globalOptions: g, builder: runner.BuilderAuto, waitTimeout: &timeout}
	cmd := &cobra.Command{
		Use:   "up [SERVICE...]",
		Short: "Create and start the stack, and wait until it is healthy",
		Long: `Create and start the stack, and wait until it is healthy.

What is as it should be is left alone, so up can be run again at any time. With
services named, only they and what they depend on are brought up.`,
		Example: `  # Everything
  stackctl up

  # On another port, after a change in the app
  WEBAPP_PORT=8080 stackctl up --build

  # What would be done
  stackctl up --dry-run

  # Three of a service, for now
  stackctl up --scale web=3

  # With a change that may not work: the old container comes back if it does not
  stackctl up --rollback web

  # Follow the logs; Ctrl-C stops the services
  stackctl up --attach`,
		ValidArgsFunction: g.completeServices,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.services = args
			return runUp(cmd.Context(), g.app, opts)
		},
	}
	flags := cmd.Flags()
	flags.Var(scale(g.scale), "scale", "run so many containers of a service, whatever the stack says; may be repeated")
	flags.BoolVarP(&opts.detach, "detach", "d", false, "run in the background (the default)")
	flags.BoolVar(&opts.attach, "attach", false, "follow the logs after the start; Ctrl-C stops the services")
	flags.BoolVar(&opts.build, "build", false, "build images that are there already, too")
	flags.Var(newChoice(&opts.builder, runner.BuilderAuto, runner.BuilderGo, runner.BuilderEngine), "builder", "what builds: auto, go (the host's Go toolchain) or engine (the Dockerfile)")
	flags.Var(newChoice(&opts.pull, runner.PullMissing, runner.PullAlways, runner.PullNever), "pull", "when to pull images: missing, always or never")
	flags.BoolVar(&opts.quietPull, "quiet-pull", false, "pull without showing how far it is")
	flags.BoolVar(&opts.forceRecreate, "force-recreate", false, "replace containers though nothing changed")
	flags.BoolVar(&opts.noRecreate, "no-recreate", false, "keep containers though something changed")
	flags.BoolVar(&opts.noDeps, "no-deps", false, "leave out what the named services depend on")
	flags.BoolVarP(&opts.renewVolumes, "renew-anon-volumes", "V", false, "begin with empty anonymous volumes where a container is replaced")
	flags.BoolVar(&opts.rollback, "rollback", false, "bring the old container back where the new one does not get ready")
	flags.VarP(newSpan(&opts.grace), "timeout", "t", "time between stop signal and kill, as `duration` or seconds; default: each container's own")
	flags.BoolVar(&opts.removeOrphans, "remove-orphans", false, "remove containers of services that the stack does not have")
	flags.BoolVar(&opts.wait, "wait", false, "wait until everything is ready (the default)")
	flags.BoolVar(&opts.noWait, "no-wait", false, "end when everything has started")
	flags.Var(newSpan(&opts.waitTimeout), "wait-timeout", "how long to wait for each service, as `duration` or seconds")
	flags.BoolVar(&opts.dryRun, "dry-run", false, "print what would be done, and do nothing")
	return cmd
}

// check looks at the flags together.
func (o *upOptions) check() error {
	switch {
	case o.attach && o.detach:
		return &usageError{text: "--attach and --detach contradict each other", hint: "keep one of them"}
	case o.attach && o.dryRun:
		return &usageError{text: "--dry-run starts nothing that --attach could follow", hint: "keep one of them"}
	case o.wait && o.noWait:
		return &usageError{text: "--wait and --no-wait contradict each other", hint: "keep one of them"}
	case o.forceRecreate && o.noRecreate:
		return &usageError{text: "--force-recreate and --no-recreate contradict each other", hint: "keep one of them"}
	case o.rollback && o.noWait:
		return &usageError{text: "--rollback has to see whether the new containers get ready, and --no-wait does not look", hint: "keep one of them"}
	case o.offline && o.pull == runner.PullAlways:
		return pullOffline()
	case o.bundle != "" && (o.build || o.pull == runner.PullAlways):
		return &usageError{text: "a bundle's images are neither built nor pulled", hint: "leave --build and --pull out, or --bundle"}
	case *o.waitTimeout == 0:
		return &usageError{text: "--wait-timeout 0 leaves no time", hint: "--no-wait does not wait"}
	}
	return nil
}

func (o *upOptions) runner() runner.UpOptions {
	return runner.UpOptions{
		Services: o.services, Build: o.build, Builder: o.builder, Pull: o.pull,
		ForceRecreate: o.forceRecreate, NoRecreate: o.noRecreate, NoDeps: o.noDeps, RenewVolumes: o.renewVolumes,
		Rollback: o.rollback, Grace: o.grace, RemoveOrphans: o.removeOrphans,
		NoWait: o.noWait, WaitTimeout: *o.waitTimeout,
	}
}

func runUp(ctx context.Context, app *App, o *upOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	if o.dryRun {
		todo, err := planUp(ctx, o.globalOptions, o.runner())
		if err != nil {
			return err
		}
		return display.Plan(app.Out, todo, o.outColor())
	}
	s, err := o.sourceToLoad(ctx, o.services...)
	if err != nil {
		return err
	}
	if err := s.choose(o.services); err != nil {
		return err // before a password is made for nothing
	}
	if err := o.locateSource(ctx, s); err != nil {
		return err
	}
	e, closeEngine, err := o.connect()
	if err != nil {
		return err
	}
	defer closeEngine()
	p, err := o.loadToRun(ctx, e, s)
	if err != nil {
		return err
	}
	options := o.withoutRegistry(s, o.runner())
	began := app.Now()
	var report *runner.Report
	err = o.watched(s.name, func(sink event.Sink) error {
		if o.quietPull {
			sink = quietPull{sink}
		}
		report, err = o.newRunner(e, sink).Up(ctx, p, options)
		return err
	})
	if o.attach && isInterrupted(err) {
		return o.stop(ctx, e, s)
	}
	if err != nil {
		return err
	}
	if err := o.showUp(report); err != nil || !o.attach {
		return err
	}
	return o.follow(ctx, e, s, began)
}

func isInterrupted(err error) bool {
	var interrupted *runner.InterruptedError
	return errors.As(err, &interrupted)
}

// showUp tells how a run ended: where each service answers is the result.
func (o *upOptions) showUp(report *runner.Report) error {
	elapsed := display.Elapsed(report.Elapsed)
	switch {
	case report.Plan.Empty():
		o.progressNote("up to date")
	case o.noWait:
		o.progressNote("started in %s", elapsed)
	default:
		o.progressNote("ready in %s", elapsed)
	}
	var rows [][]string
	for _, e := range report.Endpoints {
		rows = append(rows, []string{e.Service, e.URL})
	}
	return display.Table(o.app.Out, make([]string, 2), rows, nil)
}

// follow shows the logs until a signal comes, and stops the services then.
func (o *upOptions) follow(ctx context.Context, e engine.Engine, s *source, began time.Time) error {
	err := o.showLogs(ctx, e, s.name, runner.LogOptions{Services: o.services, Follow: true, Since: began}, logStyle{})
	if ctx.Err() == nil {
		return err
	}
	return o.stop(ctx, e, s)
}

// stop stops what was brought up, as an attached `docker compose up` does at its
// end, and ends with the signal's exit code. Another signal ends the process at
// once.
func (o *upOptions) stop(ctx context.Context, e engine.Engine, s *source) error {
	fmt.Fprintln(o.app.Err)
	o.progressNote("stopping; Ctrl-C again leaves everything as it is")
	err := o.watched(s.name, func(sink event.Sink) error {
		_, err := o.newRunner(e, sink).
			Stop(context.WithoutCancel(ctx), s.name, runner.StopOptions{Services: s.withDependencies(o.services)})
		return err
	})
	if err != nil {
		return err
	}
	return silentError(signalCode(ctx))
}
