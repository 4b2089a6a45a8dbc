package docker

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/stackctl/stackctl/pkg/runner/engine"
)

// DefaultAnswerTimeout is how long an engine may be silent on a call that it answers
// at once when all is well. It is long enough for a machine that swaps.
const DefaultAnswerTimeout = time.Minute

// pace is how a call is answered.
type pace int

const (
	// atOnce is for calls whose whole answer comes by itself.
	atOnce pace = iota
	// streamed is for calls whose answer begins at once and ends when it likes.
	streamed
	// longRunning is for calls that are answered when something has ended, which may
	// take any time. Their bound is the caller's context.
	longRunning
)

// longCalls and streams are by the path of a call without its version.
var (
	longCalls = regexp.MustCompile(`^/(build|system/df|images/load|images/create|images/get|images/.+/get|containers/[^/]+/(stop|wait|restart))$`)
	streams   = regexp.MustCompile(`^/(events|containers/[^/]+/logs)$`)
	versioned = regexp.MustCompile(`^/v[0-9.]+/`)
)

func paceOf(path string) pace {
	path = unversioned(path)
	switch {
	case longCalls.MatchString(path):
		return longRunning
	case streams.MatchString(path):
		return streamed
	}
	return atOnce
}

func unversioned(path string) string { return versioned.ReplaceAllString(path, "/") }

// answers ends calls that a silent engine does not answer, and says of every call
// that has no answer which one it was. The time counts from the last byte that went
// either way, so a large upload is no silence. What hijacks its connection does
// not come by here: sessions and attached commands end with their context.
type answers struct {
	next http.RoundTripper
	// after is how long the engine may be silent.
	after time.Duration
}

// RoundTrip sends a request. One that only reads is sent once more where the
// connection broke, which an engine that was just restarted does to the first.
func (a *answers) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := a.once(r)
	var lost *engine.LostError
	if reads := r.Method == http.MethodGet || r.Method == http.MethodHead; reads && errors.As(err, &lost) && r.Context().Err() == nil {
		return a.once(r)
	}
	return response, err
}

func (a *answers) once(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(r.Context())
	c := &call{ctx: ctx, name: r.Method + " " + unversioned(r.URL.Path), parent: r.Context(), cancel: cancel, after: a.after}
	pace := paceOf(r.URL.Path)
	if pace != longRunning {
		c.silence = time.AfterFunc(a.after, func() { cancel(&engine.UnansweredError{Call: c.name, After: a.after}) })
	}
	r = r.WithContext(ctx)
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = &body{ReadCloser: r.Body, call: c}
	}
	response, err := a.next.RoundTrip(r)
	if err != nil {
		c.end()
		return nil, c.explain(err)
	}
	if pace == streamed {
		c.stopWatching()
	}
	response.Body = &body{ReadCloser: response.Body, call: c, answer: true}
	return response, nil
}

// call is one request on its way.
type call struct {
	name        string
	ctx, parent context.Context //nolint:containedctx // the context of one request, like http.Request's own
	cancel      context.CancelCauseFunc
	after       time.Duration
	mu          sync.Mutex
	silence     *time.Timer // nil when nothing is watched
}

// heard notes that a byte went either way.
func (c *call) heard() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.silence != nil && c.silence.Stop() {
		c.silence.Reset(c.after)
	}
}

func (c *call) stopWatching() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.silence != nil {
		c.silence.Stop()
		c.silence = nil
	}
}

func (c *call) end() {
	c.stopWatching()
	c.cancel(nil)
}

// explain says in our words why a call has no answer. What the caller has ended and
// what was never sent stays as it is.
func (c *call) explain(err error) error {
	var silent *engine.UnansweredError
	var dial *net.OpError
	var odd *engine.AnswerError
	switch {
	case c.parent.Err() != nil:
		return &endedError{c.parent.Err(), context.Cause(c.parent)}
	case errors.As(context.Cause(c.ctx), &silent):
		return silent
	case errors.As(err, &dial) && dial.Op == "dial":
		return err
	case errors.As(err, &odd):
		return err
	}
	return &engine.LostError{Call: c.name, Err: err}
}

// endedError says that the caller has ended a call, and why. For the client, which
// knows the two errors of a context and takes any other for a broken connection, it is
// one of them.
type endedError struct{ err, cause error }

func (e *endedError) Error() string   { return e.cause.Error() }
func (e *endedError) Unwrap() []error { return []error{e.err, e.cause} }

// body is that of a request or an answer.
type body struct {
	io.ReadCloser
	call   *call
	answer bool
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		b.call.heard()
	}
	if !b.answer || err == nil {
		return n, err
	}
	if errors.Is(err, io.EOF) {
		b.call.stopWatching()
		return n, err
	}
	return n, b.call.explain(err)
}

func (b *body) Close() error {
	err := b.ReadCloser.Close()
	if b.answer {
		b.call.end()
	}
	return err
}

// clientPrefix is what the client puts before the error of a request that it could
// not send or that has no answer, with the whole address after it.
const clientPrefix = "error during connect: "

// withoutClient takes the client's words from the error of a call that has no answer.
func withoutClient(err error) (error, bool) {
	var (
		ended  *endedError
		silent *engine.UnansweredError
		lost   *engine.LostError
	)
	switch {
	case errors.As(err, &ended):
		return ended, true
	case !strings.HasPrefix(err.Error(), clientPrefix):
		return err, false
	case errors.As(err, &silent):
		return silent, true
	case errors.As(err, &lost):
		return lost, true
	}
	return err, false
}
