//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// usage is what one process took, those that it waited for included.
type usage struct {
	Wall time.Duration `json:"wall"`
	CPU  time.Duration `json:"cpu"`
	// RSS is the peak of the resident memory in bytes.
	RSS int64 `json:"rss"`
}

// runMeasured is the process "bench measure FILE COMMAND...": it runs a command,
// and writes its usage to a file. It is a process of its own since Linux counts
// the peak memory of whoever starts a process as that process's own, and this one
// is smaller than any contestant.
func runMeasured(ctx context.Context, args []string) error {
	if len(args) < 2 {
		return errors.New("bench measure: a file and a command are needed")
	}
	cmd := exec.CommandContext(ctx, args[1], args[2:]...)
	cmd.Stderr = os.Stderr
	began := time.Now()
	err := cmd.Run()
	u := usage{Wall: time.Since(began)}
	if err != nil {
		return err
	}
	if ru, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		u.RSS = ru.Maxrss * 1024
	}
	u.CPU = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	text, err := json.Marshal(u)
	if err != nil {
		return err
	}
	return os.WriteFile(args[0], text, 0o600)
}

// runCommand runs a command through "bench measure" and gives its usage. Its
// error has what the command wrote to stderr.
func (b *bench) runCommand(ctx context.Context, dir string, env, argv []string) (usage, error) {
	file := filepath.Join(b.dir, "usage.json")
	cmd := exec.CommandContext(ctx, b.self, append([]string{"measure", file}, argv...)...)
	cmd.Dir, cmd.Env = dir, env
	// A contestant that is cut gets the time to end its own processes.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return usage{}, fmt.Errorf("%s: %w\n%s", strings.Join(argv, " "), err, tail(stderr.String(), 2000))
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return usage{}, err
	}
	var u usage
	err = json.Unmarshal(text, &u)
	return u, err
}

func tail(text string, n int) string { return text[max(0, len(text)-n):] }

// clockTick is the unit of the times in /proc/PID/stat: Linux has 100 a second on
// every platform that Go knows.
const clockTick = 10 * time.Millisecond

// engineProcesses are the processes whose processor time is the engine's.
type engineProcesses struct {
	// mount is the mount namespace of dockerd: its containerd and shims share it,
	// and those of another engine on the machine do not have to.
	mount  string
	daemon int
}

// findEngine finds the process that listens on a socket.
func findEngine(ctx context.Context, socket string) (engineProcesses, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err != nil {
		return engineProcesses{}, err
	}
	defer conn.Close()
	unix, ok := conn.(*net.UnixConn)
	if !ok {
		return engineProcesses{}, fmt.Errorf("%s is no unix socket", socket)
	}
	raw, err := unix.SyscallConn()
	if err != nil {
		return engineProcesses{}, err
	}
	var peer *syscall.Ucred
	var peerErr error
	if err := raw.Control(func(fd uintptr) {
		peer, peerErr = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	}); err != nil {
		return engineProcesses{}, err
	}
	if peerErr != nil {
		return engineProcesses{}, fmt.Errorf("ask for the owner of %s: %w", socket, peerErr)
	}
	mount, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/mnt", peer.Pid))
	if err != nil {
		return engineProcesses{}, fmt.Errorf("look at process %d, which owns %s: %w", peer.Pid, socket, err)
	}
	return engineProcesses{mount, int(peer.Pid)}, nil
}

// times gives the processor time of each process of the engine, by process id:
// dockerd, containerd and the shims, each with the children that have ended, so
// that what an exec costs is in it.
func (e engineProcesses) times() map[int]time.Duration {
	out := map[int]time.Duration{}
	folders, _ := filepath.Glob("/proc/[0-9]*") // the pattern is a good one
	for _, folder := range folders {
		text, err := os.ReadFile(folder + "/stat")
		if err != nil {
			continue // it has ended
		}
		pid, name, spent, ok := parseStat(string(text))
		if !ok || pid != e.daemon && !strings.HasPrefix(name, "containerd") {
			continue
		}
		if mount, err := os.Readlink(folder + "/ns/mnt"); err == nil && mount == e.mount {
			out[pid] = spent
		}
	}
	return out
}

// parseStat reads the process id, the name and the processor time from the text
// of /proc/PID/stat. The name is in brackets and may hold anything.
func parseStat(text string) (pid int, name string, spent time.Duration, ok bool) {
	open, end := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	if open < 1 || end < open {
		return 0, "", 0, false
	}
	pid, err := strconv.Atoi(strings.TrimSpace(text[:open]))
	// Fields 14 to 17 of the whole: own and children's, in user and kernel mode.
	fields := strings.Fields(text[end+1:])
	if err != nil || len(fields) < 15 {
		return 0, "", 0, false
	}
	for _, field := range fields[11:15] {
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, "", 0, false
		}
		spent += time.Duration(ticks) * clockTick
	}
	return pid, text[open+1 : end], spent, true
}

// spent is the time between two looks. A process that began in between counts
// whole; what one took that has ended is not known.
func spent(before, after map[int]time.Duration) time.Duration {
	var sum time.Duration
	for pid, then := range after {
		sum += then - before[pid]
	}
	return sum
}
