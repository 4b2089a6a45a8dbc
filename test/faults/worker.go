package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"go.uber.org/goleak"

	"github.com/stackctl/stackctl/pkg/runner"
	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/engine/docker"
)

// request asks a worker for one run of the library.
type request struct {
	Socket, Stack string
	At            place
	Variant       variant
	// Down takes the stack down with its volumes; else it is brought up.
	Down     bool
	Rollback bool
	// Deadline ends the run's context, Answer is how long the engine may be silent.
	Deadline, Answer time.Duration
}

// reply says how the run ended.
type reply struct {
	// Err is the error's text; empty for success.
	Err string
	// Unclear says what is wrong with the error: it is empty, or the bare word of
	// some library below.
	Unclear string
	// NotReady says that a container did not become ready, which is how a rollback
	// begins.
	NotReady bool
	// Leaked are the goroutines that are left.
	Leaked  string
	Elapsed time.Duration
}

// workerArgument makes a worker of this program.
const workerArgument = "worker"

// work answers requests until there are no more. It is a process of its own, so
// that a panic, a hang or a goroutine that is left belongs to one run.
func work(in io.Reader, out io.Writer) error {
	requests := json.NewDecoder(in)
	replies := json.NewEncoder(out)
	for {
		var r request
		if err := requests.Decode(&r); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		before := goleak.IgnoreCurrent()
		answer, err := carryOut(r)
		if err != nil {
			return err
		}
		if err := goleak.Find(before); err != nil {
			answer.Leaked = err.Error()
		}
		if err := replies.Encode(answer); err != nil {
			return err
		}
	}
}

func carryOut(r request) (reply, error) {
	s, err := stackNamed(r.Stack)
	if err != nil {
		return reply{}, err
	}
	project, err := s.load(context.Background(), r.At, r.Variant)
	if err != nil {
		return reply{}, err
	}
	e, err := docker.New(docker.Options{Host: "unix://" + r.Socket, ConfigDir: r.At.Dir, AnswerTimeout: r.Answer})
	if err != nil {
		return reply{}, err
	}
	defer e.Close()
	ctx, cancel := context.WithTimeoutCause(context.Background(), r.Deadline, errDeadline)
	defer cancel()
	// The cache holds the lock, too: a run that keeps it would let the next one wait.
	run := runner.New(e, runner.WithCache(filepath.Join(r.At.Dir, "cache")))
	began := time.Now()
	if r.Down {
		_, err = run.Down(ctx, r.At.Project, runner.DownOptions{Volumes: true, RemoveOrphans: true})
	} else {
		_, err = run.Up(ctx, project, runner.UpOptions{Rollback: r.Rollback, WaitTimeout: r.Deadline})
	}
	out := reply{Elapsed: time.Since(began)}
	if err != nil {
		out.Err = err.Error()
		out.Unclear = unclear(err)
		var notReady *runner.NotReadyError
		out.NotReady = errors.As(err, &notReady)
	}
	return out, nil
}

var errDeadline = errors.New("the time for this run is over")

// unclear says why an error does not tell a person what failed on what; empty when
// it does.
func unclear(err error) string {
	text := strings.TrimSpace(err.Error())
	var (
		failed      *runner.FailedError
		unreachable *engine.UnreachableError
	)
	for _, bare := range []string{"", "EOF", "unexpected EOF", "context canceled", "context deadline exceeded"} {
		if text == bare {
			return "it says no more than " + fmt.Sprintf("%q", bare)
		}
	}
	switch {
	case strings.Contains(text, "error during connect"), strings.Contains(text, "%2F"), strings.Contains(text, "invalid character"):
		return "it is in the words of a library"
	case errors.As(err, &failed):
		for _, f := range failed.Failures {
			if f.Err == nil || f.Err.Error() == "" {
				return "one of its failures says nothing"
			}
		}
	case errors.As(err, &unreachable):
	case !strings.Contains(text, ":"):
		return "it says what, and not on what or why"
	}
	return ""
}

// process is a worker as its parent sees it.
type process struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
	mu      sync.Mutex
	said    strings.Builder // on stderr
	drained chan struct{}
}

func startProcess(ctx context.Context) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.CommandContext(ctx, self, workerArgument), drained: make(chan struct{})}
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReader(out)
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(p.drained)
		buffer := make([]byte, 4<<10)
		for {
			n, err := stderr.Read(buffer)
			p.mu.Lock()
			p.said.Write(buffer[:n])
			p.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return p, nil
}

// brokenError says that a worker gave no reply: it panicked or hung.
type brokenError struct{ how, said string }

func (e *brokenError) Error() string { return e.how + "\n" + e.said }

// ask sends a request and waits for the reply for so long. After an error the
// process is gone.
func (p *process) ask(r request, patience time.Duration) (reply, error) {
	line, err := json.Marshal(r)
	if err != nil {
		return reply{}, err
	}
	hung := false
	timer := time.AfterFunc(patience, func() {
		p.mu.Lock()
		hung = true
		p.mu.Unlock()
		_ = p.cmd.Process.Signal(syscall.SIGQUIT) // which tells where it hangs
	})
	defer timer.Stop()
	_, err = p.in.Write(append(line, '\n'))
	var answer reply
	if err == nil {
		var text []byte
		if text, err = p.out.ReadBytes('\n'); err == nil {
			err = json.Unmarshal(text, &answer)
		}
	}
	if err == nil {
		return answer, nil
	}
	<-p.drained
	_ = p.cmd.Wait() // what it said tells more
	p.mu.Lock()
	defer p.mu.Unlock()
	broken := &brokenError{"the run ended the process", p.said.String()}
	if hung {
		broken.how = fmt.Sprintf("the run hung for more than %s", patience)
	}
	return reply{}, broken
}

func (p *process) stop() {
	_ = p.in.Close()
	<-p.drained
	_ = p.cmd.Wait() // it ends with its input
}
