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
	"github.com/stackctl/stackctl/pkg/spec/safety"
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
	back := &spec.Network{Name: "back", Internal: true, Extra: map[string]any{"attachable": true}}
	shared := &spec.Network{Name: "shared", External: true, EngineName: "corporate"}
	uploads := &spec.Volume{
		Name: "uploads", Driver: "local",
		DriverOpts: map[string]spec.Value{"type": "nfs", "o": "addr=" + spec.FromEnvOr("NFS", "10.0.0.1")},
		Labels:     map[string]spec.Value{"backup": "yes"},
	}
	old := &spec.Volume{Name: "old", External: true, EngineName: "old-" + spec.FromEnvOr("STAGE", "test"), Extra: map[string]any{"x-since": 2019}}
	token := &spec.Secret{Name: "token", Variable: "TOKEN"}
	key := &spec.Secret{Name: "key", File: spec.FromEnvOr("KEYS", ".") + "/key.pem", Extra: map[string]any{"x-rotated": "weekly"}}
	limits := &spec.Config{Name: "limits", File: "./limits.conf"}
	motd := &spec.Config{Name: "motd", Content: "Welcome to \"" + spec.FromEnvOr("STAGE", "test") + "\":\n  5$ each\n"}
	flags := &spec.Config{Name: "flags", Variable: "FLAGS", Extra: map[string]any{"name": "feature-flags"}}
	known := &spec.Config{Name: "known", External: true}

	db := spec.NewPostgres("db", spec.PostgresOptions{Networks: []*spec.Network{back}})
	db.Restart = spec.RestartAlways
	cache := spec.NewRedis("cache", spec.RedisOptions{HostIP: "::1", Networks: []*spec.Network{back}})
	migrate := &spec.Service{
		Name:        "migrate",
		Image:       "example/migrate:" + spec.FromEnvOr("TAG", "latest"),
		Entrypoint:  []spec.Value{"/bin/sh", "-c"},
		Command:     []spec.Value{"echo \"$HOME\"\nmigrate --to 5\n"},
		Environment: spec.Env{"DATABASE_URL": db.URL(), "EMPTY": "", "TZ": spec.Inherited, "COLOR": spec.Interpolated("${NO_COLOR:+never}$$"), "FLAG": "on", "NUMBER": "0755"},
		EnvFiles:    []spec.Value{"testdata/migrate.env"},
		Networks:    []*spec.Network{back},
		DependsOn:   []spec.Dependency{spec.Healthy(db)},
		Restart:     spec.RestartOnFailureAtMost(3),
	}
	app := spec.NewGoApp("app", spec.GoAppOptions{
		Build: spec.Build{
			Context: "./src", Target: "final", GoPackage: "./cmd/app",
			Args:  spec.Env{"VERSION": spec.FromEnv("VERSION")},
			Extra: map[string]any{"cache_from": []string{"example/app:${VERSION:-latest}"}},
		},
		Environment: spec.MergeEnv(db.EnvFor("ORDERS", "DB"), cache.EnvFor(), spec.Env{"CACHE_URL": cache.URL()}),
		DependsOn:   []spec.Dependency{spec.Completed(migrate), {Service: cache.Service, Restart: true, Optional: true}},
		Health:      spec.ShellTest("curl -f localhost:8080/$PATH_TO_HEALTH"),
		Networks:    []*spec.Network{front, back, shared},
	})
	app.Secrets = []spec.SecretMount{spec.MountSecret(token), spec.MountSecret(db.Secret), {Secret: key, Target: "/etc/key.pem", UID: "65532", GID: "65532", Mode: 0o400}}
	app.Configs = []spec.ConfigMount{spec.MountConfig(limits, "/etc/limits.conf"), {Config: motd}, {Config: flags, Target: "/flags", Mode: 0o440}}
	app.NetworkOptions = map[*spec.Network]map[string]any{back: {"aliases": []string{"orders"}, "priority": 10}}
	app.Mounts = []spec.Mount{
		spec.Mounted(uploads, "/uploads"),
		spec.Bind("etc", "/etc/app"),
		{Volume: old, Target: "/old", ReadOnly: true},
		{Volume: uploads, Target: "/thumbs", Extra: map[string]any{"volume": map[string]any{"nocopy": true}}},
		{HostPath: spec.FromEnvOr("LOGS", "./logs"), Target: "/logs"},
		{Target: "/scratch", Extra: map[string]any{"type": "tmpfs", "tmpfs": map[string]any{"size": "1m"}}},
		{Short: "${CACHE:-./cache}:/cache:z"},
	}
	app.Ports = append(app.Ports, spec.Port{Host: "9000-9010", Container: 9000, Protocol: "udp"}, spec.Port{Container: 9100},
		spec.Port{Host: "9200", Container: 9200, Extra: map[string]any{"app_protocol": "http"}}, spec.Port{Short: "9300-9302:9300-9302"})
	app.Tmpfs = []string{"/tmp"}
	app.StopGracePeriod = 90e9
	app.Labels = map[string]spec.Value{"team": "orders"}
	app.Allow = spec.Allowed{safety.ExposedDatabase: "9200 is no database, and $5 no variable", safety.HostPath: ""}
	web := &spec.Service{
		Name: "web", Build: &spec.Build{Context: "./web"},
		Ports:         []spec.Port{spec.Publish(spec.FromEnvOr("WEB_PORT", "8081"), 80), spec.PublishLocally("8443", 443)},
		DependsOn:     []spec.Dependency{spec.Started(app)},
		Healthcheck:   spec.NoHealthcheck(),
		Replicas:      1,
		Profiles:      []string{"full"},
		User:          "nginx",
		WorkingDir:    "/srv/" + spec.FromEnvOr("STAGE", "test"),
		Hostname:      "web-" + spec.FromEnvOr("STAGE", "test"),
		ContainerName: "the-web-" + spec.FromEnvOr("STAGE", "test"),
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
	stack := spec.New("everything", web, app, migrate, db, cache, front, back, shared, uploads, old, token, key, limits, motd, flags, known)
	stack.Allow = spec.Allowed{safety.LatestTag: ""}
	stack.Extra = map[string]any{"x-team": map[string]any{"name": "orders", "note": " \n kept as it is"}}
	return stack
}
