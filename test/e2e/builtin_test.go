//go:build e2e

package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackctl/stackctl/pkg/runner"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// From an empty folder to an app that answers; data survives down and goes with
// down -v; a second up changes nothing.
func TestBuiltInStack(t *testing.T) {
	s := newStage(t)
	up := s.run(0, "up")

	want := "cache     redis://localhost:" + strings.TrimPrefix(s.env[2], "REDIS_PORT=") +
		"\ndatabase  postgres://localhost:" + strings.TrimPrefix(s.env[1], "POSTGRES_PORT=") +
		"\nwebapp    http://localhost:" + s.web + "\n"
	if diff := cmp.Diff(want, up.stdout); diff != "" {
		t.Errorf("stdout of up (-want +got):\n%s", diff)
	}
	if !strings.Contains(up.stderr, "made a database password and wrote it to .env") {
		t.Error("up does not tell of the password")
	}
	info, err := os.Stat(filepath.Join(s.dir, ".env"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf(".env: %v, %v", info.Mode(), err)
	}
	code, health := s.get("/health")
	healthy := map[string]any{
		"status":   "healthy",
		"services": map[string]any{"web": "running", "postgres": "connected", "redis": "connected"},
	}
	if diff := cmp.Diff(healthy, health); code != http.StatusOK || diff != "" {
		t.Errorf("GET /health: %d (-want +got):\n%s", code, diff)
	}
	s.run(0, "status", "--exit-code")
	var status runner.Status
	if err := json.Unmarshal([]byte(s.run(0, "status", "--format", "json").stdout), &status); err != nil {
		t.Fatal(err)
	}
	for _, c := range status.Containers {
		if !c.Ready || c.Health != "healthy" || c.Drift != "" {
			t.Errorf("status of %+v", c)
		}
	}

	s.addUser("ada")
	s.waitHealthy()
	before := s.containers()
	again := s.run(0, "up")
	if !strings.Contains(again.stderr, "up to date") {
		t.Error("a second up does not say that there is nothing to do")
	}
	s.run(0, "plan", "--exit-code")
	if diff := cmp.Diff(ids(before), ids(s.containers())); diff != "" {
		t.Errorf("a second up changed containers (-before +after):\n%s", diff)
	}

	s.run(0, "down")
	kept := []string{"volume " + s.project + "_postgres-storage", "volume " + s.project + "_redis-storage"}
	if diff := cmp.Diff(kept, s.resources()); diff != "" {
		t.Errorf("after down (-want +got):\n%s", diff)
	}
	s.run(1, "status", "--exit-code")
	s.run(0, "up")
	if diff := cmp.Diff([]string{"ada"}, s.users()); diff != "" {
		t.Errorf("users after down and up (-want +got):\n%s", diff)
	}

	// Without the password that the volume was made with, nothing is touched.
	s.run(0, "down")
	if err := os.Rename(filepath.Join(s.dir, ".env"), filepath.Join(s.dir, "kept.env")); err != nil {
		t.Fatal(err)
	}
	refused := s.run(5, "up")
	if !strings.Contains(refused.stderr, "PostgreSQL keeps the password that it was initialised with") {
		t.Error("the refusal does not say why")
	}
	if diff := cmp.Diff(kept, s.resources()); diff != "" {
		t.Errorf("after a refused up (-want +got):\n%s", diff)
	}
	s.run(0, "--env-file", "kept.env", "up")

	s.run(0, "down", "-v")
	if left := s.resources(); len(left) > 0 {
		t.Errorf("after down -v: %v", left)
	}
	s.run(0, "up")
	if users := s.users(); len(users) != 0 {
		t.Errorf("users after down -v and up: %v", users)
	}
}

// ids gives the ids of containers by service.
func ids(containers map[string]state.Container) map[string]string {
	out := map[string]string{}
	for service, c := range containers {
		out[service] = c.ID
	}
	return out
}

// What the engine says of the webapp's container and image, and of all ports.
func TestBuiltInStackIsLockedDown(t *testing.T) {
	s := newStage(t)
	s.run(0, "up")
	text, err := os.ReadFile(filepath.Join(s.dir, ".env"))
	if err != nil {
		t.Fatal(err)
	}
	_, canary, found := strings.Cut(strings.TrimSpace(string(text)), "\nPOSTGRES_PASSWORD=")
	if !found || len(canary) < 20 {
		t.Fatalf("no password in .env: %q", text)
	}
	for service, c := range s.containers() {
		var seen struct {
			Config struct {
				User   string
				Labels map[string]string
			}
			HostConfig struct {
				ReadonlyRootfs bool
				CapDrop        []string
				SecurityOpt    []string
				PortBindings   map[string][]struct {
					HostIP string `json:"HostIp"`
				}
				RestartPolicy struct{ Name string }
			}
		}
		s.inspect("/containers/"+c.ID+"/json", &seen)
		if seen.HostConfig.RestartPolicy.Name != "unless-stopped" {
			t.Errorf("%s: restart policy %q", service, seen.HostConfig.RestartPolicy.Name)
		}
		for key, value := range seen.Config.Labels {
			if strings.Contains(value, canary) {
				t.Errorf("%s: label %s holds the password", service, key)
			}
		}
		if service == "webapp" {
			if seen.Config.User != "65532:65532" || !seen.HostConfig.ReadonlyRootfs ||
				!slices.Equal(seen.HostConfig.CapDrop, []string{"ALL"}) ||
				!slices.Equal(seen.HostConfig.SecurityOpt, []string{"no-new-privileges:true"}) {
				t.Errorf("webapp is not locked down: %+v", seen)
			}
			continue
		}
		for port, bindings := range seen.HostConfig.PortBindings {
			for _, b := range bindings {
				if b.HostIP != "127.0.0.1" {
					t.Errorf("%s: port %s is published on %q", service, port, b.HostIP)
				}
			}
		}
	}
	image, err := s.engine.Image(t.Context(), s.project+"-webapp")
	if err != nil || image.Size > 20<<20 {
		t.Errorf("image of the app: %d bytes, %v", image.Size, err)
	}
}

// A variable that changes replaces the one container that uses it.
func TestChangeReplacesOneContainer(t *testing.T) {
	s := newStage(t)
	s.run(0, "up")
	s.waitHealthy()
	before := ids(s.containers())
	s.web = freePorts(t, 1)[0]
	s.env = append(s.env, "WEBAPP_PORT="+s.web)
	if plan := s.run(1, "plan", "--exit-code"); !strings.Contains(plan.stdout, "its definition changed") {
		t.Error("plan does not say why")
	}
	if drift := s.run(0, "status").stdout; !strings.Contains(drift, "its definition changed") {
		t.Error("status does not tell of the drift")
	}
	s.run(0, "up")
	after := ids(s.containers())
	if before["webapp"] == after["webapp"] || before["database"] != after["database"] || before["cache"] != after["cache"] {
		t.Errorf("before %v, after %v", before, after)
	}
	if code, _ := s.get("/health"); code != http.StatusOK {
		t.Errorf("GET /health on the new port: %d", code)
	}
}

// The same source gives the same image, whoever asks; --build on it changes
// nothing.
func TestBuildAgain(t *testing.T) {
	s := newStage(t)
	s.run(0, "up", "--builder", "go")
	first, err := s.engine.Image(t.Context(), s.project+"-webapp")
	if err != nil {
		t.Fatal(err)
	}
	before := ids(s.containers())
	s.run(0, "up", "--build", "--builder", "go")
	second, err := s.engine.Image(t.Context(), s.project+"-webapp")
	if err != nil {
		t.Fatal(err)
	}
	if first.ID != second.ID {
		t.Errorf("the same source gave images %s and %s", first.ID, second.ID)
	}
	if diff := cmp.Diff(before, ids(s.containers())); diff != "" {
		t.Errorf("--build of the same source replaced containers (-before +after):\n%s", diff)
	}
}

// The Dockerfile gives an app that works as well, built by the engine.
func TestBuildDockerfile(t *testing.T) {
	s := newStage(t)
	s.run(0, "up", "--builder", "engine")
	if code, _ := s.get("/health"); code != http.StatusOK {
		t.Errorf("GET /health: %d", code)
	}
}
