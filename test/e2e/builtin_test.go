//go:build e2e

package e2e

import (
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"

	"github.com/stackctl/stackctl/pkg/runner"
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
	if strings.Contains(up.stderr, "://") {
		t.Error("up shows addresses among its messages")
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
	before := s.runs()
	again := s.run(0, "up")
	if diff := cmp.Diff(before, s.runs()); diff != "" {
		t.Errorf("a second up changed containers (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(want, again.stdout); diff != "" {
		t.Errorf("stdout of a second up (-want +got):\n%s", diff)
	}
	if !strings.Contains(again.stderr, "up to date") {
		t.Error("a second up does not say that there is nothing to do")
	}
	s.run(0, "plan", "--exit-code")

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

// No container has more rights than it needs, only the app is published beyond the
// loopback, no network is shared with others, and the password is nowhere in what the
// engine tells of a container.
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
	type rights struct {
		User           string
		ReadonlyRootfs bool
		Privileged     bool
		CapDrop        []string
		CapAdd         []string
		SecurityOpt    []string
		Memory         int64
		PidsLimit      int64
		PidMode        string
		IpcMode        string
	}
	locked := func(user string, memory, pids int64) rights {
		return rights{
			User: user, ReadonlyRootfs: true, CapDrop: []string{"ALL"}, SecurityOpt: []string{"no-new-privileges:true"},
			Memory: memory, PidsLimit: pids, IpcMode: "private",
		}
	}
	want := map[string]rights{
		"webapp":   locked("65532:65532", 512<<20, 256),
		"database": locked("postgres", 2<<30, 1024),
		"cache":    locked("redis", 2<<30, 256),
	}
	for service, c := range s.containers() {
		var all json.RawMessage
		s.ask(http.MethodGet, "/containers/"+c.ID+"/json", nil, &all)
		if strings.Contains(string(all), canary) {
			t.Errorf("%s: the engine tells the password", service)
		}
		var seen struct {
			Config     struct{ User string }
			HostConfig struct {
				rights
				RestartPolicy struct{ Name string }
			}
			NetworkSettings struct {
				Networks map[string]any
				Ports    map[string][]struct {
					HostIP string `json:"HostIp"`
				}
			}
		}
		if err := json.Unmarshal(all, &seen); err != nil {
			t.Fatal(err)
		}
		if seen.HostConfig.RestartPolicy.Name != "unless-stopped" {
			t.Errorf("%s: restart policy %q", service, seen.HostConfig.RestartPolicy.Name)
		}
		if diff := cmp.Diff([]string{s.project + "_backend-network"}, slices.Collect(maps.Keys(seen.NetworkSettings.Networks))); diff != "" {
			t.Errorf("networks of %s (-want +got):\n%s", service, diff)
		}
		got := seen.HostConfig.rights
		got.User = seen.Config.User
		if diff := cmp.Diff(want[service], got); diff != "" {
			t.Errorf("rights of %s (-want +got):\n%s", service, diff)
		}
		published := map[string]bool{}
		for _, bindings := range seen.NetworkSettings.Ports {
			for _, b := range bindings {
				published[b.HostIP] = true
			}
		}
		if service != "webapp" {
			if diff := cmp.Diff(map[string]bool{"127.0.0.1": true}, published); diff != "" {
				t.Errorf("%s is published on (-want +got):\n%s", service, diff)
			}
			continue
		}
		if !published["0.0.0.0"] {
			t.Errorf("webapp is published on %v", published)
		}
	}
	image, err := s.engine.Image(t.Context(), s.project+"-webapp")
	if err != nil || image.Size == 0 || image.Size >= 20_000_000 {
		t.Errorf("image of the app: %d bytes, %v", image.Size, err)
	}
}

// Everything has the name and the labels that Docker Compose would give it.
func TestNamesAndLabels(t *testing.T) {
	s := newStage(t)
	s.run(0, "up")
	names := []string{
		"container " + s.project + "-cache-1", "container " + s.project + "-database-1", "container " + s.project + "-webapp-1",
		"network " + s.project + "_backend-network",
		"volume " + s.project + "_postgres-storage", "volume " + s.project + "_redis-storage",
	}
	if diff := cmp.Diff(names, s.resources()); diff != "" {
		t.Errorf("what is on the engine (-want +got):\n%s", diff)
	}
	dependencies := map[string]string{
		"cache": "", "database": "", "webapp": "cache:service_healthy:false,database:service_healthy:false",
	}
	for service, c := range s.containers() {
		var seen struct {
			Image  string
			Config struct{ Labels map[string]string }
		}
		s.ask(http.MethodGet, "/containers/"+c.ID+"/json", nil, &seen)
		got := seen.Config.Labels
		want := map[string]string{
			"com.docker.compose.project":          s.project,
			"com.docker.compose.service":          service,
			"com.docker.compose.container-number": "1",
			"com.docker.compose.oneoff":           "False",
			"com.docker.compose.image":            seen.Image,
			"com.docker.compose.depends_on":       dependencies[service],
		}
		if dependencies[service] == "" {
			delete(want, "com.docker.compose.depends_on") // to Compose, none and an empty one are the same
		}
		if diff := cmp.Diff(want, only(got, want)); diff != "" {
			t.Errorf("labels of %s (-want +got):\n%s", service, diff)
		}
		for _, key := range []string{
			"com.docker.compose.config-hash", "com.docker.compose.version", "com.docker.compose.project.working_dir",
			"io.stackctl.hash",
		} {
			if _, there := got[key]; !there {
				t.Errorf("%s has no label %s", service, key)
			}
		}
	}
	for path, want := range map[string]map[string]string{
		"/networks/" + s.project + "_backend-network": {"com.docker.compose.project": s.project, "com.docker.compose.network": "backend-network"},
		"/volumes/" + s.project + "_postgres-storage": {"com.docker.compose.project": s.project, "com.docker.compose.volume": "postgres-storage"},
		"/volumes/" + s.project + "_redis-storage":    {"com.docker.compose.project": s.project, "com.docker.compose.volume": "redis-storage"},
	} {
		var seen struct{ Labels map[string]string }
		s.ask(http.MethodGet, path, nil, &seen)
		if diff := cmp.Diff(want, only(seen.Labels, want)); diff != "" {
			t.Errorf("labels of %s (-want +got):\n%s", path, diff)
		}
	}
}

// only keeps the labels that another set has.
func only(labels, these map[string]string) map[string]string {
	out := map[string]string{}
	for key, value := range labels {
		if _, wanted := these[key]; wanted {
			out[key] = value
		}
	}
	return out
}

// A variable that changes replaces the one container that uses it.
func TestChangeReplacesOneContainer(t *testing.T) {
	s := newStage(t)
	s.run(0, "up")
	s.waitHealthy()
	before := s.runs()
	cause := "ports: " + s.web + ":5000/tcp → "
	s.web = freePorts(t, 1)[0]
	cause += s.web + ":5000/tcp"
	s.env = append(s.env, "WEBAPP_PORT="+s.web)
	if plan := s.run(1, "plan", "--exit-code"); !strings.Contains(plan.stdout, cause) {
		t.Error("plan does not say why")
	}
	if drift := s.run(0, "status").stdout; !strings.Contains(drift, cause) {
		t.Error("status does not tell of the drift")
	}
	s.run(0, "up")
	after := s.runs()
	if before["webapp"].ID == after["webapp"].ID || before["database"] != after["database"] || before["cache"] != after["cache"] {
		t.Errorf("before %v, after %v", before, after)
	}
	if code, _ := s.get("/health"); code != http.StatusOK {
		t.Errorf("GET /health on the new port: %d", code)
	}
}

// The same source gives the same image: --build of it changes nothing, whichever
// builder is asked.
func TestBuildAgain(t *testing.T) {
	t.Parallel()
	for _, builder := range []string{"go", "engine"} {
		t.Run(builder, func(t *testing.T) {
			s := newStage(t)
			s.run(0, "up", "--builder", builder)
			if code, _ := s.get("/health"); code != http.StatusOK {
				t.Errorf("GET /health: %d", code)
			}
			before, first := s.runs(), s.appImage()
			s.run(0, "up", "--build", "--builder", builder)
			if second := s.appImage(); first != second {
				t.Errorf("the same source gave images %s and %s", first, second)
			}
			if diff := cmp.Diff(before, s.runs()); diff != "" {
				t.Errorf("--build of the same source changed containers (-before +after):\n%s", diff)
			}
		})
	}
}

// appImage gives the id of the app's image.
func (s *stage) appImage() string {
	s.t.Helper()
	image, err := s.engine.Image(s.t.Context(), s.project+"-webapp")
	if err != nil {
		s.t.Fatal(err)
	}
	return image.ID
}

// --rmi local removes what was built, and no other image; also when the
// containers went before.
func TestRemoveLocalImages(t *testing.T) {
	s := newStage(t)
	s.run(0, "up", "--no-wait")
	s.run(0, "down")
	s.appImage()
	s.run(0, "--builtin", "down", "--rmi", "local", "-v")
	if _, err := s.engine.Image(t.Context(), s.project+"-webapp"); !errdefs.IsNotFound(err) {
		t.Errorf("the image of the app is there: %v", err)
	}
	for _, ref := range []string{"postgres:15-alpine", "redis:7-alpine"} {
		if _, err := s.engine.Image(t.Context(), ref); err != nil {
			t.Errorf("%s: %v", ref, err)
		}
	}
}
