package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"
)

// heldReads is a reads whose first question waits until release is called.
type heldReads struct {
	reads
	mu      sync.Mutex
	asked   [][]any // the keys of each question
	gate    chan struct{}
	release func()
	fail    error // what the first question ends with
}

func newHeldReads(t *testing.T, address string) *heldReads {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: address})
	t.Cleanup(func() { _ = client.Close() })
	h := &heldReads{reads: reads{redis: client, life: t.Context()}, gate: make(chan struct{})}
	h.release = sync.OnceFunc(func() { close(h.gate) })
	t.Cleanup(h.release)
	client.AddHook(h)
	return h
}

func (h *heldReads) DialHook(next redis.DialHook) redis.DialHook { return next }
func (h *heldReads) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (h *heldReads) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() != "mget" {
			return next(ctx, cmd)
		}
		h.mu.Lock()
		h.asked = append(h.asked, cmd.Args()[1:])
		first := len(h.asked) == 1
		h.mu.Unlock()
		if first {
			<-h.gate
			if h.fail != nil {
				return h.fail
			}
		}
		return next(ctx, cmd)
	}
}

// gathered waits until this many keys wait for the question after the one that is held.
func (h *heldReads) gathered(t *testing.T, keys int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d keys", keys), func() error {
		h.reads.mu.Lock()
		defer h.reads.mu.Unlock()
		if q := h.last; q == nil || q.sent || len(q.keys) != keys {
			return errors.New("not yet")
		}
		return nil
	})
}

// underWay waits until the first question is sent.
func (h *heldReads) underWay(t *testing.T) {
	t.Helper()
	eventually(t, "first question", func() error {
		h.mu.Lock()
		defer h.mu.Unlock()
		if len(h.asked) != 1 {
			return errors.New("not yet")
		}
		return nil
	})
}

func TestReadsShareTheNextQuestion(t *testing.T) {
	server := newRedisServer(t)
	h := newHeldReads(t, server.address())
	for i := range 10 {
		server.client(t).Set(t.Context(), fmt.Sprint("key", i), fmt.Sprint("value", i), 0)
	}
	var callers sync.WaitGroup
	get := func(key, want string) {
		callers.Go(func() {
			got, err := h.get(t.Context(), key)
			if errors.Is(err, redis.Nil) {
				got, err = "none", nil
			}
			if got != want || err != nil {
				t.Errorf("%s is %q, %v; want %q", key, got, err, want)
			}
		})
	}
	get("key0", "value0")
	h.underWay(t)
	for i := range 50 {
		get(fmt.Sprint("key", i%10), fmt.Sprint("value", i%10))
	}
	get("absent", "none")
	h.gathered(t, 11)
	// What is written now is seen by those who ask from now on, whoever is ahead.
	server.client(t).Set(t.Context(), "late", "new", 0)
	get("late", "new")
	h.gathered(t, 12)
	h.release()
	callers.Wait()
	if len(h.asked) != 2 || len(h.asked[1]) != 12 {
		t.Errorf("questions were %v, want two, the second for 12 keys", h.asked)
	}
}

func TestReadsDoNotWaitTwiceForNothing(t *testing.T) {
	h := newHeldReads(t, newRedisServer(t).address())
	h.fail = errors.New("no answer in time")
	results := make(chan error, 2)
	get := func() {
		_, err := h.get(t.Context(), "key")
		results <- err
	}
	go get()
	h.underWay(t)
	go get()
	eventually(t, "second reader", func() error {
		h.reads.mu.Lock()
		defer h.reads.mu.Unlock()
		if h.last.sent {
			return errors.New("not yet")
		}
		return nil
	})
	h.release()
	for range 2 {
		if err := <-results; !errors.Is(err, h.fail) {
			t.Errorf("got %v, want %v", err, h.fail)
		}
	}
	if _, err := h.get(t.Context(), "key"); !errors.Is(err, redis.Nil) {
		t.Errorf("the next reader got %v, want an answer", err)
	}
	if len(h.asked) != 2 {
		t.Errorf("%d questions, want those of the first and the last reader", len(h.asked))
	}
}

func TestReaderThatLeaves(t *testing.T) {
	h := newHeldReads(t, newRedisServer(t).address())
	first := make(chan error, 1)
	go func() {
		_, err := h.get(t.Context(), "key")
		first <- err
	}()
	h.underWay(t)
	waiting := make(chan error, 1)
	go func() {
		_, err := h.get(t.Context(), "other")
		waiting <- err
	}()
	h.gathered(t, 1)
	leaving, leave := context.WithCancel(t.Context())
	leave()
	if _, err := h.get(leaving, "other"); !errors.Is(err, context.Canceled) {
		t.Errorf("the one that left got %v", err)
	}
	h.release()
	for _, result := range []<-chan error{first, waiting} {
		if err := <-result; !errors.Is(err, redis.Nil) {
			t.Errorf("one that stayed got %v", err)
		}
	}
	if !slices.EqualFunc(h.asked, []string{"key", "other"}, func(keys []any, want string) bool { return len(keys) == 1 && keys[0] == want }) {
		t.Errorf("questions were %v", h.asked)
	}
}
