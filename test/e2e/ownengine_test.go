//go:build e2e && linux

package e2e

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stackctl/stackctl/pkg/runner"
	"github.com/stackctl/stackctl/pkg/runner/engine/docker"
)

// ownEngine is an engine of one test alone, which may be stopped, killed and filled
// up: this machine's dockerd, with everything of its own but the network namespace.
// It has no iptables rules and no default bridge, so it changes nothing for others.
type ownEngine struct {
	t      *testing.T
	dir    string
	engine *docker.Engine
	raw    *rawEngine
	// cmd runs, or ran last; ended is closed at its end.
	cmd   *exec.Cmd
	ended chan struct{}
}

// ownPools counts the engines of this process, for each to have addresses of its
// own. An engine gives out no subnet that the machine has a route to.
var ownPools atomic.Int32

// newOwnEngine starts an engine that has these images of the engine under test. Size
// bounds what it can store, in megabytes; 0 leaves it to the disk.
func newOwnEngine(t *testing.T, size int, images ...string) *ownEngine {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("an engine of the test's own needs root")
	}
	if _, err := exec.LookPath("dockerd"); err != nil {
		t.Fatalf("an engine of the test's own needs the engine's program: %v", err)
	}
	// Not the test's own folder: a socket's path may have 107 characters only.
	dir, err := os.MkdirTemp("", "own-") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	e := &ownEngine{t: t, dir: dir}
	t.Cleanup(e.remove)
	if err := os.Mkdir(e.path("data"), 0o700); err != nil {
		t.Fatal(err)
	}
	if size > 0 {
		if err := syscall.Mount("tmpfs", e.path("data"), "tmpfs", 0, fmt.Sprintf("size=%dm", size)); err != nil {
			t.Fatalf("mount a small disk: %v", err)
		}
	}

	shared, err := docker.New(docker.Options{LookupEnv: os.LookupEnv})
	if err != nil {
		t.Fatal(err)
	}
	defer shared.Close()
	raw, err := rawEngineOf(t.Context(), shared)
	if err != nil {
		t.Fatal(err)
	}
	// Which storage works on this machine, that engine has found out.
	var info struct{ Driver string }
	if err := raw.do(t.Context(), http.MethodGet, "/info", nil, &info); err != nil {
		t.Fatal(err)
	}
	config, err := json.Marshal(map[string]any{
		"data-root": e.path("data"), "exec-root": e.path("exec"), "pidfile": e.path("pid"), "hosts": []string{e.host()},
		"storage-driver": info.Driver, "iptables": false, "ip6tables": false, "bridge": "none",
		"default-address-pools": []map[string]any{{"base": fmt.Sprintf("10.%d.0.0/16", 232+ownPools.Add(1)%8), "size": 24}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(e.path("daemon.json"), config, 0o600); err != nil {
		t.Fatal(err)
	}
	if e.engine, err = docker.New(docker.Options{Host: e.host()}); err != nil {
		t.Fatal(err)
	}
	if e.raw, err = newRawEngine(e.host()); err != nil {
		t.Fatal(err)
	}
	e.start()

	archive, into := io.Pipe()
	go func() { into.CloseWithError(shared.SaveImages(t.Context(), images, into)) }()
	if _, err := e.engine.LoadImage(t.Context(), archive); err != nil {
		t.Fatal(err)
	}
	return e
}

func (e *ownEngine) path(name string) string { return filepath.Join(e.dir, name) }

func (e *ownEngine) host() string { return "unix://" + e.path("docker.sock") }

// start starts it and waits until it answers.
func (e *ownEngine) start() {
	e.t.Helper()
	// One that was killed leaves these, with numbers that other processes may have.
	for _, stale := range []string{"pid", "exec/containerd/containerd.pid"} {
		if err := os.RemoveAll(e.path(stale)); err != nil {
			e.t.Fatal(err)
		}
	}
	// In a network namespace of its own, where nothing is up yet: an engine that has no
	// default bridge removes the one that it finds, which is another engine's.
	e.cmd = exec.Command("sh", "-c", `ip link set lo up && exec dockerd --config-file "$0"`, e.path("daemon.json"))
	log, err := os.OpenFile(e.path("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		e.t.Fatal(err)
	}
	defer log.Close()
	e.cmd.Stdout, e.cmd.Stderr = log, log
	e.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Cloneflags: syscall.CLONE_NEWNET}
	if err := e.cmd.Start(); err != nil {
		e.t.Fatal(err)
	}
	e.ended = make(chan struct{})
	go func(cmd *exec.Cmd, ended chan struct{}) {
		defer close(ended)
		_ = cmd.Wait()
	}(e.cmd, e.ended)
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for e.raw.do(withoutCancel(e.t), http.MethodGet, "/_ping", nil, nil) != nil {
		select {
		case <-tick.C:
		case <-e.ended:
			e.t.Fatalf("the test's own engine has ended:\n%s", e.complaints())
		case <-deadline.C:
			e.t.Fatalf("the test's own engine does not answer:\n%s", e.complaints())
		}
	}
}

// complaints are what the engine did not find normal.
func (e *ownEngine) complaints() string {
	log, err := os.ReadFile(e.path("log"))
	if err != nil {
		return err.Error()
	}
	var out strings.Builder
	for line := range strings.Lines(string(log)) {
		if !strings.Contains(line, "level=info") {
			out.WriteString(line)
		}
	}
	return out.String()
}

// end sends a signal and waits until the engine has ended.
func (e *ownEngine) end(signal syscall.Signal) {
	e.t.Helper()
	if err := e.cmd.Process.Signal(signal); err != nil {
		e.t.Fatal(err)
	}
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	select {
	case <-e.ended:
	case <-deadline.C:
		e.t.Fatalf("%s does not end the engine:\n%s", signal, e.complaints())
	}
}

// remove takes the engine away with all that is on it.
func (e *ownEngine) remove() {
	if e.cmd != nil {
		select {
		case <-e.ended: // what is left of it can only be removed by one
			e.start()
		default:
		}
		ctx, cancel := context.WithTimeout(withoutCancel(e.t), patience)
		defer cancel()
		var containers, networks []struct{ ID, Name string }
		if err := e.raw.do(ctx, http.MethodGet, "/containers/json?all=true", nil, &containers); err != nil {
			e.t.Errorf("clean up: %v", err)
		}
		for _, c := range containers {
			if err := e.raw.do(ctx, http.MethodDelete, "/containers/"+c.ID+"?force=true&v=true", nil, nil); err != nil {
				e.t.Errorf("clean up: %v", err)
			}
		}
		if err := e.raw.do(ctx, http.MethodGet, "/networks?filters="+url.QueryEscape(`{"type":["custom"]}`), nil, &networks); err != nil {
			e.t.Errorf("clean up: %v", err)
		}
		for _, n := range networks {
			if err := e.raw.do(ctx, http.MethodDelete, "/networks/"+n.ID, nil, nil); err != nil {
				e.t.Errorf("clean up: %v", err)
			}
		}
		e.end(syscall.SIGTERM)
		e.engine.Close()
	}
	_ = syscall.Unmount(e.path("data"), 0) // it need not be a file system of its own
	if err := os.RemoveAll(e.dir); err != nil {
		e.t.Errorf("clean up: %v", err)
	}
}

// stage gives a test's project on this engine.
func (e *ownEngine) stage() *stage {
	return &stage{
		t: e.t, project: prefix + strings.ToLower(rand.Text()[:6]), dir: e.t.TempDir(),
		engine: e.engine, raw: e.raw, runner: runner.New(e.engine), env: []string{"DOCKER_HOST=" + e.host()},
	}
}
