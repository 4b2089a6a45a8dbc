package main

import (
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"runtime/debug"
	"time"
)

// secureHeaders hold for every answer. The policy allows the page's own style
// sheet, its icon and its form; there are no scripts at all. The slices are shared by
// all answers, so nobody may write into one.
var secureHeaders = http.Header{
	"Content-Security-Policy": {"default-src 'none'; style-src 'self'; img-src data:; " +
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"},
	"X-Content-Type-Options":       {"nosniff"},
	"X-Frame-Options":              {"DENY"},
	"Referrer-Policy":              {"same-origin"},
	"Cross-Origin-Opener-Policy":   {"same-origin"},
	"Cross-Origin-Resource-Policy": {"same-origin"},
	"Cache-Control":                {"no-store"},
}

// pageHeaders hold for the page beside them: it needs no part of the browser and nothing
// of another site. They are shared in the same way.
var pageHeaders = http.Header{
	"Content-Type": {"text/html; charset=utf-8"},
	"Permissions-Policy": {"accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), hid=(), " +
		"microphone=(), midi=(), payment=(), publickey-credentials-get=(), serial=(), usb=(), web-share=()"},
	"Cross-Origin-Embedder-Policy": {"require-corp"},
}

// jsonType is shared in the same way.
var jsonType = []string{"application/json"}

// secure sets secureHeaders.
func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		maps.Copy(w.Header(), secureHeaders)
		next.ServeHTTP(w, r)
	})
}

// observe writes one log line per request and counts it. Health reports are
// asked for every few seconds and go to debug.
func (a *app) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		rec := &recorder{ResponseWriter: w, status: http.StatusOK}
		defer func() { // runs when a handler aborts, too
			took, route := time.Since(start), routeOf(r)
			a.metrics.request(route, r.Method, rec.status, took)
			level := slog.LevelInfo
			if route == "/health" {
				level = slog.LevelDebug
			}
			a.log.LogAttrs(r.Context(), level, "request", slog.String("method", r.Method), slog.String("route", route),
				slog.Int("status", rec.status), slog.Float64("duration_ms", float64(took.Microseconds())/1000),
				slog.String("remote", r.RemoteAddr))
		}()
		next.ServeHTTP(rec, r)
	})
}

// recoverPanics answers 500 for a handler that panicked, and logs where.
func (a *app) recoverPanics(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			switch p := recover(); p {
			case nil:
			case http.ErrAbortHandler: // the way to end an answer early
				panic(p)
			default:
				a.log.Error("panic", "method", r.Method, "route", routeOf(r), "panic", p, "stack", string(debug.Stack()))
				if rec, ok := w.(*recorder); ok && rec.sent {
					panic(http.ErrAbortHandler) // half an answer must not look like a whole one
				}
				writeError(w, http.StatusInternalServerError, "Internal error")
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// errorsAsJSON gives the mux's own 404 and 405 the form of all other errors.
func errorsAsJSON(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refuse, pattern := mux.Handler(r)
		if pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		asked := &refusal{header: http.Header{}}
		refuse.ServeHTTP(asked, r)
		if asked.status == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", asked.header.Get("Allow"))
			writeError(w, asked.status, "Method not allowed")
			return
		}
		writeError(w, http.StatusNotFound, "Not found")
	})
}

// refusal takes the mux's answer without its text.
type refusal struct {
	header http.Header
	status int
}

func (a *refusal) Header() http.Header         { return a.header }
func (a *refusal) WriteHeader(status int)      { a.status = status }
func (a *refusal) Write(p []byte) (int, error) { return len(p), nil }

// recorder remembers the status that went out.
type recorder struct {
	http.ResponseWriter
	status int
	sent   bool
}

func (rec *recorder) WriteHeader(status int) {
	// Informational ones come before the real one.
	if !rec.sent && status >= http.StatusOK {
		rec.status, rec.sent = status, true
	}
	rec.ResponseWriter.WriteHeader(status)
}

func (rec *recorder) Write(p []byte) (int, error) {
	rec.sent = true
	return rec.ResponseWriter.Write(p)
}

// Unwrap lets [http.ResponseController] reach the connection.
func (rec *recorder) Unwrap() http.ResponseWriter { return rec.ResponseWriter }

// writeJSON sends v, which always encodes: every answer is a struct of plain
// fields. That the client left is nobody's fault.
func writeJSON(w http.ResponseWriter, code int, v any) {
	w.Header()["Content-Type"] = jsonType
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v)
}

// errorAnswer is the form of every error.
type errorAnswer struct {
	Error string `json:"error"`
}

func writeError(w http.ResponseWriter, code int, text string) {
	writeJSON(w, code, errorAnswer{Error: text})
}
