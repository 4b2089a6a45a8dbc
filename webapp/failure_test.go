package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
)

const formType = "application/x-www-form-urlencoded"

func TestRedisStopsAndReturns(t *testing.T) {
	ta := newTestApp(t)
	ta.mustAdd(t, "Ann", "ann@example.org")
	ta.list(t) // cached, and in Redis's file
	ta.redis.stop()

	ta.send(t, "GET", "/health", "").wantJSON(t, 503,
		`{"status":"degraded","services":{"web":"running","postgres":"connected","redis":"disconnected"}}`)
	ta.send(t, "GET", "/cache-stats", "").wantJSON(t, 503, `{"error":"Cache unavailable"}`)
	if emails, hit := ta.list(t); hit || len(emails) != 1 {
		t.Errorf("without Redis: %q, hit %t", emails, hit)
	}
	ta.send(t, "GET", "/users/1", "").wantJSON(t, 200,
		`{"user":{"id":1,"name":"Ann","email":"ann@example.org","created_at":"*"},"source":"PostgreSQL database","cache_hit":false}`)
	ta.mustAdd(t, "Ben", "ben@example.org") // its drop is owed
	page := ta.send(t, "GET", "/", "")
	if page.status != 200 || !strings.Contains(page.body, `<strong id="visits">unavailable</strong>`) ||
		!strings.Contains(page.body, "ben@example.org") {
		t.Errorf("page without Redis: %d %s", page.status, page.body)
	}

	ta.redis.start(t)
	if left := ta.redis.client(t).Exists(t.Context(), listKey).Val(); left != 1 {
		t.Fatal("Redis lost the list over the restart, so this shows nothing")
	}
	both := []string{"ann@example.org", "ben@example.org"}
	eventually(t, "cached list", func() error {
		emails, hit := ta.list(t)
		if !slices.Equal(emails, both) {
			t.Fatalf("stale list after Redis returned: %q, hit %t", emails, hit)
		}
		if !hit {
			return errors.New("no hit yet")
		}
		return nil
	})
	if got := ta.send(t, "GET", "/health", ""); got.status != 200 {
		t.Errorf("health after return: %d %s", got.status, got.body)
	}
	if n := strings.Count(ta.log.String(), `"msg":"service unavailable","service":"redis"`); n != 1 {
		t.Errorf("the outage was told %d times, want once", n)
	}
	ta.log.line(t, "service is back")
}

// A stopped process accepts connections and never answers.
func TestRedisHangs(t *testing.T) {
	ta := newTestAppOn(t, shared, shared.newDatabase(t), newRedisServer(t), usualTimeouts)
	ta.mustAdd(t, "Ann", "ann@example.org")
	ta.list(t)
	ta.redis.process.signal(syscall.SIGSTOP)
	resume := func() { ta.redis.process.signal(syscall.SIGCONT) }
	defer resume()

	if emails, hit := ta.list(t); hit || len(emails) != 1 {
		t.Errorf("hanging Redis: %q, hit %t", emails, hit)
	}
	ta.mustAdd(t, "Ben", "ben@example.org")
	if got := ta.send(t, "GET", "/", ""); got.status != 200 || !strings.Contains(got.body, "ben@example.org") {
		t.Errorf("page: %d %s", got.status, got.body)
	}
	ta.send(t, "GET", "/health", "").wantJSON(t, 503,
		`{"status":"degraded","services":{"web":"running","postgres":"connected","redis":"disconnected"}}`)

	resume()
	eventually(t, "cached list", func() error {
		emails, hit := ta.list(t)
		if len(emails) != 2 {
			t.Fatalf("stale list after Redis woke up: %q, hit %t", emails, hit)
		}
		if !hit {
			return errors.New("no hit yet")
		}
		return nil
	})
}

// newStoppedPostgres is a cluster of the test's own, not started yet.
func newStoppedPostgres(t *testing.T) *postgresServer {
	t.Helper()
	dir, err := os.MkdirTemp("", "webapp-test-") //nolint:usetesting // only root gets through the parent of t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	postgres, err := newPostgres(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(postgres.stop)
	return postgres
}

const databaseDown = `{"error":"Database unavailable"}`

func TestPostgresComesGoesAndReturns(t *testing.T) {
	postgres := newStoppedPostgres(t)
	ta := newTestAppOn(t, postgres, "postgres", newRedisServer(t))

	// Not there yet.
	ta.send(t, "GET", "/health", "").wantJSON(t, 503,
		`{"status":"degraded","services":{"web":"running","postgres":"disconnected","redis":"connected"}}`)
	ta.send(t, "GET", "/users", "").wantJSON(t, 503, databaseDown)

	// It comes, and the table is made though nobody asks for anything.
	if err := postgres.start(); err != nil {
		t.Fatal(err)
	}
	conn := postgres.open(t, "postgres")
	eventually(t, "migration in the background", func() error {
		var there bool
		if err := conn.QueryRow(t.Context(), `SELECT to_regclass('users') IS NOT NULL`).Scan(&there); err != nil {
			return err
		}
		if !there {
			return errors.New("no table yet")
		}
		return nil
	})
	ta.mustAdd(t, "Ann", "ann@example.org")
	ta.send(t, "GET", "/users/1", "")

	// It goes.
	postgres.stop()
	got := ta.send(t, "GET", "/users", "")
	got.wantJSON(t, 503, databaseDown)
	created := ta.send(t, "POST", "/users", `{"name":"Ben","email":"ben@example.org"}`)
	created.wantJSON(t, 503, databaseDown)
	ta.send(t, "GET", "/users/2", "").wantJSON(t, 503, databaseDown)
	if got := ta.send(t, "GET", "/users/1", ""); got.status != 200 {
		t.Errorf("what is cached is served: got %d %s", got.status, got.body)
	}
	page := ta.send(t, "GET", "/", "")
	form := ta.visitor(t).post(t, "Ben", "ben@example.org")
	for _, page := range []answer{page, form} {
		if page.status != 503 || !strings.Contains(page.body, "The list is unavailable") {
			t.Errorf("page: %d %s", page.status, page.body)
		}
		for _, leak := range []string{"dial", "SQLSTATE", "refused", "127.0.0.1", "pgx", "postgres="} {
			if strings.Contains(page.body, leak) {
				t.Errorf("page tells %q", leak)
			}
		}
	}
	if !strings.Contains(form.body, "Database unavailable") || !strings.Contains(form.body, `value="ben@example.org"`) {
		t.Errorf("form: %s", form.body)
	}
	if !strings.Contains(ta.log.String(), "refused") {
		t.Error("the log does not tell why")
	}

	// It returns.
	if err := postgres.start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "recovery", func() error {
		if got := ta.send(t, "GET", "/health", ""); got.status != 200 {
			return fmt.Errorf("%d %s", got.status, got.body)
		}
		return nil
	})
	if emails, _ := ta.list(t); !slices.Equal(emails, []string{"ann@example.org"}) {
		t.Errorf("after the return: %q", emails)
	}
}

func TestPostgresHangs(t *testing.T) {
	postgres := newStoppedPostgres(t)
	if err := postgres.start(); err != nil {
		t.Fatal(err)
	}
	ta := newTestAppOn(t, postgres, "postgres", newRedisServer(t), usualTimeouts)
	ta.log.line(t, "database is ready")
	ta.mustAdd(t, "Ann", "ann@example.org")
	// Its backends are processes of their own: a lock makes them hang.
	conn := postgres.open(t, "postgres")
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `LOCK TABLE users`); err != nil {
		t.Fatal(err)
	}
	ta.send(t, "GET", "/users", "").wantJSON(t, 503, databaseDown)
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if emails, _ := ta.list(t); len(emails) != 1 {
		t.Errorf("after the hang: %q", emails)
	}
}

// What the database says about a fault of its own stays in the log.
func TestDatabaseErrorTextStaysInside(t *testing.T) {
	ta := newTestApp(t)
	ta.mustAdd(t, "Ann", "ann@example.org")
	conn := ta.postgres.open(t, ta.database)
	if _, err := conn.Exec(t.Context(), `ALTER TABLE users RENAME COLUMN email TO e_mail`); err != nil {
		t.Fatal(err)
	}
	ta.send(t, "GET", "/users", "").wantJSON(t, 503, databaseDown)
	ta.send(t, "GET", "/users/1", "").wantJSON(t, 503, databaseDown)
	ta.send(t, "POST", "/users", `{"name":"B","email":"b@example.org"}`).wantJSON(t, 503, databaseDown)
	for _, path := range []string{"/", "/health"} {
		if got := ta.send(t, "GET", path, ""); strings.Contains(got.body, "42703") || strings.Contains(got.body, "column") {
			t.Errorf("%s tells: %s", path, got.body)
		}
	}
	if !strings.Contains(ta.log.String(), "42703") {
		t.Error("the log does not tell what the database said")
	}
}
