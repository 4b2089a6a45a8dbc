package state_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/google/go-cmp/cmp"

	"github.com/stackctl/stackctl/pkg/runner/internal/projecttest"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

func load(t *testing.T, text string) *types.Project {
	t.Helper()
	return projecttest.Load(t, "/src", text, types.Mapping{"TOKEN": "canary"})
}

func flatten(t *testing.T, text string) state.Desired {
	t.Helper()
	d, err := state.Flatten(load(t, text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

const web = `
services:
  web:
    image: nginx
    command: [nginx, -g, "daemon off;"]
    environment: {LEVEL: info, EMPTY: ""}
    ports: ["127.0.0.1:8080:80"]
    volumes: [data:/data, ./conf:/conf:ro]
    networks: [front]
    healthcheck: {test: [CMD, curl, localhost], interval: 10s}
    depends_on: {db: {condition: service_healthy, restart: true}}
  db:
    image: postgres
    healthcheck: {test: [CMD, pg_isready]}
networks: {front: {}}
volumes: {data: {}}
`

// The names and labels are Docker Compose's, and the hash is ours beside its.
func TestFlattenContainer(t *testing.T) {
	d := flatten(t, web)
	s, ok := d.Service("web")
	if !ok {
		t.Fatal("no service web")
	}
	c := s.Containers[0]
	want := map[string]string{
		"com.docker.compose.project":             "shop",
		"com.docker.compose.project.working_dir": "/src",
		"com.docker.compose.service":             "web",
		"com.docker.compose.container-number":    "1",
		"com.docker.compose.oneoff":              "False",
		"com.docker.compose.version":             state.ComposeVersion,
		"com.docker.compose.config-hash":         s.ComposeHash,
		"com.docker.compose.depends_on":          "db:service_healthy:true",
		"io.stackctl.hash":                       s.Hash,
	}
	delete(c.Labels, state.LabelConfigFiles) // depends on how the text was given
	if diff := cmp.Diff(want, c.Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	if c.Name != "shop-web-1" || d.Networks[0].Name != "shop_default" || d.Networks[1].Name != "shop_front" || d.Volumes[0].Name != "shop_data" {
		t.Errorf("names: %s, %s, %s, %s", c.Name, d.Networks[0].Name, d.Networks[1].Name, d.Volumes[0].Name)
	}
	if diff := cmp.Diff([]string{"web", "shop-web-1"}, c.Networks[0].Aliases); diff != "" {
		t.Errorf("aliases (-want +got):\n%s", diff)
	}
	if _, hashed := d.Volumes[0].Labels["com.docker.compose.config-hash"]; hashed {
		t.Error("the volume has a hash, with which Compose could delete its data")
	}
}

// The hash of a definition is pinned: an upgrade of compose-go or of stackctl
// that changed it would recreate every container of every user. Change the
// version in front of it with its rules.
// The hash is what `docker-compose config --hash web` of release 5.6 prints, in /src.
func TestComposeHashIsThatOfCompose(t *testing.T) {
	d := flatten(t, web)
	s, _ := d.Service("web")
	const want = "24b957e5ae90c3afea66861b13cb0fb77979a9dafca33c8afc8204b94dd68710"
	if s.ComposeHash != want {
		t.Errorf("hash %s, want %s", s.ComposeHash, want)
	}
}

func TestServiceHashIsPinned(t *testing.T) {
	d := flatten(t, web)
	s, _ := d.Service("web")
	const want = "v2:41aa2954b63b2a1ccec380c68aeaa88de59c04c69b74f99057c01e400f8b5453"
	if s.Hash != want {
		t.Errorf("hash %s, want %s", s.Hash, want)
	}
}

// What changes what a container runs changes its hash, and nothing else does.
func TestServiceHash(t *testing.T) {
	hash := func(t *testing.T, replace ...string) string {
		t.Helper()
		text := strings.NewReplacer(replace...).Replace(web)
		if len(replace) > 0 && text == web {
			t.Fatalf("%q is not in the text", replace[0])
		}
		d := flatten(t, text)
		s, _ := d.Service("web")
		return s.Hash
	}
	base := hash(t)
	for name, replace := range map[string][]string{
		"image":            {"image: nginx", "image: nginx:2"},
		"command":          {"daemon off", "daemon on"},
		"variable":         {"LEVEL: info", "LEVEL: debug"},
		"variable gone":    {`, EMPTY: ""`, ""},
		"port":             {"8080:80", "8081:80"},
		"host address":     {"127.0.0.1:8080", "8080"},
		"mount":            {"data:/data", "data:/var"},
		"volume's name":    {"volumes: {data: {}}", "volumes: {data: {name: other}}"},
		"probe":            {"localhost]", "127.0.0.1]"},
		"interval":         {"interval: 10s", "interval: 11s"},
		"user":             {"image: nginx", "image: nginx\n    user: nobody"},
		"address":          {"networks: [front]", "networks: {front: {aliases: [www]}}"},
		"deploy resources": {"image: nginx", "image: nginx\n    deploy: {resources: {limits: {memory: 64m}}}"},
	} {
		t.Run("changes: "+name, func(t *testing.T) {
			if hash(t, replace...) == base {
				t.Error("the hash is the same")
			}
		})
	}
	for name, replace := range map[string][]string{
		"dependency":      {", restart: true", ""},
		"build":           {"image: nginx", "image: nginx\n    build: ."},
		"replicas":        {"image: nginx", "image: nginx\n    deploy: {replicas: 3}"},
		"scale":           {"image: nginx", "image: nginx\n    scale: 2"},
		"pull policy":     {"image: nginx", "image: nginx\n    pull_policy: always"},
		"profile":         {"image: nginx", "image: nginx\n    profiles: []"},
		"long port":       {`"127.0.0.1:8080:80"`, `{host_ip: 127.0.0.1, published: "8080", target: 80, protocol: tcp}`},
		"long mount":      {"data:/data", "{type: volume, source: data, target: /data}"},
		"network's form":  {"networks: [front]", "networks: {front: {}}"},
		"order of keys":   {"LEVEL: info, EMPTY: \"\"", "EMPTY: \"\", LEVEL: info"},
		"an extension":    {"image: nginx", "image: nginx\n    x-note: hello"},
		"a list for mapp": {"environment: {LEVEL: info, EMPTY: \"\"}", "environment: [LEVEL=info, EMPTY=]"},
	} {
		t.Run("does not change: "+name, func(t *testing.T) {
			if hash(t, replace...) != base {
				t.Error("the hash is another")
			}
		})
	}
}

// The digest of a secret is another one in each project and under each name, and one
// of a release before is still known.
func TestDigestsOfSecrets(t *testing.T) {
	of := func(project, secret, content string) state.File {
		t.Helper()
		text := "services: {a: {image: a, secrets: [" + secret + "]}}\nsecrets: {" + secret + ": {environment: TOKEN}}"
		p := projecttest.Load(t, "/src", text, types.Mapping{"TOKEN": content})
		p.Name = project
		d, err := state.Flatten(p)
		if err != nil {
			t.Fatal(err)
		}
		return d.Services[0].Containers[0].Files[0]
	}
	one := of("one", "token", "canary")
	for _, other := range []state.File{of("two", "token", "canary"), of("one", "key", "canary"), of("one", "token", "canari")} {
		if other.Digest == one.Digest || one.HasDigest(other.Digest) {
			t.Errorf("%+v has the digest of another secret", other)
		}
	}
	before := "e100fbce008c" // by releases that digested secrets as they do configs
	for _, form := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(form, []state.File{one}); strings.Contains(text, "canary") {
			t.Errorf("%s shows the secret: %s", form, text)
		}
	}
	if !one.HasDigest(one.Digest) || !one.HasDigest(before) || one.HasDigest("e100fbce008d") || one.HasDigest("") {
		t.Errorf("%+v does not know its digests", one)
	}
}

// Secrets and configs come as files; their content counts in the hash, and is in
// no label.
func TestFlattenFiles(t *testing.T) {
	d := flatten(t, `
services:
  web:
    image: nginx
    secrets: [token, {source: cert, target: /etc/cert.pem, mode: 0440}]
    configs: [{source: conf, target: /etc/conf}]
secrets: {token: {environment: TOKEN}, cert: {file: ./cert.pem}}
configs: {conf: {content: "a=b"}}
`)
	c := d.Services[0].Containers[0]
	mode := types.FileMode(0o440)
	want := []state.File{
		{Content: "a=b", Target: "/etc/conf", Digest: "42144f3939c3"},
		{Content: "canary", Target: "/run/secrets/token", Digest: "s1-f6f2304b6ea11afd91"},
		{Source: "/src/cert.pem", Target: "/etc/cert.pem", Mode: &mode},
	}
	if diff := cmp.Diff(want, c.Files); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if got, want := c.Labels[state.LabelFiles], "/etc/conf=42144f3939c3,/run/secrets/token=s1-f6f2304b6ea11afd91"; got != want {
		t.Errorf("label %s: %s, want %s", state.LabelFiles, got, want)
	}
	for key, value := range c.Labels {
		if strings.Contains(value, "canary") {
			t.Errorf("label %s holds a secret", key)
		}
	}
}

func TestFlattenExternalSecret(t *testing.T) {
	_, err := state.Flatten(load(t, `
services: {web: {image: nginx, secrets: [token]}}
secrets: {token: {external: true}}
`))
	const want = `service web: secret "token" is external: one engine without swarm has no store for it; give it a file, an environment variable or content`
	if err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

// The label orders a `down`, so it names only what the project runs.
func TestDependsOnLabelLeavesAbsentOut(t *testing.T) {
	d := flatten(t, `
name: shop
services:
  web:
    image: nginx
    depends_on:
      db: {condition: service_started}
      tracing: {condition: service_started, required: false}
  db: {image: postgres}
  tracing: {image: jaeger, profiles: [debug]}
`)
	s, _ := d.Service("web")
	if got := s.Containers[0].Labels[state.LabelDependsOn]; got != "db:service_started:false" {
		t.Errorf("label %q", got)
	}
}

func TestParseDependsOn(t *testing.T) {
	want := []state.Dependency{
		{Service: "db", Condition: "service_healthy", Restart: true, Required: true},
		{Service: "cache", Condition: "service_started", Required: true},
		{Service: "old", Condition: "service_started", Required: true},
	}
	got := state.ParseDependsOn("db:service_healthy:true,cache:service_started:false,old,,")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A label may come from an image, which has those of the container that it was made
// of: what the container does not have itself is not its own to remove.
func TestCarriedVolumesAreMounted(t *testing.T) {
	own, other := strings.Repeat("a", 64), strings.Repeat("b", 64)
	c := state.ContainerFromLabels(state.Container{Mounts: []state.Mount{
		{Type: "volume", Name: own, Target: "/a"}, {Type: "volume", Name: "named", Target: "/b"},
	}}, map[string]string{state.LabelCarried: strings.Join([]string{own, other, "named", "elsewhere"}, ",")})
	if diff := cmp.Diff([]string{own}, c.Carried); diff != "" {
		t.Errorf("carried (-want +got):\n%s", diff)
	}
}
