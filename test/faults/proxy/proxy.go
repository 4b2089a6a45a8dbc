// Package proxy stands between a client and an engine's unix socket, counts the
// calls in the order in which they come, and does harm to one of them.
package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"
)

// Proxy is one such socket. All its methods may be called at any time.
type Proxy struct {
	engine string
	server http.Server
	http   *http.Transport
	served chan struct{}

	mu   sync.Mutex
	turn *turn
	// running counts the calls that are under way.
	running sync.WaitGroup
}

// turn is the time from one Arm to the next.
type turn struct {
	n     int
	fault Fault
	delay time.Duration
	over  context.Context //nolint:containedctx // what ends with the turn: stalled calls
	end   context.CancelFunc
	calls []string
}

// Record is what has come in a turn.
type Record struct {
	// Calls are the calls in their order: "POST /containers/create".
	Calls []string
	// Hit is the one that the fault was done to; empty when there were fewer.
	Hit string
}

// New listens on a socket and passes on to that of an engine.
func New(ctx context.Context, socket, engine string) (*Proxy, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "unix", socket)
	if err != nil {
		return nil, err
	}
	p := &Proxy{engine: engine, served: make(chan struct{}), http: &http.Transport{
		DisableKeepAlives:  true, // one that the engine has just closed would be a fault of ours
		DisableCompression: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", engine)
		},
	}}
	p.Arm(0, None, 0)
	p.server.Handler = p
	p.server.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	go func() {
		defer close(p.served)
		_ = p.server.Serve(listener) // until Close
	}()
	return p, nil
}

// Close ends all connections.
func (p *Proxy) Close() {
	p.Arm(0, None, 0)
	_ = p.server.Close()
	<-p.served
	p.running.Wait()
}

// Arm begins a turn: its n-th call, from 1, meets the fault. Calls that the turn before
// has stalled end, without an answer. The record is that of the turn before.
func (p *Proxy) Arm(n int, fault Fault, delay time.Duration) Record {
	t := &turn{n: n, fault: fault, delay: delay}
	t.over, t.end = context.WithCancel(context.Background())
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.turn
	p.turn = t
	if before == nil {
		return Record{}
	}
	before.end()
	r := Record{Calls: before.calls}
	if before.fault != None && before.n >= 1 && before.n <= len(before.calls) {
		r.Hit = before.calls[before.n-1]
	}
	return r
}

// arrive counts a call and says what becomes of it.
func (p *Proxy) arrive(r *http.Request) (*turn, Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.turn
	t.calls = append(t.calls, Name(r.Method, r.URL.Path))
	if len(t.calls) == t.n {
		return t, t.fault
	}
	return t, None
}

// ServeHTTP handles one call.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.running.Add(1)
	defer p.running.Done()
	t, fault := p.arrive(r)
	switch fault {
	case Error500:
		refuse(w, http.StatusInternalServerError)
		return
	case Error409:
		refuse(w, http.StatusConflict)
		return
	case CutBefore:
		cut(w, nil)
		return
	case Stall:
		_, _ = io.Copy(io.Discard, r.Body) // or the end of the client would not be seen
		select {
		case <-t.over.Done():
		case <-r.Context().Done():
		}
		cut(w, nil)
		return
	case Delay:
		timer := time.NewTimer(t.delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-t.over.Done():
		}
		fault = None
	case None, CutAfter, HalfBody:
	}
	if r.Header.Get("Upgrade") != "" {
		p.takeOver(w, r, t, fault)
		return
	}
	p.pass(w, r, fault)
}

func refuse(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"message":"injected fault %d"}`, status)
}

// cut writes the beginning of an answer and ends the connection.
func cut(w http.ResponseWriter, beginning []byte) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // which ends it too
	}
	defer conn.Close()
	_, _ = conn.Write(beginning) // who has gone does not read it
}

// halfHeader is what is left of an answer that has no body.
var halfHeader = []byte("HTTP/1.1 2")

// pass passes a call on and its answer back.
func (p *Proxy) pass(w http.ResponseWriter, r *http.Request, fault Fault) {
	out := r.Clone(r.Context())
	out.URL.Scheme, out.URL.Host = "http", "engine"
	out.RequestURI = ""
	if r.ContentLength == 0 {
		out.Body = nil
	}
	response, err := p.http.RoundTrip(out)
	if err != nil {
		cut(w, nil)
		return
	}
	defer response.Body.Close()
	switch {
	case fault == CutAfter:
		if !endless(r.URL.Path) {
			_, _ = io.Copy(io.Discard, response.Body) // it is done at the end of the answer
		}
		cut(w, nil)
		return
	case fault == HalfBody && !endless(r.URL.Path):
		whole, _ := io.ReadAll(response.Body)
		if len(whole) == 0 {
			cut(w, halfHeader)
			return
		}
		cut(w, half(response, whole))
		return
	case fault == HalfBody:
		first := make([]byte, 32<<10)
		n, _ := response.Body.Read(first)
		cut(w, half(response, first[:n]))
		return
	}
	for name, values := range response.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(response.StatusCode)
	control := http.NewResponseController(w)
	_ = control.Flush()
	buffer := make([]byte, 32<<10)
	for {
		n, err := response.Body.Read(buffer)
		if _, gone := w.Write(buffer[:n]); gone != nil {
			return
		}
		_ = control.Flush()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			panic(http.ErrAbortHandler) // the answer has no proper end
		}
	}
}

// half writes an answer with the first half of its body.
func half(response *http.Response, body []byte) []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, "HTTP/1.1 %s\r\n", response.Status)
	header := response.Header.Clone()
	header.Del("Content-Length")
	header.Del("Transfer-Encoding")
	_ = header.Write(&out) // a buffer takes all
	fmt.Fprintf(&out, "Transfer-Encoding: chunked\r\n\r\n%x\r\n", len(body))
	out.Write(body[:len(body)/2])
	return out.Bytes()
}

// takeOver passes a call on that takes over its connection, both halves of which
// end by themselves.
func (p *Proxy) takeOver(w http.ResponseWriter, r *http.Request, t *turn, fault Fault) {
	// A client that has closed its half ends the request's context, and still listens.
	engine, err := (&net.Dialer{}).DialContext(context.WithoutCancel(r.Context()), "unix", p.engine)
	if err != nil {
		cut(w, nil)
		return
	}
	defer engine.Close()
	there, ok := engine.(*net.UnixConn)
	if !ok {
		return
	}
	request := r.Clone(r.Context())
	if err := request.Write(there); err != nil {
		cut(w, nil)
		return
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	here, ok := conn.(*net.UnixConn)
	if !ok {
		return
	}
	switch {
	case fault != None && strings.HasSuffix(r.URL.Path, "/session"): // it goes on for as long as its client likes
		_, _ = there.Read(make([]byte, 4<<10))
		if fault == HalfBody {
			_, _ = here.Write(halfHeader)
		}
		return
	case fault != None:
		// What the engine runs may wait for input that never comes, and say nothing.
		//nolint:contextcheck // the turn's end counts, not the request's
		defer context.AfterFunc(t.over, func() { _ = there.Close() })()
		go func() { // until here is closed
			_, _ = io.Copy(there, buffered)
			_ = there.CloseWrite()
		}()
		said, _ := io.ReadAll(there)
		if fault == HalfBody {
			_, _ = here.Write(halfOf(said))
		}
		return
	}
	var both sync.WaitGroup
	both.Go(func() {
		_, _ = io.Copy(there, buffered) // what came with the request, and the rest
		_ = there.CloseWrite()
	})
	both.Go(func() {
		_, _ = io.Copy(here, there)
		_ = here.CloseWrite()
		// The engine has nothing more to say; what the client still says is for nobody.
		_ = here.CloseRead()
	})
	both.Wait()
}

// halfOf gives the first half of what follows the header of an answer, or of the
// header where nothing follows.
func halfOf(said []byte) []byte {
	end := bytes.Index(said, []byte("\r\n\r\n")) + 4
	if end == len(said) || end < 4 {
		return said[:len(said)/2]
	}
	return said[:end+(len(said)-end)/2]
}

// endless says that the answer to a call goes on until something happens.
func endless(p string) bool {
	name := path.Base(p)
	return name == "events" || name == "logs" || name == "wait" || name == "attach"
}

// Name gives a call without the names of what it is about: "POST
// /containers/*/start".
func Name(method, p string) string {
	parts := strings.Split(strings.Trim(p, "/"), "/")
	if len(parts) > 1 && strings.HasPrefix(parts[0], "v1.") {
		parts = parts[1:]
	}
	last := parts[len(parts)-1]
	switch {
	case len(parts) == 1:
	case len(parts) == 2 && (last == "json" || last == "create" || last == "load"):
	case len(parts) == 2, method == http.MethodDelete:
		parts = []string{parts[0], "*"}
	default:
		parts = []string{parts[0], "*", last}
	}
	return method + " /" + strings.Join(parts, "/")
}
