//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// webappImage is what all contestants run as the web app; built once beforehand.
const webappImage = "stackctl-bench-webapp:latest"

// step is one command of each contestant.
type step struct {
	// name is the case that it is a sample of; "" for one that only leads to the
	// next.
	name string
	verb verb
	// running is how many containers the project has to have running after it.
	running int
	// before prepares it, outside the time.
	before func() error
}

// scenario is a row of steps that each contestant does in turn, from nothing to
// nothing.
type scenario struct {
	name string
	// rounds is how many times; 0 for what the flag says. Where a round takes long
	// there are fewer, and the one in which the calls are counted is timed, too.
	rounds int
	// standing has all contestants' containers made once and kept for all rounds;
	// the floor looks at stackctl's.
	standing bool
	// unfit says why an engine cannot run it; "" when it can, nil when all can.
	unfit func(engineInfo) string
	// files writes the stack; errSkip when the machine lacks something.
	files func(ctx context.Context, b *bench, dir string) (stackFiles, error)
	// plain is set where the floor needs no recipe.
	plain bool
	steps func(b *bench, files scenarioFiles) []step
}

// stackFiles is the text of the compose files of a scenario.
type stackFiles struct {
	text, changed string
	// images are removed before each turn.
	images []string
}

// scenarioFiles says where they are.
type scenarioFiles struct {
	dir, stack, changed, recipe string
	images                      []string
}

var errSkip = errors.New("the machine lacks")

// fixed gives a stack that is written here.
func fixed(text string) func(context.Context, *bench, string) (stackFiles, error) {
	return func(context.Context, *bench, string) (stackFiles, error) { return stackFiles{text: text}, nil }
}

// scenarios are all of them, in the order in which they are run.
func scenarios(many int) []scenario {
	return []scenario{
		{
			name: "seed",
			files: func(_ context.Context, b *bench, _ string) (stackFiles, error) {
				text, err := apply(b.seed, withoutStartInterval, withImage(webappImage))
				if err != nil {
					return stackFiles{}, err
				}
				changed, err := apply(text, oneChange)
				return stackFiles{text: text, changed: changed}, err
			},
			steps: func(*bench, scenarioFiles) []step {
				return []step{
					{name: "cold", verb: verbUp, running: 3},
					{name: "no-op", verb: verbNoOp, running: 3},
					{name: "status", verb: verbStatus, running: 3},
					{name: "plan", verb: verbPlan, running: 3},
					{name: "render", verb: verbRender, running: 3},
					{name: "validate", verb: verbValidate, running: 3},
					{name: "version", verb: verbVersion, running: 3},
					{name: "one change", verb: verbChange, running: 3},
					{name: "down", verb: verbDown},
					{name: "warm", verb: verbUp, running: 3},
					{name: "down -v", verb: verbDownV},
				}
			},
		},
		{
			name: "tuned",
			unfit: func(e engineInfo) string {
				if e.knowsStartInterval() {
					return ""
				}
				return "the engine does not know start_interval, and Docker Compose refuses the file"
			},
			files: func(_ context.Context, b *bench, _ string) (stackFiles, error) {
				text, err := apply(b.seed, withImage(webappImage))
				return stackFiles{text: text}, err
			},
			steps: func(*bench, scenarioFiles) []step {
				return []step{
					{name: "cold, tuned", verb: verbUp, running: 3},
					{verb: verbDown},
					{name: "warm, tuned", verb: verbUp, running: 3},
					{verb: verbDownV},
				}
			},
		},
		{
			name: "pull", rounds: 4,
			files: pullFiles,
			steps: func(*bench, scenarioFiles) []step {
				return []step{{name: "pull", verb: verbPull, running: 3}}
			},
		},
		{
			name: "build", rounds: 4, plain: true,
			files: func(ctx context.Context, b *bench, dir string) (stackFiles, error) {
				text, err := apply(b.seed, withoutStartInterval)
				if err != nil {
					return stackFiles{}, err
				}
				return stackFiles{text: text}, sourceTree(ctx, b.repository, dir)
			},
			steps: func(b *bench, files scenarioFiles) []step {
				change := func() error {
					b.changes++
					return changeSource(files.dir, b.changes)
				}
				return []step{
					{name: "build, one line", verb: verbBuild, before: change},
					{name: "build, nothing", verb: verbBuild},
				}
			},
		},
		{
			name: "wide", rounds: 3,
			files: fixed(wide(50)),
			steps: func(*bench, scenarioFiles) []step { return []step{{name: "wide, 50", verb: verbUp, running: 50}} },
		},
		{
			name: "deep", rounds: 3,
			files: fixed(layers(20, 1)),
			steps: func(*bench, scenarioFiles) []step { return []step{{name: "deep", verb: verbUp, running: 20}} },
		},
		{
			name: "diamond", rounds: 3,
			files: fixed(layers(5, 8)),
			steps: func(*bench, scenarioFiles) []step { return []step{{name: "diamond", verb: verbUp, running: 40}} },
		},
		{
			name: "many", standing: true,
			files: fixed(wide(many)),
			steps: func(*bench, scenarioFiles) []step {
				return []step{
					{name: fmt.Sprintf("no-op, %d", many), verb: verbNoOp, running: many},
					{name: fmt.Sprintf("status, %d", many), verb: verbStatus, running: many},
				}
			},
		},
	}
}

// pullFiles starts the registry and puts the three images into it.
func pullFiles(ctx context.Context, b *bench, dir string) (stackFiles, error) {
	r, found, err := newRegistry(ctx, dir)
	if err != nil {
		return stackFiles{}, err
	}
	if !found {
		return stackFiles{}, fmt.Errorf("%w docker-registry", errSkip)
	}
	edits := []edit{withoutStartInterval, withImage(webappImage)}
	out := stackFiles{}
	for _, image := range []string{"postgres:15-alpine", "redis:7-alpine", webappImage} {
		ref, err := r.publish(ctx, b.api, image)
		if err != nil {
			return stackFiles{}, fmt.Errorf("publish %s: %w", image, err)
		}
		edits = append(edits, replaceImage(image, ref))
		out.images = append(out.images, ref)
	}
	out.text, err = apply(b.seed, edits...)
	return out, err
}

// prepare writes a scenario's files and takes the floor's recipe from what
// stackctl makes of them.
func (b *bench) prepare(ctx context.Context, s scenario) (scenarioFiles, error) {
	dir := filepath.Join(b.dir, s.name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return scenarioFiles{}, err
	}
	stack, err := s.files(ctx, b, dir)
	if err != nil {
		return scenarioFiles{}, err
	}
	files := scenarioFiles{
		dir: dir, images: stack.images, stack: filepath.Join(dir, "compose.yaml"),
		changed: filepath.Join(dir, "changed.yaml"), recipe: filepath.Join(dir, "recipe.json"),
	}
	if err := os.WriteFile(files.stack, []byte(stack.text), 0o600); err != nil {
		return scenarioFiles{}, err
	}
	if err := os.WriteFile(files.changed, []byte(stack.changed), 0o600); err != nil {
		return scenarioFiles{}, err
	}
	if s.plain {
		return files, nil
	}
	project := projectOf(theFloor)
	if s.standing {
		project = projectOf(stackctl)
	}
	argv := append(b.command(stackctl, project, step{verb: verbUp}, files), "--no-wait")
	if _, err := b.runCommand(ctx, dir, environ(b.socket), argv); err != nil {
		return scenarioFiles{}, err
	}
	r, err := record(ctx, b.api, b.results.Engine, project)
	if err != nil {
		return scenarioFiles{}, fmt.Errorf("take the recipe of %s: %w", s.name, err)
	}
	if s.standing {
		argv := b.command(compose, projectOf(compose), step{verb: verbUp}, files)
		if _, err := b.runCommand(ctx, dir, environ(b.socket), argv); err != nil {
			return scenarioFiles{}, err
		}
	} else if err := b.api.wipe(ctx, project); err != nil {
		return scenarioFiles{}, err
	}
	return files, writeJSON(files.recipe, r)
}
