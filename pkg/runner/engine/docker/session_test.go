package docker

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/docker/cli/cli/config/configfile"
	clitypes "github.com/docker/cli/cli/config/types"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/stackctl/stackctl/pkg/runner/engine"
)

// answered is what a caller of gRPC gets.
type answered struct {
	Message         []byte
	Status, Because string
}

// caller speaks HTTP/2 with a session, as BuildKit does.
func caller(t *testing.T, s services) func(path string, message []byte) answered {
	t.Helper()
	protocols := &http.Protocols{}
	protocols.SetUnencryptedHTTP2(true)
	server := httptest.NewUnstartedServer(s)
	server.Config.Protocols = protocols
	server.Start()
	t.Cleanup(server.Close)
	client := &http.Client{Transport: &http.Transport{Protocols: protocols}}
	t.Cleanup(client.CloseIdleConnections)
	return func(path string, message []byte) answered {
		t.Helper()
		var body bytes.Buffer
		if err := writeMessage(&body, message); err != nil {
			t.Fatal(err)
		}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+path, &body)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		var got answered
		if got.Message, err = readMessage(response.Body); err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, response.Body); err != nil {
			t.Fatal(err)
		}
		got.Status, got.Because = response.Trailer.Get("Grpc-Status"), response.Trailer.Get("Grpc-Message")
		return got
	}
}

func TestSessionAnswers(t *testing.T) {
	settings := configfile.New("")
	settings.AuthConfigs = map[string]clitypes.AuthConfig{
		hubKey:             {Username: "me", Password: "hub"},
		"registry.example": {Username: "me", IdentityToken: "token"},
	}
	ask := caller(t, services{
		secrets: map[string][]byte{"token": []byte("secret")},
		agents:  map[string]string{"default": "/agent"},
		credentials: func(host string) (string, string, error) {
			if host == "broken" {
				return "", "", errors.New("the helper says: 100% broken\tnow")
			}
			return registryLogin(settings, host)
		},
	})
	text := func(parts ...string) []byte {
		var out []byte
		for i, part := range parts {
			out = appendField(out, protowire.Number(i+1), []byte(part))
		}
		return out
	}
	for _, test := range []struct {
		name, path string
		request    []byte
		want       answered
	}{
		{"health", callHealth, nil, answered{Message: []byte{8, 1}, Status: "0"}},
		{"a secret", callSecret, text("token"), answered{Message: text("secret"), Status: "0"}},
		{"no such secret", callSecret, text("other"), answered{Status: "5", Because: `build.secrets has no "other"`}},
		{"credentials of the hub", callCredentials, text("registry-1.docker.io"), answered{Message: text("me", "hub"), Status: "0"}},
		{"a token", callCredentials, text("registry.example"), answered{Message: text("", "token"), Status: "0"}},
		{"no credentials", callCredentials, text("elsewhere"), answered{Message: text("", ""), Status: "0"}},
		{"a helper that fails", callCredentials, text("broken"), answered{Status: "2", Because: "the helper says: 100%25 broken%09now"}},
		{"an agent", callCheckAgent, text("default"), answered{Message: []byte{}, Status: "0"}},
		{"the agent of no name", callCheckAgent, nil, answered{Message: []byte{}, Status: "0"}},
		{"no such agent", callCheckAgent, text("other"), answered{Status: "5", Because: `build.ssh has no "other"`}},
		{"a call that is not known", "/moby.filesync.v1.FileSync/DiffCopy", nil, answered{Status: "12", Because: "/moby.filesync.v1.FileSync/DiffCopy is nothing that stackctl answers"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, ask(test.path, test.request)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Nothing is built when an agent cannot be reached.
func TestAgentsOfABuild(t *testing.T) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "agent")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	key := filepath.Join(dir, "key")
	write(t, key, []byte("PRIVATE KEY"))
	got, err := (&Engine{agent: socket}).agents(map[string]string{"default": "", "other": socket})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"default": socket, "other": socket}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for want, paths := range map[string]map[string]string{
		"no ssh agent runs":                 {"default": ""},
		"is not the socket of an ssh agent": {"default": key},
		"build.ssh default: stat /no/such":  {"default": "/no/such"},
	} {
		if _, err := (&Engine{}).agents(paths); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want %q", err, want)
		}
	}
}

func TestRemoteContexts(t *testing.T) {
	for context, want := range map[string]bool{
		"/src": false, "src": false, "https://example.test/app.git#main": true, "git@github.com:me/app.git": true,
		"github.com/me/app": true, "ssh://git@example.test/app.git": true,
	} {
		if got := (engine.BuildRequest{Context: context}).Remote(); got != want {
			t.Errorf("%s: %t", context, got)
		}
	}
}

// An engine without sessions builds what needs none, and only that.
func TestBuildOnAnEngineWithoutSessions(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "Dockerfile"), []byte("FROM scratch\n"))
	var asked []string
	e := fake(t, speaking("1.44", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		asked = append(asked, path.Base(r.URL.Path)+r.URL.Query().Get("session"))
		if strings.HasSuffix(r.URL.Path, "/session") {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = io.WriteString(w, `{"aux": {"ID": "sha256:built"}}`)
	}))
	settings := configfile.New("")
	e.settings = func() (*configfile.ConfigFile, error) { return settings, nil }
	build := func(secrets map[string][]byte) (string, error) {
		asked = nil
		return e.Build(t.Context(), engine.BuildRequest{Context: dir, Secrets: secrets}, nil)
	}
	if id, err := build(nil); err != nil || id != "sha256:built" || !slices.Equal(asked, []string{"build"}) {
		t.Errorf("nothing to ask for: id %q, error %v, asked %q", id, err, asked)
	}
	settings.AuthConfigs = map[string]clitypes.AuthConfig{"registry.example": {Username: "me", Password: "secret"}}
	if id, err := build(nil); err != nil || id != "sha256:built" || !slices.Equal(asked, []string{"session", "build"}) {
		t.Errorf("credentials: id %q, error %v, asked %q", id, err, asked)
	}
	if _, err := build(map[string][]byte{"a": nil}); err == nil || !strings.Contains(err.Error(), "open a build session") || !slices.Equal(asked, []string{"session"}) {
		t.Errorf("secrets: error %v, asked %q", err, asked)
	}
}
