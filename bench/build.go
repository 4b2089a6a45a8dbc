//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// sourceTree copies the web app into a folder that is all one needs to build it:
// with its modules vendored, so that no build asks a proxy, whichever tool it is.
func sourceTree(ctx context.Context, repository, dir string) error {
	if err := os.CopyFS(filepath.Join(dir, "webapp"), os.DirFS(filepath.Join(repository, "webapp"))); err != nil {
		return fmt.Errorf("copy the web app: %w", err)
	}
	tests, err := filepath.Glob(filepath.Join(dir, "webapp", "*_test.go"))
	if err != nil {
		return err
	}
	for _, file := range tests {
		if err := os.Remove(file); err != nil {
			return err
		}
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join(repository, name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			return err
		}
	}
	file := filepath.Join(dir, "webapp", "Dockerfile")
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	const copied = "COPY webapp/ webapp/\n"
	if !bytes.Contains(text, []byte(copied)) {
		return fmt.Errorf("webapp/Dockerfile has no line %q: the benchmark has to follow it", copied)
	}
	// The one beside it lets nothing through that the Dockerfile does not name.
	ignore, err := os.OpenFile(file+".dockerignore", os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = ignore.WriteString("!vendor\n")
	if err := errors.Join(err, ignore.Close()); err != nil {
		return err
	}
	text = bytes.Replace(text, []byte(copied), []byte(copied+"COPY vendor/ vendor/\n"), 1)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return err
	}
	if err := changeSource(dir, 0); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "mod", "vendor")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("vendor the web app's modules: %w\n%s", err, out)
	}
	return nil
}

// changeSource changes a line of the app, one that the compiler cannot drop.
func changeSource(dir string, n int) error {
	return os.WriteFile(filepath.Join(dir, "webapp", "change.go"), fmt.Appendf(nil, `package main

import "os"

func init() {
	if os.Getenv("BENCH_CHANGE") == "round %d" {
		os.Exit(3)
	}
}
`, n), 0o600)
}

// digestLabel holds what the floor built an image from.
const digestLabel = "bench.digest"

// floorBuild is the floor of a build: the compiler, and one request that loads the
// binary as an image with one layer; none but a look where the image is made of
// that binary already.
func floorBuild(ctx context.Context, a *api, dir string, args []string) error {
	ref := args[0]
	temp, err := os.MkdirTemp("", "bench-floor-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", filepath.Join(temp, "webapp"), "./webapp")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	binary, err := os.ReadFile(filepath.Join(temp, "webapp"))
	if err != nil {
		return err
	}
	layer, err := tarOf(map[string][]byte{"webapp": binary})
	if err != nil {
		return err
	}
	digest := digestOf(layer)
	var there struct {
		Config struct{ Labels map[string]string }
	}
	err = a.do(ctx, http.MethodGet, "/images/"+ref+"/json", nil, &there)
	if err == nil && there.Config.Labels[digestLabel] == digest || err != nil && !isStatus(err, http.StatusNotFound) {
		return err
	}
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux",
		"config": map[string]any{
			"User": "65532:65532", "Entrypoint": []string{"/webapp"}, "Labels": map[string]string{digestLabel: digest},
		},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{digest}},
	})
	if err != nil {
		return err
	}
	manifest, err := json.Marshal([]map[string]any{{
		"Config": "config.json", "RepoTags": []string{ref}, "Layers": []string{"layer.tar"},
	}})
	if err != nil {
		return err
	}
	archive, err := tarOf(map[string][]byte{"manifest.json": manifest, "config.json": config, "layer.tar": layer})
	if err != nil {
		return err
	}
	return a.stream(ctx, "/images/load?quiet=1", bytes.NewReader(archive))
}

// seedText gives the built-in stack as `render` prints it.
func (b *bench) seedText(ctx context.Context) (string, error) {
	cmd := exec.CommandContext(ctx, b.tools.stackctl, "--builtin", "render")
	cmd.Env = environ(b.socket)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("stackctl --builtin render: %w\n%s", err, strings.TrimSpace(stderr.String()))
	}
	return string(out), nil
}
