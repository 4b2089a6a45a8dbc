//go:build linux

package main

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestReadAnswer(t *testing.T) {
	for name, test := range map[string]struct {
		text   string
		status int
		body   string
	}{
		"length":  {"HTTP/1.1 201 Created\r\nContent-Length: 5\r\nX: y\r\n\r\nhello", 201, "hello"},
		"chunked": {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\n", 200, "hello0123456789"},
		"empty":   {"HTTP/1.1 204 No Content\r\n\r\n", 204, ""},
	} {
		t.Run(name, func(t *testing.T) {
			// Twice, since what is left over would be the next answer's beginning.
			in := bufio.NewReaderSize(strings.NewReader(test.text+test.text), 64)
			for range 2 {
				status, body, err := readAnswer(in, nil)
				if err != nil || status != test.status || string(body) != test.body {
					t.Errorf("got %d %q, %v", status, body, err)
				}
			}
		})
	}
	for _, text := range []string{"", "HTTP/1.0 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"} {
		if _, _, err := readAnswer(bufio.NewReader(strings.NewReader(text)), nil); err == nil {
			t.Errorf("%q is taken for an answer", text)
		}
	}
}

func TestGenerate(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/users" {
			w.WriteHeader(http.StatusTeapot)
		}
		_, _ = w.Write([]byte(`{"cache_hit":false}` + "\n"))
	}))
	defer server.Close()
	address := strings.TrimPrefix(server.URL, "http://")
	t.Run("good", func(t *testing.T) {
		l, err := generate(t.Context(), address, 3, 0, 100*time.Millisecond, traffic{
			request: func(int, int) []byte { return get("/users", "a=b") }, good: isStatus(http.StatusOK), special: isMiss,
		})
		if err != nil || l.Errors != 0 || l.First != nil {
			t.Fatalf("%d errors, %v, %v", l.Errors, l.First, err)
		}
		if l.Requests == 0 || l.Requests != len(l.Times) || l.Special != l.Requests || l.All < l.Requests {
			t.Errorf("%d requests of %d, %d times, %d misses", l.Requests, l.All, len(l.Times), l.Special)
		}
	})
	t.Run("bad", func(t *testing.T) {
		l, err := generate(t.Context(), address, 1, 0, 10*time.Millisecond, traffic{
			request: func(int, int) []byte { return post("x") }, good: isStatus(http.StatusCreated),
		})
		if err != nil || l.Requests != 0 || l.Errors == 0 || l.First == nil {
			t.Errorf("%d requests, %d errors, %v, %v", l.Requests, l.Errors, l.First, err)
		}
	})
}

func TestPercentile(t *testing.T) {
	var l load
	if got := l.percentile(0.99); got != 0 {
		t.Errorf("of nothing: %s", got)
	}
	for i := range 100 {
		l.Times = append(l.Times, time.Duration(i+1))
	}
	for share, want := range map[float64]time.Duration{0: 1, 0.5: 51, 0.99: 100, 1: 100} {
		if got := l.percentile(share); got != want {
			t.Errorf("%g: got %d, want %d", share, got, want)
		}
	}
}

func TestForeignOutputs(t *testing.T) {
	s, err := parseRedisBenchmark([]byte(`"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"
"GET users:list","14204.54","0.050","0.016","0.047","0.087","0.135","0.431"
`))
	if want := (sample{Rate: 14204.54, P50: 0.047, P99: 0.135}); err != nil || s != want {
		t.Errorf("redis-benchmark: %+v, %v", s, err)
	}
	if _, err := parseRedisBenchmark([]byte("Could not connect\n")); err == nil {
		t.Error("a complaint of redis-benchmark is taken for a result")
	}
	rate, err := parsePgbench("number of failed transactions: 0 (0.000%)\ninitial connection time = 3.1 ms\ntps = 6447.112 (without initial connection time)\n")
	if err != nil || rate != 6447.112 {
		t.Errorf("pgbench: %g, %v", rate, err)
	}
	if _, err := parsePgbench("pgbench: error\n"); err == nil {
		t.Error("a complaint of pgbench is taken for a result")
	}
	spent, err := spentOf("4242 (a b) c) S 1 4242 4242 0 -1 4194560 100 0 0 0 250 150 0 0 20 0 8 0 12345\n")
	if err != nil || spent != 4*time.Second {
		t.Errorf("processor time: %s, %v", spent, err)
	}
	mb, err := residentOf("Name:\twebapp\nVmRSS:\t   20480 kB\n")
	if err != nil || mb != 20 {
		t.Errorf("memory: %g, %v", mb, err)
	}
}

// measuredWell are results that reach everything.
func measuredWell() *results {
	r := &results{Start: &starts{Ready: []float64{10}, Fresh: []float64{20}}, Soak: &soak{Minutes: 10}}
	for range 40 {
		r.Soak.Points = append(r.Soak.Points, point{MB: 20})
	}
	for _, c := range cases() {
		for _, connections := range connectionCounts {
			m := r.cell(c.name, connections)
			*m = measured{Name: c.name, Connections: connections, By: map[string]*row{}}
			m.add(theApp, sample{Rate: 600})
			m.add(theBare, sample{Rate: 1000})
		}
	}
	return r
}

func TestShortfalls(t *testing.T) {
	if short := measuredWell().shortfalls(); len(short) != 0 {
		t.Fatalf("good results fall short: %q", short)
	}
	for name, test := range map[string]struct {
		spoil func(r *results)
		want  string
	}{
		"share": {
			func(r *results) {
				m := r.find("GET /users, hit", 16)
				delete(m.By, theApp)
				m.add(theApp, sample{Rate: 499})
			},
			"GET /users, hit, 16 connections: 50 % of the bare handler, and should be at least 50 %",
		},
		"relay": {
			func(r *results) {
				m := r.find("GET /users, hit", 16)
				delete(m.By, theApp)
				m.add(theApp, sample{Rate: 300})
				m.add(theRelay, sample{Rate: 450})
			},
			"GET /users, hit, 16 connections: 30 % of the bare handler, and should be at least 50 %; one that asks Redis once per request gets 45 %",
		},
		"errors":   {func(r *results) { r.find("POST /users", 1).add(theApp, sample{Rate: 600, Errors: 2}) }, "POST /users, 1 connections: 2 errors, and there should be none"},
		"missing":  {func(r *results) { r.Cells = r.Cells[1:] }, "GET /users, hit, 1 connections: not measured"},
		"start":    {func(r *results) { r.Start.Fresh = []float64{60} }, "start to first answer with an empty database: 60.0 ms, and should be at most 50"},
		"no soak":  {func(r *results) { r.Soak = nil }, "memory: not measured: -soak 10m"},
		"short":    {func(r *results) { r.Soak.Minutes = 1 }, "soak: 1.0 minutes, and should be 10"},
		"growth":   {func(r *results) { grow(r.Soak.Points[30:]) }, "soak: memory in the last quarter is 1.50 of that in the second, and should be at most 1.05"},
		"no start": {func(r *results) { r.Start = nil }, "start to first answer: not measured"},
	} {
		t.Run(name, func(t *testing.T) {
			r := measuredWell()
			test.spoil(r)
			if short := r.shortfalls(); len(short) != 1 || short[0] != test.want {
				t.Errorf("got %q, want %q", short, test.want)
			}
		})
	}
}

func grow(points []point) {
	for i := range points {
		points[i].MB = 30
	}
}
