package lock_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackctl/stackctl/pkg/runner/internal/lock"
)

// holderFile names the lock that this test's own program takes and keeps.
const holderFile = "LOCK_TEST_FILE"

func TestMain(m *testing.M) {
	if path := os.Getenv(holderFile); path != "" {
		if _, err := lock.Take(path, lock.Holder{PID: os.Getpid(), Verb: "up"}); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("taken")
		select {} // until it is killed
	}
	os.Exit(m.Run())
}

func take(t *testing.T, path string, me lock.Holder) *lock.Lock {
	t.Helper()
	l, err := lock.Take(path, me)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Release)
	return l
}

// heldBy wants the lock to be held and gives by whom.
func heldBy(t *testing.T, path string) lock.Holder {
	t.Helper()
	l, err := lock.Take(path, lock.Holder{})
	var held *lock.HeldError
	if !errors.As(err, &held) {
		t.Fatalf("the lock was taken twice: %v, %v", l, err)
	}
	return held.Holder
}

func TestTakeAndRelease(t *testing.T) {
	path := filepath.Join(t.TempDir(), "made", "lock")
	me := lock.Holder{PID: 4242, Host: "here", Verb: "a verb with a long name", Since: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	l := take(t, path, me)
	if diff := cmp.Diff(me, heldBy(t, path)); diff != "" {
		t.Errorf("the holder (-want +got):\n%s", diff)
	}
	l.Release()
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file is left: %v", err)
	}
	// To release it again takes nothing from who has it now.
	take(t, path, lock.Holder{PID: 1, Verb: "down"})
	l.Release()
	if got := heldBy(t, path); got.PID != 1 {
		t.Errorf("held by %v", got)
	}
}

// A process that is killed holds nothing, and what its file says is not taken for
// who comes after it.
func TestKilledHolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), holderFile+"="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "taken\n" {
		t.Fatalf("the other process says %q, %v", line, err)
	}
	if got := heldBy(t, path); got.PID != cmd.Process.Pid || got.Verb != "up" {
		t.Errorf("held by %v", got)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	if text, err := os.ReadFile(path); err != nil || len(text) == 0 {
		t.Errorf("the test is about a file that is left; got %q, %v", text, err)
	}
	take(t, path, lock.Holder{PID: 7})
	if got := heldBy(t, path); got != (lock.Holder{PID: 7}) {
		t.Errorf("held by %v", got)
	}
}

// Many take it and let it go at once, and there is never more than one.
func TestOneAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	var holders, turns atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				l, err := lock.Take(path, lock.Holder{PID: 1})
				if err != nil {
					if held := (*lock.HeldError)(nil); !errors.As(err, &held) {
						t.Error(err)
					}
					continue
				}
				turns.Add(1)
				if n := holders.Add(1); n != 1 {
					t.Errorf("%d hold it", n)
				}
				for range 20 { // some work, so that the others come meanwhile
					_, _ = os.ReadDir(filepath.Dir(path))
				}
				holders.Add(-1)
				l.Release()
			}
		})
	}
	wg.Wait()
	if turns.Load() == 0 {
		t.Error("nobody ever had it")
	}
}

// What cannot be locked is an error of its own, not a lock that somebody has.
func TestNoPlace(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := lock.Take(filepath.Join(file, "lock"), lock.Holder{})
	if held := (*lock.HeldError)(nil); err == nil || errors.As(err, &held) {
		t.Errorf("got %v", err)
	}
}

func TestHolderString(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for want, h := range map[string]lock.Holder{
		"another process":                         {},
		"process 7 (up, since 03:04:05)":          {PID: 7, Host: host, Verb: "up", Since: at},
		"process 7 on other (up, since 03:04:05)": {PID: 7, Host: "other", Verb: "up", Since: at},
	} {
		if got := h.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
