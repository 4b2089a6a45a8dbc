package docker

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/stackctl/stackctl/pkg/runner/engine"
)

// lookup reads an environment that is a map.
func lookup(env map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { value, ok := env[name]; return value, ok }
}

// writeContext stores a Docker context as `docker context create` does.
func writeContext(t *testing.T, dir, name, host string, files map[string][]byte) {
	t.Helper()
	id := digest.FromString(name).Encoded()
	meta, err := json.Marshal(map[string]any{
		"Name": name, "Metadata": map[string]any{},
		"Endpoints": map[string]any{"docker": map[string]any{"Host": host, "SkipTLSVerify": false}},
	})
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "contexts", "meta", id, "meta.json"), meta)
	for file, content := range files {
		write(t, filepath.Join(dir, "contexts", "tls", id, "docker", file), content)
	}
}

func write(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// keyPair makes a certificate that signs itself.
func keyPair(t *testing.T) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})
}

func TestResolveEndpoint(t *testing.T) {
	dir, bare := t.TempDir(), t.TempDir()
	cert, key := keyPair(t)
	pair := map[string][]byte{"ca.pem": cert, "cert.pem": cert, "key.pem": key}
	write(t, filepath.Join(dir, "config.json"), []byte(`{"currentContext": "configured"}`))
	writeContext(t, dir, "configured", "unix:///configured.sock", nil)
	writeContext(t, dir, "named", "ssh://me@named", nil)
	writeContext(t, dir, "secure", "tcp://secure:2376", pair)
	for name, content := range pair {
		write(t, filepath.Join(bare, name), content)
	}

	const standard = "unix:///var/run/docker.sock"
	for _, test := range []struct {
		name    string
		options Options
		env     map[string]string
		want    endpoint
		tls     bool
	}{
		{name: "nothing said", want: endpoint{host: standard, source: "default"}},
		{name: "config without a context", options: Options{ConfigDir: bare}, want: endpoint{host: standard, source: "default"}},
		{name: "configured context", options: Options{ConfigDir: dir}, want: endpoint{host: "unix:///configured.sock", source: "context configured"}},
		{name: "folder of the environment", env: map[string]string{"DOCKER_CONFIG": dir}, want: endpoint{host: "unix:///configured.sock", source: "context configured"}},
		{
			name: "context of the environment", options: Options{ConfigDir: dir}, env: map[string]string{"DOCKER_CONTEXT": "named"},
			want: endpoint{host: "ssh://me@named", source: "context named"},
		},
		{
			name: "host of the environment", options: Options{ConfigDir: dir}, env: map[string]string{"DOCKER_CONTEXT": "named", "DOCKER_HOST": "tcp://far:1234"},
			want: endpoint{host: "tcp://far:1234", source: "DOCKER_HOST"},
		},
		{
			name: "context flag", options: Options{ConfigDir: dir, Context: "secure"}, env: map[string]string{"DOCKER_HOST": "tcp://far:1234"},
			want: endpoint{host: "tcp://secure:2376", source: "context secure"}, tls: true,
		},
		{
			name: "host flag", options: Options{ConfigDir: dir, Host: "unix:///mine.sock"}, env: map[string]string{"DOCKER_HOST": "tcp://far:1234"},
			want: endpoint{host: "unix:///mine.sock", source: "-H"},
		},
		{
			name: "default context by name", options: Options{ConfigDir: dir, Context: "default"},
			want: endpoint{host: standard, source: "default"},
		},
		{
			name: "certificates of a folder", options: Options{Host: "tcp://far:1234"}, env: map[string]string{"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": bare},
			want: endpoint{host: "tcp://far:1234", source: "-H"}, tls: true,
		},
		{
			name: "certificates do not matter for a socket", options: Options{Host: "unix:///mine.sock"}, env: map[string]string{"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": bare},
			want: endpoint{host: "unix:///mine.sock", source: "-H"},
		},
		{name: "short address", options: Options{Host: "far:1234"}, want: endpoint{host: "tcp://far:1234", source: "-H"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.options.LookupEnv = lookup(test.env)
			got, err := resolveEndpoint(test.options)
			if err != nil {
				t.Fatal(err)
			}
			if (got.tls != nil) != test.tls {
				t.Errorf("TLS is %v", got.tls)
			}
			if got.tls != nil && (got.tls.InsecureSkipVerify || got.tls.RootCAs == nil || len(got.tls.Certificates) != 1) {
				t.Errorf("TLS is %+v", got.tls)
			}
			got.tls = nil
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(endpoint{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			// And it makes a client.
			e, err := New(test.options)
			if err != nil {
				t.Fatal(err)
			}
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestResolveEndpointFails(t *testing.T) {
	empty := t.TempDir()
	for _, test := range []struct {
		name    string
		options Options
		env     map[string]string
		want    string
	}{
		{name: "unknown context", options: Options{Context: "nowhere", ConfigDir: empty}, want: `no Docker context is called "nowhere"`},
		{name: "context without a folder", options: Options{Context: "nowhere"}, want: `context "nowhere": there is no Docker configuration folder`},
		{name: "no such scheme", options: Options{Host: "carrier-pigeon://x"}, want: `engine address "carrier-pigeon://x" (from -H)`},
		{
			name: "no certificates", options: Options{Host: "tcp://far:1"},
			env: map[string]string{"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": empty}, want: "certificates for the engine at tcp://far:1",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.options.LookupEnv = lookup(test.env)
			_, err := New(test.options)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, want %q", err, test.want)
			}
		})
	}
}

// fake is an engine on a unix socket that answers as a test says.
func fake(t *testing.T, handler http.HandlerFunc) *Engine {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "d.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(handler)
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	e, err := New(Options{Host: "unix://" + socket})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

// speaking answers the calls that every conversation begins with, and hands the
// others on.
func speaking(api string, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", api)
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.URL.Path == "/_ping":
		case strings.HasSuffix(r.URL.Path, "/version"):
			_ = json.NewEncoder(w).Encode(map[string]string{"Version": "1.2.3", "ApiVersion": api, "Os": "linux", "Arch": "arm64"})
		case next != nil:
			next(w, r)
		}
	}
}

func TestInfoOfAnEngine(t *testing.T) {
	var calls []string
	count := func(next http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			calls = append(calls, r.Method+" "+r.URL.Path)
			next(w, r)
		}
	}
	e := fake(t, count(speaking("1.44", nil)))
	got, err := e.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := engine.Info{
		Endpoint: got.Endpoint, Local: true, APIVersion: "1.44", KnowsStartInterval: true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	platform, err := e.Platform(t.Context())
	if err != nil || platform.String() != "linux/arm64" {
		t.Errorf("platform %s, error %v", platform, err)
	}
	if diff := cmp.Diff([]string{"HEAD /_ping", "GET /v1.44/version"}, calls); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

func TestInfoOfALaterEngineKeepsToWhatIsKnown(t *testing.T) {
	got, err := fake(t, speaking("1.99", nil)).Info(t.Context())
	if err != nil || got.APIVersion != "1.51" {
		t.Errorf("info %+v, error %v", got, err)
	}
}

func TestInfoOfAnOldEngine(t *testing.T) {
	_, err := fake(t, speaking("1.40", nil)).Info(t.Context())
	var old *engine.VersionError
	if !errors.As(err, &old) || old.APIVersion != "1.40" || old.Minimum != minimumAPI {
		t.Errorf("error is %v", err)
	}
}

func TestUnreachable(t *testing.T) {
	dir := t.TempDir()
	closed := filepath.Join(dir, "closed.sock")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: closed, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	listener.SetUnlinkOnClose(false)
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		o    Options
		env  map[string]string
		want engine.UnreachableError
		text string
		is   error
	}{
		{
			name: "no file", o: Options{Host: "unix://" + dir + "/none.sock"},
			want: engine.UnreachableError{Endpoint: "unix://" + dir + "/none.sock", Source: "-H"}, text: "no such file", is: fs.ErrNotExist,
		},
		{
			name: "nobody listens", env: map[string]string{"DOCKER_HOST": "unix://" + closed},
			want: engine.UnreachableError{Endpoint: "unix://" + closed, Source: "DOCKER_HOST"}, text: "connection refused", is: syscall.ECONNREFUSED,
		},
		{
			name: "nobody listens there either", o: Options{Host: "tcp://127.0.0.1:1"},
			want: engine.UnreachableError{Endpoint: "tcp://127.0.0.1:1", Source: "-H"}, text: "connection refused", is: syscall.ECONNREFUSED,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.o.LookupEnv = lookup(test.env)
			e, err := New(test.o)
			if err != nil {
				t.Fatal(err)
			}
			_, err = e.Info(t.Context())
			var got *engine.UnreachableError
			if !errors.As(err, &got) {
				t.Fatalf("error is %v", err)
			}
			if got.Endpoint != test.want.Endpoint || got.Source != test.want.Source || got.Err.Error() != test.text || !errors.Is(err, test.is) {
				t.Errorf("error is %+v: %v", got, got.Err)
			}
		})
	}
}

func TestPlainReasons(t *testing.T) {
	for want, err := range map[string]error{
		"permission denied":           &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.EACCES)},
		`no host is called "far.x"`:   &net.OpError{Op: "dial", Err: &net.DNSError{Name: "far.x", IsNotFound: true}},
		"no answer in time":           &net.OpError{Op: "dial", Err: context.DeadlineExceeded},
		"what the engine itself says": errors.New(daemonPrefix + "what the engine itself says"),
	} {
		if got := plainly(err); got.Error() != want || !errors.Is(got, err) {
			t.Errorf("%v becomes %q, want %q", err, got, want)
		}
	}
}

func TestCancelledInfoIsNotUnreachable(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("enough")
	cancel(cause)
	e, err := New(Options{Host: "unix:///no/such.sock"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Info(ctx); !errors.Is(err, cause) {
		t.Errorf("error is %v", err)
	}
}

// Callers mean containers and networks by id; who reads an error knows their names.
func TestErrorsNameWhatIsMeantByID(t *testing.T) {
	id := strings.Repeat("ab", 32)
	e := fake(t, speaking("1.44", func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/containers/"+id+"/json"):
			_, _ = w.Write([]byte(`{"Name": "/shop-web-1"}`))
		case r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/networks/"+id):
			_, _ = w.Write([]byte(`{"Name": "shop_default"}`))
		default:
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = w.Write([]byte(`{"message": "out of sorts"}`))
		}
	}))
	var got []string
	for _, err := range []error{
		e.StartContainer(t.Context(), id),
		e.StopContainer(t.Context(), id, nil),
		e.RemoveContainer(t.Context(), id, false),
		e.RemoveNetwork(t.Context(), id),
		e.StartContainer(t.Context(), strings.Repeat("cd", 32)),
	} {
		got = append(got, err.Error())
	}
	want := []string{
		`start container "shop-web-1": out of sorts`,
		`stop container "shop-web-1": out of sorts`,
		`remove container "shop-web-1": out of sorts`,
		`remove network "shop_default": out of sorts`,
		`start container "` + strings.Repeat("cd", 32) + `": out of sorts`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
