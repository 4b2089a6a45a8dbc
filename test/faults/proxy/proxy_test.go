package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

// pair is a client that speaks through a proxy to an engine that a test plays.
func pair(t *testing.T, engine http.HandlerFunc) (*Proxy, *http.Client, string) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
	dir := t.TempDir()
	listener, err := net.Listen("unix", filepath.Join(dir, "e"))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(engine)
	server.Listener = listener
	server.Start()
	socket := filepath.Join(dir, "p")
	p, err := New(t.Context(), socket, filepath.Join(dir, "e"))
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		p.Close()
		server.CloseClientConnections()
		server.Close()
	})
	return p, &http.Client{Transport: transport}, socket
}

func get(t *testing.T, c *http.Client, path string) (int, string, error) {
	t.Helper()
	response, err := c.Get("http://engine" + path)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}

// Each fault meets the call that it was meant for and no other; what the engine has
// seen of it is as its name says.
func TestFaults(t *testing.T) {
	for _, test := range []struct {
		fault Fault
		seen  int32 // calls of three that reach the engine
		code  int
		text  string
		err   bool
	}{
		{None, 3, 200, "said two", false},
		{Error500, 2, 500, `{"message":"injected fault 500"}`, false},
		{Error409, 2, 409, `{"message":"injected fault 409"}`, false},
		{CutBefore, 2, 0, "", true},
		{CutAfter, 3, 0, "", true},
		{HalfBody, 3, 200, "said", true},
		{Delay, 3, 200, "said two", false},
	} {
		t.Run(string(test.fault), func(t *testing.T) {
			var seen atomic.Int32
			p, c, _ := pair(t, func(w http.ResponseWriter, r *http.Request) {
				seen.Add(1)
				_, _ = io.WriteString(w, "said "+r.URL.Query().Get("n"))
			})
			p.Arm(2, test.fault, time.Millisecond)
			for i, n := range []string{"one", "two", "three"} {
				code, text, err := get(t, c, "/v1.41/containers/json?n="+n)
				wantCode, wantText, wantErr := 200, "said "+n, false
				if i == 1 {
					wantCode, wantText, wantErr = test.code, test.text, test.err
				}
				if code != wantCode || text != wantText || (err != nil) != wantErr {
					t.Errorf("call %d: got %d %q %v, want %d %q, error %t", i+1, code, text, err, wantCode, wantText, wantErr)
				}
			}
			if seen.Load() != test.seen {
				t.Errorf("the engine has seen %d calls, want %d", seen.Load(), test.seen)
			}
			record := p.Arm(0, None, 0)
			name := "GET /containers/json"
			want := Record{Calls: []string{name, name, name}}
			if test.fault != None {
				want.Hit = name
			}
			if diff := cmp.Diff(want, record); diff != "" {
				t.Errorf("record (-want +got):\n%s", diff)
			}
		})
	}
}

// A fault for a call that does not come has hit nothing.
func TestFewerCalls(t *testing.T) {
	p, c, _ := pair(t, func(http.ResponseWriter, *http.Request) {})
	p.Arm(2, Error500, 0)
	if _, _, err := get(t, c, "/_ping"); err != nil {
		t.Fatal(err)
	}
	if r := p.Arm(0, None, 0); r.Hit != "" || len(r.Calls) != 1 {
		t.Errorf("got %+v", r)
	}
}

// A stall ends with the client or with the turn, and the engine sees nothing of it.
func TestStall(t *testing.T) {
	p, c, _ := pair(t, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("the engine sees %s", r.URL) })
	p.Arm(1, Stall, 0)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://engine/_ping", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Do(request); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	p.Arm(1, Stall, 0)
	ended := make(chan error)
	go func() {
		_, _, err := get(t, c, "/_ping")
		ended <- err
	}()
	for p.seen() == 0 { // until it has come
		<-time.After(time.Millisecond)
	}
	p.Arm(0, None, 0)
	if err := <-ended; err == nil {
		t.Error("a stalled call was answered")
	}
}

func (p *Proxy) seen() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.turn.calls)
}

// Streams come piece by piece: events are told when they happen.
func TestStream(t *testing.T) {
	more := make(chan struct{})
	_, c, _ := pair(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "one\n")
		_ = http.NewResponseController(w).Flush()
		<-more
		_, _ = io.WriteString(w, "two\n")
	})
	response, err := c.Get("http://engine/events")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	for _, want := range []string{"one", "two"} {
		if !lines.Scan() || lines.Text() != want {
			t.Errorf("got %q, want %q", lines.Text(), want)
		}
		if want == "one" {
			close(more)
		}
	}
}

// echo takes a connection over, says what it has heard and ends when its client has
// closed its half.
func echo(w http.ResponseWriter, _ *http.Request) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
	heard, _ := io.ReadAll(buffered)
	_, _ = fmt.Fprintf(conn, "heard %s", heard)
}

const takeover = "POST /exec/1/start HTTP/1.1\r\nHost: engine\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"

// A connection that is taken over is passed on in both directions, each of which
// ends by itself.
func TestTakeOver(t *testing.T) {
	_, _, socket := pair(t, echo)
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, takeover+"hello")
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if want := "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nheard hello"; err != nil || string(answer) != want {
		t.Errorf("got %q, %v", answer, err)
	}
}

func TestTakeOverFaults(t *testing.T) {
	said := "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nheard much"
	for fault, want := range map[Fault]string{CutBefore: "", CutAfter: "", HalfBody: said[:len(said)-len("heard much")/2]} {
		t.Run(string(fault), func(t *testing.T) {
			p, _, socket := pair(t, func(w http.ResponseWriter, _ *http.Request) {
				conn, _, err := http.NewResponseController(w).Hijack()
				if err == nil {
					_, _ = io.WriteString(conn, said)
					conn.Close()
				}
			})
			p.Arm(1, fault, 0)
			conn, err := net.Dial("unix", socket)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_, _ = io.WriteString(conn, takeover)
			if answer, _ := io.ReadAll(conn); string(answer) != want {
				t.Errorf("got %q, want %q", answer, want)
			}
		})
	}
}

// A command that waits for input which its client keeps back ends with the turn.
func TestTakeOverEndsWithTheTurn(t *testing.T) {
	begun := make(chan struct{})
	p, _, socket := pair(t, func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		echo(w, r)
	})
	p.Arm(1, CutAfter, 0)
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, takeover)
	<-begun
	p.Arm(0, None, 0)
	if answer, err := io.ReadAll(conn); len(answer) > 0 || err != nil {
		t.Errorf("got %q, %v", answer, err)
	}
}

func TestName(t *testing.T) {
	for _, test := range []struct{ method, path, want string }{
		{"HEAD", "/_ping", "HEAD /_ping"},
		{"GET", "/v1.41/containers/json", "GET /containers/json"},
		{"POST", "/v1.45/containers/web-1/start", "POST /containers/*/start"},
		{"DELETE", "/v1.41/containers/0123", "DELETE /containers/*"},
		{"GET", "/v1.41/images/127.0.0.1:5000/team/app:1/json", "GET /images/*/json"},
		{"DELETE", "/v1.41/images/team/app:1", "DELETE /images/*"},
		{"POST", "/v1.41/images/load", "POST /images/load"},
	} {
		if got := Name(test.method, test.path); got != test.want {
			t.Errorf("%s %s: got %q, want %q", test.method, test.path, got, test.want)
		}
	}
}
