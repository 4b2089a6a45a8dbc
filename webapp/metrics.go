package main

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/redis/go-redis/v9"
)

// metrics is what GET /metrics shows, in a registry of its own.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	lookups  *prometheus.CounterVec
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "webapp_http_requests_total",
			Help: "Requests answered, by route pattern, method and status code.",
		}, []string{"route", "method", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "webapp_http_request_duration_seconds",
			Help:    "Time to answer, by route pattern and method.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}, []string{"route", "method"}),
		lookups: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "webapp_cache_lookups_total",
			Help: "Looks into the cache, by what was sought (list, user) and outcome (hit, miss, bypass).",
		}, []string{"kind", "outcome"}),
	}
	m.registry.MustRegister(m.requests, m.duration, m.lookups,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// watchPools adds what the two pools say about themselves at scrape time.
func (m *metrics) watchPools(postgres *pgxpool.Pool, rdb *redis.Client) {
	for _, g := range []struct {
		name, help string
		read       func() float64
	}{
		{"postgres_pool_connections", "Open connections to PostgreSQL.", func() float64 { return float64(postgres.Stat().TotalConns()) }},
		{"postgres_pool_acquired_connections", "Connections to PostgreSQL in use.", func() float64 { return float64(postgres.Stat().AcquiredConns()) }},
		{"postgres_pool_max_connections", "Most connections to PostgreSQL.", func() float64 { return float64(postgres.Stat().MaxConns()) }},
		{"redis_pool_connections", "Open connections to Redis.", func() float64 { return float64(rdb.PoolStats().TotalConns) }},
		{"redis_pool_idle_connections", "Connections to Redis not in use.", func() float64 { return float64(rdb.PoolStats().IdleConns) }},
	} {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "webapp_" + g.name, Help: g.help}, g.read))
	}
	for _, c := range []struct {
		name, help string
		read       func() float64
	}{
		{"postgres_pool_acquires_total", "Connections to PostgreSQL taken from the pool.", func() float64 { return float64(postgres.Stat().AcquireCount()) }},
		{"postgres_pool_waits_total", "Times that no idle connection to PostgreSQL was there.", func() float64 { return float64(postgres.Stat().EmptyAcquireCount()) }},
		{"redis_pool_timeouts_total", "Times that no connection to Redis could be had.", func() float64 { return float64(rdb.PoolStats().Timeouts) }},
	} {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "webapp_" + c.name, Help: c.help}, c.read))
	}
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// lookup counts one look into the cache. Keys would be one series per user.
func (m *metrics) lookup(key, outcome string) {
	kind := "user"
	if key == listKey {
		kind = "list"
	}
	m.lookups.WithLabelValues(kind, outcome).Inc()
}

// request counts one answer. route is a pattern, never a path, and methods
// that nobody knows are one, so that a client cannot make series.
func (m *metrics) request(route, method string, code int, took time.Duration) {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut,
		http.MethodPatch, http.MethodDelete, http.MethodOptions:
	default:
		method = "other"
	}
	m.requests.WithLabelValues(route, method, strconv.Itoa(code)).Inc()
	m.duration.WithLabelValues(route, method).Observe(took.Seconds())
}

// routeOf turns the pattern that matched, "GET /users/{id}", into a label.
func routeOf(r *http.Request) string {
	if r.Pattern == "" {
		return "unmatched"
	}
	if _, path, found := strings.Cut(r.Pattern, " "); found {
		return path
	}
	return r.Pattern
}
