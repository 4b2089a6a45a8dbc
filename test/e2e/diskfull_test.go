//go:build e2e && linux

package e2e

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
)

// fill takes all of the engine's disk but so many megabytes, and gives it back when
// free is called.
func (e *ownEngine) fill(but int64) (free func()) {
	e.t.Helper()
	var disk syscall.Statfs_t
	if err := syscall.Statfs(e.path("data"), &disk); err != nil {
		e.t.Fatal(err)
	}
	name := e.path("data/filler")
	f, err := os.Create(name)
	if err != nil {
		e.t.Fatal(err)
	}
	defer f.Close()
	size := int64(disk.Bavail)*disk.Bsize - but<<20
	if err := syscall.Fallocate(int(f.Fd()), 0, 0, size); err != nil && !errors.Is(err, syscall.ENOSPC) {
		e.t.Fatal(err)
	}
	return func() {
		if err := os.Remove(name); err != nil {
			e.t.Error(err)
		}
	}
}

const whereSpaceGoes = "hint: free space on the engine's disk: `docker system df` shows what takes it"

// A disk that is full is told of as such, when a container is made and when an image
// is built, and the next up goes on once there is space.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	e := newOwnEngine(t, 64, "alpine")
	s := e.stage()
	s.write("compose.yaml", `
services:
  web:
    image: alpine
    command: [sleep, "600"]
    stop_signal: SIGKILL
    configs: [{source: large, target: /large}]
configs: {large: {file: ./large}}`)
	s.write("large", strings.Repeat("x", 1<<20))
	free := e.fill(0)
	got := s.run(1, "up")
	if !strings.Contains(got.stderr, "no space left on device") || !strings.Contains(got.stderr, whereSpaceGoes) {
		t.Error("up does not say that the disk is full, or what to do")
	}
	free()
	s.run(0, "up")
	s.run(0, "down")

	s.write("Dockerfile", "FROM alpine\nCOPY large /large\n")
	s.write("large", strings.Repeat("x", 8<<20))
	s.write("compose.yaml", `
services:
  web: {build: ., command: [sleep, "600"], stop_signal: SIGKILL}`)
	free = e.fill(2)
	got = s.run(1, "up")
	if !strings.Contains(got.stderr, "no space left on device") || !strings.Contains(got.stderr, whereSpaceGoes) {
		t.Error("the build does not say that the disk is full, or what to do")
	}
	free()
	s.run(0, "up")
}

// A database whose disk is full has told so itself: its words are what up ends with.
func TestDiskFullForTheDatabase(t *testing.T) {
	t.Parallel()
	e := newOwnEngine(t, 600, "postgres:15-alpine")
	s := e.stage()
	s.write("compose.yaml", `
services:
  db:
    image: postgres:15-alpine
    environment: {POSTGRES_PASSWORD: x}
    volumes: [data:/var/lib/postgresql/data]
    healthcheck: {test: [CMD, pg_isready, -h, 127.0.0.1], interval: 1s}
volumes: {data: {}}`)
	free := e.fill(12)
	got := s.run(6, "up", "--wait-timeout", "5m")
	for _, want := range []string{"-db-1 |", "No space left on device", "is not healthy: it exited with code 1", "logs db` shows more"} {
		if !strings.Contains(got.stderr, want) {
			t.Errorf("up does not say %q", want)
		}
	}
	free()
	s.run(0, "down", "-v")
	s.run(0, "up", "--wait-timeout", "5m")
}
