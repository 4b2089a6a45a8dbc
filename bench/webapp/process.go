//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// server is a process that listens.
type server struct {
	cmd     *exec.Cmd
	address string
	stderr  bytes.Buffer
	drained chan struct{}
}

// start runs a server and waits for the line of its log that says where it listens.
// The rest of the log is read and thrown away, through a pipe as an engine's.
func start(ctx context.Context, env []string, argv ...string) (*server, error) {
	s := &server{drained: make(chan struct{})}
	s.cmd = exec.CommandContext(ctx, argv[0], argv[1:]...)
	s.cmd.Env = env
	s.cmd.Stderr = &s.stderr
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewReaderSize(out, 64<<10)
	for s.address == "" {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			close(s.drained)
			s.stop()
			return nil, fmt.Errorf("%s did not listen: %w: %s", argv[0], err, s.stderr.String())
		}
		var said struct{ Msg, Address string }
		if json.Unmarshal(line, &said) == nil && said.Msg == "listening" {
			s.address = said.Address
		}
	}
	go func() {
		defer close(s.drained)
		_, _ = io.Copy(io.Discard, lines) // it ends with the process
	}()
	return s, nil
}

func (s *server) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	<-s.drained
	_ = s.cmd.Wait() // the bare one ends by the signal
}

// spent is the processor time that the process has taken so far.
func (s *server) spent() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	return spentOf(string(text))
}

// spentOf adds user and system time, which are the 12th and 13th field behind the
// name in brackets, in hundredths of a second.
func spentOf(stat string) (time.Duration, error) {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("not what /proc tells of a process: %q", stat)
	}
	user, userErr := strconv.Atoi(fields[11])
	system, systemErr := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond, errors.Join(userErr, systemErr)
}

// load has the server answer requests.
func (s *server) load(ctx context.Context, b *bench, connections int, t traffic) (sample, error) {
	before, err := s.spent()
	if err != nil {
		return sample{}, err
	}
	l, err := generate(ctx, s.address, connections, b.warm, b.duration, t)
	if err != nil {
		return sample{}, err
	}
	after, err := s.spent()
	if err != nil {
		return sample{}, err
	}
	if l.First != nil {
		say("%d errors, the first: %v", l.Errors, l.First)
	}
	if l.Requests == 0 {
		return sample{}, errors.New("no request was answered in time")
	}
	return sample{
		Rate: l.PerSecond, P50: milliseconds(l.percentile(0.5)), P99: milliseconds(l.percentile(0.99)),
		CPU:    float64((after - before).Microseconds()) / float64(max(1, l.All)),
		Errors: l.Errors, Special: float64(l.Special) / float64(l.Requests),
	}, nil
}

// memory is the resident memory in MB.
func (s *server) memory() (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	return residentOf(string(text))
}

func residentOf(status string) (float64, error) {
	for line := range strings.Lines(status) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
			return float64(kib) / 1024, err
		}
	}
	return 0, errors.New("the process says nothing of its memory")
}

// firstAnswer starts the app and asks until it answers a request for all users. The
// time counts from the start of the process.
func (b *bench) firstAnswer(ctx context.Context) (time.Duration, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, b.app)
	cmd.Env = b.services.environ(address)
	from := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	}()
	tick := time.NewTicker(200 * time.Microsecond)
	defer tick.Stop()
	for {
		status, err := askOnce(ctx, address, get("/users", ""))
		if err == nil && status == 200 {
			return time.Since(from), nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return 0, fmt.Errorf("the app did not answer: status %d, %w", status, err)
		}
	}
}

func askOnce(ctx context.Context, address string, request []byte) (int, error) {
	c, err := dial(ctx, address)
	if err != nil {
		return 0, err
	}
	defer c.conn.Close()
	status, _, err := c.call(request)
	return status, err
}
