package image

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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

func (b *Builder) goCommand() (string, error) {
	return exec.LookPath(cmp.Or(b.GoCommand, "go"))
}

// usable says that a toolchain can build what is in a folder: it is new enough,
// or has fetched one that is, to know what go.mod asks for.
func usable(ctx context.Context, tool, dir, pkg string) bool {
	cmd := exec.CommandContext(ctx, tool, "env", "GOVERSION")
	cmd.Dir = filepath.Join(dir, pkg)
	out, err := cmd.Output()
	if err != nil {
		return false
	}
	// Before 1.21, go ran into whatever a newer go.mod means.
	var minor int
	if n, _ := fmt.Sscanf(string(out), "go1.%d", &minor); n == 1 {
		return minor >= 21
	}
	return true // a development version
}

// compile gives the static binary of a package.
func (b *Builder) compile(ctx context.Context, tool, dir, pkg string, p target, each func(engine.Progress)) ([]byte, error) {
	temp, err := os.MkdirTemp("", "stackctl-build-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(temp)
	binary := filepath.Join(temp, "binary")
	// Nothing of this machine goes into the binary, so that the same source gives
	// the same bytes.
	cmd := exec.CommandContext(ctx, tool, "build",
		"-buildmode=exe", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", binary, ".")
	cmd.Dir = filepath.Join(dir, pkg) // it may be a module of its own
	cmd.Env = append(cmd.Environ(), p.environ()...)
	if b.Offline {
		cmd.Env = append(cmd.Env, "GOPROXY=off")
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = killDelay
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
func (b *Builder) targetOf(platform string) (target, error) {
	p := target{os: b.OS, arch: b.Arch}
	if parts := strings.Split(platform, "/"); len(parts) > 1 {
		p.os, p.arch = parts[0], parts[1]
		if len(parts) > 2 {
			p.variant = parts[2]
		}
	} else if platform != "" {
		p.arch = platform
	}
	if p.os != "linux" {
		return p, fmt.Errorf("an image of a Go binary alone runs on linux, not on %q: let the engine build the Dockerfile (--builder engine)", p.os)
	}
	return p, nil
}
