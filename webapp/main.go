// Command webapp is a small user registry on PostgreSQL and Redis: an HTML
// page, a JSON API, a health report and Prometheus metrics in one static
// binary. README.md beside this file lists the routes and the environment.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"
	"time"
)

// shutdownGrace is what running requests get to finish after a signal. It
// stays under the 5 seconds that the process promises, with room to close the
// pools.
const shutdownGrace = 4 * time.Second

// gcPercent is how much the heap may grow before it is collected. What lives is a few
// MB, so at the usual 100 % a busy app collects a hundred times a second to save 10 MB,
// and spends a sixth of its time on that. GOGC wins.
const gcPercent = 400

// usage is printed for any argument that is not known.
const usage = `usage: webapp              serve (configured by environment variables)
       webapp healthcheck  exit 0 when the webapp on this machine is healthy
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	code := run(ctx, os.Args[1:], os.LookupEnv, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the whole program with the outside passed in, and returns the exit
// code: 0 done, 1 failed, 2 wrong usage or configuration.
func run(ctx context.Context, args []string, env lookupEnv, stdout, stderr io.Writer) int {
	switch {
	case len(args) == 0:
		return serveCommand(ctx, env, stdout, stderr)
	case len(args) == 1 && args[0] == "healthcheck":
		return healthcheckCommand(ctx, env, stdout, stderr)
	default:
		fmt.Fprint(stderr, usage)
		return 2
	}
}

// serveCommand serves until ctx ends. Logs are the product on stdout; only a
// faulty configuration, which has no logger yet, is told on stderr.
func serveCommand(ctx context.Context, env lookupEnv, stdout, stderr io.Writer) int {
	cfg, err := loadConfig(env, os.ReadFile)
	if err != nil {
		fmt.Fprintf(stderr, "webapp: configuration:\n%v\n", err)
		return 2
	}
	if _, set := env("GOGC"); !set {
		debug.SetGCPercent(gcPercent)
	}
	out := &logWriter{out: stdout}
	defer out.flush()
	log := slog.New(slog.NewJSONHandler(out, &slog.HandlerOptions{Level: cfg.logLevel}))
	if err := serve(ctx, cfg, log); err != nil {
		log.Error("stopped", "error", err)
		return 1
	}
	return 0
}

// serve listens first and connects later, so that a health report can be had
// while the services are still starting.
func serve(ctx context.Context, cfg config, log *slog.Logger) error {
	var listening net.ListenConfig
	listener, err := listening.Listen(ctx, "tcp", cfg.listen)
	if err != nil {
		return fmt.Errorf("listen on %q: %w", cfg.listen, err)
	}
	app, err := newApp(ctx, cfg, log, nil)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer app.close()

	fresh := freshConns{open: map[net.Conn]struct{}{}}
	server := &http.Server{
		Handler:           app.handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      20 * time.Second,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    64 << 10,
		ConnState:         fresh.track,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	log.Info("listening", "address", listener.Addr().String(), "postgres", cfg.postgres.address(),
		"database", cfg.postgres.database, "redis", cfg.redisAddress)

	select {
	case err := <-served:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	log.Info("stopping", "grace", shutdownGrace.String())
	// ctx has ended already, and what is still running deserves its grace.
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
	defer cancel()
	fresh.close()
	if err := server.Shutdown(grace); err != nil {
		log.Warn("requests cut off", "error", err)
		// The listener and the connections go with the process anyway.
		_ = server.Close()
	}
	log.Info("stopped")
	return nil
}

// freshConns knows the connections on which no byte has arrived yet. Browsers
// open such ones ahead of need, and [http.Server.Shutdown] waits 5 seconds for
// each: longer than a shutdown may take.
type freshConns struct {
	mu     sync.Mutex
	open   map[net.Conn]struct{}
	closed bool
}

// track is the server's ConnState hook.
func (f *freshConns) track(conn net.Conn, state http.ConnState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if state != http.StateNew {
		delete(f.open, conn)
		return
	}
	f.open[conn] = struct{}{}
	if f.closed {
		_ = conn.Close()
	}
}

// close ends the connections that never carried a request, now and later.
func (f *freshConns) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for conn := range f.open {
		_ = conn.Close()
	}
}
