package image

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/stackctl/stackctl/pkg/runner/engine"
)

// killDelay is what the go command gets to clean up after an interrupt.
const killDelay = 5 * time.Second

// CompileError says that the Go toolchain refused a package.
type CompileError struct {
	// Package is the package as the service names it.
	Package string
	// Output is what the toolchain wrote.
	Output string
	Err    error
}

func (e *CompileError) Error() string {
	text := fmt.Sprintf("go build %s: %v", e.Package, e.Err)
	for line := range strings.Lines(strings.TrimSpace(e.Output)) {
		text += "\n  | " + strings.TrimRight(line, "\r\n")
	}
	return text
}

func (e *CompileError) Unwrap() error { return e.Err }

// toolchain is the go command as it works on one package for one target.
type toolchain struct {
	command string
	dir     string // of the package, which may be a module of its own
	target  target
	environ []string
	// vars are the settings, as `go env` tells them; nil when the command does not
	// work there.
	vars map[string]string
}

// toolchain finds the go command. The error says that there is none.
func (b *Builder) toolchain(ctx context.Context, dir, pkg string, p target) (*toolchain, error) {
	command, err := exec.LookPath(cmp.Or(b.GoCommand, "go"))
	if err != nil {
		return nil, err
	}
	t := &toolchain{command: command, dir: filepath.Join(dir, pkg), target: p, environ: p.environ()}
	if b.Offline {
		t.environ = append(t.environ, "GOPROXY=off")
	}
	if err := t.tell(ctx, &t.vars, "env", "-json"); err != nil {
		t.vars = nil
	}
	return t, nil
}

// run gives a go command that is ready to run. The end of ctx interrupts it.
func (t *toolchain) run(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, t.command, args...)
	cmd.Dir = t.dir
	cmd.Env = append(cmd.Environ(), t.environ...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = killDelay
	return cmd
}

// tell reads the JSON value that a go command writes.
func (t *toolchain) tell(ctx context.Context, value any, args ...string) error {
	out, err := t.run(ctx, args...).Output()
	if err != nil {
		return err
	}
	return json.Unmarshal(out, value)
}

// usable says that the toolchain can build the package: it is new enough, or has
// fetched one that is, to know what go.mod asks for.
func (t *toolchain) usable() bool {
	if t.vars == nil {
		return false
	}
	// Before 1.21, go ran into whatever a newer go.mod means.
	var minor int
	if n, _ := fmt.Sscanf(t.vars["GOVERSION"], "go1.%d", &minor); n == 1 {
		return minor >= 21
	}
	return true // a development version
}

// buildFlags are those of every build. Nothing of this machine goes into the
// binary, so that the same source gives the same bytes.
var buildFlags = []string{"-buildmode=exe", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid="}

// compile gives the static binary of a package.
func (t *toolchain) compile(ctx context.Context, pkg string, each func(engine.Progress)) ([]byte, error) {
	temp, err := os.MkdirTemp("", "stackctl-build-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(temp)
	binary := filepath.Join(temp, "binary")
	cmd := t.run(ctx, slices.Concat([]string{"build"}, buildFlags, []string{"-o", binary, "."})...)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	each(engine.Progress{Text: "go build " + pkg})
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		var missing *os.PathError
		if errors.As(err, &missing) {
			return nil, fmt.Errorf("package %s: %w", pkg, err)
		}
		return nil, &CompileError{Package: pkg, Output: output.String(), Err: err}
	}
	return os.ReadFile(binary)
}

// target is what a binary is built for.
type target struct {
	os, arch, variant string
}

// environ sets the target. What else could change the binary of one and the same
// source is set too.
func (p target) environ() []string {
	env := []string{"CGO_ENABLED=0", "GOOS=" + p.os, "GOARCH=" + p.arch, "GOEXPERIMENT="}
	if level := strings.TrimPrefix(p.variant, "v"); level != "" {
		switch p.arch {
		case "arm":
			env = append(env, "GOARM="+level)
		case "amd64":
			env = append(env, "GOAMD64=v"+level)
		}
	}
	return env
}

// targetOf reads a platform as Docker writes it, "linux/arm/v7"; where it is
// empty or says only a part, the engine's own counts.
func (b *Builder) targetOf(platform string) target {
	p := target{os: b.OS, arch: b.Arch}
	if parts := strings.Split(platform, "/"); len(parts) > 1 {
		p.os, p.arch = parts[0], parts[1]
		if len(parts) > 2 {
			p.variant = parts[2]
		}
	} else if platform != "" {
		p.arch = platform
	}
	return p
}

// check says that an image of a binary alone can be of use there.
func (p target) check() error {
	if p.os != "linux" {
		return fmt.Errorf("an image of a Go binary alone runs on linux, not on %q: let the engine build the Dockerfile (--builder engine)", p.os)
	}
	return nil
}
