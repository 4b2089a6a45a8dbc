package docker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/pkg/stdcopy"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/stackctl/stackctl/pkg/runner/engine"
)

// host is an engine with one container and one command in it.
type host struct {
	// talk is the engine's end of a connection to the command's streams. The
	// connection is closed after it.
	talk func(conn *net.UnixConn)
	// tty and removes are the container's; running tells of both the container
	// and the command, after talk.
	tty, removes, running bool
	exitCode              int
	// refuse is the path of a call that fails.
	refuse string

	mu      sync.Mutex
	calls   []string
	sizes   chan string
	created map[string]any
	started chan struct{} // closed when the container starts
	start   sync.Once
	ended   chan struct{} // closed when talk has ended
}

func newHost(h *host) *host {
	h.sizes, h.started, h.ended = make(chan string, 10), make(chan struct{}), make(chan struct{})
	return h
}

// seen gives the calls so far, less those that look only.
func (h *host) seen() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string{}, h.calls...)
}

func (h *host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/") // the version
	if r.Method != http.MethodGet && !strings.HasSuffix(path, "/resize") {
		h.mu.Lock()
		h.calls = append(h.calls, strings.TrimSpace(path+" "+r.URL.Query().Get("condition")))
		h.mu.Unlock()
	}
	if h.refuse != "" && strings.HasSuffix(path, h.refuse) {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"message": "no such program"}`)
		return
	}
	switch path {
	case "containers/web/exec":
		_ = json.NewDecoder(r.Body).Decode(&h.created)
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, `{"Id": "e"}`)
	case "containers/web/start":
		h.start.Do(func() { close(h.started) })
		w.WriteHeader(http.StatusNoContent)
	case "exec/e/start", "containers/web/attach":
		_, _ = io.Copy(io.Discard, r.Body) // what is left of it would be taken for input
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		fmt.Fprint(conn, "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
		go func() {
			defer close(h.ended)
			defer conn.Close()
			if path == "containers/web/attach" {
				<-h.started
			}
			h.talk(conn.(*net.UnixConn))
		}()
	case "exec/e/resize", "containers/web/resize":
		h.sizes <- r.URL.Query().Get("w") + "x" + r.URL.Query().Get("h")
	case "exec/e/json":
		_ = json.NewEncoder(w).Encode(map[string]any{"Running": h.running, "ExitCode": h.exitCode})
	case "containers/web/json":
		_ = json.NewEncoder(w).Encode(map[string]any{
			"Id": "web", "Config": map[string]any{"Tty": h.tty},
			"HostConfig": map[string]any{"AutoRemove": h.removes}, "State": map[string]any{"Running": h.running},
		})
	case "containers/web/wait":
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		select {
		case <-h.ended:
			if h.running {
				<-r.Context().Done()
				return
			}
			_ = json.NewEncoder(w).Encode(map[string]any{"StatusCode": h.exitCode})
		case <-r.Context().Done():
		}
	default:
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"message": "no such page"}`)
	}
}

func (h *host) engine(t *testing.T) *Engine {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
	return fake(t, speaking("1.44", h.ServeHTTP))
}

// echo gives back what comes, in frames, once it has ended, and complains.
func echo(conn *net.UnixConn) {
	all, _ := io.ReadAll(conn)
	out, errOut := stdcopy.NewStdWriter(conn, stdcopy.Stdout), stdcopy.NewStdWriter(conn, stdcopy.Stderr)
	for len(all) > 0 {
		n := min(len(all), 16<<10)
		_, _ = out.Write(all[:n])
		all = all[n:]
	}
	_, _ = io.WriteString(errOut, "oh")
}

func noise(n int) []byte {
	out := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(out)
	return out
}

// A command sees the end of its input, all of what it writes arrives, on the two
// streams that it wrote it to, and its exit code is told.
func TestExecAttached(t *testing.T) {
	h := newHost(&host{talk: echo, exitCode: 7})
	e := h.engine(t)
	sent := noise(10 << 20)
	var out, errOut bytes.Buffer
	code, err := e.ExecAttached(t.Context(), "web", engine.Command{Args: []string{"cat"}, User: "me", Env: []string{"A=b"}}, engine.Streams{
		In: bytes.NewReader(sent), Out: &out, Err: &errOut,
	})
	if err != nil || code != 7 {
		t.Fatal(code, err)
	}
	if !bytes.Equal(out.Bytes(), sent) || errOut.String() != "oh" {
		t.Errorf("%d bytes came back of %d, and %q", out.Len(), len(sent), errOut.String())
	}
	for key, want := range map[string]any{"AttachStdin": true, "AttachStdout": true, "AttachStderr": true, "Tty": false, "User": "me"} {
		if h.created[key] != want {
			t.Errorf("%s is %v", key, h.created[key])
		}
	}
}

// Without input none is attached, and output that nobody wants is thrown away.
func TestExecAttachedToNothing(t *testing.T) {
	h := newHost(&host{talk: func(conn *net.UnixConn) {
		_, _ = io.WriteString(stdcopy.NewStdWriter(conn, stdcopy.Stdout), "hello")
	}})
	code, err := h.engine(t).ExecAttached(t.Context(), "web", engine.Command{Args: []string{"true"}}, engine.Streams{})
	if err != nil || code != 0 || h.created["AttachStdin"] != false {
		t.Error(code, err, h.created["AttachStdin"])
	}
}

// A terminal has one stream, the caller's size, and every later one.
func TestExecAttachedToATerminal(t *testing.T) {
	resized := make(chan engine.Size)
	end := make(chan struct{})
	h := newHost(&host{talk: func(conn *net.UnixConn) {
		_, _ = io.WriteString(conn, "raw\r\n")
		<-end
	}})
	go func() {
		first := <-h.sizes
		resized <- engine.Size{Columns: 120, Rows: 40}
		if second := <-h.sizes; first != "80x24" || second != "120x40" {
			t.Errorf("sizes %s and %s", first, second)
		}
		close(end)
	}()
	var out bytes.Buffer
	in, typing := io.Pipe()
	defer typing.Close()
	_, err := h.engine(t).ExecAttached(t.Context(), "web", engine.Command{Args: []string{"sh"}}, engine.Streams{
		In: in, Out: &out, Terminal: &engine.Terminal{Size: engine.Size{Columns: 80, Rows: 24}, Resized: resized},
	})
	if err != nil || out.String() != "raw\r\n" || h.created["Tty"] != true {
		t.Errorf("%v %q %v", err, out.String(), h.created["Tty"])
	}
	if diff := cmp.Diff([]any{24.0, 80.0}, h.created["ConsoleSize"]); diff != "" {
		t.Errorf("size at the start (-want +got):\n%s", diff)
	}
}

// A command may end while input still comes, and while nobody writes any.
func TestExecAttachedEndsBeforeItsInput(t *testing.T) {
	h := newHost(&host{talk: func(*net.UnixConn) {}, exitCode: 1})
	in, typing := io.Pipe()
	defer typing.Close()
	code, err := h.engine(t).ExecAttached(t.Context(), "web", engine.Command{Args: []string{"true"}}, engine.Streams{In: in})
	if err != nil || code != 1 {
		t.Error(code, err)
	}
}

// The engine closes the connection of a command that has ended though input has
// come which nobody has read. What the command wrote before still counts.
func TestExecAttachedThatReadsNoInput(t *testing.T) {
	h := newHost(&host{exitCode: 1})
	h.talk = func(conn *net.UnixConn) {
		_, _ = conn.Read(make([]byte, 1)) // some has come
		_, _ = io.WriteString(stdcopy.NewStdWriter(conn, stdcopy.Stdout), "no, thanks")
	}
	var out bytes.Buffer
	code, err := h.engine(t).ExecAttached(t.Context(), "web", engine.Command{Args: []string{"false"}}, engine.Streams{
		In: bytes.NewReader(noise(1 << 20)), Out: &out,
	})
	if err != nil || code != 1 || out.String() != "no, thanks" {
		t.Errorf("%d %v %q", code, err, out.String())
	}
}

var errEnough = errors.New("enough")

func TestAttachedEndsWithItsContext(t *testing.T) {
	for name, attach := range map[string]func(*Engine, context.Context, engine.Streams) (int, error){
		"exec": func(e *Engine, ctx context.Context, s engine.Streams) (int, error) {
			return e.ExecAttached(ctx, "web", engine.Command{Args: []string{"true"}}, s)
		},
		"start": func(e *Engine, ctx context.Context, s engine.Streams) (int, error) {
			return e.StartAttached(ctx, "web", s, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			h := newHost(&host{})
			h.talk = func(conn *net.UnixConn) {
				cancel(errEnough)
				_, _ = io.Copy(io.Discard, conn) // silent until the caller has gone
			}
			in, typing := io.Pipe()
			defer typing.Close()
			if _, err := attach(h.engine(t), ctx, engine.Streams{In: in}); !errors.Is(err, errEnough) {
				t.Errorf("error is %v", err)
			}
		})
	}
}

type fullWriter struct{}

func (fullWriter) Write([]byte) (int, error) { return 0, errEnough }

func TestAttachedEndsWhenNobodyTakesTheOutput(t *testing.T) {
	h := newHost(&host{talk: func(conn *net.UnixConn) {
		_, _ = stdcopy.NewStdWriter(conn, stdcopy.Stdout).Write([]byte("x"))
		_, _ = io.Copy(io.Discard, conn)
	}})
	_, err := h.engine(t).ExecAttached(t.Context(), "web", engine.Command{Args: []string{"yes"}}, engine.Streams{Out: fullWriter{}})
	if !errors.Is(err, errEnough) {
		t.Errorf("error is %v", err)
	}
}

// A container is attached to, and its end waited for, before it starts.
func TestStartAttached(t *testing.T) {
	for _, removes := range []bool{false, true} {
		condition := "next-exit"
		if removes {
			condition = "removed"
		}
		t.Run(condition, func(t *testing.T) {
			h := newHost(&host{talk: echo, exitCode: 3, removes: removes})
			var out, errOut bytes.Buffer
			var atStart []string
			code, err := h.engine(t).StartAttached(t.Context(), "web", engine.Streams{In: strings.NewReader("hello"), Out: &out, Err: &errOut}, func() { atStart = h.seen() })
			if err != nil || code != 3 || out.String() != "hello" || errOut.String() != "oh" {
				t.Errorf("%d %v %q %q", code, err, out.String(), errOut.String())
			}
			want := []string{"containers/web/attach", "containers/web/wait " + condition, "containers/web/start"}
			if diff := cmp.Diff(want, h.seen()); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(want, atStart); diff != "" {
				t.Errorf("calls before it is said to have started (-want +got):\n%s", diff)
			}
		})
	}
}

func TestStartAttachedToATerminal(t *testing.T) {
	h := newHost(&host{tty: true})
	h.talk = func(conn *net.UnixConn) {
		fmt.Fprintf(conn, "size %s", <-h.sizes)
	}
	var out bytes.Buffer
	_, err := h.engine(t).StartAttached(t.Context(), "web", engine.Streams{
		Out: &out, Terminal: &engine.Terminal{Size: engine.Size{Columns: 80, Rows: 24}},
	}, nil)
	if err != nil || out.String() != "size 80x24" {
		t.Errorf("%v %q", err, out.String())
	}
}

func TestStartAttachedThatDoesNotStart(t *testing.T) {
	h := newHost(&host{refuse: "/start"})
	h.talk = func(*net.UnixConn) {}
	e := h.engine(t)
	_, err := e.StartAttached(t.Context(), "web", engine.Streams{}, func() { t.Error("it is said to have started") })
	h.start.Do(func() { close(h.started) })
	if !errdefs.IsInvalidArgument(err) || err.Error() != `start container "web": no such program` {
		t.Errorf("error is %v", err)
	}
}

// The keys to let go end the stay where the command goes on; pressed before its
// end they are no more than keys.
func TestDetachKeys(t *testing.T) {
	for _, running := range []bool{true, false} {
		t.Run(fmt.Sprintf("running %t", running), func(t *testing.T) {
			talk := func(conn *net.UnixConn) {
				if got, _ := io.ReadAll(conn); string(got) != "a\x10b" {
					t.Errorf("the command got %q", got)
				}
			}
			want := error(nil)
			if running {
				want = engine.ErrDetached
			}
			terminal := &engine.Terminal{}
			// In two pieces, as they are typed.
			keys := func() io.Reader {
				return io.MultiReader(strings.NewReader("a\x10"), strings.NewReader("b\x10"), strings.NewReader("\x11c"))
			}
			h := newHost(&host{talk: talk, running: running})
			_, err := h.engine(t).ExecAttached(t.Context(), "web", engine.Command{Args: []string{"sh"}}, engine.Streams{In: keys(), Terminal: terminal})
			if !errors.Is(err, want) || want == nil && err != nil {
				t.Errorf("exec: %v", err)
			}
			h = newHost(&host{talk: talk, running: running, tty: true})
			_, err = h.engine(t).StartAttached(t.Context(), "web", engine.Streams{In: keys(), Terminal: terminal}, nil)
			if !errors.Is(err, want) || want == nil && err != nil {
				t.Errorf("start: %v", err)
			}
		})
	}
}

func TestExecDetached(t *testing.T) {
	var body map[string]any
	e := fake(t, speaking("1.44", func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/exec/e/start") {
			_ = json.NewDecoder(r.Body).Decode(&body)
			return
		}
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, `{"Id": "e"}`)
	}))
	if err := e.ExecDetached(t.Context(), "web", engine.Command{Args: []string{"true"}}); err != nil || body["Detach"] != true {
		t.Error(err, body)
	}
}

// A key that is held back is not lost with the input's end.
func TestKeyWatch(t *testing.T) {
	for in, want := range map[string]string{"": "", "a": "a", "\x10": "\x10", "a\x10": "a\x10", "\x10\x10\x11a": "\x10", "\x11\x10": "\x11\x10"} {
		got, err := io.ReadAll(&keyWatch{in: iotest.OneByteReader(strings.NewReader(in))})
		if errors.Is(err, engine.ErrDetached) {
			err = nil
		}
		if string(got) != want || err != nil {
			t.Errorf("%q became %q, %v", in, got, err)
		}
	}
}

// The end of the wait brings the engine's own error.
func TestWaitThatFails(t *testing.T) {
	e := fake(t, speaking("1.44", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"StatusCode": 0, "Error": {"Message": "cannot remove it"}}`)
	}))
	select {
	case end := <-e.waitEnd(t.Context(), "web", true):
		if end.err == nil || end.err.Error() != "cannot remove it" {
			t.Errorf("%+v", end)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("no end")
	}
}
