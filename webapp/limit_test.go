package main

import (
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"
)

func writesPerMinute(n int) func(*config) {
	return func(cfg *config) { cfg.writesPerMinute = n }
}

// add writes a user through the API from an address that a proxy tells.
func (ta *testApp) add(t *testing.T, n int, forwarded string) answer {
	t.Helper()
	return ta.send(t, "POST", "/users", fmt.Sprintf(`{"name":"N","email":"n%d@example.org"}`, n), "X-Forwarded-For", forwarded)
}

func wantRefused(t *testing.T, got answer) {
	t.Helper()
	seconds, err := strconv.Atoi(got.header.Get("Retry-After"))
	if got.status != http.StatusTooManyRequests || err != nil || seconds < 1 || seconds > 60 ||
		!strings.Contains(got.body, fmt.Sprintf("Too many requests, try again in %d s", seconds)) {
		t.Errorf("%d, Retry-After %q: %s", got.status, got.header.Get("Retry-After"), got.body)
	}
}

// A client gets as many writes as it may have in a minute, over all instances and by
// API and form together; others have their own, and reads are not counted.
func TestWritesAreLimited(t *testing.T) {
	ta := newTestAppOn(t, shared, shared.newDatabase(t), newRedisServer(t), writesPerMinute(3))
	other := newTestAppOn(t, shared, ta.database, ta.redis, writesPerMinute(3), func(cfg *config) {
		cfg.trustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	})
	ann := ta.visitor(t)
	if got := ta.add(t, 1, ""); got.status != 201 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if got := other.add(t, 2, ""); got.status != 201 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if got := ta.add(t, 2, ""); got.status != 409 { // what is refused for another reason counts
		t.Fatalf("%d %s", got.status, got.body)
	}
	wantRefused(t, ta.add(t, 3, ""))
	wantRefused(t, other.add(t, 3, ""))
	wantRefused(t, ta.add(t, 3, "192.0.2.1")) // nobody asked for the header here
	page := ann.post(t, "Ann", "ann@example.org")
	wantRefused(t, page)
	if !strings.Contains(page.body, `value="ann@example.org"`) || tokenOf(t, page) != ann.token {
		t.Errorf("what was typed is lost: %s", page.body)
	}
	if got := other.add(t, 4, "192.0.2.1"); got.status != 201 {
		t.Errorf("another client: %d %s", got.status, got.body)
	}
	if emails, _ := ta.list(t); len(emails) != 3 {
		t.Errorf("users are %q", emails)
	}
	// The count goes by itself.
	rdb := ta.redis.client(t)
	for _, key := range rdb.Keys(t.Context(), "writes:*").Val() {
		if ttl := rdb.PTTL(t.Context(), key).Val(); ttl <= 0 || ttl > limitWindow {
			t.Errorf("%s lives for %s", key, ttl)
		}
	}
	if n := len(rdb.Keys(t.Context(), "writes:*").Val()); n != 2 {
		t.Errorf("%d counts, want 2", n)
	}
}

// Time gives writes back one by one.
func TestLimitRecovers(t *testing.T) {
	ta := newTestAppOn(t, shared, shared.newDatabase(t), newRedisServer(t), writesPerMinute(600))
	rdb := ta.redis.client(t)
	now, err := rdb.Time(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	// As after 599 writes at once, 30 seconds ago; then after one more than there may be.
	set := func(at time.Time) {
		if err := rdb.Set(t.Context(), "writes:127.0.0.1/32", at.UnixMicro(), 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	set(now.Add(30 * time.Second))
	if got := ta.add(t, 1, ""); got.status != 201 {
		t.Errorf("%d %s", got.status, got.body)
	}
	set(now.Add(90 * time.Second))
	wantRefused(t, ta.add(t, 2, ""))
}

// While Redis is away each instance counts for itself.
func TestWritesAreLimitedWithoutRedis(t *testing.T) {
	ta := newTestAppOn(t, shared, shared.newDatabase(t), newRedisServer(t), writesPerMinute(2))
	ta.redis.stop()
	for n := range 2 {
		if got := ta.add(t, n, ""); got.status != 201 {
			t.Fatalf("%d %s", got.status, got.body)
		}
	}
	wantRefused(t, ta.add(t, 2, ""))
}

func TestCount(t *testing.T) {
	l := newLimiter(config{writesPerMinute: 2}, nil)
	client, other := netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("192.0.2.2/32")
	start := time.Unix(0, 0)
	for i, step := range []struct {
		client netip.Prefix
		at     time.Duration
		wait   time.Duration
	}{
		{client, 0, 0},
		{client, 0, 0},
		{client, 0, 30 * time.Second},
		{client, 10 * time.Second, 20 * time.Second},
		{other, 10 * time.Second, 0},
		{client, 30 * time.Second, 0}, // one has come back, and no more
		{client, 30 * time.Second, 30 * time.Second},
		{client, time.Hour, 0},
		{client, time.Hour, 0},
		{client, time.Hour, 30 * time.Second},
	} {
		if wait := l.count(step.client, 30*time.Second, start.Add(step.at)); wait != step.wait {
			t.Errorf("step %d: wait %s, want %s", i, wait, step.wait)
		}
	}
}

// However many addresses there are, they take no more than so much memory: those who
// come on top share one count, until the others have gone.
func TestCountIsBounded(t *testing.T) {
	l := newLimiter(config{writesPerMinute: 1}, nil)
	address := netip.MustParseAddr("10.0.0.0")
	next := func() netip.Prefix {
		address = address.Next()
		return netip.PrefixFrom(address, 32)
	}
	start := time.Unix(0, 0)
	for range maxCounted {
		if wait := l.count(next(), limitWindow, start); wait != 0 {
			t.Fatalf("%s has to wait", address)
		}
	}
	if first, second := l.count(next(), limitWindow, start), l.count(next(), limitWindow, start); first != 0 || second == 0 {
		t.Errorf("on top: %s and %s", first, second)
	}
	if n := len(l.until); n > maxCounted+1 {
		t.Errorf("%d are counted", n)
	}
	if wait := l.count(next(), limitWindow, start.Add(2*limitWindow)); wait != 0 || len(l.until) != 1 {
		t.Errorf("later: wait %s, %d are counted", wait, len(l.until))
	}
}

func TestClient(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	for _, tc := range []struct {
		remote  string
		headers []string
		want    string
	}{
		{"192.0.2.1:4711", nil, "192.0.2.1/32"},
		{"192.0.2.1:4711", []string{"203.0.113.9"}, "192.0.2.1/32"}, // no proxy of ours
		{"[::ffff:192.0.2.1]:4711", nil, "192.0.2.1/32"},
		{"[2001:db8:1:2:3:4:5:6]:4711", nil, "2001:db8:1:2::/64"},
		{"[fe80::1%eth0]:4711", nil, "fe80::/64"},
		{"10.0.0.1:1", []string{"203.0.113.9"}, "203.0.113.9/32"},
		{"10.0.0.1:1", []string{"198.51.100.1, 203.0.113.9"}, "203.0.113.9/32"}, // the first was written by the client
		{"10.0.0.1:1", []string{"198.51.100.1", "203.0.113.9,10.1.1.1"}, "203.0.113.9/32"},
		{"[::1]:1", []string{"2001:db8::9"}, "2001:db8::/64"},
		{"10.0.0.1:1", []string{"10.0.0.2, 10.0.0.3"}, "10.0.0.2/32"},
		{"10.0.0.1:1", []string{"203.0.113.9, unknown, 10.0.0.3"}, "10.0.0.3/32"},
		{"10.0.0.1:1", nil, "10.0.0.1/32"},
		{"10.0.0.1:1", []string{""}, "10.0.0.1/32"},
		{"@", nil, "invalid Prefix"},
	} {
		l := newLimiter(config{trustedProxies: proxies}, nil)
		r := &http.Request{RemoteAddr: tc.remote, Header: http.Header{"X-Forwarded-For": tc.headers}}
		if got := l.client(r).String(); got != tc.want {
			t.Errorf("%s %q: got %s, want %s", tc.remote, tc.headers, got, tc.want)
		}
	}
}
