//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
)

const (
	postgresImage = "postgres:15-alpine"
	redisImage    = "redis:7-alpine"
	password      = "webapp-bench"
	// usersKey is where the app keeps the list.
	usersKey = "users:list"
	// copyKey is a key of the benchmark's own, which does not expire.
	copyKey = "bench:copy"
)

// services are a PostgreSQL and a Redis in containers, as the stack has them. All
// reach them by the containers' own addresses: a published port on the loopback would
// be the engine's proxy, a process in between.
type services struct {
	ids           []string
	postgres      string // address without port
	redis         string
	conn          *pgx.Conn
	rdb           *redis.Client
	postgresSays  string // its version
	redisSays     string
	users         int  // in the table
	usersAreDirty bool // rows were added
}

func docker(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "docker", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("docker %s: %w: %s", args[0], err, bytes.TrimSpace(stderr.Bytes()))
	}
	return strings.TrimSpace(string(out)), nil
}

// startServices returns when both answer.
func startServices(ctx context.Context) (*services, error) {
	s := &services{}
	run := func(args ...string) (string, error) {
		id, err := docker(ctx, append([]string{"run", "-d", "--label", "io.stackctl.bench=webapp"}, args...)...)
		if err != nil {
			return "", err
		}
		s.ids = append(s.ids, id)
		address, err := docker(ctx, "inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", id)
		if err == nil && address == "" {
			err = errors.New("the engine gave a container no address")
		}
		return address, err
	}
	var err error
	if s.postgres, err = run("-e", "POSTGRES_USER=webapp", "-e", "POSTGRES_DB=webapp", "-e", "POSTGRES_PASSWORD="+password, postgresImage); err != nil {
		return s, err
	}
	if s.redis, err = run(redisImage); err != nil {
		return s, err
	}
	s.rdb = redis.NewClient(&redis.Options{Addr: s.redisAddress()})
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := until(ctx, func() error { return s.rdb.Ping(ctx).Err() }); err != nil {
		return s, fmt.Errorf("wait for redis on %s, which needs an engine on this machine: %w", s.redisAddress(), err)
	}
	// Over the network it answers once it has been set up.
	err = until(ctx, func() error {
		s.conn, err = pgx.Connect(ctx, "host="+s.postgres+" user=webapp dbname=webapp sslmode=disable password="+password)
		return err
	})
	if err != nil {
		return s, fmt.Errorf("wait for postgres on %s: %w", s.postgres, err)
	}
	if err := s.conn.QueryRow(ctx, `SELECT split_part(current_setting('server_version'), ' ', 1)`).Scan(&s.postgresSays); err != nil {
		return s, err
	}
	info, err := s.rdb.InfoMap(ctx, "server").Result()
	if err != nil {
		return s, err
	}
	s.redisSays = info["Server"]["redis_version"]
	return s, nil
}

// until tries again until try succeeds, and gives its last error when ctx ends.
func until(ctx context.Context, try func() error) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return err
		}
	}
}

func (s *services) stop(ctx context.Context) {
	if s.conn != nil {
		_ = s.conn.Close(ctx)
	}
	if s.rdb != nil {
		_ = s.rdb.Close()
	}
	for _, id := range s.ids {
		if _, err := docker(ctx, "rm", "-f", "-v", id); err != nil {
			say("%v", err)
		}
	}
}

func (s *services) redisAddress() string { return net.JoinHostPort(s.redis, "6379") }

// environ is the whole environment of an app that listens on listen.
func (s *services) environ(listen string) []string {
	return []string{
		"LISTEN=" + listen, "POSTGRES_HOST=" + s.postgres, "POSTGRES_DB=webapp", "POSTGRES_USER=webapp",
		"POSTGRES_PASSWORD=" + password, "REDIS_HOST=" + s.redis, "WRITES_PER_MINUTE=0",
	}
}

// fill gives the table this many users, of what a user usually is, and empties Redis.
func (s *services) fill(ctx context.Context, users int) error {
	if err := s.rdb.FlushDB(ctx).Err(); err != nil {
		return fmt.Errorf("empty redis: %w", err)
	}
	if s.users == users && !s.usersAreDirty {
		return nil
	}
	for _, sql := range []string{
		`TRUNCATE users RESTART IDENTITY`,
		fmt.Sprintf(`INSERT INTO users (name, email) SELECT 'User number ' || n, 'user' || n || '@example.org' FROM generate_series(1, %d) n`, users),
		`VACUUM ANALYZE users`,
		`CHECKPOINT`,
	} {
		if _, err := s.conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("fill the table: %w", err)
		}
	}
	s.users, s.usersAreDirty = users, false
	return nil
}

// forget removes what the app made of the database.
func (s *services) forget(ctx context.Context) error {
	s.users = 0
	if _, err := s.conn.Exec(ctx, `DROP TABLE IF EXISTS users, schema_migrations`); err != nil {
		return fmt.Errorf("empty the database: %w", err)
	}
	return s.rdb.FlushDB(ctx).Err()
}

func freeAddress(ctx context.Context) (string, error) {
	var listening net.ListenConfig
	l, err := listening.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
