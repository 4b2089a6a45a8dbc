//go:build linux

package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// The line to the registry: what a good connection at home has.
const (
	lineRate  = 200_000_000 / 8 // bytes a second, all connections together
	lineDelay = 10 * time.Millisecond
)

// registry is Debian's docker-registry on the loopback, behind a slow line.
type registry struct {
	address string // what images are named after: the line's near end
	line    *line
}

// newRegistry starts a registry that ends with ctx. False: there is no such
// program.
func newRegistry(ctx context.Context, dir string) (*registry, bool, error) {
	program, err := exec.LookPath("docker-registry")
	if err != nil {
		return nil, false, nil //nolint:nilerr // a machine without it skips the case
	}
	near, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, true, err
	}
	far, err := freeAddress(ctx)
	if err != nil {
		return nil, true, err
	}
	config := filepath.Join(dir, "registry.yml")
	if err := os.WriteFile(config, fmt.Appendf(nil, `version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: %s/registry}}
http: {addr: %q}
`, dir, far), 0o600); err != nil {
		return nil, true, err
	}
	server := exec.CommandContext(ctx, program, "serve", config)
	if err := server.Start(); err != nil {
		return nil, true, fmt.Errorf("start the registry: %w", err)
	}
	go func() { _ = server.Wait() }() // it ends with the benchmark
	deadline := time.Now().Add(10 * time.Second)
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", far)
		if err == nil {
			conn.Close()
			break
		}
		if time.Now().After(deadline) {
			return nil, true, fmt.Errorf("wait for the registry: %w", err)
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return nil, true, err
		}
	}
	r := &registry{address: near.Addr().String(), line: &line{}}
	go r.line.serve(ctx, near, far)
	context.AfterFunc(ctx, func() { near.Close() })
	return r, true, nil
}

func freeAddress(ctx context.Context) (string, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// line carries connections at a rate that they share, each byte a while late.
type line struct {
	mu   sync.Mutex
	free time.Time // when the line has sent all that it was given
	slow bool
}

// setSlow says whether the line is slow from now on.
func (l *line) setSlow(slow bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slow = slow
}

func (l *line) serve(ctx context.Context, near net.Listener, far string) {
	for {
		in, err := near.Accept()
		if err != nil {
			return // the benchmark ends
		}
		go func() {
			out, err := (&net.Dialer{}).DialContext(ctx, "tcp", far)
			if err != nil {
				in.Close()
				return
			}
			go l.carry(ctx, in, out, false)
			l.carry(ctx, out, in, true)
		}()
	}
}

// parcel is some bytes and when they arrive.
type parcel struct {
	bytes []byte
	due   time.Time
}

// carry moves what comes from one end to the other, and closes that then. Only
// what is downloaded is as slow as the rate; all has the delay.
func (l *line) carry(ctx context.Context, from, to net.Conn, download bool) {
	parcels := make(chan parcel, 64)
	go func() {
		defer close(parcels)
		for {
			buffer := make([]byte, 32<<10)
			n, err := from.Read(buffer)
			if n > 0 {
				parcels <- parcel{buffer[:n], l.due(n, download)}
			}
			if err != nil {
				return
			}
		}
	}()
	defer to.Close()
	for p := range parcels {
		err := pause(ctx, time.Until(p.due))
		if err == nil {
			_, err = to.Write(p.bytes)
		}
		if err != nil {
			from.Close()
			for range parcels { // so that the reader ends
			}
			return
		}
	}
}

// due says when n bytes that are sent now have arrived.
func (l *line) due(n int, download bool) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if !l.slow {
		return now
	}
	if !download {
		return now.Add(lineDelay)
	}
	if l.free.Before(now) {
		l.free = now
	}
	l.free = l.free.Add(time.Duration(n) * time.Second / lineRate)
	return l.free.Add(lineDelay)
}

// publish puts a copy of an image into the registry, and gives its reference. The
// engine keeps nothing of it: below the copy's layers is one of its own, so that
// none of them is the same as a layer that the engine has.
func (r *registry) publish(ctx context.Context, a *api, image string) (string, error) {
	name, _, _ := strings.Cut(image, ":")
	ref := r.address + "/" + name + ":bench"
	saved, err := a.open(ctx, http.MethodGet, "/images/"+url.PathEscape(image)+"/get", nil)
	if err != nil {
		return "", err
	}
	defer saved.Close()
	files, err := readTar(saved)
	if err != nil {
		return "", fmt.Errorf("read image %s: %w", image, err)
	}
	archive, err := withOwnLayers(files, ref)
	if err != nil {
		return "", fmt.Errorf("copy image %s: %w", image, err)
	}
	if err := a.stream(ctx, "/images/load?quiet=1", archive); err != nil {
		return "", err
	}
	r.line.setSlow(false)
	if err := a.stream(ctx, "/images/"+r.address+"/"+name+"/push?tag=bench", nil); err != nil {
		return "", err
	}
	r.line.setSlow(true)
	return ref, a.removeImage(ctx, ref)
}

func readTar(r io.Reader) (map[string][]byte, error) {
	files, links := map[string][]byte{}, map[string]string{}
	for archive := tar.NewReader(r); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if header.Typeflag == tar.TypeSymlink {
			links[header.Name] = filepath.Join(filepath.Dir(header.Name), header.Linkname)
			continue
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			return nil, err
		}
		files[header.Name] = content
	}
	for name, target := range links { // engines before 25 save a layer once
		files[name] = files[target]
	}
	return files, nil
}

// withOwnLayers gives the archive of an image under another name, with a small
// random layer below the others.
func withOwnLayers(files map[string][]byte, ref string) (io.Reader, error) {
	var images []struct {
		Config           string
		RepoTags, Layers []string
	}
	if err := json.Unmarshal(files["manifest.json"], &images); err != nil {
		return nil, err
	}
	if len(images) != 1 {
		return nil, fmt.Errorf("the archive has %d images", len(images))
	}
	image := &images[0]
	var config map[string]any
	if err := json.Unmarshal(files[image.Config], &config); err != nil {
		return nil, err
	}
	rootfs, _ := config["rootfs"].(map[string]any)
	digests, ok := rootfs["diff_ids"].([]any)
	if !ok {
		return nil, errors.New("its config names no layers")
	}
	random := make([]byte, 64)
	_, _ = rand.Read(random) // it never fails
	own, err := tarOf(map[string][]byte{".bench": random})
	if err != nil {
		return nil, err
	}
	out := map[string][]byte{"own.tar": own}
	for _, name := range image.Layers {
		out[name] = files[name]
	}
	rootfs["diff_ids"] = append([]any{digestOf(own)}, digests...)
	image.Layers = append([]string{"own.tar"}, image.Layers...)
	image.Config, image.RepoTags = "config.json", []string{ref}
	delete(config, "history") // it would have to name the layers
	if out["config.json"], err = json.Marshal(config); err != nil {
		return nil, err
	}
	if out["manifest.json"], err = json.Marshal(images); err != nil {
		return nil, err
	}
	archive, err := tarOf(out)
	return bytes.NewReader(archive), err
}

func digestOf(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// tarOf packs files that everyone may read and run.
func tarOf(files map[string][]byte) ([]byte, error) {
	var out bytes.Buffer
	archive := tar.NewWriter(&out)
	for name, content := range files {
		if err := archive.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o755, Size: int64(len(content))}); err != nil {
			return nil, err
		}
		if _, err := archive.Write(content); err != nil {
			return nil, err
		}
	}
	err := archive.Close()
	return out.Bytes(), err
}
