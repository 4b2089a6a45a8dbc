// Faults does harm to every call that stackctl makes to an engine, one at a time,
// and looks whether the next run ends where one ends that never failed. It is
// run by `make faults`.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/stackctl/stackctl/test/faults/proxy"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == workerArgument {
		if err := work(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	lost, err := enumerate(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "faults:", err)
		os.Exit(2)
	case lost > 0:
		os.Exit(1)
	}
}

// options are what the flags say.
type options struct {
	stacks, ops []string
	selection   selection
	workers     int
	errors      bool
	verbose     bool
	socket      string
	name        string
	source      string
	port        int
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	set := flag.NewFlagSet("faults", flag.ContinueOnError)
	set.SetOutput(stderr)
	stack := set.String("stack", "", "only these, separated by commas: ten, builtin")
	op := set.String("op", "", "only these: "+strings.Join(operations, ", "))
	faults := set.String("fault", "", fmt.Sprintf("only these: %v", proxy.Faults))
	calls := set.String("calls", "", "only these calls: 7 or 7-12")
	set.IntVar(&o.selection.every, "every", 1, "one case of so many, chosen by the seed")
	set.Uint64Var(&o.selection.seed, "seed", 1, "chooses with -every")
	set.IntVar(&o.workers, "workers", 6, "rings that are gone round at the same time")
	set.BoolVar(&o.errors, "errors", false, "print what the runs said, each text once")
	set.BoolVar(&o.verbose, "v", false, "tell of each case")
	set.StringVar(&o.name, "name", "stackctl-faults", "what names of projects begin with")
	set.IntVar(&o.port, "port", 21000, "the first host port; each worker takes ten")
	if err := set.Parse(args); err != nil {
		return o, err
	}
	if set.NArg() > 0 {
		return o, fmt.Errorf("no argument is taken, and there is %q", set.Arg(0))
	}
	o.stacks, o.ops = list(*stack), list(*op)
	for _, name := range o.stacks {
		if _, err := stackNamed(name); err != nil {
			return o, err
		}
	}
	for _, name := range o.ops {
		if !slices.Contains(operations, name) {
			return o, fmt.Errorf("no operation is called %q; there are %s", name, strings.Join(operations, ", "))
		}
	}
	o.selection.faults = slices.Clone(proxy.Faults)
	if *faults != "" {
		o.selection.faults = nil
		for _, name := range list(*faults) {
			f, err := proxy.Parse(name)
			if err != nil {
				return o, err
			}
			o.selection.faults = append(o.selection.faults, f)
		}
	}
	if *calls != "" {
		from, to, ranged := strings.Cut(*calls, "-")
		if !ranged {
			to = from
		}
		if _, err := fmt.Sscan(from+" "+to, &o.selection.from, &o.selection.to); err != nil || o.selection.from < 1 {
			return o, fmt.Errorf("-calls %s: want 7 or 7-12", *calls)
		}
	}
	var err error
	if o.source, err = moduleRoot(); err != nil {
		return o, err
	}
	host := os.Getenv("DOCKER_HOST")
	if host == "" {
		host = "unix:///var/run/docker.sock"
	}
	var local bool
	if o.socket, local = strings.CutPrefix(host, "unix://"); !local {
		return o, fmt.Errorf("the engine has to be at a unix socket, and DOCKER_HOST is %s", host)
	}
	return o, nil
}

// moduleRoot finds the folder of go.mod, from here upwards: the app's source.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		if _, missing := os.Stat(filepath.Join(dir, "go.mod")); missing == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("there is no go.mod here: run it in the module")
		}
		dir = filepath.Dir(dir)
	}
	return "", err
}

func list(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, ",")
}

// job is one ring on one stack.
type job struct {
	stack  stack
	ring   ring
	queues map[string]*queue
}

// enumerate tries all that was asked for and prints the table. It gives the number
// of cases that were lost.
func enumerate(ctx context.Context, args []string, stdout, stderr io.Writer) (int, error) {
	o, err := parse(args, stderr)
	if err != nil {
		return 0, err
	}
	root, err := os.MkdirTemp("", "faults")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(root)
	r := &results{options: o, stderr: stderr, began: time.Now()}
	jobs := o.jobs()
	r.jobs = jobs
	if err := o.build(ctx, root, jobs, stderr); err != nil {
		return 0, err
	}
	defer func() {
		_ = newAPI(o.socket).do(context.WithoutCancel(ctx), http.MethodDelete, "/images/"+o.image(), nil, nil)
	}()
	var wg sync.WaitGroup
	errs := make([]error, o.workers)
	var failures []error
	next := make(chan job)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	for i := range o.workers {
		wg.Go(func() {
			for j := range next {
				if err := o.workOn(ctx, root, i, j, r.add); err != nil {
					errs[i] = fmt.Errorf("%s: %w", j.stack.name, err)
					cancel(errs[i])
					return
				}
			}
		})
	}
	func() {
		defer close(next)
		for _, j := range jobs {
			select {
			case next <- j:
			case <-ctx.Done():
				return
			}
		}
		// Who has nothing to do helps where most is left: a job's queues are shared.
		for {
			most := slices.MaxFunc(jobs, func(a, b job) int { return a.left() - b.left() })
			if most.left() < worthHelping {
				return
			}
			select {
			case next <- most:
			case <-ctx.Done():
				return
			}
		}
	}()
	wg.Wait()
	for _, err := range errs {
		if err != nil && !errors.Is(err, context.Canceled) {
			failures = append(failures, err)
		}
	}
	verdicts := r.all()
	writeTable(stdout, verdicts, o.selection.faults)
	writeCalls(stdout, verdicts)
	lost := writeLost(stdout, verdicts)
	if o.errors {
		writeErrors(stdout, verdicts)
	}
	if ctx.Err() != nil {
		failures = append(failures, errors.New("it was not finished"))
	}
	return lost, errors.Join(failures...)
}

// worthHelping is how many cases are worth the start of another worker.
const worthHelping = 10

// left estimates how many cases are still to come.
func (j job) left() int {
	n := 0
	for _, q := range j.queues {
		n += q.left()
	}
	return n
}

func (o options) jobs() []job {
	var out []job
	for _, s := range stacks {
		if len(o.stacks) > 0 && !slices.Contains(o.stacks, s.name) {
			continue
		}
		for _, r := range rings() {
			j := job{s, r, map[string]*queue{}}
			wanted := false
			for _, step := range r.steps {
				choice := o.selection
				if len(o.ops) > 0 && !slices.Contains(o.ops, step.op) {
					choice.faults = nil
				} else {
					wanted = true
				}
				if j.queues[step.op] == nil {
					j.queues[step.op] = newQueue(s.name, step.op, choice)
				}
			}
			if wanted {
				out = append(out, j)
			}
		}
	}
	return out
}

// image is the app's in the built-in stack.
func (o options) image() string { return o.name + "-webapp" }

// build has the images built that the jobs need.
func (o options) build(ctx context.Context, root string, jobs []job, stderr io.Writer) error {
	for _, j := range jobs {
		if j.stack.app == "" {
			continue
		}
		fmt.Fprintln(stderr, "faults: building the app's image")
		return o.at(ctx, root, 0, j, nil, (*site).build)
	}
	return nil
}

// workOn goes round a ring in a place of its own.
func (o options) workOn(ctx context.Context, root string, worker int, j job, report func(verdict)) error {
	return o.at(ctx, root, worker, j, report, (*site).round)
}

// at does something in a worker's place, and leaves nothing there.
func (o options) at(
	ctx context.Context, root string, worker int, j job, report func(verdict), do func(*site, context.Context) error,
) (err error) {
	dir, err := folder(root, worker)
	if err != nil {
		return err
	}
	s := &site{
		stack: j.stack, ring: j.ring, queues: j.queues, limits: usualLimits, engine: o.socket, report: report,
		at: place{Project: fmt.Sprintf("%s-%d", o.name, worker), Dir: dir, Source: o.source, Image: o.image(), Port: o.port + 10*worker},
	}
	if err := s.open(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close(ctx)) }()
	return do(s, ctx)
}

// results are what is known so far.
type results struct {
	options options
	stderr  io.Writer
	began   time.Time
	jobs    []job

	mu       sync.Mutex
	verdicts []verdict
	told     time.Time
}

// toldEvery is the pause between two lines about how far it is.
const toldEvery = 10 * time.Second

func (r *results) add(v verdict) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.verdicts = append(r.verdicts, v)
	if r.options.verbose {
		fmt.Fprintf(r.stderr, "%s %s: %s at call %d (%s): %s: %s\n", v.stack, v.op, v.fault, v.n, v.call, v.how, plainText(v.err))
	}
	if v.lost != "" {
		writeLost(r.stderr, []verdict{v})
	}
	if time.Since(r.told) < toldEvery {
		return
	}
	r.told = time.Now()
	left := 0
	for _, j := range r.jobs {
		left += j.left()
	}
	done := len(r.verdicts)
	each := time.Since(r.began) / time.Duration(done)
	fmt.Fprintf(r.stderr, "faults: %d done, about %d to come, about %s\n", done, left, (each * time.Duration(left)).Round(time.Second))
}

func (r *results) all() []verdict {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.verdicts)
}

var (
	ids      = regexp.MustCompile(`\b[0-9a-f]{64}\b|\b[0-9a-f]{12}\b`)
	projects = regexp.MustCompile(`-[0-9]+([-_])`)
)

// plainText is an error without what is another in each case.
func plainText(text string) string {
	return projects.ReplaceAllString(ids.ReplaceAllString(text, "ID"), "$1")
}
