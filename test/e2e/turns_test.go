//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackctl/stackctl/pkg/runner"
	"github.com/stackctl/stackctl/pkg/spec"
)

// turnsFile has something of each group of fields, in what every release of
// Compose that takes turns here can do.
const turnsFile = `
services:
  web:
    image: alpine:latest
    command: [sleep, "600"]
    environment: {LEVEL: info, EMPTY: "", TAKEN}
    env_file: [./more.env]
    labels: {mine: "yes"}
    user: "1000"
    ports: ["127.0.0.1:0:80", "81/udp"]
    expose: ["9000"]
    volumes: [data:/data, ./made:/made:ro, /anonymous, {type: tmpfs, target: /scratch, tmpfs: {size: 1m}}]
    tmpfs: [/run]
    networks: {back: {aliases: [app]}, default: {}}
    healthcheck: {test: "true", interval: 1s, timeout: 3s, retries: 4}
    configs: [{source: text, target: /etc/text}]
    secrets: [file]
    restart: unless-stopped
    init: true
    cap_add: [NET_ADMIN]
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
    ulimits: {nofile: {soft: 100, hard: 200}}
    sysctls: {net.core.somaxconn: "1024"}
    shm_size: 32m
    mem_limit: 64m
    cpus: 0.1
    extra_hosts: ["other:10.0.0.1"]
    dns: [10.0.0.2]
    logging: {driver: json-file, options: {max-size: 1m}}
    stop_signal: SIGKILL
    stop_grace_period: 3s
    depends_on: {cache: {condition: service_healthy, restart: true}}
  cache:
    image: redis:7-alpine
    healthcheck: {test: [CMD, redis-cli, ping], interval: 1s}
    deploy: {resources: {limits: {memory: 128m}, reservations: {memory: 32m}}, restart_policy: {condition: on-failure}}
    read_only: true
  plain:
    image: alpine:latest
    entrypoint: [sleep]
    command: ["600"]
    network_mode: none
    stop_signal: SIGKILL
    scale: 2
networks: {back: {}}
volumes: {data: {}}
configs: {text: {content: hello}}
secrets: {file: {file: ./more.env}}
`

// turns is a stage with a compose file that several tools bring up.
type turns struct {
	*stage
	file string
}

func newTurns(t *testing.T) *turns {
	t.Helper()
	s := newStage(t)
	s.env = append(s.env, "TAKEN=from outside")
	file := filepath.Join(s.dir, "compose.yaml")
	for name, text := range map[string]string{file: turnsFile, filepath.Join(s.dir, "more.env"): "MORE=1\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return &turns{s, file}
}

// ours brings the file up with stackctl.
func (s *turns) ours() {
	s.t.Helper()
	env := map[string]string{}
	for _, setting := range s.env {
		name, value, _ := strings.Cut(setting, "=")
		env[name] = value
	}
	p, err := spec.Load(s.t.Context(), spec.LoadOptions{Files: []string{s.file}, Name: s.project, Env: env})
	if err != nil {
		s.t.Fatal(err)
	}
	report, err := s.runner.Up(s.t.Context(), p, runner.UpOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Logf("stackctl up:\n%s", report.Plan)
}

// theirs brings the file up with the Docker Compose that a variable names.
func (s *turns) theirs(variable string) {
	s.t.Helper()
	compose := os.Getenv(variable)
	if compose == "" {
		s.t.Fatalf("%s has to name a Docker Compose: test/engine/compose.sh and compose-same.sh give one", variable)
	}
	if r := s.exec(compose, "-p", s.project, "-f", s.file, "up", "-d", "--wait"); r.code != 0 {
		s.t.Fatalf("%s: up: exit code %d", compose, r.code)
	}
}

// now gives the run of each container, by name.
func (s *turns) now() map[string]run {
	s.t.Helper()
	all, err := s.engine.Containers(s.t.Context(), s.project)
	if err != nil {
		s.t.Fatal(err)
	}
	out := map[string]run{}
	for _, c := range all {
		look, err := s.engine.Inspect(s.t.Context(), c.ID)
		if err != nil {
			s.t.Fatal(err)
		}
		out[c.Name] = run{look.ID, look.StartedAt}
	}
	if len(out) != 4 {
		s.t.Fatalf("%d containers: %v", len(out), out)
	}
	return out
}

// keeps runs a step and wants every container to go on running.
func (s *turns) keeps(who string, step func()) {
	s.t.Helper()
	before := s.now()
	step()
	if diff := cmp.Diff(before, s.now()); diff != "" {
		s.t.Errorf("%s changed containers (-before +after):\n%s", who, diff)
	}
}

// stackctl keeps what an older Docker Compose made, whose hashes are others.
func TestTurnsAfterOlderCompose(t *testing.T) {
	s := newTurns(t)
	s.theirs("COMPOSE")
	s.keeps("stackctl", s.ours)
	s.keeps("Compose", func() { s.theirs("COMPOSE") })
	s.keeps("stackctl", s.ours)
}

// An older Docker Compose may replace once what stackctl made, for it knows one
// hash only; stackctl keeps what it made of it.
func TestTurnsBeforeOlderCompose(t *testing.T) {
	s := newTurns(t)
	s.ours()
	s.keeps("stackctl", s.ours)
	s.theirs("COMPOSE")
	s.keeps("stackctl", s.ours)
}

// With the compose-go of this project, neither replaces what the other made.
func TestTurnsWithSameCompose(t *testing.T) {
	t.Run("stackctl first", func(t *testing.T) {
		s := newTurns(t)
		const variable = "COMPOSE_SAME"
		s.ours()
		s.keeps("Compose", func() { s.theirs(variable) })
		s.keeps("stackctl", s.ours)
	})
	t.Run("Compose first", func(t *testing.T) {
		s := newTurns(t)
		const variable = "COMPOSE_SAME"
		s.theirs(variable)
		s.keeps("stackctl", s.ours)
		s.keeps("Compose", func() { s.theirs(variable) })
	})
}

// A change is carried out by whoever comes next, and only where it is.
func TestTurnsWithAChange(t *testing.T) {
	s := newTurns(t)
	s.theirs("COMPOSE")
	before := s.now()
	changed := strings.Replace(turnsFile, "LEVEL: info", "LEVEL: debug", 1)
	if err := os.WriteFile(s.file, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	s.ours()
	after := s.now()
	for name := range before {
		web := strings.HasSuffix(name, "-web-1")
		if kept := before[name] == after[name]; kept == web {
			t.Errorf("%s: kept is %t", name, kept)
		}
	}
}
