package spec_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/stackctl/stackctl/pkg/spec"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func diff(t *testing.T, got, want any) {
	t.Helper()
	// The one thing unexported in a project says how it is marshalled.
	unexported := cmpopts.IgnoreUnexported(types.SecretConfig{}, types.ConfigObjConfig{})
	if d := cmp.Diff(want, got, unexported); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	diff(t, string(got), string(want))
}

// faults returns the lines of a validation error.
func faults(t *testing.T, err error) []string {
	t.Helper()
	var invalid *spec.ValidationError
	if !errors.As(err, &invalid) {
		t.Fatalf("got %v, want a ValidationError", err)
	}
	var lines []string
	for _, p := range invalid.Problems {
		lines = append(lines, p.String())
	}
	return lines
}

// everything returns a stack that uses each field of the package.
func everything() *spec.Stack {
	front := &spec.Network{Name: "front", Driver: "bridge", Labels: map[string]spec.Value{"tier": "front"}}
	back := &spec.Network{Name: "back", Internal: true}
	shared := &spec.Network{Name: "shared", External: true, EngineName: "corporate"}
	uploads := &spec.Volume{
		Name: "uploads", Driver: "local",
		DriverOpts: map[string]spec.Value{"type": "nfs", "o": "addr=" + spec.FromEnvOr("NFS", "10.0.0.1")},
		Labels:     map[string]spec.Value{"backup": "yes"},
	}
	old := &spec.Volume{Name: "old", External: true}
	token := &spec.Secret{Name: "token", Variable: "TOKEN"}
	key := &spec.Secret{Name: "key", File: "./key.pem"}

	db := spec.NewPostgres("db", spec.PostgresOptions{Networks: []*spec.Network{back}})
	db.Restart = spec.RestartAlways
	cache := spec.NewRedis("cache", spec.RedisOptions{HostIP: "::1", Networks: []*spec.Network{back}})
	migrate := &spec.Service{
		Name:        "migrate",
		Image:       "example/migrate:" + spec.FromEnvOr("TAG", "latest"),
		Entrypoint:  []spec.Value{"/bin/sh", "-c"},
		Command:     []spec.Value{"echo \"$HOME\"\nmigrate --to 5\n"},
		Environment: spec.Env{"DATABASE_URL": db.URL(), "EMPTY": "", "FLAG": "on", "NUMBER": "0755"},
		EnvFiles:    []spec.Value{"testdata/migrate.env"},
		Networks:    []*spec.Network{back},
		DependsOn:   []spec.Dependency{spec.Healthy(db)},
		Restart:     spec.RestartOnFailureAtMost(3),
	}
	app := spec.NewGoApp("app", spec.GoAppOptions{
		Build: spec.Build{
			Context: "./src", Target: "final", GoPackage: "./cmd/app",
			Args: spec.Env{"VERSION": spec.FromEnv("VERSION")},
		},
		Environment: spec.MergeEnv(db.EnvFor("ORDERS", "DB"), cache.EnvFor(), spec.Env{"CACHE_URL": cache.URL()}),
		DependsOn:   []spec.Dependency{spec.Completed(migrate), {Service: cache.Service, Restart: true, Optional: true}},
		Health:      spec.ShellTest("curl -f localhost:8080/$PATH_TO_HEALTH"),
		Networks:    []*spec.Network{front, back, shared},
	})
	app.Secrets = []spec.SecretMount{spec.MountSecret(token), {Secret: key, Target: "/etc/key.pem"}}
	app.Mounts = []spec.Mount{
		spec.Mounted(uploads, "/uploads"),
		spec.Bind("etc", "/etc/app"),
		{Volume: old, Target: "/old", ReadOnly: true},
	}
	app.Ports = append(app.Ports, spec.Port{Host: "9000-9010", Container: 9000, Protocol: "udp"}, spec.Port{Container: 9100})
	app.Tmpfs = []string{"/tmp"}
	app.StopGracePeriod = 90e9
	app.Labels = map[string]spec.Value{"team": "orders"}
	web := &spec.Service{
		Name: "web", Build: &spec.Build{Context: "./web"},
		Ports:         []spec.Port{spec.Publish(spec.FromEnvOr("WEB_PORT", "8081"), 80), spec.PublishLocally("8443", 443)},
		DependsOn:     []spec.Dependency{spec.Started(app)},
		Healthcheck:   spec.NoHealthcheck(),
		Replicas:      1,
		Profiles:      []string{"full"},
		User:          "nginx",
		WorkingDir:    "/srv",
		Hostname:      "web",
		ContainerName: "the-web",
		Init:          true,
		StopSignal:    "SIGQUIT",
		ReadOnly:      true,
		CapAdd:        []string{"NET_BIND_SERVICE"},
		Extra: map[string]any{
			"mem_limit": "256m",
			"platform":  "linux/" + spec.FromEnvOr("ARCH", "amd64"),
			"logging":   map[string]any{"driver": "json-file", "options": map[string]any{"max-size": "${LOG_SIZE:-10m}"}},
			"x-note":    "kept",
		},
	}
	return spec.New("everything", web, app, migrate, db, cache, front, back, shared, uploads, old, token, key)
}
