package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
)

// testApp is an app on real services behind a real listener.
type testApp struct {
	*app
	url      string
	postgres *postgresServer
	database string
	redis    *redisServer
	queries  *queryTrace
	log      *logBuffer
}

// newTestApp runs an app on a database and a Redis of its own.
func newTestApp(t *testing.T) *testApp {
	t.Helper()
	return newTestAppOn(t, shared, shared.newDatabase(t), newRedisServer(t))
}

// usualTimeouts gives an app the patience it has in production, for tests in
// which something hangs.
func usualTimeouts(cfg *config) {
	cfg.queryTimeout, cfg.redisTimeout = defaultQueryTimeout, defaultRedisTimeout
}

// newTestAppOn runs an app on what the test provides, started or not.
func newTestAppOn(
	t *testing.T, postgres *postgresServer, database string, rdb *redisServer, changes ...func(*config),
) *testApp {
	t.Helper()
	ta := &testApp{postgres: postgres, database: database, redis: rdb, queries: &queryTrace{}, log: &logBuffer{}}
	cfg := postgres.config(database)
	cfg.redisAddress = rdb.address()
	for _, change := range changes {
		change(&cfg)
	}
	log := slog.New(slog.NewJSONHandler(ta.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	app, err := newApp(t.Context(), cfg, log, ta.queries)
	if err != nil {
		t.Fatal(err)
	}
	ta.app = app
	server := httptest.NewServer(app.handler())
	ta.url = server.URL
	t.Cleanup(func() {
		server.Close()
		app.close()
		if strings.Contains(ta.log.String(), testPassword) {
			t.Error("the password is in the log")
		}
		if t.Failed() {
			t.Logf("log of the app:\n%s", ta.log)
		}
	})
	return ta
}

// answer is a response that has been read.
type answer struct {
	status int
	header http.Header
	body   string
}

// send makes one request on a connection of its own and follows no redirect.
// A request that hangs fails the test instead of hanging it.
func (ta *testApp) send(t *testing.T, method, path, body string, header ...string) answer {
	t.Helper()
	return sendTo(t, ta.url, nil, method, path, body, header...)
}

func sendTo(t *testing.T, url string, jar *cookiejar.Jar, method, path, body string, header ...string) answer {
	t.Helper()
	got, err := trySend(t.Context(), url, jar, method, path, body, header...)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func trySend(ctx context.Context, url string, jar *cookiejar.Jar, method, path, body string, header ...string) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, url+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if jar != nil {
		client.Jar = jar
	}
	response, err := client.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return answer{status: response.StatusCode, header: response.Header, body: string(text)}, err
}

// wantJSON compares status and whole body; a "*" in want matches any value.
func (a answer) wantJSON(t *testing.T, status int, want string) {
	t.Helper()
	if a.status != status {
		t.Errorf("status %d, want %d", a.status, status)
	}
	if got := a.header.Get("Content-Type"); got != "application/json" {
		t.Errorf("content type %q", got)
	}
	var gotValue, wantValue any
	if err := json.Unmarshal([]byte(a.body), &gotValue); err != nil {
		t.Fatalf("body %q: %v", a.body, err)
	}
	if err := json.Unmarshal([]byte(want), &wantValue); err != nil {
		t.Fatal(err)
	}
	wildcard := cmp.FilterValues(func(x, y any) bool { return x == any("*") || y == any("*") }, cmp.Ignore())
	if diff := cmp.Diff(wantValue, gotValue, wildcard); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
}

// addUser creates a user through the API.
func (ta *testApp) mustAdd(t *testing.T, name, email string) {
	t.Helper()
	body, err := json.Marshal(map[string]string{"name": name, "email": email})
	if err != nil {
		t.Fatal(err)
	}
	if got := ta.send(t, "POST", "/users", string(body)); got.status != http.StatusCreated {
		t.Fatalf("add %s: %d %s", email, got.status, got.body)
	}
}

// usersAnswer is the answer of GET /users.
type usersAnswer struct {
	Users    []user `json:"users"`
	Source   string `json:"source"`
	CacheHit bool   `json:"cache_hit"`
}

// userAnswer is the answer of GET /users/{id}.
type userAnswer struct {
	User     user   `json:"user"`
	Source   string `json:"source"`
	CacheHit bool   `json:"cache_hit"`
}

// list asks for the users and returns their addresses and the source.
func (ta *testApp) list(t *testing.T) (emails []string, hit bool) {
	t.Helper()
	got := ta.send(t, "GET", "/users", "")
	if got.status != http.StatusOK {
		t.Fatalf("GET /users: %d %s", got.status, got.body)
	}
	return emailsOf(t, got.body)
}

func emailsOf(t *testing.T, body string) (emails []string, hit bool) {
	t.Helper()
	var list usersAnswer
	if err := json.Unmarshal([]byte(body), &list); err != nil {
		t.Fatalf("body %q: %v", body, err)
	}
	for _, u := range list.Users {
		emails = append(emails, u.Email)
	}
	return emails, list.CacheHit
}

// queryTrace counts SQL queries and can hold them up.
type queryTrace struct {
	mu     sync.Mutex
	counts map[string]int
	before func(ctx context.Context, sql string) // called before a query is sent
	after  func(sql string)                      // called when its rows are read
}

type sqlKey struct{}

// selectList is how the query for all users begins.
const selectList = "SELECT id, name, email, created_at FROM users ORDER"

func (q *queryTrace) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	q.mu.Lock()
	if q.counts == nil {
		q.counts = map[string]int{}
	}
	q.counts[data.SQL]++
	before := q.before
	q.mu.Unlock()
	if before != nil {
		before(ctx, data.SQL)
	}
	return context.WithValue(ctx, sqlKey{}, data.SQL)
}

func (q *queryTrace) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryEndData) {
	q.mu.Lock()
	after := q.after
	q.mu.Unlock()
	if sql, _ := ctx.Value(sqlKey{}).(string); after != nil {
		after(sql)
	}
}

// hook sets what happens before and after queries from now on.
func (q *queryTrace) hook(before func(ctx context.Context, sql string), after func(sql string)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.before, q.after = before, after
}

// count is the number of queries that began with prefix.
func (q *queryTrace) count(prefix string) (total int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for sql, n := range q.counts {
		if strings.HasPrefix(sql, prefix) {
			total += n
		}
	}
	return total
}

// logBuffer is a log that may be read while it is written.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// line waits for the first log record with this message.
func (b *logBuffer) line(t *testing.T, message string) (record map[string]any) {
	t.Helper()
	eventually(t, fmt.Sprintf("log line %q", message), func() error {
		for line := range strings.Lines(b.String()) {
			var candidate map[string]any
			if json.Unmarshal([]byte(line), &candidate) == nil && candidate["msg"] == message {
				record = candidate
				return nil
			}
		}
		return fmt.Errorf("log is:\n%s", b)
	})
	return record
}
