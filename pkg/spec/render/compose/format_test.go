package compose_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"gopkg.in/yaml.v3"

	"github.com/stackctl/stackctl/pkg/spec/render/compose"
)

func diff(t *testing.T, got, want any) {
	t.Helper()
	unexported := cmpopts.IgnoreUnexported(types.SecretConfig{}, types.ConfigObjConfig{})
	if d := cmp.Diff(want, got, unexported); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func parse(t *testing.T, text string) *yaml.Node {
	t.Helper()
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(text), &n); err != nil {
		t.Fatal(err)
	}
	return &n
}

// load returns the model of a text, with variables that are all given.
func load(t *testing.T, text string) *types.Project {
	t.Helper()
	p, err := loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir:  "/srv",
		ConfigFiles: []types.ConfigFile{{Filename: "compose.yml", Content: []byte(text)}},
		Environment: types.Mapping{"IP": "127.0.0.1", "PORT": "8080", "DIR": "/data"},
	}, func(o *loader.Options) {
		o.SetProjectName("test", false)
		o.SkipConsistencyCheck = true
		o.SkipResolveEnvironment = true
	})
	if err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	return p
}

// service indents the keys of a service into a document.
func service(keys string) string {
	return "services:\n  web:\n    " + strings.ReplaceAll(strings.TrimSpace(keys), "\n", "\n    ") + "\n"
}

// Each case is a service before and after; both load alike.
func TestShortForms(t *testing.T) {
	tests := []struct {
		name, long, short string
	}{
		{
			"ports",
			`
ports:
  - target: 80
  - {target: 80, published: "8080", mode: ingress, protocol: tcp}
  - {target: 53, published: 5353, protocol: udp}
  - {target: 80, published: "8000-8010", host_ip: 127.0.0.1}
  - {target: 81, host_ip: 127.0.0.1}
  - {target: 82, published: "${PORT:-80}", host_ip: "${IP:-0.0.0.0}"}
  - {target: 83, published: "83", host_ip: "::1"}
`,
			`
ports:
  - "80"
  - "8080:80"
  - "5353:53/udp"
  - "127.0.0.1:8000-8010:80"
  - "127.0.0.1::81"
  - "${IP:-0.0.0.0}:${PORT:-80}:82"
  - "[::1]:83:83"
`,
		},
		{
			"ports that have no short form",
			`
ports:
  - mode: host
    target: 80
    published: "80"
  - target: 81
    name: web
`,
			`
ports:
  - published: "80"
    target: 80
    mode: host
  - name: web
    target: 81
`,
		},
		{
			"mounts",
			`
volumes:
  - {type: volume, source: data, target: /data, volume: {}}
  - {type: volume, source: old, target: /old, read_only: true, volume: {}}
  - {type: bind, source: ./x, target: /x, bind: {create_host_path: true}}
  - {type: bind, source: /y, target: /y, read_only: false, bind: {}}
`,
			`
volumes:
  - data:/data
  - old:/old:ro
  - ./x:/x
  - /y:/y
`,
		},
		{
			"mounts that have no short form",
			`
volumes:
  - {target: /a, type: tmpfs, tmpfs: {size: 1m}}
  - {type: bind, source: ./b, target: /b, bind: {create_host_path: false}}
  - {type: bind, source: "${DIR}", target: /c, bind: {create_host_path: true}}
  - {type: volume, source: data, target: /d, volume: {nocopy: true}}
`,
			`
volumes:
  - type: tmpfs
    target: /a
    tmpfs:
      size: 1m
  - type: bind
    source: ./b
    target: /b
    bind:
      create_host_path: false
  - type: bind
    source: ${DIR}
    target: /c
    bind:
      create_host_path: true
  - type: volume
    source: data
    target: /d
    volume:
      nocopy: true
`,
		},
		{
			"networks",
			"networks: {front: null, back: null}",
			"networks:\n  - front\n  - back",
		},
		{
			"a network with settings",
			"networks: {front: {aliases: [www]}, back: null}",
			"networks:\n  front:\n    aliases:\n      - www\n  back:",
		},
		{
			"dependencies on a start",
			"depends_on: {b: {condition: service_started, required: true}, a: {condition: service_started, restart: false, required: true}}",
			"depends_on:\n  - b\n  - a",
		},
		{
			"other dependencies",
			"depends_on: {b: {required: true, condition: service_healthy}, a: {condition: service_started, required: false, restart: true}}",
			"depends_on:\n  b:\n    condition: service_healthy\n  a:\n    condition: service_started\n    restart: true\n    required: false",
		},
		{
			"environment",
			"environment: [B=1, A=, C, 'D=$$x=y']",
			"environment:\n  A: \"\"\n  B: \"1\"\n  C:\n  D: $$x=y",
		},
		{
			"environment with a name twice",
			"environment: [A=1, A=2]",
			"environment:\n  - A=1\n  - A=2",
		},
		{
			"env_file",
			"env_file: [{path: a.env, required: true}, {path: b.env, required: false}]",
			"env_file:\n  - a.env\n  - path: b.env\n    required: false",
		},
		{
			"secrets and configs",
			"secrets: [{source: a}, {source: b, target: /run/secrets/b}, {source: c, target: /c}]\nconfigs: [{source: d}]",
			"secrets:\n  - a\n  - b\n  - source: c\n    target: /c\nconfigs:\n  - d",
		},
		{
			"build",
			"build: {dockerfile: Dockerfile, context: ./web}",
			"build: ./web",
		},
		{
			"build with more",
			"build: {x-note: z, args: {B: '1'}, dockerfile: web/Dockerfile, context: .}",
			"build:\n  context: .\n  dockerfile: web/Dockerfile\n  args:\n    B: \"1\"\n  x-note: z",
		},
		{
			"commands",
			"command:\n  - echo\n  - \"yes\"\n  - it's \"so\"\nentrypoint: []\nhealthcheck:\n  retries: 3\n  start_interval: 500ms\n  start_period: 1m0s\n  interval: 1h0m0s\n  test: [CMD, ping]",
			"command: [\"echo\", \"yes\", \"it's \\\"so\\\"\"]\nentrypoint: []\nhealthcheck:\n  test: [\"CMD\", \"ping\"]\n  interval: 1h\n  retries: 3\n  start_period: 1m\n  start_interval: 500ms",
		},
		{
			"a script",
			"command: [\"sh\", \"-c\", \"set -e\\necho $$HOME\\n\"]",
			"command:\n  - sh\n  - -c\n  - |\n    set -e\n    echo $$HOME",
		},
		{
			"text that looks like something else",
			"labels: {a: 'yes', b: 'null', c: '1:30', d: '1.5', e: 'a: b', f: \"\\t\\nx\", g: '', h: '~', i: 2024-01-01}",
			"labels:\n  a: \"yes\"\n  b: \"null\"\n  c: \"1:30\"\n  d: \"1.5\"\n  e: 'a: b'\n  f: \"\\t\\nx\"\n  g: \"\"\n  h: \"~\"\n  i: 2024-01-01 00:00:00 +0000 UTC",
		},
		{
			"lines in keys, and lines that not all readers know",
			"labels: {\"\\na\": 'b', c: \"\\u2028\\n\"}",
			"labels:\n  ? \"\\na\"\n  : b\n  c: \"\\L\\n\"",
		},
		{
			"values of other types",
			"environment: {P: 0755, F: 1.50, Y: True, N: }\nlabels: [a=1, b]\nbuild: {context: ., args: [X=1, Y]}",
			"build:\n  context: .\n  args:\n    X: \"1\"\n    Y:\nenvironment:\n  F: \"1.5\"\n  N:\n  P: \"493\"\n  Y: \"true\"\nlabels:\n  a: \"1\"\n  b: \"\"",
		},
		{
			"commands on one line",
			"command: sh -c 'a && b' $$HOME\nentrypoint: run $PORT --x=${DIR}\nhealthcheck: {test: curl $PORT, interval: 90s, timeout: 60s}",
			"command: [\"sh\", \"-c\", \"a && b\", \"$$HOME\"]\nentrypoint: run ${PORT} --x=${DIR}\nhealthcheck:\n  test: [\"CMD-SHELL\", \"curl ${PORT}\"]\n  interval: 1m30s\n  timeout: 1m",
		},
		{
			"a command line that is not read to its end",
			"command: echo a && echo b",
			"command: echo a && echo b",
		},
		{
			"entries with defaults",
			"ports: [80, 81:81/tcp, '82:82/udp']\nvolumes: ['data:/a:rw', 'logs:/b:z', './c:/c:ro', {type: volume, source: x, target: /x, volume: {}}]\nenv_file: migrate.env\ntmpfs: /tmp",
			"env_file:\n  - migrate.env\nports:\n  - \"80\"\n  - \"81:81\"\n  - \"82:82/udp\"\nvolumes:\n  - data:/a\n  - logs:/b:z\n  - ./c:/c:ro\n  - type: volume\n    source: x\n    target: /x\n    volume: {}\ntmpfs:\n  - /tmp",
		},
		{
			"permissions",
			"secrets: [{source: a, mode: 0440}]\nconfigs: [{source: b, mode: '440'}]\nvolumes: [{type: tmpfs, target: /t, tmpfs: {mode: 0o1777}}]",
			"volumes:\n  - type: tmpfs\n    target: /t\n    tmpfs:\n      mode: 1023\nsecrets:\n  - source: a\n    mode: \"0440\"\nconfigs:\n  - source: b\n    mode: \"0440\"",
		},
		{
			"references without braces",
			"hostname: a$$b$PORT-${DIR:-$$x$y}$PORT\nx-n: {b: 0x1f, a: 1.50, d: 1_000}",
			"hostname: a$$b${PORT}-${DIR:-$$x$y}${PORT}\nx-n:\n  a: 1.5\n  b: 31\n  d: 1000",
		},
		{
			"merges",
			"labels: {<<: [&l {a: '1', b: '2'}, {b: '3', c: '4'}], c: '5'}\nx-l: *l",
			"labels:\n  a: \"1\"\n  b: \"2\"\n  c: \"5\"\nx-l:\n  a: \"1\"\n  b: \"2\"",
		},
		{
			"anchors",
			"environment: &e {A: '1'}\nlabels: *e",
			"environment:\n  A: \"1\"\nlabels:\n  A: \"1\"",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := compose.Format(parse(t, service("image: x\n"+strings.TrimSpace(tt.long))))
			if err != nil {
				t.Fatal(err)
			}
			diff(t, string(got), service("image: x\n"+strings.TrimSpace(tt.short)))
			diff(t, load(t, string(got)), load(t, service("image: x\n"+strings.TrimSpace(tt.long))))
		})
	}
}

func TestOrder(t *testing.T) {
	const scrambled = `
x-note: {b: 1, a: 2}
volumes: {data: {}, other: {driver: local, name: mine}}
secrets: {}
services:
  web:
    zebra_key_unknown: 1
    labels: {b: "1", a: "2"}
    restart: always
    read_only: true
    cap_drop: [ALL]
    depends_on: {api: {condition: service_healthy}}
    ports: ["80:80"]
    image: web
  api: {healthcheck: {test: [CMD, ok]}, depends_on: [db, queue], command: run, build: ., image: api}
  db: {image: db}
  loop2: {image: l, depends_on: [loop1]}
  loop1: {image: l, depends_on: [loop2, db]}
  queue: {image: queue, depends_on: [missing]}
networks: {n: {driver: bridge}}
name: shop
`
	const want = `name: shop

services:
  db:
    image: db

  queue:
    image: queue
    depends_on:
      - missing

  api:
    image: api
    build: .
    command: ["run"]
    depends_on:
      - db
      - queue
    healthcheck:
      test: ["CMD", "ok"]

  web:
    image: web
    ports:
      - "80:80"
    depends_on:
      api:
        condition: service_healthy
    restart: always
    read_only: true
    cap_drop:
      - ALL
    labels:
      a: "2"
      b: "1"
    zebra_key_unknown: 1

  loop2:
    image: l
    depends_on:
      - loop1

  loop1:
    image: l
    depends_on:
      - loop2
      - db

networks:
  n:
    driver: bridge

volumes:
  data:
  other:
    name: mine
    driver: local

x-note:
  a: 2
  b: 1
`
	tree := parse(t, scrambled)
	before, err := yaml.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	got, err := compose.Format(tree)
	if err != nil {
		t.Fatal(err)
	}
	diff(t, string(got), want)

	again, err := compose.Format(parse(t, string(got)))
	if err != nil {
		t.Fatal(err)
	}
	diff(t, string(again), want)

	after, err := yaml.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	diff(t, string(after), string(before))
}

// What is said of a key stays above it, wherever the key goes.
func TestComments(t *testing.T) {
	const text = `# Of the name.
name: shop
# Of all networks.
networks:
  # Of one.
  back:
services:
  # Of web.
  web:
    # Of the image.
    image: web # and more
    depends_on: [db]
  # Of db.
  db: {image: db}
`
	const want = `# Of the name.
name: shop

services:
  # Of db.
  db:
    image: db

  # Of web.
  web:
    # Of the image.
    image: web # and more
    depends_on:
      - db

# Of all networks.
networks:
  # Of one.
  back:
`
	got, err := compose.Format(parse(t, text))
	if err != nil {
		t.Fatal(err)
	}
	diff(t, string(got), want)
}

func TestFormatJSON(t *testing.T) {
	got, err := compose.FormatJSON(parse(t, `
services:
  web:
    read_only: true
    scale: 2
    cpus: 0.5
    environment: {B: "1", A: null, HTML: "<a&b>"}
    image: x
volumes: {data: {}}
`))
	if err != nil {
		t.Fatal(err)
	}
	diff(t, string(got), `{
  "services": {
    "web": {
      "image": "x",
      "environment": {
        "A": null,
        "B": "1",
        "HTML": "<a&b>"
      },
      "scale": 2,
      "read_only": true,
      "cpus": 0.5
    }
  },
  "volumes": {
    "data": null
  }
}
`)
}

func TestFormatRefusesWhatIsNoDocument(t *testing.T) {
	for _, text := range []string{"[]", "text", ""} {
		if got, err := compose.Format(parse(t, text)); err == nil {
			t.Errorf("%q: got %q, want an error", text, got)
		}
	}
}

// An alias that is part of what it stands for has no end, and aliases of aliases may
// as well have none.
func TestFormatRefusesEndlessAliases(t *testing.T) {
	bomb := "x-0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
	for i := range 9 {
		bomb += fmt.Sprintf("x-%d: &a%d [%s]\n", i+1, i+1, strings.Repeat(fmt.Sprintf("*a%d, ", i), 10))
	}
	for _, text := range []string{"a: &a [*a]", "a: &a {b: *a}", bomb} {
		if got, err := compose.Format(parse(t, text)); err == nil {
			t.Errorf("%.60q: got %.60q, want an error", text, got)
		}
	}
}

// Text keeps the empty lines at its end, also where an empty line follows it.
func TestFormatKeepsEmptyLinesAtTheEnd(t *testing.T) {
	want := load(t, service("image: i\nlabels: {l: \"a\\n\\n\\n\"}")+"networks: {default: {}}\n")
	text, err := compose.Format(parse(t, service("image: i\nlabels: {l: \"a\\n\\n\\n\"}")+"networks: {default: {internal: false}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	diff(t, load(t, string(text)).Services, want.Services)
}

func TestProject(t *testing.T) {
	const text = `
name: test
services:
  web:
    image: x
    command: ["echo", "$$HOME"]
    environment: {PRICE: "5$$", PORT: "${PORT}"}
    volumes: [data:/data]
    depends_on: [db]
  db:
    image: db
    networks: {default: null, back: {aliases: [store]}}
    volumes: [shared:/shared]
    secrets: [token]
networks:
  back:
    name: test_back
volumes:
  data:
  shared: {external: true}
  named: {name: mine}
secrets:
  token: {environment: PORT}
`
	const want = `name: test

services:
  db:
    image: db
    volumes:
      - shared:/shared
    networks:
      back:
        aliases:
          - store
      default:
    secrets:
      - token

  web:
    image: x
    command: ["echo", "$$HOME"]
    environment:
      PORT: "8080"
      PRICE: 5$$
    volumes:
      - data:/data
    depends_on:
      - db

networks:
  back:

volumes:
  data:
  named:
    name: mine
  shared:
    external: true

secrets:
  token:
    environment: PORT
`
	project := load(t, text)
	got, err := compose.Project(project)
	if err != nil {
		t.Fatal(err)
	}
	diff(t, string(got), want)
	diff(t, load(t, string(got)), project)

	asJSON, err := compose.ProjectJSON(project)
	if err != nil {
		t.Fatal(err)
	}
	diff(t, load(t, string(asJSON)), project)
}

// A default network that says more than the implied one is kept.
func TestProjectKeepsADefaultNetworkOfItsOwn(t *testing.T) {
	project := load(t, "services:\n  web:\n    image: x\nnetworks:\n  default:\n    internal: true\n")
	got, err := compose.Project(project)
	if err != nil {
		t.Fatal(err)
	}
	diff(t, string(got), `name: test

services:
  web:
    image: x
    networks:
      - default

networks:
  default:
    internal: true
`)
}

func TestProjectRefusesWhatIsNoText(t *testing.T) {
	project := load(t, "services:\n  web:\n    image: x\n    environment: {A: x}\n")
	notText := "\xff"
	project.Services["web"].Environment["A"] = &notText
	if got, err := compose.Project(project); err == nil {
		t.Errorf("got %q, want an error", got)
	}
}
