package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// newRedis makes a client that connects when first used, gives every call a
// deadline and reports outages.
func newRedis(address string, timeout time.Duration, log *slog.Logger) *redis.Client {
	client := redis.NewClient(&redis.Options{
		Addr:                  address,
		DialTimeout:           timeout,
		ReadTimeout:           timeout,
		WriteTimeout:          timeout,
		PoolTimeout:           timeout,
		ContextTimeoutEnabled: true,
		DialerRetries:         1,
		// A counter that is retried after a lost answer counts twice.
		MaxRetries: -1,
		// Neither is a feature of the open-source server.
		DisableIdentity: true,
		// Nothing is pushed to the app, and no answer has to be searched for it.
		Protocol:                 2,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	client.AddHook(redisGuard{timeout: timeout, outage: &outage{service: "redis", log: log}})
	return client
}

// redisGuard puts the deadline on each call and notes how it went, in one
// place instead of at each caller.
type redisGuard struct {
	timeout time.Duration
	outage  *outage
}

func (redisGuard) DialHook(next redis.DialHook) redis.DialHook { return next }

func (g redisGuard) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		ctx, cancel := context.WithTimeout(ctx, g.timeout)
		defer cancel()
		err := next(ctx, cmd)
		g.note(err)
		return err
	}
}

func (g redisGuard) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		ctx, cancel := context.WithTimeout(ctx, g.timeout)
		defer cancel()
		err := next(ctx, cmds)
		g.note(err)
		return err
	}
}

// note knows two errors that are ordinary answers: no such key, no such script.
func (g redisGuard) note(err error) {
	if errors.Is(err, redis.Nil) || redis.HasErrorPrefix(err, "NOSCRIPT") {
		err = nil
	}
	g.outage.note(err)
}

// redisLog sends what the client library has to say about itself to debug.
type redisLog struct{ log *slog.Logger }

func (l redisLog) Printf(ctx context.Context, format string, v ...any) {
	l.log.DebugContext(ctx, "go-redis", "text", fmt.Sprintf(format, v...))
}

// cacheStats is the answer of GET /cache-stats: what Redis counts, over all
// its clients.
type cacheStats struct {
	TotalConnections int64   `json:"total_connections"`
	TotalCommands    int64   `json:"total_commands"`
	KeyspaceHits     int64   `json:"keyspace_hits"`
	KeyspaceMisses   int64   `json:"keyspace_misses"`
	CacheHitRatio    percent `json:"cache_hit_ratio"`
}

// percent is written with two decimals, as a JSON number.
type percent float64

func (p percent) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(p), 'f', 2, 64), nil
}

// readCacheStats asks Redis for its counters.
func readCacheStats(ctx context.Context, rdb *redis.Client) (cacheStats, error) {
	info, err := rdb.Info(ctx, "stats").Result()
	if err != nil {
		return cacheStats{}, fmt.Errorf("read redis info: %w", err)
	}
	return parseCacheStats(info)
}

// parseCacheStats reads the `name:value` lines of INFO.
func parseCacheStats(info string) (cacheStats, error) {
	var stats cacheStats
	wanted := map[string]*int64{
		"total_connections_received": &stats.TotalConnections,
		"total_commands_processed":   &stats.TotalCommands,
		"keyspace_hits":              &stats.KeyspaceHits,
		"keyspace_misses":            &stats.KeyspaceMisses,
	}
	for line := range strings.Lines(info) {
		name, text, _ := strings.Cut(strings.TrimSpace(line), ":")
		field, ok := wanted[name]
		if !ok {
			continue
		}
		value, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return cacheStats{}, fmt.Errorf("read redis info: %s: %w", name, err)
		}
		*field = value
		delete(wanted, name)
	}
	if len(wanted) > 0 {
		return cacheStats{}, fmt.Errorf("read redis info: %d counters missing", len(wanted))
	}
	if looks := stats.KeyspaceHits + stats.KeyspaceMisses; looks > 0 {
		ratio := 100 * float64(stats.KeyspaceHits) / float64(looks)
		stats.CacheHitRatio = percent(math.Round(ratio*100) / 100)
	}
	return stats, nil
}
