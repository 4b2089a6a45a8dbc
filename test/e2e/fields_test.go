//go:build e2e

package e2e

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackctl/stackctl/pkg/runner"
	"github.com/stackctl/stackctl/pkg/runner/engine/docker"
)

// logOf is what the project's containers of a service have written.
func (s *stage) logOf(service string) string {
	s.t.Helper()
	var out strings.Builder
	err := s.runner.Logs(s.t.Context(), s.project, runner.LogOptions{Services: []string{service}}, func(l runner.LogLine) {
		out.WriteString(l.Text + "\n")
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return out.String()
}

// Services that refer to others come up after them, with what they share; a build
// reads its secrets; a second up finds nothing to do.
func TestFieldsThatReferToOthers(t *testing.T) {
	s := newStage(t)
	s.write("key", "from a file\n")
	p := s.load(`
services:
  a-guest:
    image: alpine
    command: [sh, -c, "hostname; cat /shared/file; sleep 600"]
    stop_signal: SIGKILL
    network_mode: service:base
    pid: service:base
    volumes_from: [base]
    depends_on: {base: {condition: service_healthy}}
  base:
    image: alpine
    command: [sh, -c, "echo shared > /shared/file; sleep 600"]
    stop_signal: SIGKILL
    hostname: the-base
    volumes: [/shared]
    healthcheck: {test: [CMD, test, -s, /shared/file], interval: 1s, start_period: 1s, start_interval: 100ms}
  caller:
    image: alpine
    command: [sh, -c, "nslookup other > /dev/null && echo found; sleep 600"]
    stop_signal: SIGKILL
    links: ["base:other"]
  webapp:
    build:
      context: .
      dockerfile_inline: |
        FROM alpine
        RUN --mount=type=secret,id=one cat /run/secrets/one > /out && echo >> /out
        RUN --mount=type=secret,id=key cat /run/secrets/key >> /out
      secrets: [{source: token, target: one}, key]
    command: [sh, -c, "cat /out /run/secrets/key; stat -c '%u %a' /run/secrets/key; sleep 600"]
    stop_signal: SIGKILL
    read_only: true
    secrets: [{source: key, uid: "7", mode: 0400}]
    deploy: {endpoint_mode: vip}
secrets: {token: {environment: TOKEN}, key: {file: ./key}}
`)
	report, err := s.runner.Up(t.Context(), p, runner.UpOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Plan.Warnings) != 1 || !strings.HasPrefix(report.Plan.Warnings[0], "services.webapp.deploy.endpoint_mode is ignored") {
		t.Errorf("warnings are %q", report.Plan.Warnings)
	}
	for service, want := range map[string]string{
		"a-guest": "the-base\nshared\n",
		"caller":  "found\n",
		"webapp":  "from the environment\nfrom a file\nfrom a file\n7 400\n",
	} {
		s.eventually(service+" has written all", func() bool { return strings.Count(s.logOf(service), "\n") == strings.Count(want, "\n") })
		if diff := cmp.Diff(want, s.logOf(service)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", service, diff)
		}
	}
	s.eventually("the engine calls base healthy", func() bool { return s.containers()["base"].Health == "healthy" })
	before := s.runs()
	if report, err = s.runner.Up(t.Context(), p, runner.UpOptions{}); err != nil || !report.Plan.Empty() {
		t.Fatalf("again: %v, error %v", report.Plan, err)
	}
	if diff := cmp.Diff(before, s.runs()); diff != "" {
		t.Errorf("again (-before +after):\n%s", diff)
	}
}

// A private base image is pulled with the credentials of `docker login`.
func TestBuildFromAPrivateImage(t *testing.T) {
	s := newStage(t)
	images := newRegistry(t)
	var refused atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "me" || password != "secret" {
			refused.Add(1)
			w.Header().Set("WWW-Authenticate", `Basic realm="images"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		images.ServeHTTP(w, r)
	}))
	defer server.Close()
	address := strings.TrimPrefix(server.URL, "http://")
	ref := address + strings.TrimPrefix(images.publish(s, "private"), images.address)

	s.write("Dockerfile", "FROM "+ref+"\n")
	p := s.load("services: {webapp: {build: ., command: [sleep, '600'], stop_signal: SIGKILL}}")
	config := t.TempDir()
	up := func() error {
		e, err := docker.New(docker.Options{LookupEnv: os.LookupEnv, ConfigDir: config})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		_, err = runner.New(e).Up(t.Context(), p, runner.UpOptions{})
		return err
	}
	if err := up(); err == nil {
		t.Fatal("the image was pulled without a password")
	} else {
		t.Log(err)
	}
	auth := base64.StdEncoding.EncodeToString([]byte("me:secret"))
	if err := os.WriteFile(filepath.Join(config, "config.json"), fmt.Appendf(nil, `{"auths": {%q: {"auth": %q}}}`, address, auth), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := up(); err != nil {
		t.Fatal(err)
	}
	if refused.Load() == 0 {
		t.Error("the registry never asked for a password")
	}
}
