//go:build linux

// Command bench measures stackctl against Docker Compose and against the floor:
// straight Engine API calls in the best order. The three take turns at each case,
// on the engine that DOCKER_HOST names; `make bench` builds what it needs and runs
// it. It runs on Linux only, since it reads the processor time of the engine.
//
//	bench [flags]          measure, and write bench/results-ENGINE.json and RESULTS.md
//	bench -check           compare the results there are with what is to be reached
//	bench floor VERB ...   what the third contestant is
//	bench measure ...      run a command and write down what it took
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// bench is one run.
type bench struct {
	dir        string // for what is gone afterwards
	repository string
	self       string // this program
	tools      tools
	socket     string
	api        *api
	processes  engineProcesses
	counter    *counter
	seed       string   // the built-in stack as a compose file
	taking     []string // the contestants that take part
	results    *results
	file       string // of the results
	changes    int    // of the app's source
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) > 0 {
		switch args[0] {
		case "floor":
			return runFloor(ctx, args[1:])
		case "measure":
			return runMeasured(ctx, args[1:])
		}
	}
	flags := flag.NewFlagSet("bench", flag.ExitOnError)
	rounds := flags.Int("rounds", 7, "how often each case is timed; scenarios with long cases have fewer")
	only := flags.String("only", "", "scenarios to run, with commas between: seed, tuned, pull, build, wide, deep, diamond, many; default: all")
	who := flags.String("contestants", strings.Join(contestants, ","), "who takes part")
	many := flags.Int("many", 200, "services of the scenario many")
	stackctlPath := flags.String("stackctl", "bin/stackctl", "the program to measure")
	out := flags.String("out", "bench", "folder of the results")
	check := flags.Bool("check", false, "measure nothing; say what the results there are fall short of")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *check {
		return runCheck(*out)
	}
	chosen, err := choose(scenarios(*many), *only)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "stackctl-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // before the folder goes: it ends the registry
	b, err := newBench(ctx, dir, *stackctlPath, *out)
	if err != nil {
		return err
	}
	b.taking = strings.Split(*who, ",")
	defer b.removeImages(context.WithoutCancel(ctx))
	for _, s := range chosen {
		n := s.rounds
		if n == 0 || *rounds < n {
			n = *rounds
		}
		if err := b.runScenario(ctx, s, n); err != nil {
			return fmt.Errorf("scenario %s: %w", s.name, err)
		}
	}
	return nil
}

func choose(all []scenario, only string) ([]scenario, error) {
	if only == "" {
		return all, nil
	}
	var out []scenario
	var names []string
	for _, s := range all {
		names = append(names, s.name)
	}
	for name := range strings.SplitSeq(only, ",") {
		i := slices.Index(names, name)
		if i < 0 {
			return nil, fmt.Errorf("there is no scenario %q; there are: %s", name, strings.Join(names, ", "))
		}
		out = append(out, all[i])
	}
	return out, nil
}

// newBench finds everything, and builds the web app's image.
func newBench(ctx context.Context, dir, stackctlPath, out string) (*bench, error) {
	// The compiler remembers what it compiled, in other runs, too.
	b := &bench{dir: dir, changes: int(time.Now().Unix()) * 1000}
	var err error
	if b.self, err = os.Executable(); err != nil {
		return nil, err
	}
	if b.repository, err = os.Getwd(); err != nil {
		return nil, err
	}
	if b.tools, err = findTools(ctx, stackctlPath); err != nil {
		return nil, err
	}
	if b.socket, err = socketOf(os.Getenv("DOCKER_HOST")); err != nil {
		return nil, err
	}
	b.api = newAPI(b.socket, "")
	engine, err := b.api.look(ctx)
	if err != nil {
		return nil, err
	}
	if b.processes, err = findEngine(ctx, b.socket); err != nil {
		return nil, err
	}
	if b.counter, err = newCounter(ctx, b.socket, dir); err != nil {
		return nil, err
	}
	b.file = filepath.Join(out, "results-"+engine.short()+".json")
	if b.results, err = readResults(b.file); err != nil {
		return nil, err
	}
	b.results.Engine, b.results.CPUs, b.results.Date = engine, runtime.NumCPU(), time.Now().UTC().Format(time.DateOnly)
	b.results.Programs = map[string]program{}
	for _, who := range []string{stackctl, compose} {
		if b.results.Programs[who], err = b.describe(ctx, who); err != nil {
			return nil, err
		}
	}
	if b.seed, err = b.seedText(ctx); err != nil {
		return nil, err
	}
	say("engine %s, API %s, %d CPUs; %s; %s", engine.Version, engine.API, runtime.NumCPU(),
		b.results.Programs[stackctl].Version, b.results.Programs[compose].Version)
	for _, who := range contestants { // what a run before this one may have left
		if err := b.api.wipe(ctx, projectOf(who)); err != nil {
			return nil, err
		}
	}
	tree := filepath.Join(dir, "app")
	if err := os.Mkdir(tree, 0o700); err != nil {
		return nil, err
	}
	if err := sourceTree(ctx, b.repository, tree); err != nil {
		return nil, err
	}
	say("building the web app")
	return b, floorBuild(ctx, b.api, tree, []string{webappImage})
}

// removeImages removes the images that the benchmark built.
func (b *bench) removeImages(ctx context.Context) {
	refs := []string{webappImage}
	labels := []string{digestLabel}
	for _, who := range contestants {
		refs = append(refs, projectOf(who)+"-webapp:latest")
		labels = append(labels, projectLabel+"="+projectOf(who))
	}
	for _, label := range labels { // those that a later build took the name from
		ids, err := b.api.dangling(ctx, label)
		if err != nil {
			say("list images: %v", err)
		}
		refs = append(refs, ids...)
	}
	for _, ref := range refs {
		if err := b.api.removeImage(ctx, ref); err != nil {
			say("remove image %s: %v", ref, err)
		}
	}
}

// projectOf is the project of one contestant: each has its own.
func projectOf(who string) string { return "bench-" + who }

func say(format string, args ...any) { fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...) }

// runScenario has the contestants take turns, and writes the results after every
// round, so that a run which is cut keeps them. Calls are counted in a round of
// its own, which is not timed, except where rounds are few.
func (b *bench) runScenario(ctx context.Context, s scenario, rounds int) (err error) {
	if s.unfit != nil {
		if why := s.unfit(b.results.Engine); why != "" {
			say("%s: left out: %s", s.name, why)
			return nil
		}
	}
	defer func() {
		for _, who := range contestants {
			err = errors.Join(err, b.api.wipe(context.WithoutCancel(ctx), projectOf(who)))
		}
	}()
	say("%s: preparing", s.name)
	files, err := b.prepare(ctx, s)
	if errors.Is(err, errSkip) {
		say("%s: left out: %v", s.name, err)
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { // what one contestant pulled last
		for _, ref := range files.images {
			err = errors.Join(err, b.api.removeImage(context.WithoutCancel(ctx), ref))
		}
	}()
	steps := s.steps(b, files)
	for _, step := range steps {
		for _, who := range b.taking {
			delete(b.results.Cases[step.name], who)
		}
	}
	first := 0 // the number of a round that is counted and not timed
	if s.rounds > 0 {
		first = 1
	}
	for round := first; round <= rounds; round++ {
		for _, who := range b.taking {
			if err := b.turn(ctx, s, steps, files, who, round); err != nil {
				return err
			}
		}
		if err := b.results.write(b.file); err != nil {
			return err
		}
	}
	return writeTable(filepath.Dir(b.file))
}

// turn is one round of one contestant.
func (b *bench) turn(ctx context.Context, s scenario, steps []step, files scenarioFiles, who string, round int) error {
	for _, ref := range files.images {
		if err := b.api.removeImage(ctx, ref); err != nil {
			return err
		}
	}
	project := projectOf(who)
	if s.standing && who == theFloor {
		project = projectOf(stackctl)
	}
	count := round == 0 || s.rounds > 0 && round == 1
	for _, step := range steps {
		argv := b.command(who, project, step, files)
		if argv == nil {
			continue
		}
		if step.before != nil {
			if err := step.before(); err != nil {
				return err
			}
		}
		env := environ(b.socket)
		if count {
			env = environ(b.counter.socket)
			b.counter.take()
		}
		before := b.processes.times()
		used, err := b.runCommand(ctx, files.dir, env, argv)
		if err != nil {
			return err
		}
		engine := spent(before, b.processes.times())
		if err := b.verify(ctx, project, step, s.plain); err != nil {
			return fmt.Errorf("%s: after %s: %w", who, step.verb, err)
		}
		if step.name == "" {
			continue
		}
		say("%s, round %d: %s: %s", step.name, round, who, used.Wall.Round(100*time.Microsecond))
		row := b.results.row(step.name, who)
		if count {
			row.Calls = b.counter.take()
		}
		if round > 0 {
			row.add(used, engine)
		}
	}
	if s.standing {
		return nil
	}
	return b.api.wipe(ctx, project)
}

// verify looks whether a step did what it is there for: one that did nothing would
// be a fast one.
func (b *bench) verify(ctx context.Context, project string, s step, plain bool) error {
	if plain {
		err := b.api.do(ctx, http.MethodGet, "/images/"+project+"-webapp:latest/json", nil, nil)
		if err != nil {
			return fmt.Errorf("look for the image: %w", err)
		}
		return nil
	}
	containers, err := b.api.containers(ctx, project)
	if err != nil {
		return err
	}
	running := 0
	for _, c := range containers {
		if c.State == "running" {
			running++
		}
	}
	if running != s.running || len(containers) != s.running {
		return fmt.Errorf("%d containers run of %d, and %d should", running, len(containers), s.running)
	}
	return nil
}

func writeJSON(file string, value any) error {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	// Through a second file, so that no reader ever sees a part of one.
	if err := os.WriteFile(file+".new", append(text, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}
