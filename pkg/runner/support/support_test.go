package support_test

import (
	"errors"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/google/go-cmp/cmp"

	"github.com/stackctl/stackctl/pkg/runner/internal/projecttest"
	"github.com/stackctl/stackctl/pkg/runner/support"
)

var update = flag.Bool("update", false, "write docs/compose-support.md anew")

func load(t *testing.T, text string, profiles ...string) *types.Project {
	t.Helper()
	p, err := projecttest.Load(t, t.TempDir(), text, types.Mapping{"TOKEN": "t"}).WithProfiles(profiles)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// problems gives the paths that an error names.
func problems(t *testing.T, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	var refused *support.Error
	if !errors.As(err, &refused) {
		t.Fatalf("error is %T: %v", err, err)
	}
	var out []string
	for _, p := range refused.Problems {
		if p.Why == "" || !strings.Contains(err.Error(), p.Path+" is not supported: "+p.Why) {
			t.Errorf("%s: the error does not say why: %v", p.Path, err)
		}
		out = append(out, p.Path)
	}
	return out
}

// ignored gives the paths that warnings name.
func ignored(t *testing.T, warnings []support.Warning) []string {
	t.Helper()
	var out []string
	for _, w := range warnings {
		if w.Why == "" || w.String() != w.Path+" is ignored: "+w.Why {
			t.Errorf("warning %q does not say why", w)
		}
		out = append(out, w.Path)
	}
	return out
}

func TestCheck(t *testing.T) {
	for _, test := range []struct {
		name, text string
		// api is the engine's; empty is one that knows everything.
		api              string
		refused, ignored []string
	}{
		{
			name: "nothing special",
			text: "services: {web: {image: app, ports: ['80:80'], x-note: {any: thing}, develop: {watch: [{path: ., action: rebuild}]}}}\nx-top: 1",
		},
		{
			name: "everything refused at once",
			text: `
services:
  web:
    image: app
    umask: "022"
    uts: service:db
    credential_spec: {config: cred}
    pre_start: [{command: [init]}]
    models: [llm]
    volumes: [{type: cluster, source: c, target: /c}]
    secrets: [outside]
  db: {image: app}
  ext: {provider: {type: cloud}}
models: {llm: {model: ai/small}}
volumes: {c: {}}
secrets: {outside: {external: true}, unused: {external: true}}`,
			refused: []string{
				"secrets.outside.external", "services.ext.provider", "services.web.credential_spec.config",
				"services.web.models", "services.web.pre_start", "services.web.umask", "services.web.uts",
				"services.web.volumes[0].type",
			},
		},
		{
			name:    "jobs",
			text:    "services: {web: {image: app}}\njobs: {night: {image: app, triggers: {schedule: [{cron: '0 3 * * *'}]}}}",
			ignored: []string{"jobs"},
		},
		{
			name: "what belongs to a swarm",
			text: `
services:
  web:
    image: app
    deploy:
      mode: global
      endpoint_mode: vip
      labels: {a: b}
      placement: {constraints: [node.role == manager]}
      update_config: {parallelism: 2}
      rollback_config: {order: stop-first}
      restart_policy: {condition: any, delay: 5s, window: 10s, max_attempts: 3}
      resources:
        limits: {cpus: "1", memory: 64m, pids: 5}
        reservations: {cpus: "0.5", memory: 32m, generic_resources: [{discrete_resource_spec: {kind: SSD, value: 1}}]}
    configs: [c]
configs: {c: {content: x, labels: {a: b}}}`,
			ignored: []string{
				"services.web.deploy.endpoint_mode", "services.web.deploy.labels", "services.web.deploy.mode",
				"services.web.deploy.placement",
				"services.web.deploy.resources.reservations.cpus",
				"services.web.deploy.resources.reservations.generic_resources",
				"services.web.deploy.restart_policy.delay", "services.web.deploy.restart_policy.window",
				"services.web.deploy.rollback_config", "services.web.deploy.update_config",
				"configs.c.labels",
			},
		},
		{
			name: "replicas, and a port of any mode",
			text: "services: {web: {image: app, ports: [{target: 80, mode: host, name: site, app_protocol: http}], deploy: {mode: replicated, replicas: 2}}}",
		},
		{
			name:    "pulls that look at the time",
			text:    "services: {a: {image: app, pull_policy: daily}, b: {image: app, pull_policy: every_12h, pull_refresh_after: 1h}}",
			ignored: []string{"services.b.pull_refresh_after"},
		},
		{
			name: "an old engine",
			api:  "1.41",
			text: `
services:
  web:
    image: app
    annotations: {a: b}
    healthcheck: {test: x, start_period: 5s, start_interval: 1s}
    networks: {front: {gw_priority: 1, interface_name: eth7, mac_address: "02:42:00:00:00:01"}, back: {mac_address: "02:42:00:00:00:02"}}
    volumes:
      - {type: volume, source: v, target: /v, volume: {subpath: a}}
      - {type: image, source: app, target: /i}
      - {type: bind, source: /b, target: /b, read_only: true, bind: {recursive: readonly}}
      - {type: bind, source: /c, target: /c, read_only: true, bind: {recursive: writable}}
networks: {front: {enable_ipv4: false}, back: {enable_ipv4: true}}
volumes: {v: {}}`,
			refused: []string{
				"networks.front.enable_ipv4", "services.web.annotations",
				"services.web.networks.front.gw_priority", "services.web.networks.front.interface_name",
				"services.web.networks.front.mac_address", "services.web.volumes[0].volume.subpath", "services.web.volumes[1].type",
				"services.web.volumes[2].bind.recursive",
			},
		},
		{
			name: "the same on a new one",
			api:  "1.51",
			text: `
services:
  web:
    image: app
    annotations: {a: b}
    networks: {front: {gw_priority: 1, interface_name: eth7}}
    volumes: [{type: image, source: app, target: /i}]
networks: {front: {enable_ipv4: false}}`,
		},
		{
			name: "mounts that contradict themselves",
			text: `
services:
  web:
    image: app
    volumes:
      - {type: bind, source: /b, target: /b, bind: {selinux: z, create_host_path: false}}
      - {type: tmpfs, target: /t, volume: {nocopy: true}}`,
			refused: []string{"services.web.volumes[0].bind.selinux"},
			ignored: []string{"services.web.volumes[1].volume"},
		},
		{
			name: "files that cannot be written",
			text: `
services:
  web:
    image: app
    read_only: true
    healthcheck: {test: x, start_interval: 1s}
    configs: [typed, mounted, {source: typed, target: /etc/typed}, {source: mounted, target: /owned, uid: "5"}]
    secrets: [{source: s, uid: www-data, gid: "5"}]
configs: {typed: {content: x}, mounted: {file: ./x}}
secrets: {s: {environment: TOKEN}}`,
			refused: []string{
				"services.web.configs[0].target", "services.web.configs[3].target",
				"services.web.healthcheck.start_interval", "services.web.secrets[0].uid",
			},
		},
		{
			name: "a build counts only when something is built",
			text: "services: {web: {build: {context: ., privileged: true}}}",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			warnings, err := support.Check(load(t, test.text), test.api)
			if diff := cmp.Diff(test.refused, problems(t, err)); diff != "" {
				t.Errorf("refused (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.ignored, ignored(t, warnings)); diff != "" {
				t.Errorf("ignored (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCheckBuild(t *testing.T) {
	for _, test := range []struct {
		name, build, api string
		refused, ignored []string
	}{
		{name: "plain", build: "{context: ., args: {A: b}, target: x, tags: [y], no_cache: true, shm_size: 1m, ulimits: {nproc: 5}, secrets: [s], provenance: false}"},
		{
			name: "what the API's build cannot do", build: "{context: ., privileged: true, entitlements: [security.insecure], network: back, additional_contexts: {a: /b}, ssh: [default]}",
			refused: []string{
				"services.web.build.additional_contexts", "services.web.build.entitlements",
				"services.web.build.network", "services.web.build.privileged",
			},
		},
		{name: "several platforms", build: "{context: ., platforms: [linux/amd64, linux/arm64]}", refused: []string{"services.web.build.platforms"}},
		{
			name: "attestations and caches elsewhere", build: "{context: ., provenance: mode=max, sbom: true, cache_to: ['type=local,dest=/c'], cache_from: [app, 'type=gha'], secrets: [{source: s, target: id, mode: 0400}]}",
			ignored: []string{
				"services.web.build.cache_from", "services.web.build.cache_to", "services.web.build.provenance",
				"services.web.build.sbom", "services.web.build.secrets[0].mode",
			},
		},
		{name: "caches in images", build: "{context: ., cache_to: ['type=inline'], cache_from: [app, 'type=registry,ref=other']}"},
		{
			name: "an old engine", build: "{context: ., shm_size: 1m, ulimits: {nproc: 5}}", api: "1.41",
			refused: []string{"services.web.build.shm_size", "services.web.build.ulimits"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := load(t, "services: {web: {build: "+test.build+"}}\nsecrets: {s: {environment: TOKEN}}")
			warnings, err := support.CheckBuild(p.Services["web"], test.api)
			if diff := cmp.Diff(test.refused, problems(t, err)); diff != "" {
				t.Errorf("refused (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.ignored, ignored(t, warnings)); diff != "" {
				t.Errorf("ignored (-want +got):\n%s", diff)
			}
		})
	}
}

// A field that no table has, such as one that compose-go gains, is refused.
func TestUnknownFieldIsRefused(t *testing.T) {
	p := load(t, "services: {web: {image: app}}")
	service := p.Services["web"]
	service.Net = "bridge" // in compose-go's types, but not in the specification
	p.Services["web"] = service
	_, err := support.Check(p, "")
	if diff := cmp.Diff([]string{"services.web.net"}, problems(t, err)); diff != "" {
		t.Error(diff)
	}
}

// Loading turns short forms into long ones. Each that comes out has its place in
// the table: none is taken for a field that is not known.
func TestEveryFieldOfALoadedProjectIsKnown(t *testing.T) {
	text, err := os.ReadFile("testdata/every-field.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p := load(t, string(text), "all")
	warnings, err := support.Check(p, "1.51")
	if err != nil {
		t.Error(err)
	}
	more, err := support.CheckBuild(p.Services["web"], "1.51")
	if err != nil {
		t.Error(err)
	}
	want := []string{
		"services.web.deploy.endpoint_mode", "services.web.deploy.labels", "services.web.deploy.placement",
		"services.web.deploy.resources.reservations.cpus", "services.web.deploy.resources.reservations.generic_resources",
		"services.web.deploy.restart_policy.delay", "services.web.deploy.restart_policy.window",
		"services.web.deploy.rollback_config", "services.web.deploy.update_config", "services.web.pull_refresh_after",
		"configs.c.labels", "secrets.s.labels",
		"services.web.build.provenance", "services.web.build.sbom", "services.web.build.secrets[0].gid",
		"services.web.build.secrets[0].mode", "services.web.build.secrets[0].uid",
	}
	if diff := cmp.Diff(want, ignored(t, append(warnings, more...))); diff != "" {
		t.Errorf("ignored (-want +got):\n%s", diff)
	}
}
