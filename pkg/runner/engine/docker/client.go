package docker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/config/configfile"
	"github.com/docker/cli/cli/config/credentials"
	"github.com/docker/cli/cli/connhelper"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/api/types/versions"
	"github.com/docker/docker/client"

	"github.com/stackctl/stackctl/pkg/runner/engine"
)

// The API versions that something depends on.
const (
	// minimumAPI is Docker 20.10, the oldest engine that is tested.
	minimumAPI = "1.41"
	// api144 probes at start_interval, and makes a container on several networks.
	api144 = "1.44"
)

// maxIdleConns keeps a connection for each call of a plan that runs in
// parallel; net/http's default would keep two and dial anew for the others.
const maxIdleConns = 16

// Options say which engine to speak to, in the words of the docker command.
type Options struct {
	// Host is the address from a flag: unix://, tcp://, ssh://; empty for the
	// environment's choice. With both Host and Context, Context wins; whether
	// that is an error is the caller's to say.
	Host string
	// Context is the name of a Docker context from a flag.
	Context string
	// ConfigDir holds config.json, contexts and certificates; empty for
	// DOCKER_CONFIG or ~/.docker of the environment.
	ConfigDir string
	// LookupEnv reads the environment; nil for an empty one.
	LookupEnv func(string) (string, bool)
	// UserAgent is sent with every request; empty for the client's own.
	UserAgent string
	// AnswerTimeout is how long the engine may be silent on a call that it answers
	// at once when all is well, before that is an *[engine.UnansweredError]; zero is
	// [DefaultAnswerTimeout].
	AnswerTimeout time.Duration
}

// Engine is a connection to one Docker Engine. It is safe for concurrent use.
type Engine struct {
	api      *client.Client
	endpoint endpoint
	// answerTimeout is that of the options, never zero.
	answerTimeout time.Duration
	// settings loads config.json at its first use: only pulls and builds need it.
	settings func() (*configfile.ConfigFile, error)
	// agent is the socket of the user's ssh agent, for builds; empty for none.
	agent string

	agree  sync.Mutex
	agreed bool
	// answered says that there was an answer to the first ping.
	answered atomic.Bool

	system       sync.Mutex
	systemAnswer *system.Info // nil until asked for
}

var _ engine.Engine = (*Engine)(nil)

// New finds out which engine is meant. It does not connect; [Engine.Info] does.
func New(o Options) (*Engine, error) {
	if o.LookupEnv == nil {
		o.LookupEnv = func(string) (string, bool) { return "", false }
	}
	ep, err := resolveEndpoint(o)
	if err != nil {
		return nil, err
	}
	transport := newTransport(ep)
	hc := &http.Client{Transport: transport, CheckRedirect: client.CheckRedirect}
	opts, err := clientOptions(o, ep, hc, transport)
	if err != nil {
		return nil, fmt.Errorf("engine at %s (from %s): %w", ep.host, ep.source, err)
	}
	api, err := client.NewClientWithOpts(opts...)
	if err != nil {
		return nil, fmt.Errorf("engine at %s (from %s): %w", ep.host, ep.source, err)
	}
	// Last, for the client configures a bare transport only.
	patience := cmp.Or(o.AnswerTimeout, DefaultAnswerTimeout)
	hc.Transport = &sound{next: hc.Transport, endpoint: ep.host}
	hc.Transport = &answers{next: hc.Transport, after: patience}
	dir := configDir(o)
	agent, _ := o.LookupEnv("SSH_AUTH_SOCK")
	return &Engine{
		agent:         agent,
		api:           api,
		endpoint:      ep,
		answerTimeout: patience,
		settings:      sync.OnceValues(func() (*configfile.ConfigFile, error) { return loadSettings(dir) }),
	}, nil
}

// Close drops the idle connections. Calls that go on are not ended.
func (e *Engine) Close() error { return e.api.Close() }

func newTransport(ep endpoint) *http.Transport {
	return &http.Transport{
		TLSClientConfig:     ep.tls,
		MaxIdleConns:        maxIdleConns,
		MaxIdleConnsPerHost: maxIdleConns,
		IdleConnTimeout:     30 * time.Second,
	}
}

func clientOptions(o Options, ep endpoint, hc *http.Client, transport *http.Transport) ([]client.Opt, error) {
	opts := []client.Opt{client.WithHTTPClient(hc)}
	helper, err := connhelper.GetConnectionHelper(ep.host)
	if err != nil {
		return nil, err
	}
	if helper != nil {
		opts = append(opts, client.WithHost(helper.Host), client.WithDialContext(helper.Dialer))
	} else {
		opts = append(opts, client.WithHost(ep.host))
	}
	if o.UserAgent != "" {
		opts = append(opts, client.WithUserAgent(o.UserAgent))
	}
	opts = append(opts, func(*client.Client) error {
		// Last, for the address decides how the transport dials.
		transport.DialContext = closingDialer(transport.DialContext)
		return nil
	})
	version, _ := o.LookupEnv("DOCKER_API_VERSION")
	return append(opts, client.WithVersion(version), client.WithAPIVersionNegotiation()), nil
}

// bindConn is the key of a context that its connection must not outlive.
type bindConn struct{}

// closingDialer closes a connection when the context that carries [bindConn]
// ends. The client's hijacked requests look at their context while dialling only,
// so a silent engine would hold them for ever.
func closingDialer(dial func(context.Context, string, string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err == nil && ctx.Value(bindConn{}) != nil {
			context.AfterFunc(ctx, func() { _ = conn.Close() })
		}
		return conn, err
	}
}

func loadSettings(dir string) (*configfile.ConfigFile, error) {
	if dir == "" {
		return configfile.New(""), nil
	}
	settings, err := config.Load(dir)
	if err != nil {
		return nil, err
	}
	if !settings.ContainsAuth() {
		// As the docker command does: the platform's credential helper, if any.
		settings.CredentialsStore = credentials.DetectDefaultStore(settings.CredentialsStore)
	}
	return settings, nil
}

// Info says which engine answers, in one call: a ping that agrees on the API
// version.
func (e *Engine) Info(ctx context.Context) (engine.Info, error) {
	if err := e.negotiate(ctx); err != nil {
		return engine.Info{}, err
	}
	agreed := e.api.ClientVersion()
	if versions.LessThan(agreed, minimumAPI) {
		return engine.Info{}, &engine.VersionError{Endpoint: e.endpoint.host, APIVersion: agreed, Minimum: minimumAPI}
	}
	return engine.Info{
		Endpoint: e.endpoint.host, Local: e.endpoint.isLocal(),
		APIVersion: agreed, KnowsStartInterval: e.atLeast(api144),
	}, nil
}

// Platform asks for the engine's version, which names what it runs on. The engine
// starts runc and others to tell theirs, too.
func (e *Engine) Platform(ctx context.Context) (engine.Platform, error) {
	if _, err := e.Info(ctx); err != nil { // it may be too old to work with
		return engine.Platform{}, err
	}
	version, err := e.api.ServerVersion(ctx)
	if err != nil {
		return engine.Platform{}, e.unreachable(ctx, err)
	}
	return engine.Platform{OS: version.Os, Arch: version.Arch}, nil
}

// Now asks the engine for its time.
func (e *Engine) Now(ctx context.Context) (time.Time, error) {
	if err := e.takesConnections(ctx); err != nil {
		return time.Time{}, err
	}
	info, err := e.api.Info(ctx)
	if err != nil {
		return time.Time{}, failed("ask for the time of", "engine", e.endpoint.host, err)
	}
	now, err := time.Parse(time.RFC3339Nano, info.SystemTime)
	if err != nil {
		return time.Time{}, fmt.Errorf("the engine's time: %w", err)
	}
	return now, nil
}

// takesConnections says that there is an engine, which does not stop just now.
func (e *Engine) takesConnections(ctx context.Context) error {
	conn, err := e.api.Dialer()(ctx)
	if err != nil {
		return e.unreachable(ctx, err)
	}
	_ = conn.Close()
	return nil
}

// negotiate agrees on the API version, once, for what has to know it before its
// first request.
func (e *Engine) negotiate(ctx context.Context) error {
	e.agree.Lock()
	defer e.agree.Unlock()
	if e.agreed {
		return nil
	}
	ping, err := e.api.Ping(ctx)
	if err != nil {
		return e.unreachable(ctx, err)
	}
	if ping.APIVersion == "" {
		return &engine.AnswerError{Endpoint: e.endpoint.host, Call: "GET /_ping", Reason: "it names no API version"}
	}
	e.api.NegotiateAPIVersionPing(ping)
	e.agreed = true
	e.answered.Store(true)
	return nil
}

// atLeast compares the agreed API version.
func (e *Engine) atLeast(version string) bool {
	return versions.GreaterThanOrEqualTo(e.api.ClientVersion(), version)
}

// unreachable says plainly why no engine answers.
func (e *Engine) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var odd *engine.AnswerError
	if errors.As(err, &odd) {
		return odd
	}
	cause := err
	if !strings.HasPrefix(e.endpoint.host, "ssh://") {
		// The client's error has lost the reason; dialling again tells it.
		conn, dialErr := e.api.Dialer()(ctx)
		if dialErr == nil {
			_ = conn.Close()
		} else {
			cause = dialErr
		}
	}
	return &engine.UnreachableError{Endpoint: e.endpoint.host, Source: e.endpoint.source, Lost: e.answered.Load(), Err: plainly(cause)}
}

// plainly reduces a failed dial to its reason: the address is in the error
// around it already.
func plainly(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &reason{"no such file", err}
	case errors.Is(err, fs.ErrPermission):
		return &reason{"permission denied", err}
	case errors.Is(err, syscall.ECONNREFUSED):
		return &reason{"connection refused", err}
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return &reason{fmt.Sprintf("no host is called %q", dns.Name), err}
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Timeout() {
		return &reason{"no answer in time", err}
	}
	return trimmed(err)
}

// reason is an error in other words.
type reason struct {
	text string
	err  error
}

func (r *reason) Error() string { return r.text }
func (r *reason) Unwrap() error { return r.err }

// daemonPrefix is what the client puts before everything that an engine says.
const daemonPrefix = "Error response from daemon: "

// trimmed takes the client's preamble from an engine's error. Its class stays.
func trimmed(err error) error {
	if plain, is := withoutClient(err); is {
		return plain
	}
	var odd *engine.AnswerError
	if errors.As(err, &odd) {
		return odd
	}
	if text, found := unreadable(err); found {
		return &reason{text, err}
	}
	if text, found := strings.CutPrefix(err.Error(), daemonPrefix); found {
		return &reason{text, err}
	}
	return err
}

// failed says what failed on what: `start container "web-1": ...`.
func failed(action, kind, name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s %q: %w", action, kind, name, classified(trimmed(err)))
}
