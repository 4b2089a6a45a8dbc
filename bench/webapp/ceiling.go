//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// appPool is how many connections the app keeps to PostgreSQL at most: more clients
// of pgbench would be another ceiling than the app's.
const appPool = 10

// redisCeiling asks Redis for a key, with redis-benchmark.
func (b *bench) redisCeiling(ctx context.Context, key string, clients int, duration time.Duration) (sample, error) {
	// It counts requests rather than time.
	requests := int(20000 * duration.Seconds())
	out, err := output(exec.CommandContext(ctx, "redis-benchmark", "-h", b.services.redis, "-c", strconv.Itoa(clients),
		"-n", strconv.Itoa(requests), "--csv", "GET", key))
	if err != nil {
		return sample{}, err
	}
	return parseRedisBenchmark(out)
}

// parseRedisBenchmark reads the last line by the names in the first.
func parseRedisBenchmark(out []byte) (sample, error) {
	lines := csv.NewReader(bytes.NewReader(out))
	lines.FieldsPerRecord = -1
	rows, err := lines.ReadAll()
	if err != nil || len(rows) < 2 {
		return sample{}, fmt.Errorf("redis-benchmark said %q", out)
	}
	names, values := rows[len(rows)-2], rows[len(rows)-1]
	var s sample
	for name, into := range map[string]*float64{"rps": &s.Rate, "p50_latency_ms": &s.P50, "p99_latency_ms": &s.P99} {
		i := slices.Index(names, name)
		if i < 0 || i >= len(values) {
			return sample{}, fmt.Errorf("redis-benchmark said no %s: %q", name, out)
		}
		if *into, err = strconv.ParseFloat(values[i], 64); err != nil {
			return sample{}, err
		}
	}
	return s, nil
}

// postgresCeiling has pgbench run a script, prepared as the app's statements are.
func (b *bench) postgresCeiling(ctx context.Context, script string, clients int, duration time.Duration) (sample, error) {
	file := filepath.Join(b.dir, "script.sql")
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		return sample{}, err
	}
	clients = min(clients, appPool)
	seconds := max(1, int(duration.Round(time.Second).Seconds()))
	cmd := exec.CommandContext(ctx, b.pgbench, "-h", b.services.postgres, "-U", "webapp", "-n", "-M", "prepared",
		"-c", strconv.Itoa(clients), "-j", strconv.Itoa(min(clients, 2)), "-T", strconv.Itoa(seconds),
		"-f", file, "-l", "--log-prefix", filepath.Join(b.dir, "pgbench"), "webapp")
	cmd.Env = append(os.Environ(), "PGPASSWORD="+password)
	out, err := output(cmd)
	if err != nil {
		return sample{}, err
	}
	rate, err := parsePgbench(string(out))
	if err != nil {
		return sample{}, err
	}
	times, err := b.pgbenchTimes()
	if err != nil {
		return sample{}, err
	}
	l := load{Times: times}
	return sample{Rate: rate, P50: milliseconds(l.percentile(0.5)), P99: milliseconds(l.percentile(0.99))}, nil
}

func parsePgbench(out string) (float64, error) {
	for line := range strings.Lines(out) {
		if rest, ok := strings.CutPrefix(line, "tps = "); ok {
			number, _, _ := strings.Cut(rest, " ")
			return strconv.ParseFloat(number, 64)
		}
	}
	return 0, fmt.Errorf("pgbench said %q", out)
}

// pgbenchTimes reads the logs of the last run, and removes them: the third field of
// a line is what a transaction took, in microseconds.
func (b *bench) pgbenchTimes() ([]time.Duration, error) {
	files, err := filepath.Glob(filepath.Join(b.dir, "pgbench.*"))
	if err != nil {
		return nil, err
	}
	var times []time.Duration
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
			fields := strings.Fields(lines.Text())
			if len(fields) < 3 {
				continue
			}
			n, err := strconv.Atoi(fields[2])
			if err != nil {
				return nil, fmt.Errorf("read %s: %w", file, err)
			}
			times = append(times, time.Duration(n)*time.Microsecond)
		}
		if err := os.Remove(file); err != nil {
			return nil, err
		}
	}
	slices.Sort(times)
	return times, nil
}

func output(cmd *exec.Cmd) ([]byte, error) {
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", cmd.Path, err, bytes.TrimSpace(stderr.Bytes()))
	}
	return out, nil
}

// findTools says what is missing and how to get it.
func findTools() (pgbench string, err error) {
	if _, err := exec.LookPath("redis-benchmark"); err != nil {
		return "", errors.New("redis-benchmark is missing; on Debian, as root: apt-get install redis-tools")
	}
	// Debian's command of this name is a wrapper that wants a cluster of its own.
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/pgbench")
	if err != nil {
		return "", err
	}
	if len(found) > 0 {
		return found[len(found)-1], nil
	}
	if pgbench, err = exec.LookPath("pgbench"); err != nil {
		return "", errors.New("pgbench is missing; on Debian, as root: apt-get install postgresql-contrib")
	}
	return pgbench, nil
}
