//go:build linux

// Command webapp, built as bench-webapp, measures the web app under load: against a
// bare handler that answers the same bytes, and against Redis and PostgreSQL
// themselves. `make bench-webapp` builds what it needs and runs it.
//
//	bench-webapp [flags]     measure, and write bench/webapp/results.json and RESULTS.md
//	bench-webapp -check      compare the results there are with what is to be reached
//	bench-webapp bare ...    what the bare handler is
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// startRuns is how often the start is timed, with and without a table.
const startRuns = 11

// bench is one run.
type bench struct {
	dir         string // for what is gone afterwards
	out         string
	self        string // this program
	app         string // the app's binary
	pgbench     string
	warm        time.Duration
	duration    time.Duration
	roundCount  int
	connections []int // of those that there are
	services    *services
	running     *server // the app
	results     *results
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-webapp:", err)
		os.Exit(1)
	}
}

func say(format string, args ...any) { fmt.Fprintf(os.Stderr, "bench-webapp: "+format+"\n", args...) }

func run(ctx context.Context, args []string) error {
	if len(args) > 1 && args[0] == "bare" {
		return runBare(ctx, args[1:])
	}
	b := &bench{}
	flags := flag.NewFlagSet("bench-webapp", flag.ExitOnError)
	flags.DurationVar(&b.duration, "for", 2*time.Second, "how long each contestant's turn is")
	flags.DurationVar(&b.warm, "warm", 500*time.Millisecond, "what comes before, and is not counted")
	flags.IntVar(&b.roundCount, "rounds", 3, "how often each case is measured")
	only := flags.String("only", "", "cases to run, with semicolons between, such as \"GET /users, hit;start\"; default: all")
	at := flags.String("connections", "1,16,128", "numbers of connections to measure at")
	soak := flags.Duration("soak", 0, "how long to watch the memory under load; 0: not")
	flags.StringVar(&b.app, "app", "bin/webapp", "the app to measure")
	flags.StringVar(&b.out, "out", "bench/webapp", "folder of the results")
	check := flags.Bool("check", false, "measure nothing; say what the results there are fall short of")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *check {
		return runCheck(b.out)
	}
	chosen, withStart, err := choose(*only)
	if err != nil {
		return err
	}
	for text := range strings.SplitSeq(*at, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || !slices.Contains(connectionCounts, n) {
			return fmt.Errorf("-connections %s: there are %v", *at, connectionCounts)
		}
		b.connections = append(b.connections, n)
	}
	if b.dir, err = os.MkdirTemp("", "stackctl-bench-webapp-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	if err := b.prepare(ctx); err != nil {
		return err
	}
	defer b.services.stop(context.WithoutCancel(ctx))
	if withStart {
		if err := b.measureStart(ctx); err != nil {
			return fmt.Errorf("start: %w", err)
		}
	}
	if b.running, err = start(ctx, b.services.environ("127.0.0.1:0"), b.app); err != nil {
		return err
	}
	defer b.running.stop()
	err = until(ctx, func() error { _, err := b.answer(ctx, "/health"); return err })
	if err != nil {
		return err
	}
	for _, c := range chosen {
		if err := b.runCase(ctx, c); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	if *soak > 0 {
		if err := b.soak(ctx, *soak); err != nil {
			return fmt.Errorf("soak: %w", err)
		}
	}
	return nil
}

// choose reads the names of cases; "start" is one, and "none" leaves all out.
func choose(only string) (chosen []one, withStart bool, err error) {
	all := cases()
	if only == "" {
		return all, true, nil
	}
	names := []string{"start", "none"}
	for _, c := range all {
		names = append(names, c.name)
	}
	for name := range strings.SplitSeq(only, ";") {
		i := slices.Index(names, name)
		switch {
		case i < 0:
			return nil, false, fmt.Errorf("there is no case %q; there are: %s", name, strings.Join(names, "; "))
		case i == 0:
			withStart = true
		case i > 1:
			chosen = append(chosen, all[i-2])
		}
	}
	return chosen, withStart, nil
}

// prepare finds everything, and starts the services.
func (b *bench) prepare(ctx context.Context) error {
	var err error
	if b.self, err = os.Executable(); err != nil {
		return err
	}
	if b.pgbench, err = findTools(); err != nil {
		return err
	}
	info, err := os.Stat(b.app)
	if err != nil {
		return fmt.Errorf("look for the app: %w; make bench-webapp builds it", err)
	}
	if b.app, err = filepath.Abs(b.app); err != nil {
		return err
	}
	if b.results, err = readResults(b.out); err != nil {
		return err
	}
	say("starting PostgreSQL and Redis")
	if b.services, err = startServices(ctx); err != nil {
		b.services.stop(context.WithoutCancel(ctx))
		return err
	}
	r := b.results
	r.Date, r.CPUs, r.Go, r.AppBytes = time.Now().UTC().Format(time.DateOnly), runtime.NumCPU(), runtime.Version(), info.Size()
	r.Postgres, r.Redis = b.services.postgresSays, b.services.redisSays
	r.CPU = cpuModel()
	if out, err := exec.CommandContext(ctx, "uname", "-r").Output(); err == nil {
		r.Kernel = strings.TrimSpace(string(out))
	}
	return nil
}

// cpuModel is what the kernel calls the processor.
func cpuModel() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

// measureStart times the start of the app, first with an empty database each time.
func (b *bench) measureStart(ctx context.Context) error {
	var s starts
	for i := range 2 * startRuns {
		into := &s.Ready
		if i < startRuns {
			into = &s.Fresh
			if err := b.services.forget(ctx); err != nil {
				return err
			}
		} else if err := b.services.fill(ctx, usualUsers); err != nil {
			return err
		}
		took, err := b.firstAnswer(ctx)
		if err != nil {
			return err
		}
		*into = append(*into, milliseconds(took))
	}
	if len(s.Ready) == 0 {
		return errors.New("no start was timed")
	}
	b.results.Start = &s
	say("start to first answer: %.1f ms; with an empty database: %.1f ms", median(s.Ready), median(s.Fresh))
	return b.save()
}
