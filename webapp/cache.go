package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	listTTL = 60 * time.Second
	userTTL = 300 * time.Second
	// leaseTTL outlives every query, and clears away what a killed instance
	// left behind.
	leaseTTL = 30 * time.Second

	listKey = "users:list"
)

func userKey(id int32) string { return "users:" + strconv.Itoa(int(id)) }

// Outcomes of a look into the cache, as the metric names them.
const (
	cacheHit    = "hit"
	cacheMiss   = "miss"
	cacheBypass = "bypass" // Redis could not be used
)

// cache keeps JSON of what queries found in Redis. Redis being away costs the
// speed and nothing else.
//
// A value is never older than the last write that this process answered. A
// reader takes a lease on the key before it queries, and its value is stored
// only if the lease is still there; a writer removes value and leases in one
// step after its commit. So whatever was read before a commit is not stored
// after it, by any instance. A flush or an eviction only loses leases, which
// is safe.
type cache struct {
	redis     *redis.Client
	log       *slog.Logger
	reads     reads
	flights   flights
	observe   func(key, outcome string)
	takeLease *redis.Script
	fill      *redis.Script

	mu     sync.Mutex
	failed uint64            // counts drops that failed
	owed   map[string]uint64 // keys whose drop failed, with that count
}

func newCache(life context.Context, rdb *redis.Client, log *slog.Logger, observe func(key, outcome string)) *cache {
	return &cache{
		redis:   rdb,
		log:     log,
		reads:   reads{redis: rdb, life: life},
		flights: flights{life: life},
		observe: observe,
		// A value that is there by now is better than a lease. SETRANGE with
		// nothing to set tells whether there is one and, unlike a read, leaves the
		// hit and miss counters of Redis alone.
		takeLease: redis.NewScript(`
			if redis.call('SETRANGE', KEYS[1], 0, '') > 0 then
				return redis.call('GET', KEYS[1])
			end
			redis.call('SADD', KEYS[2], ARGV[1])
			redis.call('EXPIRE', KEYS[2], ARGV[2])
			return false`),
		// SREM for the same reason.
		fill: redis.NewScript(`
			local held = redis.call('SREM', KEYS[2], ARGV[1])
			if held == 1 then
				redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
			end
			return held`),
		owed: map[string]uint64{},
	}
}

// kind is a sort of values: how to make one of its JSON, and for how long it is
// kept.
type kind[T any] struct {
	ttl    time.Duration
	decode func(raw string) (T, error)
}

// decoded remembers values that were decoded, so that one which Redis has unchanged
// is compared with its text instead: decoding the list takes longer than all else that
// a request does. Values that share a place take it from each other.
type decoded[T any] struct {
	places [256]atomic.Pointer[decodedValue[T]]
}

type decodedValue[T any] struct {
	raw   string
	value T
}

// decoder gives the decode of a kind. Nobody may change what it returns.
func (d *decoded[T]) decoder(number int32) func(raw string) (T, error) {
	place := &d.places[uint32(number)%uint32(len(d.places))]
	return func(raw string) (T, error) {
		if known := place.Load(); known != nil && known.raw == raw {
			return known.value, nil
		}
		known := &decodedValue[T]{raw: raw}
		if err := json.Unmarshal([]byte(raw), &known.value); err != nil {
			return known.value, err
		}
		place.Store(known)
		return known.value, nil
	}
}

// cached is a value and where it came from.
type cached[T any] struct {
	value T
	raw   string // its JSON
	hit   bool
	// overtaken tells that it was queried before a write that has been answered by
	// now: whoever asked first may have it, who came later may not.
	overtaken bool
}

// through returns the value of key from the cache, or else from load, whose
// result it keeps. All that miss one key at the same time share one load.
func through[T any](
	ctx context.Context, c *cache, key string, of kind[T], load func(ctx context.Context) (T, error),
) (cached[T], error) {
	for again := false; ; again = true {
		raw, outcome := c.read(ctx, key)
		if err := ctx.Err(); err != nil {
			return cached[T]{}, err
		}
		if outcome == cacheHit {
			value, err := of.decode(raw)
			if err == nil {
				c.observe(key, cacheHit)
				return cached[T]{value: value, raw: raw, hit: true}, nil
			}
			outcome = c.discard(ctx, key)
		}
		first := false
		result, err := c.flights.do(ctx, key, func(ctx context.Context) (any, error) {
			first = true
			return fetch(ctx, c, key, of, outcome, load)
		})
		if err != nil {
			return cached[T]{}, err
		}
		value, ok := result.(cached[T])
		switch {
		case !ok:
			return cached[T]{}, fmt.Errorf("key %q holds values of two types", key)
		case first || again || !value.overtaken: // a second flight began after the caller came
			return value, nil
		}
	}
}

// fetch is one flight of through, for a key that was not to be had: it loads the
// value and stores it.
func fetch[T any](
	ctx context.Context, c *cache, key string, of kind[T], outcome string, load func(ctx context.Context) (T, error),
) (cached[T], error) {
	lease := ""
	if outcome == cacheMiss {
		var raw string
		raw, lease = c.lease(ctx, key)
		if lease == "" && raw != "" {
			if value, err := of.decode(raw); err == nil {
				c.observe(key, cacheHit)
				return cached[T]{value: value, raw: raw, hit: true}, nil
			}
		}
	}
	if lease == "" {
		outcome = cacheBypass
	}
	c.observe(key, outcome)
	value, err := load(ctx)
	if err != nil {
		return cached[T]{}, err
	}
	raw, err := json.Marshal(value)
	if err != nil {
		return cached[T]{}, fmt.Errorf("encode the value of %q: %w", key, err)
	}
	loaded := cached[T]{value: value, raw: string(raw)}
	if lease != "" {
		loaded.overtaken = !c.store(ctx, key, lease, loaded.raw, of.ttl)
	}
	return loaded, nil
}

// read looks for the value of key, unless a drop of it is still owed.
func (c *cache) read(ctx context.Context, key string) (raw, outcome string) {
	if !c.settle(ctx, key) {
		return "", cacheBypass
	}
	raw, err := c.reads.get(ctx, key)
	switch {
	case errors.Is(err, redis.Nil):
		return "", cacheMiss
	case err != nil:
		return "", cacheBypass
	}
	return raw, cacheHit
}

// discard removes a value that cannot be read: whatever wrote it, it is not ours.
func (c *cache) discard(ctx context.Context, key string) (outcome string) {
	c.log.Warn("unreadable cache entry", "key", key)
	if err := c.remove(ctx, key); err != nil {
		return cacheBypass
	}
	return cacheMiss
}

// lease announces a query, unless there is a value by now. With neither, nothing may
// be stored.
func (c *cache) lease(ctx context.Context, key string) (raw, lease string) {
	token := rand.Text()
	raw, err := c.takeLease.Run(ctx, c.redis, []string{key, leasesOf(key)}, token, int(leaseTTL.Seconds())).Text()
	switch {
	case errors.Is(err, redis.Nil):
		return "", token
	case err != nil:
		return "", ""
	}
	return raw, ""
}

// store keeps the value if nobody dropped the key since the lease was taken, and
// returns false if somebody did. That Redis could not be asked harms nobody.
func (c *cache) store(ctx context.Context, key, lease, raw string, ttl time.Duration) bool {
	held, err := c.fill.Run(ctx, c.redis, []string{key, leasesOf(key)}, lease, raw, int(ttl.Seconds())).Int()
	return err != nil || held == 1
}

// drop is called after a write and before its answer: whoever asks after that
// answer gets neither the old value nor a seat in a flight that may carry it.
// A drop that Redis did not confirm is owed, and made up for before the key is
// used again.
func (c *cache) drop(ctx context.Context, key string) {
	if err := c.remove(ctx, key); err != nil {
		c.mu.Lock()
		c.failed++
		c.owed[key] = c.failed
		c.mu.Unlock()
	}
	// Last: a flight that starts before the removal may still find the value.
	c.flights.forget(key)
}

// settle makes up for a drop that is owed and tells whether the cache may be
// used for key.
func (c *cache) settle(ctx context.Context, key string) bool {
	c.mu.Lock()
	debt := c.owed[key]
	c.mu.Unlock()
	if debt == 0 {
		return true
	}
	if err := c.remove(ctx, key); err != nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.owed[key] == debt { // else a later drop failed meanwhile
		delete(c.owed, key)
	}
	return c.owed[key] == 0
}

// remove deletes value and leases in one step.
func (c *cache) remove(ctx context.Context, key string) error {
	return c.redis.Del(ctx, key, leasesOf(key)).Err()
}

func leasesOf(key string) string { return key + ":leases" }
