package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
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

func userKey(id int32) string { return fmt.Sprintf("users:%d", id) }

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
		flights: flights{life: life},
		observe: observe,
		takeLease: redis.NewScript(`
			redis.call('SADD', KEYS[1], ARGV[1])
			return redis.call('EXPIRE', KEYS[1], ARGV[2])`),
		// SREM rather than a read, so that leases leave the hit and miss
		// counters of Redis alone.
		fill: redis.NewScript(`
			if redis.call('SREM', KEYS[2], ARGV[1]) == 1 then
				redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
			end
			return 1`),
		owed: map[string]uint64{},
	}
}

// cached is a value and where it came from.
type cached[T any] struct {
	value T
	hit   bool
}

// through returns the value of key from the cache, or else from load, whose
// result it keeps for ttl. All that ask for one key at the same time share one
// look and one load.
func through[T any](
	ctx context.Context, c *cache, key string, ttl time.Duration, load func(ctx context.Context) (T, error),
) (cached[T], error) {
	result, err := c.flights.do(ctx, key, func(ctx context.Context) (any, error) {
		return lookup(ctx, c, key, ttl, load)
	})
	if err != nil {
		return cached[T]{}, err
	}
	value, ok := result.(cached[T])
	if !ok {
		return cached[T]{}, fmt.Errorf("key %q holds values of two types", key)
	}
	return value, nil
}

// lookup is one flight of through.
func lookup[T any](
	ctx context.Context, c *cache, key string, ttl time.Duration, load func(ctx context.Context) (T, error),
) (cached[T], error) {
	raw, outcome := c.read(ctx, key)
	if outcome == cacheHit {
		var value T
		if err := json.Unmarshal(raw, &value); err == nil {
			c.observe(key, cacheHit)
			return cached[T]{value: value, hit: true}, nil
		}
		// Whatever wrote it, it is not ours: fetch, and write over it.
		c.log.Warn("unreadable cache entry", "key", key)
		outcome = cacheMiss
	}
	lease := ""
	if outcome == cacheMiss {
		lease = c.lease(ctx, key)
	}
	if lease == "" {
		outcome = cacheBypass
	}
	c.observe(key, outcome)
	value, err := load(ctx)
	if err != nil {
		return cached[T]{}, err
	}
	if lease != "" {
		c.store(ctx, key, lease, value, ttl)
	}
	return cached[T]{value: value}, nil
}

// read looks for the value of key, unless a drop of it is still owed.
func (c *cache) read(ctx context.Context, key string) (raw []byte, outcome string) {
	if !c.settle(ctx, key) {
		return nil, cacheBypass
	}
	raw, err := c.redis.Get(ctx, key).Bytes()
	switch {
	case errors.Is(err, redis.Nil):
		return nil, cacheMiss
	case err != nil:
		return nil, cacheBypass
	}
	return raw, cacheHit
}

// lease announces a query; an empty one means that nothing may be stored.
func (c *cache) lease(ctx context.Context, key string) string {
	token := rand.Text()
	if err := c.takeLease.Run(ctx, c.redis, []string{leasesOf(key)}, token, int(leaseTTL.Seconds())).Err(); err != nil {
		return ""
	}
	return token
}

// store keeps the value if nobody dropped the key since the lease was taken.
// Nothing depends on its success.
func (c *cache) store(ctx context.Context, key, lease string, value any, ttl time.Duration) {
	raw, err := json.Marshal(value)
	if err != nil {
		c.log.Error("encode cache entry", "key", key, "error", err)
		return
	}
	_ = c.fill.Run(ctx, c.redis, []string{key, leasesOf(key)}, lease, raw, int(ttl.Seconds())).Err()
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
