package docker

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// impatient is fake with an engine that may be silent for so long.
func impatient(t *testing.T, after time.Duration, handler http.HandlerFunc) *Engine {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "d.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(speaking("1.45", handler))
	server.Listener = listener
	server.Start()
	e, err := New(Options{Host: "unix://" + socket})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = e.Close()
		server.CloseClientConnections()
		server.Close()
	})
	if _, err := e.Info(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.answerTimeout = after // from here on
	e.api.HTTPClient().Transport.(*answers).after = after
	return e
}

// silent takes a call and never answers.
func silent(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

// hangUp ends the connection without an answer.
func hangUp(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

const soon = 20 * time.Millisecond

// Calls that an engine answers at once end when it is silent, and say which it was;
// without that, nothing but an interrupt would end them.
func TestSilentEngine(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	zero := time.Duration(0)
	for _, test := range []struct {
		what, want string
		call       func(context.Context, *Engine) error
	}{
		{
			"a list", `list containers of "shop": the engine has not answered GET /containers/json for 20ms`,
			func(ctx context.Context, e *Engine) error { _, err := e.Containers(ctx, "shop"); return err },
		},
		{
			"a volume", `create volume "data": the engine has not answered POST /volumes/create for 20ms`,
			func(ctx context.Context, e *Engine) error { return e.CreateVolume(ctx, state.VolumeSpec{Name: "data"}) },
		},
		{
			"a removal", `remove container "web": the engine has not answered DELETE /containers/web for 20ms`,
			func(ctx context.Context, e *Engine) error { return e.RemoveContainer(ctx, "web", false) },
		},
		{
			"a stop", `stop container "web": the engine has not answered POST /containers/web/stop for 20ms`,
			func(ctx context.Context, e *Engine) error { return e.StopContainer(ctx, "web", &zero) },
		},
		{
			"a stream of events that does not begin", `the engine has not answered GET /events for 20ms`,
			func(ctx context.Context, e *Engine) error {
				return e.AllEvents(ctx, engine.EventOptions{}, func(engine.Event) {})
			},
		},
	} {
		t.Run(test.what, func(t *testing.T) {
			e := impatient(t, soon, silent)
			err := test.call(t.Context(), e)
			var unanswered *engine.UnansweredError
			if err == nil || !strings.HasSuffix(err.Error(), test.want) || !errors.As(err, &unanswered) {
				t.Errorf("got %v (%T), want %s", err, err, test.want)
			}
		})
	}
}

func TestSilentPing(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "d.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(silent))
	server.Listener = listener
	server.Start()
	defer server.Close()
	defer server.CloseClientConnections()
	e, err := New(Options{Host: "unix://" + socket, AnswerTimeout: soon})
	if err != nil {
		t.Fatal(err)
	}
	_, err = e.Info(t.Context())
	var unreachable *engine.UnreachableError
	if !errors.As(err, &unreachable) || !strings.HasSuffix(err.Error(), "does not answer: the engine has not answered HEAD /_ping for 20ms") {
		t.Errorf("got %v", err)
	}
}

// What takes its time, and what is still on its way, is no silence.
func TestPatience(t *testing.T) {
	t.Run("a log that nothing is written to", func(t *testing.T) {
		const after = time.Second // enough for the header, however busy the machine
		e := impatient(t, after, func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasSuffix(r.URL.Path, "/logs") {
				_, _ = io.WriteString(w, `{"Id":"1","Config":{"Tty":true}}`)
				return
			}
			_ = http.NewResponseController(w).Flush()
			<-time.After(after + 5*soon)
			_, _ = io.WriteString(w, stamp+" late\n")
		})
		var lines []string
		err := e.Logs(t.Context(), "web", engine.LogOptions{Follow: true}, func(l engine.LogLine) { lines = append(lines, l.Text) })
		if err != nil || len(lines) != 1 || lines[0] != "late" {
			t.Errorf("got %q, %v", lines, err)
		}
	})
	t.Run("an image that is pulled", func(t *testing.T) {
		e := impatient(t, soon, func(http.ResponseWriter, *http.Request) { <-time.After(5 * soon) })
		if err := e.Pull(t.Context(), "alpine", "", nil); err != nil {
			t.Error(err)
		}
	})
	t.Run("a stop within the grace period", func(t *testing.T) {
		e := impatient(t, soon, func(w http.ResponseWriter, _ *http.Request) {
			<-time.After(5 * soon)
			w.WriteHeader(http.StatusNoContent)
		})
		grace := time.Minute
		if err := e.StopContainer(t.Context(), "web", &grace); err != nil {
			t.Error(err)
		}
	})
}

// A container that has ended is stopped, though the answer does not come.
func TestStopWithoutAnAnswer(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
	e := impatient(t, soon, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/stop") {
			silent(w, r)
			return
		}
		_, _ = io.WriteString(w, `{"Id":"1","State":{"Status":"exited","Running":false}}`)
	})
	zero := time.Duration(0)
	if err := e.StopContainer(t.Context(), "web", &zero); err != nil {
		t.Error(err)
	}
}

// The end of the caller's context is the caller's end, and no silence.
func TestEndOfAContextIsNoSilence(t *testing.T) {
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	e := impatient(t, time.Minute, func(w http.ResponseWriter, r *http.Request) {
		cancel(cause)
		silent(w, r)
	})
	_, err := e.Containers(ctx, "shop")
	var unanswered *engine.UnansweredError
	var lost *engine.LostError
	if err == nil || err.Error() != `list containers of "shop": enough` || !errors.Is(err, context.Canceled) || errors.As(err, &unanswered) || errors.As(err, &lost) {
		t.Errorf("got %v", err)
	}
}

// What only reads is asked for once more where the connection broke; what changes
// something is not, for it may have been done.
func TestBrokenConnection(t *testing.T) {
	var calls atomic.Int32
	once := func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1) == 1 {
			hangUp(w, r)
		}
		_, _ = io.WriteString(w, "[]")
	}
	if _, err := impatient(t, time.Minute, once).Containers(t.Context(), "shop"); err != nil || calls.Load() != 2 {
		t.Errorf("a list: %v after %d calls", err, calls.Load())
	}
	calls.Store(0)
	err := impatient(t, time.Minute, once).CreateVolume(t.Context(), state.VolumeSpec{Name: "data"})
	var lost *engine.LostError
	if !errors.As(err, &lost) || lost.Call != "POST /volumes/create" || calls.Load() != 1 {
		t.Errorf("a volume: %v after %d calls", err, calls.Load())
	}
	if text := err.Error(); strings.Contains(text, "%2F") || strings.Contains(text, "error during connect") {
		t.Errorf("the error is in the client's words: %s", text)
	}
}

func TestHalfAnAnswer(t *testing.T) {
	e := impatient(t, time.Minute, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, `[{"Id":"1"`)
	})
	_, err := e.Containers(t.Context(), "shop")
	var lost *engine.LostError
	if !errors.As(err, &lost) || lost.Call != "GET /containers/json" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v", err)
	}
	const want = `list containers of "shop": the connection to the engine was lost before it had answered GET /containers/json: unexpected EOF`
	if err.Error() != want {
		t.Errorf("got %s, want %s", err, want)
	}
}

func TestPaces(t *testing.T) {
	for path, want := range map[string]pace{
		"/_ping":                          atOnce,
		"/v1.41/containers/json":          atOnce,
		"/v1.45/containers/create":        atOnce,
		"/v1.45/containers/web/start":     atOnce,
		"/v1.45/containers/stop/start":    atOnce,
		"/v1.45/containers/web/archive":   atOnce,
		"/v1.45/images/a/b:1/json":        atOnce,
		"/v1.45/events":                   streamed,
		"/v1.45/containers/web/logs":      streamed,
		"/v1.45/containers/web/stop":      longRunning,
		"/v1.45/containers/web/wait":      longRunning,
		"/v1.45/build":                    longRunning,
		"/v1.45/images/create":            longRunning,
		"/v1.45/images/load":              longRunning,
		"/v1.45/images/get":               longRunning,
		"/v1.45/images/host:5000/a/b/get": longRunning,
	} {
		if got := paceOf(path); got != want {
			t.Errorf("%s: got %d, want %d", path, got, want)
		}
	}
}

// A body that is sent is as good as an answer, for as long as it moves.
func TestUploadIsNoSilence(t *testing.T) {
	c := &call{after: time.Hour, cancel: func(error) {}}
	c.silence = time.AfterFunc(time.Hour, func() {})
	b := &body{ReadCloser: io.NopCloser(bytes.NewReader([]byte("text"))), call: c}
	if _, err := io.Copy(io.Discard, b); err != nil || c.silence == nil {
		t.Errorf("%v, watched: %t", err, c.silence != nil)
	}
	c.stopWatching()
	c.heard() // watches nothing any more
	if c.silence != nil {
		t.Error("it is watched again")
	}
}
