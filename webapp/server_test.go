package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestUsers(t *testing.T) {
	ta := newTestApp(t)
	ta.send(t, "GET", "/users", "").wantJSON(t, 200,
		`{"users":[],"source":"PostgreSQL database","cache_hit":false}`)
	ta.send(t, "GET", "/users", "").wantJSON(t, 200,
		`{"users":[],"source":"Redis cache","cache_hit":true}`)

	ta.send(t, "POST", "/users", `{"name":" Ann ","email":"ann@example.org"}`).wantJSON(t, 201,
		`{"message":"User created","user_id":1,"name":"Ann","email":"ann@example.org"}`)
	const ann = `{"id":1,"name":"Ann","email":"ann@example.org","created_at":"*"}`
	ta.send(t, "GET", "/users", "").wantJSON(t, 200,
		`{"users":[`+ann+`],"source":"PostgreSQL database","cache_hit":false}`)
	ta.send(t, "GET", "/users", "").wantJSON(t, 200,
		`{"users":[`+ann+`],"source":"Redis cache","cache_hit":true}`)

	ta.send(t, "GET", "/users/1", "").wantJSON(t, 200,
		`{"user":`+ann+`,"source":"PostgreSQL database","cache_hit":false}`)
	again := ta.send(t, "GET", "/users/1", "")
	again.wantJSON(t, 200, `{"user":`+ann+`,"source":"Redis cache","cache_hit":true}`)

	var one userAnswer
	if err := json.Unmarshal([]byte(again.body), &one); err != nil || one.User.CreatedAt.IsZero() {
		t.Errorf("created_at in %s: %v", again.body, err)
	}
	rdb := ta.redis.client(t)
	for key, longest := range map[string]float64{listKey: 60, userKey(1): 300} {
		if ttl := rdb.TTL(t.Context(), key).Val().Seconds(); ttl <= longest/2 || ttl > longest {
			t.Errorf("%s lives for %v s, want up to %v", key, ttl, longest)
		}
	}
}

func TestRefusedUsers(t *testing.T) {
	ta := newTestApp(t)
	ta.mustAdd(t, "Ann", "ann@example.org")
	long := strings.Repeat("é", 101)
	for name, tc := range map[string]struct {
		body   string
		status int
		text   string
	}{
		"no name":         {`{"email":"a@example.org"}`, 400, "Name and email required"},
		"no email":        {`{"name":"A"}`, 400, "Name and email required"},
		"blank name":      {`{"name":" \t ","email":"a@example.org"}`, 400, "Name and email required"},
		"blank email":     {`{"name":"A","email":"  "}`, 400, "Name and email required"},
		"null":            {`null`, 400, "Name and email required"},
		"empty object":    {`{}`, 400, "Name and email required"},
		"empty body":      {``, 400, "Malformed JSON"},
		"half an object":  {`{"name":"A"`, 400, "Malformed JSON"},
		"array":           {`[]`, 400, "Malformed JSON"},
		"number as name":  {`{"name":1,"email":"a@example.org"}`, 400, "Malformed JSON"},
		"two objects":     {`{"name":"A","email":"a@example.org"}{}`, 400, "Malformed JSON"},
		"known email":     {`{"name":"Other","email":"ann@example.org"}`, 409, "Email already exists"},
		"long name":       {`{"name":"` + long + `","email":"a@example.org"}`, 400, "Name is longer than 100 characters"},
		"long email":      {`{"name":"A","email":"` + strings.Repeat("a", 100) + `@example.org"}`, 400, "Email is longer than 100 characters"},
		"no at sign":      {`{"name":"A","email":"example.org"}`, 400, "Email is not a valid address"},
		"name in email":   {`{"name":"A","email":"A <a@example.org>"}`, 400, "Email is not a valid address"},
		"NUL in name":     {`{"name":"A\u0000B","email":"a@example.org"}`, 400, "Name and email must be plain text"},
		"newline in name": {`{"name":"A\nB","email":"a@example.org"}`, 400, "Name and email must be plain text"},
		"too large":       {`{"name":"` + strings.Repeat("x", maxBody) + `"}`, 413, "Request body is larger than 1 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			ta.send(t, "POST", "/users", tc.body).wantJSON(t, tc.status, fmt.Sprintf(`{"error":%q}`, tc.text))
		})
	}
	if emails, _ := ta.list(t); len(emails) != 1 {
		t.Errorf("users are %q, want only the first", emails)
	}
}

func TestLongestUserFits(t *testing.T) {
	ta := newTestApp(t)
	email := strings.Repeat("a", 88) + "@example.org"
	ta.mustAdd(t, strings.Repeat("é", 100), email)
	// A body of exactly the limit is read.
	body := `{"name":"B","email":"b@example.org"}`
	body += strings.Repeat(" ", maxBody-len(body))
	if got := ta.send(t, "POST", "/users", body); got.status != http.StatusCreated {
		t.Errorf("body of 1 MiB: %d %s", got.status, got.body)
	}
}

func TestErrorsAreJSON(t *testing.T) {
	ta := newTestApp(t)
	for _, tc := range []struct {
		method, path string
		status       int
		text         string
		allow        string
	}{
		{"GET", "/nothing", 404, "Not found", ""},
		{"POST", "/nothing", 404, "Not found", ""},
		{"GET", "/users/", 404, "Not found", ""},
		{"GET", "/users/1/more", 404, "Not found", ""},
		{"GET", "/users/1", 404, "User not found", ""},
		{"GET", "/users/0", 404, "User not found", ""},
		{"GET", "/users/99999999999999999999", 404, "User not found", ""},
		{"GET", "/users/2147483648", 404, "User not found", ""},
		{"GET", "/users/x", 400, "User id must be a number", ""},
		{"GET", "/users/-1", 400, "User id must be a number", ""},
		{"GET", "/users/1%20OR%201=1", 400, "User id must be a number", ""},
		{"DELETE", "/users", 405, "Method not allowed", "GET, HEAD, POST"},
		{"PUT", "/users/1", 405, "Method not allowed", "GET, HEAD"},
		{"POST", "/health", 405, "Method not allowed", "GET, HEAD"},
		{"BREW", "/", 405, "Method not allowed", "GET, HEAD, POST"},
	} {
		t.Run(tc.method+" "+tc.path, func(t *testing.T) {
			got := ta.send(t, tc.method, tc.path, "")
			got.wantJSON(t, tc.status, fmt.Sprintf(`{"error":%q}`, tc.text))
			if allow := got.header.Get("Allow"); allow != tc.allow {
				t.Errorf("Allow %q, want %q", allow, tc.allow)
			}
		})
	}
}

func TestHealth(t *testing.T) {
	ta := newTestApp(t)
	ta.send(t, "GET", "/health", "").wantJSON(t, 200,
		`{"status":"healthy","services":{"web":"running","postgres":"connected","redis":"connected"}}`)
}

func TestCacheStats(t *testing.T) {
	ta := newTestApp(t)
	for range 4 { // one miss, three hits
		ta.list(t)
	}
	got := ta.send(t, "GET", "/cache-stats", "")
	got.wantJSON(t, 200, `{"total_connections":"*","total_commands":"*","keyspace_hits":3,"keyspace_misses":1,"cache_hit_ratio":75.00}`)
	if !strings.Contains(got.body, `"cache_hit_ratio":75.00`) {
		t.Errorf("ratio without two decimals: %s", got.body)
	}
}

func TestParseCacheStats(t *testing.T) {
	const info = "# Stats\r\ntotal_connections_received:7\r\ntotal_commands_processed:90\r\nkeyspace_hits:%d\r\nkeyspace_misses:%d\r\n"
	for _, tc := range []struct {
		hits, misses int
		ratio        string
	}{{0, 0, "0.00"}, {0, 5, "0.00"}, {2, 1, "66.67"}, {5, 0, "100.00"}} {
		stats, err := parseCacheStats(fmt.Sprintf(info, tc.hits, tc.misses))
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(stats)
		if err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf(`{"total_connections":7,"total_commands":90,"keyspace_hits":%d,"keyspace_misses":%d,"cache_hit_ratio":%s}`,
			tc.hits, tc.misses, tc.ratio)
		if string(text) != want {
			t.Errorf("got %s, want %s", text, want)
		}
	}
	for _, faulty := range []string{"", "keyspace_hits:1", strings.Replace(info, "%d", "x", 1)} {
		if _, err := parseCacheStats(faulty); err == nil {
			t.Errorf("%q is taken for counters", faulty)
		}
	}
}

func TestMetrics(t *testing.T) {
	ta := newTestApp(t)
	ta.mustAdd(t, "Ann", "ann@example.org")
	ta.list(t)
	ta.list(t)
	ta.send(t, "GET", "/users/1", "")
	ta.send(t, "GET", "/users/2", "")
	ta.send(t, "GET", "/secret-path", "")
	ta.send(t, "BREW", "/users", "")
	text := ta.send(t, "GET", "/metrics", "").body
	for _, want := range []string{
		`webapp_http_requests_total{code="201",method="POST",route="/users"} 1`,
		`webapp_http_requests_total{code="200",method="GET",route="/users"} 2`,
		`webapp_http_requests_total{code="200",method="GET",route="/users/{id}"} 1`,
		`webapp_http_requests_total{code="404",method="GET",route="/users/{id}"} 1`,
		`webapp_http_requests_total{code="404",method="GET",route="unmatched"} 1`,
		`webapp_http_requests_total{code="405",method="other",route="unmatched"} 1`,
		`webapp_http_request_duration_seconds_count{method="GET",route="/users"} 2`,
		`webapp_cache_lookups_total{kind="list",outcome="hit"} 1`,
		`webapp_cache_lookups_total{kind="list",outcome="miss"} 1`,
		`webapp_cache_lookups_total{kind="user",outcome="miss"} 2`,
		"webapp_postgres_pool_max_connections 10",
		"webapp_redis_pool_connections ",
		"go_goroutines ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	if strings.Contains(text, "secret-path") {
		t.Error("a path became a label")
	}
}

func TestSecurityHeaders(t *testing.T) {
	ta := newTestApp(t)
	for _, path := range []string{"/", "/users", "/nothing", "/style.css"} {
		header := ta.send(t, "GET", path, "").header
		for name, want := range map[string]string{
			"X-Content-Type-Options":       "nosniff",
			"X-Frame-Options":              "DENY",
			"Referrer-Policy":              "same-origin",
			"Cross-Origin-Opener-Policy":   "same-origin",
			"Cross-Origin-Resource-Policy": "same-origin",
		} {
			if got := header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
		policy := header.Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'none';") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "script-src") {
			t.Errorf("%s: policy %q", path, policy)
		}
		for _, part := range []string{"frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} {
			if !strings.Contains(policy, part) {
				t.Errorf("%s: no %s in policy %q", path, part, policy)
			}
		}
		if isPage := path == "/"; isPage != (header.Get("Permissions-Policy") != "" && header.Get("Cross-Origin-Embedder-Policy") == "require-corp") {
			t.Errorf("%s: permissions %q, embedding %q", path, header.Get("Permissions-Policy"), header.Get("Cross-Origin-Embedder-Policy"))
		}
	}
}

func TestCrossOriginRequestsAreRefused(t *testing.T) {
	ta := newTestApp(t)
	const form = "name=Eve&email=eve%40example.org"
	for name, header := range map[string][]string{
		"fetch metadata": {"Sec-Fetch-Site", "cross-site", "Content-Type", formType},
		"origin":         {"Origin", "https://evil.example", "Content-Type", formType},
	} {
		t.Run(name, func(t *testing.T) {
			for _, path := range []string{"/", "/users"} {
				ta.send(t, "POST", path, form, header...).wantJSON(t, 403, `{"error":"Cross-origin request refused"}`)
			}
		})
	}
	if emails, _ := ta.list(t); len(emails) != 0 {
		t.Errorf("users are %q, want none", emails)
	}
	// Neither with the token of the visitor's own form.
	visitor := ta.visitor(t)
	visitor.post(t, "Eve", "eve@example.org", "Sec-Fetch-Site", "cross-site").wantJSON(t, 403, `{"error":"Cross-origin request refused"}`)
	got := visitor.post(t, "Ann", "ann@example.org", "Sec-Fetch-Site", "same-origin")
	if got.status != http.StatusSeeOther {
		t.Errorf("same origin: %d %s", got.status, got.body)
	}
}

func TestRequestsAreLogged(t *testing.T) {
	ta := newTestApp(t)
	ta.send(t, "GET", "/users/12345", "")
	record := ta.log.line(t, "request")
	for key, want := range map[string]any{"level": "INFO", "method": "GET", "route": "/users/{id}", "status": 404.0} {
		if record[key] != want {
			t.Errorf("%s is %v, want %v", key, record[key], want)
		}
	}
	if remote, _ := record["remote"].(string); !strings.HasPrefix(remote, "127.0.0.1:") {
		t.Errorf("remote is %v", record["remote"])
	}
	if _, ok := record["duration_ms"].(float64); !ok {
		t.Errorf("duration_ms is %v", record["duration_ms"])
	}
	quiet := newTestApp(t)
	quiet.send(t, "GET", "/health", "")
	if level := quiet.log.line(t, "request")["level"]; level != "DEBUG" {
		t.Errorf("health request is logged at %v", level)
	}
}

func TestPanicIsAnswered(t *testing.T) {
	ta := newTestApp(t)
	broken := func(afterHeader bool) http.Handler {
		return ta.observe(ta.recoverPanics(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if afterHeader {
				w.WriteHeader(http.StatusOK)
			}
			panic("secret detail")
		})))
	}
	rec := httptest.NewRecorder()
	broken(false).ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/", nil))
	if rec.Code != 500 || strings.TrimSpace(rec.Body.String()) != `{"error":"Internal error"}` {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if ta.log.line(t, "panic")["panic"] != "secret detail" {
		t.Error("the panic is not in the log")
	}
	defer func() {
		if p, _ := recover().(error); !errors.Is(p, http.ErrAbortHandler) {
			t.Errorf("half an answer ends with %v, want the connection cut", p)
		}
	}()
	broken(true).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
}
