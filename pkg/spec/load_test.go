package spec_test

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stackctl/stackctl/pkg/spec"
)

// Each case is one compose file; all of its faults are reported, and nothing
// else.
func TestLoadFaults(t *testing.T) {
	tests := []struct {
		name string
		text string
		want []string
	}{
		{"nothing", "", []string{"there is nothing in the compose file — begin with the key services"}},
		{"no mapping", "- a\n", []string{"is a list, and has to be a mapping — begin with the key services"}},
		{"no service", "services: {}\n", []string{"services: there is no service — add one"}},
		{
			"not YAML",
			"services:\n  web:\n    image: x\n   y: 1\n",
			[]string{"not YAML: the indentation fits nothing above, since line 2 — indent what belongs together alike"},
		},
		{
			"a key twice",
			"services:\n  web:\n    image: x\n  web:\n    image: y\n",
			[]string{"services.web: is there already, in line 2 — keep one of them"},
		},
		{
			"variables",
			`
services:
  db:
    image: ${D?}${E?}
    ports: ["${PORT:?choose one}:80", "${PORT}:81"]
  web:
    image: ${A:?say which}
    command: ["fine", "${B:?}", "${C"]
    environment:
      NAME: ${COMPOSE_PROJECT_NAME:?}
    restart: sometimes
`,
			[]string{
				`services.db.image: required variable D has no value — set it in the environment or in .env`,
				`services.db.image: required variable E has no value — set it in the environment or in .env`,
				`services.db.ports[0]: required variable PORT has no value — choose one`,
				`services.web.command[1]: required variable B has no value — set it in the environment or in .env`,
				`services.web.command[2]: "${C" is not a reference to a variable — write $$ for a dollar sign`,
				`services.web.image: required variable A has no value — say which`,
				`services.web.restart: "sometimes" is not a restart policy — use no, always, on-failure or unless-stopped`,
			},
		},
		{
			"schema",
			`
foo: 1
services:
  a b:
    image: x
  web:
    imgae: x
    image: [x]
    healthcheck: {intervall: 1s, retries: [], test: ["echo"]}
    depends_on:
      db: {condition: ready}
    volumes:
      - {type: disk, target: /x}
      - data:/y
      - {type: volume, source: data}
  db:
    image: x
    networks: [back]
    cap_drop: ALL
volumes:
  data: []
`,
			[]string{
				`foo: is not a known key — correct its spelling, or remove it`,
				`services.a b: is not a name — use letters, digits, '.', '-' and '_'`,
				`services.db.cap_drop: must be a list, but is text`,
				`services.db.networks.back: network "back" is not declared — declare it under the top-level networks`,
				`services.web.depends_on.db.condition: must be one of service_started, service_healthy, service_completed_successfully, but is "ready"`,
				`services.web.healthcheck.intervall: is not a known key — did you mean interval?`,
				`services.web.healthcheck.retries: must be a number or text, but is a list`,
				`services.web.healthcheck.test: begins with "echo" — begin the list with CMD, CMD-SHELL or NONE`,
				`services.web.image: must be text, but is a list`,
				`services.web.imgae: is not a known key — did you mean image?`,
				`services.web.volumes[0].type: must be one of bind, volume, tmpfs, cluster, npipe, image, but is "disk"`,
				`services.web.volumes[2]: is missing a mount target`,
				`volumes.data: must be empty or a mapping, but is a list`,
			},
		},
		{
			"values that do not parse",
			`
services:
  web:
    image: x
    ports: ["80", "a:b", "c:b", "1.2.3.4.5:80:80", {target: 80, published: http}]
    healthcheck: {interval: often, timeout: 5}
    read_only: ${RO:-maybe}
    mem_limit: much
    stop_grace_period: 5 minutes
    ulimits: {nofile: many}
    env_file: [testdata/migrate.env, nowhere.env]
secrets:
  a: {file: x, environment: Y}
  b: {}
`,
			[]string{
				`secrets.a: file|environment attributes are mutually exclusive`,
				`secrets.b: one of file|environment must be set`,
				`services.web.env_file[1]: nowhere.env does not exist`,
				`services.web.healthcheck.interval: "often" is not a duration`,
				`services.web.healthcheck.timeout: must be text, but is a number — put it in quotes`,
				`services.web.mem_limit: invalid size: 'much'`,
				`services.web.ports[1]: "a:b" is not a port: invalid containerPort: b`,
				`services.web.ports[2]: "c:b" is not a port: invalid containerPort: b`,
				`services.web.ports[3]: "1.2.3.4.5:80:80" is not a port: invalid IP address: 1.2.3.4.5`,
				`services.web.read_only: invalid boolean: maybe`,
				`services.web.stop_grace_period: "5 minutes" is not a duration`,
				`services.web.ulimits.nofile: "many" is not a number`,
			},
		},
		{
			"inconsistencies",
			`
services:
  a:
    depends_on: [b, gone, off]
    networks: [back]
    volumes: [data:/data, other:/other]
    secrets: [token]
    configs: [conf]
    tmpfs: [/tmp, /other]
    scale: 2
    container_name: one
    ports: ["8080:80"]
  b:
    image: x
    network_mode: service:nobody
    depends_on: [c]
    build: {context: ., dockerfile: X, dockerfile_inline: FROM scratch, secrets: [hidden]}
  c:
    image: x
    depends_on: {a: {condition: service_started}, d: {condition: service_healthy}, e: {condition: service_healthy}}
    network_mode: none
    networks: [back]
  d:
    image: x
    healthcheck: {disable: true}
    depends_on: [d]
  e:
    image: x
    healthcheck: {timeout: 1s}
    cpus: 2
    deploy: {resources: {limits: {cpus: "1"}}}
  off:
    image: x
    profiles: [debug]
volumes:
  data:
`,
			[]string{
				`services.a: has neither an image nor a build — set image or build`,
				`services.a.configs[0]: config "conf" is not declared — declare it under the top-level configs`,
				`services.a.container_name: 2 replicas cannot have one name — remove container_name`,
				`services.a.depends_on.b: dependency cycle: a -> b -> c -> a — remove one of these dependencies`,
				`services.a.depends_on.gone: service "gone" is not declared — declare it under services`,
				`services.a.depends_on.off: service "off" is left out, because none of its profiles is active — activate one, or set required: false`,
				`services.a.networks.back: network "back" is not declared — declare it under the top-level networks`,
				`services.a.ports[0]: 2 replicas cannot publish one host port 8080 — publish a range of ports, or none`,
				`services.a.secrets[0]: secret "token" is not declared — declare it under the top-level secrets`,
				`services.a.volumes[1]: mounts at /other, as does services.a.tmpfs[1] — mount one of them elsewhere`,
				`services.a.volumes[1]: volume "other" is not declared — declare it under the top-level volumes`,
				`services.b.build: has both dockerfile and dockerfile_inline — keep one of them`,
				`services.b.build.secrets[0]: secret "hidden" is not declared — declare it under the top-level secrets`,
				`services.b.network_mode: service "nobody" is not declared — declare it under services`,
				`services.c: has both network_mode and networks — keep one of them`,
				`services.c.depends_on.d: waits until "d" is healthy, but that has no healthcheck — give services.d a healthcheck, or depend on it with condition service_started`,
				`services.c.networks.back: network "back" is not declared — declare it under the top-level networks`,
				`services.d.depends_on.d: dependency cycle: d -> d — remove one of these dependencies`,
			},
		},
		{
			"names of images",
			"services:\n  a: {image: \"al pine\"}\n  b: {image: \"alpine:${TAG}\"}\n  c: {image: Alpine}\n  d: {image: \"host:5000/a/b@sha256:" + strings.Repeat("0", 64) + "\"}\n",
			[]string{
				`services.a.image: "al pine" is not the name of an image: invalid reference format`,
				`services.b.image: "alpine:" is not the name of an image: invalid reference format`,
				`services.c.image: "Alpine" is not the name of an image: invalid reference format: repository name (library/Alpine) must be lowercase`,
			},
		},
		{
			"secrets and configs of variables",
			`
services:
  f: {image: x, secrets: [made, given], configs: [flags]}
  off: {image: x, secrets: [unused], profiles: [debug]}
secrets:
  made: {environment: MADE}
  given: {environment: GIVEN}
  unused: {environment: UNUSED}
configs:
  flags: {environment: FLAGS}
`,
			[]string{
				`configs.flags.environment: variable FLAGS is not set — set it in the environment or in .env`,
				`secrets.made.environment: variable MADE is not set — set it in the environment or in .env`,
			},
		},
		{
			"what only the loader knows",
			"services:\n  e:\n    image: x\n    cpus: 2\n    restart: never\n    deploy: {resources: {limits: {cpus: \"1\"}}}\n",
			[]string{
				`services.e: can't set distinct values on 'cpus' and 'deploy.resources.limits.cpus'`,
				`services.e.restart: "never" is not a restart policy — use no, always, on-failure or unless-stopped`,
			},
		},
		{
			"other files",
			"include: [nowhere.yml]\nservices:\n  web:\n    image: x\n    extends: nobody\n",
			[]string{"include[0]: cannot read nowhere.yml: no such file or directory — correct the path, or write the file", `services.web.extends: service "nobody" not found`},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for range 3 { // whatever order maps are ranged over
				_, err := spec.Load(t.Context(), spec.LoadOptions{Content: []byte(tt.text), Env: map[string]string{"GIVEN": ""}})
				got := faults(t, err)
				for i := range got {
					got[i] = strings.ReplaceAll(got[i], workingDir(t)+string(filepath.Separator), "")
				}
				diff(t, got, tt.want)
			}
		})
	}
}

func workingDir(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestPublishedPorts(t *testing.T) {
	tests := []struct {
		name     string
		one, two string // entries of two services
		clash    string // the port that both want
	}{
		{"different ports", `"8080:80"`, `"8081:80"`, ""},
		{"one port", `"8080:80"`, `"8080:81"`, "8080"},
		{"no host port", `"80"`, `"80"`, ""},
		{"different protocols", `"53:53/udp"`, `"53:53/tcp"`, ""},
		{"one UDP port", `"53:53/udp"`, `"53:5353/udp"`, "53/udp"},
		{"different addresses", `"127.0.0.1:80:80"`, `"127.0.0.2:80:80"`, ""},
		{"all addresses and one of them", `"80:80"`, `"127.0.0.1:80:80"`, "80"},
		{"all of IPv4 and one of them", `"0.0.0.0:80:80"`, `"127.0.0.1:80:80"`, "80"},
		{"all of IPv4 and one of IPv6", `"0.0.0.0:80:80"`, `"[::1]:80:80"`, ""},
		{"all of IPv6 and one of them", `"[::]:80:80"`, `"[::1]:80:80"`, "80"},
		{"a range for a range", `"8000-8002:80-82"`, `"8002:80"`, "8002"},
		{"a range to choose from, and a port of it", `"8000-8002:80"`, `"8001:80"`, "8001"},
		{"a range to choose from, twice", `"8000-8002:80"`, `"8000-8002:80"`, ""},
		{"long form", `{target: 80, published: "8080", host_ip: 127.0.0.1}`, `"127.0.0.1:8080:80"`, "8080"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := "services:\n  one:\n    image: x\n    ports: [" + tt.one + "]\n  two:\n    image: x\n    ports: [" + tt.two + "]\n"
			_, err := spec.Load(t.Context(), spec.LoadOptions{Content: []byte(text)})
			if tt.clash == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			got := faults(t, err)
			if len(got) != 1 || !strings.HasPrefix(got[0], "services.two.ports[0]: host port "+tt.clash+" is published by services.one.ports[") {
				t.Errorf("got %q, want a clash of %s", got, tt.clash)
			}
		})
	}
}

func TestLoadFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	base := write("compose.yml", "name: shop\nservices:\n  web:\n    image: ${IMAGE}\n    volumes: [./data:/data]\n    env_file: web.env\n")
	override := write("override.yml", "services:\n  web:\n    user: nobody\n    environment: {LEVEL: debug}\n")
	write("web.env", "LEVEL=info\nGREETING=hello $NAME\n")

	env := map[string]string{"IMAGE": "example", "NAME": "you"}
	given := maps.Clone(env)
	p, err := spec.Load(t.Context(), spec.LoadOptions{Files: []string{base, override}, Env: env})
	if err != nil {
		t.Fatal(err)
	}
	web := p.Services["web"]
	level, greeting := "debug", "hello you"
	diff(t, p.Name, "shop")
	diff(t, p.WorkingDir, dir)
	diff(t, p.ComposeFiles, []string{base, override})
	diff(t, web.Image, "example")
	diff(t, web.User, "nobody")
	diff(t, web.Volumes[0].Source, filepath.Join(dir, "data"))
	diff(t, web.Environment, types.MappingWithEquals{"LEVEL": &level, "GREETING": &greeting})
	diff(t, env, given)
}

func TestLoadName(t *testing.T) {
	const unnamed = "services:\n  web:\n    image: x\n"
	tests := []struct {
		name, text, option, want string
	}{
		{"the option's", "name: text\n" + unnamed, "option", "option"},
		{"the text's", "name: text\n" + unnamed, "", "text"},
		{"the directory's", unnamed, "", "myshop"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := spec.Load(t.Context(), spec.LoadOptions{Content: []byte(tt.text), WorkingDir: "/srv/My Shop", Name: tt.option})
			if err != nil {
				t.Fatal(err)
			}
			diff(t, p.Name, tt.want)
		})
	}

	_, err := spec.Load(t.Context(), spec.LoadOptions{Content: []byte(unnamed), Name: "My Shop"})
	diff(t, faults(t, err), []string{
		`name: invalid project name "My Shop": must consist only of lowercase alphanumeric characters, hyphens, and underscores as well as start with a letter or number`,
	})
}

// The process's environment is not read: what counts is what is passed.
func TestLoadIgnoresProcessEnvironment(t *testing.T) {
	t.Setenv("POSTGRES_PASSWORD", "from the process")
	t.Setenv("COMPOSE_PROJECT_NAME", "from-the-process")
	t.Setenv("WEBAPP_PORT", "1")
	stack := spec.WebStack(spec.WebStackOptions{})

	_, err := stack.Project(t.Context())
	diff(t, faults(t, err), []string{
		"secrets.postgres-password.environment: variable POSTGRES_PASSWORD is not set — set it in the environment or in .env",
	})

	_, err = stack.Project(t.Context(), spec.WithEnv(map[string]string{"POSTGRES_PASSWORD": ""}))
	diff(t, faults(t, err), []string{
		"secrets.postgres-password.environment: variable POSTGRES_PASSWORD is empty — set it in the environment or in .env",
	})

	p, err := stack.Project(t.Context(), spec.WithEnv(map[string]string{"POSTGRES_PASSWORD": "passed"}), spec.WithName("other"))
	if err != nil {
		t.Fatal(err)
	}
	diff(t, p.Name, "other")
	diff(t, p.Secrets["postgres-password"].Content, "passed")
	diff(t, p.Services["webapp"].Ports[0].Published, "5003")
	diff(t, p.Volumes["postgres-storage"].Name, "other_postgres-storage")
}

// What cannot be read is no invalid stack.
func TestLoadWithoutAFile(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	const text = "services:\n  web:\n    image: x\n"
	tests := []struct {
		name string
		ctx  context.Context
		opts spec.LoadOptions
		want error
	}{
		{"no such file", t.Context(), spec.LoadOptions{Files: []string{"nowhere.yml"}}, fs.ErrNotExist},
		{"cancelled", cancelled, spec.LoadOptions{Content: []byte(text)}, context.Canceled},
		{"nothing given", t.Context(), spec.LoadOptions{}, nil},
		{"both given", t.Context(), spec.LoadOptions{Files: []string{"x"}, Content: []byte(text)}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := spec.Load(tt.ctx, tt.opts)
			var invalid *spec.ValidationError
			if err == nil || errors.As(err, &invalid) || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

// What makes numbers and such of a text is left out where its key is in no file. A key
// that is written with an escape, or comes from another file, is there.
func TestLoadCasts(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "other.yaml"), []byte("services: {web: {image: web, umask: '${N}'}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"services: {web: {image: web, umask: '${N}'}}\n",
		"services: {web: {image: web, \"um\\x61sk\": '${N}'}}\n",
		"x-a: &a {umask: '${N}'}\nservices: {web: {image: web, <<: *a}}\n",
		"include: [other.yaml]\n",
		"services: {web: {extends: {file: other.yaml, service: web}}}\n",
	} {
		p, err := spec.Load(t.Context(), spec.LoadOptions{Content: []byte(text), WorkingDir: dir, Env: map[string]string{"N": "077"}})
		if err != nil || p.Services["web"].Umask == nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}
