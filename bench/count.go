//go:build linux

package main

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
)

// counter is a unix socket in front of the engine's which counts the calls. It
// costs each call a little, so what is counted is not timed where that matters.
type counter struct {
	socket string
	server http.Server

	mu    sync.Mutex
	calls map[string]int
}

func newCounter(ctx context.Context, engine, dir string) (*counter, error) {
	c := &counter{socket: filepath.Join(dir, "count.sock"), calls: map[string]int{}}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "unix", c.socket)
	if err != nil {
		return nil, err
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host, p.Out.Host = "http", "engine", p.In.Host
		},
		FlushInterval: -1, // progress and events come as they are made
		ErrorLog:      slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
		Transport: &http.Transport{MaxIdleConnsPerHost: 256, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", engine)
		}},
	}
	c.server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		c.calls[callName(r.Method, r.URL.Path)]++
		c.mu.Unlock()
		proxy.ServeHTTP(w, r)
	})
	c.server.ErrorLog = proxy.ErrorLog
	go func() {
		if err := c.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			say("count calls: %v", err)
		}
	}()
	return c, nil
}

// take gives the calls since the last time.
func (c *counter) take() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := maps.Clone(c.calls)
	clear(c.calls)
	return out
}

var apiVersion = regexp.MustCompile(`^/v[0-9]+\.[0-9]+/`)

// callName is a call without the names of what it is about: "POST /containers/*/start".
func callName(method, path string) string {
	path = apiVersion.ReplaceAllString(path, "/")
	parts := strings.Split(strings.Trim(path, "/"), "/")
	collection := map[string]bool{"json": true, "create": true, "prune": true, "load": true, "get": true, "search": true}
	switch {
	case len(parts) == 1, len(parts) == 2 && collection[parts[1]]:
		return method + " /" + strings.Join(parts, "/")
	case len(parts) == 2:
		return method + " /" + parts[0] + "/*"
	}
	// What is between may be a reference, which has slashes of its own. A removed
	// image has nothing after it.
	if parts[0] == "images" && method == http.MethodDelete {
		return method + " /images/*"
	}
	return method + " /" + parts[0] + "/*/" + parts[len(parts)-1]
}

func sum(calls map[string]int) int {
	n := 0
	for _, count := range calls {
		n += count
	}
	return n
}
