package main

import (
	"context"
	"slices"
	"sync"

	"github.com/redis/go-redis/v9"
)

// reads asks Redis for values. While one question is under way, those who come
// gather for the next, which asks for all their keys at once: a busy app spends one
// round trip on many requests, and an idle one waits for nobody. No question was sent
// before those who get its answer came, so none gets a value that was dropped before.
type reads struct {
	redis *redis.Client
	life  context.Context // ends when the app closes

	mu   sync.Mutex
	last *question
}

// question is one MGET.
type question struct {
	keys   []string
	sent   bool          // no more keys are taken
	done   chan struct{} // closed when there is an answer
	free   chan struct{} // closed right after that: who sends the next question wakes last, and so runs first
	values []any         // by the index of the key; nil for none
	err    error
	failed bool // it was sent, in vain
}

// get returns the value of key, or redis.Nil when there is none.
func (r *reads) get(ctx context.Context, key string) (string, error) {
	r.mu.Lock()
	previous, q := r.last, r.last
	mine := q == nil || q.sent
	if mine {
		q = &question{done: make(chan struct{}), free: make(chan struct{})}
		r.last = q
	}
	i := slices.Index(q.keys, key)
	if i < 0 {
		i = len(q.keys)
		q.keys = append(q.keys, key)
	}
	r.mu.Unlock()

	if mine {
		// Even if the caller leaves: others may have joined.
		r.ask(q, previous)
	} else {
		select {
		case <-q.done:
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
	if q.err != nil {
		return "", q.err
	}
	value, ok := q.values[i].(string)
	if !ok {
		return "", redis.Nil
	}
	return value, nil
}

// ask waits for the question before this one, sends it and gives the answer to all
// who gathered. Those who waited in vain for a Redis that hangs do not wait twice.
func (r *reads) ask(q, previous *question) {
	waited := false
	if previous != nil {
		select {
		case <-previous.free:
		default:
			waited = true
			<-previous.free
		}
	}
	r.mu.Lock()
	q.sent = true
	r.mu.Unlock()
	if waited && previous.failed {
		q.err = previous.err
	} else {
		q.values, q.err = r.redis.MGet(r.life, q.keys...).Result()
		q.failed = q.err != nil
	}
	close(q.done)
	close(q.free)
}
