package safety_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stackctl/stackctl/pkg/spec"
	"github.com/stackctl/stackctl/pkg/spec/safety"
)

func load(t *testing.T, text string) *types.Project {
	t.Helper()
	p, err := spec.Load(t.Context(), spec.LoadOptions{
		Content: []byte(text), WorkingDir: "/home/ann/shop", Name: "shop", Env: map[string]string{"WORD": "canary", "LISTEN": "127.0.0.1"},
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return p
}

// found gives what is found in one service, "web", each as "rule path".
func found(t *testing.T, service string) string {
	t.Helper()
	var lines []string
	for _, f := range safety.Check(load(t, "services: {web: {"+service+"}}\nvolumes: {etc: {driver_opts: {type: none, o: bind, device: /etc}}, data: {}}\nnetworks: {n: {}}\n")) {
		lines = append(lines, string(f.Rule)+" "+strings.TrimPrefix(f.Path, "services.web."))
		if f.Service != "web" || f.Message == "" || f.Hint == "" || f.Allowed {
			t.Errorf("not complete: %+v", f)
		}
		if strings.Contains(f.Message+f.Hint, "canary") {
			t.Errorf("shows the secret: %+v", f)
		}
	}
	return strings.Join(lines, ", ")
}

func TestRules(t *testing.T) {
	for _, test := range []struct{ service, want string }{
		{"image: 'app:1'", ""},
		{"image: 'app:1', privileged: true", "privileged privileged"},
		{"image: 'app:1', post_start: [{command: a}, {command: b, privileged: true}], pre_stop: [{command: c, privileged: true}]", "privileged post_start[1].privileged, privileged pre_stop[0].privileged"},
		{"image: 'app:1', privileged: false, network_mode: none", ""},
		{"image: 'app:1', network_mode: host", "host-network network_mode"},
		{"image: 'app:1', pid: host", "host-pid pid"},
		{"image: 'app:1', ipc: host", "host-ipc ipc"},
		{"image: 'app:1', ipc: private, networks: [n]", ""},

		{"image: 'app:1', volumes: ['/var/run/docker.sock:/var/run/docker.sock:ro']", "docker-socket volumes[0]"},
		{"image: 'app:1', volumes: ['data:/data', '/run/user/1000/podman/podman.sock:/s']", "docker-socket volumes[1]"},
		{"image: 'app:1', volumes: ['/run/containerd/containerd.sock:/s', '/var/run/:/r:ro']", "docker-socket volumes[0], docker-socket volumes[1]"},
		{"image: 'app:1', use_api_socket: true", "docker-socket use_api_socket"},
		{"image: 'app:1', volumes: ['/run/postgresql:/run/postgresql']", ""},

		{"image: 'app:1', volumes: ['/:/host', '/etc/:/e', '/proc:/p', '/sys/fs/cgroup:/c', '/var/lib/docker/x:/d']", "host-path volumes[0], host-path volumes[1], host-path volumes[2], host-path volumes[3], host-path volumes[4]"},
		{"image: 'app:1', volumes: ['/:/host:ro', '/run/containerd:/c:ro', '/run/user/1000:/u']", "docker-socket volumes[0], docker-socket volumes[1], docker-socket volumes[2]"},
		{"image: 'app:1', volumes: ['/etc/localtime:/etc/localtime:ro', './etc:/etc', '/etcetera:/e', '/home/ann/data:/d', '/dev/shm:/s', 'data:/etc']", ""},
		{"image: 'app:1', volumes: ['etc:/e']", "host-path volumes[0]"},
		{"image: 'app:1', volumes: ['etc:/e:ro', {type: tmpfs, target: /etc}]", ""},

		{"image: 'app:1', devices: ['/dev/sda', '/dev/nvme0n1p2:/d:r', '/dev/mem']", "host-device devices[0], host-device devices[1], host-device devices[2]"},
		{"image: 'app:1', device_cgroup_rules: ['c 1:3 r', 'a *:* rwm', 'b *:* r']", "host-device device_cgroup_rules[1], host-device device_cgroup_rules[2]"},
		{"image: 'app:1', devices: ['/dev/dri', '/dev/ttyUSB0', '/dev/net/tun', '/dev/snd', '/dev/fuse']", ""},

		{"image: 'app:1', cap_add: [NET_ADMIN, sys_admin, CAP_SYS_MODULE, ALL]", "dangerous-capability cap_add[1], dangerous-capability cap_add[2], dangerous-capability cap_add[3]"},
		{"image: 'app:1', cap_add: [NET_BIND_SERVICE, SYS_PTRACE, CHOWN], cap_drop: [ALL]", ""},
		{"image: 'app:1', security_opt: ['no-new-privileges:true', 'seccomp:unconfined', 'apparmor=unconfined', 'label:disable', systempaths=unconfined]", "unconfined security_opt[1], unconfined security_opt[2], unconfined security_opt[3], unconfined security_opt[4]"},
		{"image: 'app:1', security_opt: ['no-new-privileges:true', 'apparmor=mine', 'label:level:s0']", ""},

		{"image: 'app:1', environment: {DB_PASSWORD: canary, LOG: debug, API_TOKEN: '${WORD}'}", "plain-secret environment.API_TOKEN, plain-secret environment.DB_PASSWORD"},
		{"image: 'app:1', environment: ['DB_PASSWORD=canary', 'URL=redis://:canary@cache']", "plain-secret environment.DB_PASSWORD, plain-secret environment.URL"},
		{"image: 'app:1', environment: {DB_PASSWORD_FILE: /run/secrets/p, DB_PASSWORD: '', API_TOKEN: , NEO4J_AUTH: '${UNSET:-}', ALLOW_PASSWORD: 'true'}", ""},
		{"image: 'app:1', command: redis-server --requirepass canary", "plain-secret command"},
		{"image: 'app:1', command: [sh, -c, 'exec app --password=canary'], entrypoint: [tini, --, 'postgres://a:canary@db/x']", "plain-secret entrypoint, plain-secret command"},
		{"image: 'app:1', command: [redis-server, --requirepass, '$$PASSWORD'], healthcheck: {test: [CMD, app, --token=canary]}", "plain-secret healthcheck.test"},
		{"image: 'app:1', command: [app, --password-file, /run/secrets/p, --token, --secret=/run/x, '--password=$(cat x)', --passwords, many]", ""},
		{"build: {context: ., args: {VERSION: '1', NPM_TOKEN: canary, KEEP_TOKEN: }}", "build-secret build.args.NPM_TOKEN"},

		{"image: 'app:1', environment: {POSTGRES_HOST_AUTH_METHOD: trust, MYSQL_ALLOW_EMPTY_PASSWORD: 'yes', xpack.security.enabled: 'false'}", "no-password environment.MYSQL_ALLOW_EMPTY_PASSWORD, no-password environment.POSTGRES_HOST_AUTH_METHOD, no-password environment.xpack.security.enabled"},
		{"image: 'app:1', environment: {POSTGRES_HOST_AUTH_METHOD: scram-sha-256, ALLOW_EMPTY_PASSWORD: 'no', MYSQL_ALLOW_EMPTY_PASSWORD: '', xpack.security.enabled: 'true'}", ""},

		{"image: 'postgres:15', ports: ['5432:5432', '127.0.0.1:5433:5432', '::1:5434:5432', '10.0.0.1:5435:5432', '${LISTEN}:5436:5432']", "exposed-database ports[0], exposed-database ports[3]"},
		{"image: 'registry.example.org:5000/library/valkey@sha256:" + strings.Repeat("0", 64) + "', ports: ['7000:7000/udp', '6379']", "exposed-database ports[0], exposed-database ports[1]"},
		{"image: 'app:1', ports: ['80:80', '15432:5432']", "exposed-database ports[1]"},
		{"image: 'app:1', command: /usr/bin/redis-server --port 7000, ports: ['7000:7000']", "exposed-database ports[0]"},
		{"image: 'postgres-exporter:1', ports: ['9187:9187']", ""},
		{"image: 'postgres:15', network_mode: host, ports: ['5432:5432']", "host-network network_mode"},

		{"image: app", "latest-tag image"},
		{"image: 'registry.example.org:5000/app:latest'", "latest-tag image"},
		{"image: 'app@sha256:" + strings.Repeat("0", 64) + "'", ""},
		{"image: app, build: .", ""},
	} {
		if got := found(t, test.service); got != test.want {
			t.Errorf("%s\n got %q\nwant %q", test.service, got, test.want)
		}
	}
}

// An image that another service builds is not pulled, whatever its tag.
func TestBuiltImage(t *testing.T) {
	p := load(t, "services: {app: {build: ., image: shop}, job: {image: shop}, web: {image: web}}\n")
	if got := safety.Check(p); len(got) != 1 || got[0].Path != "services.web.image" {
		t.Errorf("got %+v", got)
	}
}

func TestFinding(t *testing.T) {
	p := load(t, "services: {db: {image: 'postgres:15', ports: ['${WORD_PORT:-5432}:5432'], environment: {POSTGRES_PASSWORD: '${WORD}'}}}\n")
	want := []safety.Finding{
		{
			Rule: safety.PlainSecret, Service: "db", Path: "services.db.environment.POSTGRES_PASSWORD",
			Message: "is a secret that `docker inspect` shows",
			Hint:    "give it as a secret, and its path as POSTGRES_PASSWORD_FILE where the program takes that",
		},
		{
			Rule: safety.ExposedDatabase, Service: "db", Path: "services.db.ports[0]",
			Message: "publishes port 5432 of a database on all addresses of the host",
			Hint:    `remove it, since services reach each other without; or publish it as "127.0.0.1:5432:5432"`,
		},
	}
	if diff := cmp.Diff(want, safety.Check(p)); diff != "" {
		t.Error(diff)
	}
}

func TestAllowed(t *testing.T) {
	p := load(t, `
x-stackctl: {allow: {latest-tag: they are ours, host-pid: }}
services:
  a: {image: a, privileged: true, pid: host, x-stackctl: {allow: [privileged]}}
  b: {image: b, privileged: true, x-stackctl: {allow: {latest-tag: not yet released}}}
`)
	var got []string
	for _, f := range safety.Check(p) {
		got = append(got, fmt.Sprintf("%s %s %v %q", f.Service, f.Rule, f.Allowed, f.Reason))
	}
	want := []string{
		`a privileged true ""`,
		`a host-pid true ""`,
		`a latest-tag true "they are ours"`,
		`b privileged false ""`,
		`b latest-tag true "not yet released"`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if faults := safety.CheckAllowed(p); len(faults) > 0 {
		t.Errorf("got %v", faults)
	}
}

func TestCheckAllowed(t *testing.T) {
	for _, test := range []struct{ extension, want string }{
		{"{allow: [privilege]}", `.allow[0]: there is no rule "privilege" — did you mean privileged?`},
		{"{allow: {host-network: , lastest-tag: why}}", `.allow.lastest-tag: there is no rule "lastest-tag" — did you mean latest-tag?`},
		{"{allow: [7]}", `.allow[0]: there is no rule "7" — the rules are privileged, host-network, host-pid,`},
		{"{allow: [something-else-altogether]}", `.allow[0]: there is no rule "something-else-altogether" — the rules are privileged,`},
		{"{allow: privileged}", `.allow: is neither a mapping nor a list — write allow: {RULE: "the reason"}, or allow: [RULE]`},
		{"{allow: {privileged: true}}", `.allow.privileged: the reason is not a text — write allow:`},
		{"{alow: [privileged]}", `.alow: is not a known key — the keys are allow`},
		{"[privileged]", `: is not a mapping — write allow: {RULE: "the reason"}, or allow: [RULE]`},
		{"{}", ""},
		{"{allow: }", ""},
	} {
		for path, text := range map[string]string{
			"services.web.x-stackctl": "services: {web: {image: app, x-stackctl: " + test.extension + "}}",
			"x-stackctl":              "services: {web: {image: app}}\nx-stackctl: " + test.extension,
		} {
			faults := safety.CheckAllowed(load(t, text))
			var got string
			for _, f := range faults {
				got += f.Path + ": " + f.Message + " — " + f.Hint
			}
			want := test.want
			if want != "" {
				want = path + want
			}
			if !strings.HasPrefix(got, want) || (got == "") != (want == "") || len(faults) > 1 {
				t.Errorf("%s: got %q, want %q", text, got, want)
			}
		}
	}
}

// What is allowed is for validate alone: a container is not replaced for it.
func TestAllowedIsNotHashed(t *testing.T) {
	plain := load(t, "services: {web: {image: app, pid: host}}")
	marked := load(t, "services: {web: {image: app, pid: host, x-stackctl: {allow: [host-pid]}}}")
	a, err := json.Marshal(plain.Services["web"])
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(marked.Services["web"])
	if err != nil {
		t.Fatal(err)
	}
	if string(a) != string(b) {
		t.Errorf("got %s\nand %s", a, b)
	}
}

// A .env in the folder of a build is found unless what the build goes by leaves it out.
func TestEnvInContext(t *testing.T) {
	const build = "build: ."
	for _, test := range []struct {
		name, service string
		files         map[string]string
		want          bool
	}{
		{"sent", build, map[string]string{"Dockerfile": "", ".env": ""}, true},
		{"sent beside what is left out", build, map[string]string{"Dockerfile": "", ".env": "", ".dockerignore": "node_modules\n"}, true},
		{"taken back", build, map[string]string{"Dockerfile": "", ".env": "", ".dockerignore": "*\n!.env\n"}, true},
		{"with a Dockerfile in the text", "build: {context: ., dockerfile_inline: FROM scratch}", map[string]string{".env": ""}, true},
		{"the Dockerfile's own ignore file counts", build, map[string]string{
			"Dockerfile": "", ".env": "", ".dockerignore": ".env\n", "Dockerfile.dockerignore": "other\n",
		}, true},
		{"left out", build, map[string]string{"Dockerfile": "", ".env": "", ".dockerignore": ".env\n"}, false},
		{"left out by a pattern", build, map[string]string{"Dockerfile": "", ".env": "", ".dockerignore": "**/.env*\n"}, false},
		{"left out by the Dockerfile's own", "build: {context: ., dockerfile: a.Dockerfile}", map[string]string{
			"a.Dockerfile": "", ".env": "", "a.Dockerfile.dockerignore": ".env\n",
		}, false},
		{"no .env", build, map[string]string{"Dockerfile": ""}, false},
		{"no Dockerfile", build, map[string]string{".env": ""}, false},
		{"no folder of ours", "build: https://example.com/app.git", map[string]string{"Dockerfile": "", ".env": ""}, false},
		{"no build", "image: 'app:1'", map[string]string{"Dockerfile": "", ".env": ""}, false},
		{"allowed elsewhere", build + ", x-stackctl: {allow: {env-in-context: it holds ports}}", map[string]string{"Dockerfile": "", ".env": ""}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range test.files {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			p, err := spec.Load(t.Context(), spec.LoadOptions{Content: []byte("services: {web: {" + test.service + "}}\n"), WorkingDir: dir})
			if err != nil {
				t.Fatal(err)
			}
			got := slices.ContainsFunc(safety.Check(p), func(f safety.Finding) bool {
				return f.Rule == safety.EnvInContext && f.Path == "services.web.build" && !f.Allowed
			})
			if got != test.want {
				t.Errorf("found: %v, want %v", got, test.want)
			}
		})
	}
}
