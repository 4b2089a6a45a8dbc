//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// The contestants, in the order in which they take turns.
const (
	stackctl = "stackctl"
	compose  = "compose"
	theFloor = "floor"
)

var contestants = []string{stackctl, compose, theFloor}

// verb is what a step asks of a contestant.
type verb string

const (
	verbUp       verb = "up"
	verbNoOp     verb = "no-op"
	verbChange   verb = "change"
	verbPull     verb = "pull"
	verbDown     verb = "down"
	verbDownV    verb = "down -v"
	verbStatus   verb = "status"
	verbPlan     verb = "plan"
	verbRender   verb = "render"
	verbValidate verb = "validate"
	verbVersion  verb = "version"
	verbBuild    verb = "build"
)

// The words of each tool for a verb. Compose ends its up once the last container
// has started, stackctl and the floor when the last one is ready: the difference
// is in Compose's favour.
var words = map[verb]map[string]string{
	verbUp:       {stackctl: "up", compose: "up -d"},
	verbNoOp:     {stackctl: "up", compose: "up -d"},
	verbChange:   {stackctl: "up", compose: "up -d"},
	verbPull:     {stackctl: "up", compose: "up -d"},
	verbDown:     {stackctl: "down", compose: "down"},
	verbDownV:    {stackctl: "down -v", compose: "down -v"},
	verbStatus:   {stackctl: "status", compose: "ps -a"},
	verbPlan:     {stackctl: "plan", compose: "up -d"}, // with --dry-run before it
	verbRender:   {stackctl: "render", compose: "config --no-interpolate"},
	verbValidate: {stackctl: "validate", compose: "config -q"},
	verbVersion:  {stackctl: "version", compose: "version"},
	verbBuild:    {stackctl: "build", compose: "build"},
}

// tools are the programs that compete.
type tools struct {
	stackctl string
	// compose is the command of Docker Compose: one word, or "docker" "compose".
	compose []string
}

// findTools finds stackctl where make build puts it, and Docker Compose.
func findTools(ctx context.Context, stackctlPath string) (tools, error) {
	path, err := filepath.Abs(stackctlPath)
	if err != nil {
		return tools{}, err
	}
	if _, err := os.Stat(path); err != nil {
		return tools{}, fmt.Errorf("look for stackctl: %w; make build makes it", err)
	}
	if given := os.Getenv("COMPOSE"); given != "" {
		return tools{path, strings.Fields(given)}, nil
	}
	for _, command := range [][]string{{"docker", "compose"}, {"docker-compose"}} {
		said, err := exec.CommandContext(ctx, command[0], append(command[1:], "version", "--short")...).Output()
		if err == nil && !strings.HasPrefix(string(said), "1.") {
			return tools{path, command}, nil
		}
	}
	return tools{}, fmt.Errorf("no Docker Compose 2 on PATH; COMPOSE=path names one")
}

// command gives the command line of a step for one contestant; none where it has
// nothing like it.
func (b *bench) command(who string, project string, s step, files scenarioFiles) []string {
	if who == theFloor {
		if slices.Contains([]verb{verbPlan, verbRender, verbValidate, verbVersion}, s.verb) {
			return nil
		}
		if s.verb == verbBuild {
			return []string{b.self, "floor", "build", files.dir, project + "-webapp:latest"}
		}
		argv := []string{b.self, "floor", string(s.verb), files.recipe}
		if s.verb == verbChange {
			argv = append(argv, "webapp")
		}
		return argv
	}
	file := files.stack
	if s.verb == verbChange {
		file = files.changed
	}
	said := strings.Fields(words[s.verb][who])
	if s.verb == verbVersion {
		return append(b.prefix(who), said...)
	}
	argv := append(b.prefix(who), "-p", project, "-f", file)
	if who == compose && s.verb == verbPlan {
		argv = append(argv, "--dry-run")
	}
	if s.verb != verbPlan {
		argv = append(argv, "--progress", "quiet")
	}
	return append(argv, said...)
}

func (b *bench) prefix(who string) []string {
	if who == stackctl {
		return []string{b.tools.stackctl}
	}
	return append([]string(nil), b.tools.compose...)
}

// describe gives the version of a contestant's program and its size in bytes.
func (b *bench) describe(ctx context.Context, who string) (program, error) {
	argv := b.prefix(who)
	cmd := exec.CommandContext(ctx, argv[0], append(argv[1:], "version")...)
	cmd.Env = environ(b.socket)
	out, err := cmd.Output()
	if err != nil {
		return program{}, fmt.Errorf("ask %s for its version: %w", strings.Join(argv, " "), err)
	}
	first, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return program{}, err
	}
	if len(argv) > 1 {
		path = pluginPath(path)
	}
	p := program{Version: first}
	if info, err := os.Stat(path); err == nil {
		p.Bytes = info.Size()
	}
	return p, nil
}

// pluginPath finds the file of `docker compose`; the docker command's own path
// where it is at none of the usual places.
func pluginPath(docker string) string {
	home, _ := os.UserHomeDir() // an empty one finds nothing
	for _, dir := range []string{home + "/.docker/cli-plugins", "/usr/local/lib/docker/cli-plugins", "/usr/local/libexec/docker/cli-plugins", "/usr/lib/docker/cli-plugins", "/usr/libexec/docker/cli-plugins"} {
		if path := filepath.Join(dir, "docker-compose"); exists(path) {
			return path
		}
	}
	return docker
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
