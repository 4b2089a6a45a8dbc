//go:build e2e

package compose

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docker/docker/api/types/versions"

	"github.com/stackctl/stackctl/pkg/runner"
	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/engine/docker"
	"github.com/stackctl/stackctl/pkg/spec"
)

// patience bounds each run of a tool. Reaching it is a failure.
const patience = 2 * time.Minute

// Every file of the corpus, brought up by Docker Compose and by stackctl under
// the same name in the same folder, makes the same containers, networks, volumes
// and images, but for the listed differences.
func TestCorpus(t *testing.T) {
	t.Parallel()
	if os.Getenv("COMPOSE") == "" {
		t.Fatal("COMPOSE has to name a Docker Compose 2: test/engine/compose.sh gives one")
	}
	e, err := docker.New(docker.Options{LookupEnv: os.LookupEnv})
	if err != nil {
		t.Fatal(err)
	}
	info, err := e.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	peer, err := newPeer(info.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	api, err := peer.version(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all := corpusFiles(t)
	sum := &summary{used: map[string]bool{}}
	t.Cleanup(func() {
		e.Close()
		sum.report(t, len(all), api)
	})
	for _, file := range all {
		t.Run(file.name, func(t *testing.T) {
			t.Parallel()
			c := &comparison{
				t: t, file: file, sum: sum, engine: e, peer: peer, api: api,
				project: "corpus-" + strings.ToLower(rand.Text()[:6]) + "-" + file.name,
				dir:     t.TempDir(),
			}
			c.run()
		})
	}
}

// summary counts over all files.
type summary struct {
	ran, equal, refused, only atomic.Int32
	// used are the reasons and paths of the table that a file needed.
	mu   sync.Mutex
	used map[string]bool
}

func (s *summary) report(t *testing.T, total int, api string) {
	t.Helper()
	t.Logf("API %s: %d of %d files equal but for %d listed differences; %d refused as listed, %d only stackctl runs",
		api, s.equal.Load(), total, len(differences), s.refused.Load(), s.only.Load())
	if int(s.ran.Load()) < total {
		return // a part of the corpus says nothing of the whole table
	}
	for _, d := range differences {
		if d.API != "" && versions.LessThan(api, d.API) {
			continue
		}
		for _, p := range d.At {
			if !s.used[d.Reason+p.Path] {
				t.Errorf("no file needs the listed difference %s (%s) any more: take it out", p.Path, d.Reason)
			}
		}
	}
}

// comparison is one file of the corpus on the engine.
type comparison struct {
	t       *testing.T
	file    corpusFile
	sum     *summary
	engine  *docker.Engine
	peer    *peer
	api     string
	project string
	dir     string
	env     map[string]string
}

// result is what a tool made of a file.
type result struct {
	// made is what is on the engine then, be it a part.
	made any
	// refusal is what it said then.
	refusal string
}

func (c *comparison) run() {
	t := c.t
	defer c.sum.ran.Add(1)
	c.prepare()
	if c.file.Before {
		before := c.before()
		defer before()
	}
	var theirs, ours result
	if !c.file.OnlyStackctl {
		theirs = c.turn("docker-compose", c.composeUp, c.composeDown)
	}
	ours = c.turn("stackctl", c.stackctlUp, c.stackctlDown)
	if t.Failed() {
		return
	}
	want := c.file.expected(c.api)
	if got := refusers(theirs, ours); got != want {
		t.Fatalf("refused by %s, expected by %s\ndocker-compose: %s\nstackctl: %s", orNobody(got), orNobody(want), theirs.refusal, ours.refusal)
	}
	switch {
	case want != "":
		c.sum.refused.Add(1)
		if c.file.CompareRefused {
			c.report(c.different(theirs, ours))
		}
	case c.file.OnlyStackctl:
		c.sum.only.Add(1)
		c.report(c.different(theirs, ours))
	default:
		different := c.different(theirs, ours)
		if len(different) == 0 {
			c.sum.equal.Add(1)
		}
		c.report(different)
	}
}

// different gives a line for each thing that is not as it should be.
func (c *comparison) different(theirs, ours result) []string {
	if c.file.OnlyStackctl {
		return c.file.lacks(ours.made)
	}
	return c.sum.compare(c.file, theirs.made, ours.made)
}

func (c *comparison) report(lines []string) {
	c.t.Helper()
	for _, line := range lines {
		c.t.Error(line)
	}
}

// compare takes the listed differences out of both documents, and gives a line for
// each that is left.
func (s *summary) compare(file corpusFile, theirs, ours any) []string {
	var out []string
	for _, d := range differences {
		if d.File != "" && d.File != file.name {
			continue
		}
		for _, p := range d.At {
			used, err := p.strike(theirs, ours)
			if err != nil {
				out = append(out, err.Error())
			}
			if used {
				s.mu.Lock()
				s.used[d.Reason+p.Path] = true
				s.mu.Unlock()
			}
		}
	}
	return append(out, unlisted("", theirs, ours)...)
}

func refusers(theirs, ours result) string {
	switch {
	case theirs.refusal != "" && ours.refusal != "":
		return refusedByBoth
	case theirs.refusal != "":
		return refusedByCompose
	case ours.refusal != "":
		return refusedByStackctl
	}
	return ""
}

func orNobody(who string) string {
	if who == "" {
		return "nobody"
	}
	return who
}

// nextSlot counts the places that files of this process have been given: a subnet
// and ten ports each. Another process begins somewhere else.
var nextSlot atomic.Int32

// prepare copies the corpus into the folder of the test and sets the variables
// that a file may use.
func (c *comparison) prepare() {
	if err := os.CopyFS(c.dir, os.DirFS("corpus")); err != nil {
		c.t.Fatal(err)
	}
	slot := (os.Getpid()*64 + int(nextSlot.Add(1))) % 15000
	c.env = map[string]string{
		"PATH": os.Getenv("PATH"), "HOME": os.Getenv("HOME"), "DOCKER_HOST": os.Getenv("DOCKER_HOST"),
		"PROJECT": c.project,
		// "${SUBNET}.0/24", "${PREFIX6}::/64"
		"SUBNET":  fmt.Sprintf("198.%d.%d", 18+slot/256%2, slot%256), // for benchmarks, so nobody has it
		"PREFIX6": fmt.Sprintf("fd18:0:0:%x", slot),
		// "${PORT}0" to "${PORT}9"
		"PORT": c.ports(slot),
		// what the shell gives to files that ask for it
		"FROM_SHELL": "from the shell", "TOKEN": "s3cret",
	}
}

// ports finds ten ports in a row that are free, and gives what their numbers
// begin with.
func (c *comparison) ports(slot int) string {
	for tries := range 200 {
		start := 1000 + (slot+tries*37)%2200 // 10000 to 31999: below those that engines give out
		free := true
		for last := range 10 {
			l, err := net.Listen("tcp", fmt.Sprintf(":%d", start*10+last))
			if err != nil {
				free = false
				break
			}
			_ = l.Close()
		}
		if free {
			return strconv.Itoa(start)
		}
	}
	c.t.Fatal("no ten free ports in a row")
	return ""
}

// turn brings the project up with one tool, looks at it and takes it down with the
// same tool, which must leave nothing.
func (c *comparison) turn(tool string, up func(context.Context) (string, error), down func(context.Context) error) (r result) {
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	var err error
	r.refusal, err = up(ctx)
	if err != nil {
		c.t.Errorf("%s: up: %v", tool, err)
	}
	var volumes []string
	if err == nil {
		if r.made, volumes, err = c.peer.snapshot(ctx, c.project, c.look); err != nil {
			c.t.Errorf("%s: look at what it made: %v", tool, err)
		}
	}
	ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	if err := down(ctx); err != nil {
		c.t.Errorf("%s: down: %v", tool, err)
	}
	if err := c.peer.removeImages(ctx, c.project); err != nil {
		c.t.Errorf("%s: remove what it built: %v", tool, err)
	}
	left, err := c.peer.left(ctx, c.project, volumes)
	if err != nil {
		c.t.Errorf("%s: what is left: %v", tool, err)
	}
	if len(left) > 0 {
		c.t.Errorf("%s: down left %v", tool, left)
	}
	return r
}

// look runs the file's script for a service in its container.
func (c *comparison) look(ctx context.Context, service, id string) (string, error) {
	script := c.file.Look[service]
	if script == "" {
		return "", nil
	}
	got, err := c.engine.Exec(ctx, id, engine.Command{Args: []string{"sh", "-c", script}})
	return fmt.Sprintf("%sexit code %d\n", got.Output, got.ExitCode), err
}

// command runs Docker Compose. An exit code other than 0 is a *exec.ExitError.
func (c *comparison) command(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, os.Getenv("COMPOSE"), args...)
	cmd.Dir = c.dir
	for name, value := range c.env {
		if value != "" {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

func (c *comparison) composeArgs(args ...string) []string {
	global := []string{"-p", c.project, "-f", c.path()}
	for _, profile := range c.file.Profiles {
		global = append(global, "--profile", profile)
	}
	return append(global, args...)
}

func (c *comparison) path() string { return filepath.Join(c.dir, c.file.name+".yaml") }

func (c *comparison) composeUp(ctx context.Context) (string, error) {
	out, err := c.command(ctx, c.composeArgs("up", "-d")...)
	return refusal(out, err)
}

// refusal tells a tool that says no from one that could not be run.
func refusal(out string, err error) (string, error) {
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		return strings.TrimSpace(out), nil
	}
	return "", err
}

func (c *comparison) composeDown(ctx context.Context) error {
	out, err := c.command(ctx, c.composeArgs("down", "--volumes", "--timeout", "0")...)
	if said, err := refusal(out, err); err != nil || said == "" {
		return err
	}
	// A file that Compose refuses to read is no help with what is there.
	if out, err = c.command(ctx, "-p", c.project, "down", "--volumes", "--timeout", "0"); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

func (c *comparison) stackctlUp(ctx context.Context) (string, error) {
	project, err := spec.Load(ctx, spec.LoadOptions{
		Files: []string{c.path()}, Env: c.env, Name: c.project, Profiles: c.file.Profiles,
	})
	if err == nil {
		_, err = runner.New(c.engine).Up(ctx, project, runner.UpOptions{NoWait: true})
	}
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	if err != nil {
		return err.Error(), nil //nolint:nilerr // what it says is the result
	}
	return "", nil
}

func (c *comparison) stackctlDown(ctx context.Context) error {
	grace := time.Duration(0)
	_, err := runner.New(c.engine).Down(ctx, c.project, runner.DownOptions{
		Volumes: true, Grace: &grace,
	})
	return err
}

// before brings up what the file expects to be there, NAME.before/compose.yaml,
// and gives what takes it away.
func (c *comparison) before() func() {
	c.t.Helper()
	args := []string{"-p", c.project + "-before", "-f", filepath.Join(c.dir, c.file.name+".before", "compose.yaml")}
	call := func(ctx context.Context, verb ...string) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		if out, err := c.command(ctx, slices.Concat(args, verb)...); err != nil {
			c.t.Fatalf("%s of what is there before: %v\n%s", verb[0], err, out)
		}
	}
	call(c.t.Context(), "up", "-d")
	return func() { call(c.t.Context(), "down", "--volumes", "--timeout", "0") }
}
