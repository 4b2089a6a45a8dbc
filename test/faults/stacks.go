package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stackctl/stackctl/pkg/spec"
)

// variant is which form of a stack is wanted.
type variant struct {
	// Generation is in the environment of some services: another one replaces their
	// containers.
	Generation string
	// Replicas is how many containers the service has that is scaled.
	Replicas int
	// Broken lets some services end at once, and changes no other.
	Broken bool
}

// place is where a stack is on an engine: what no other worker has.
type place struct {
	Project string
	// Dir is where relative paths start.
	Dir string
	// Source is the folder of the module, where the app is built from.
	Source string
	// Image is the app's, one for all workers: only the first has to build it.
	Image string
	// Port is the first of ten host ports.
	Port int
}

// stack is one that faults are tried on.
type stack struct {
	name string
	// load makes the project of a variant.
	load func(ctx context.Context, at place, v variant) (*types.Project, error)
	// data are the folders that are volumes, as service and path; files are those that
	// services get as configs and secrets.
	data, files [][2]string
	// app is the service whose published port takes rows; empty for none.
	app string
}

var stacks = []stack{
	{name: "ten", load: loadTen, data: [][2]string{{"db", "/data"}, {"cache", "/cache"}, {"mail", "/spool"}}, files: [][2]string{{"api", "/settings"}, {"api", "/run/secrets/key"}}},
	{name: "builtin", load: loadBuiltin, data: [][2]string{{"database", "/var/lib/postgresql/data"}, {"cache", "/data"}}, app: "webapp"},
}

func stackNamed(name string) (stack, error) {
	for _, s := range stacks {
		if s.name == name {
			return s, nil
		}
	}
	return stack{}, fmt.Errorf("no stack is called %q; there are ten and builtin", name)
}

// ten are ten services that cost little and have a bit of everything: both kinds of
// probing (the engine's own with start_interval, and ours), conditions, a job, two
// networks, volumes with and without a name, a config, a secret, a port.
const ten = `
x-service: &service
  image: alpine
  stop_signal: SIGKILL
  command: [sleep, "86400"]
services:
  db:
    <<: *service
    volumes: ["data:/data"]
    networks: [back]
    environment: {GENERATION: "${GENERATION}"}
    healthcheck: {test: [CMD, test, -d, /data], interval: 30s, start_period: 30s, start_interval: 200ms}
  cache:
    <<: *service
    volumes: ["cached:/cache"]
    networks: [back]
    healthcheck: {test: [CMD, test, -d, /cache], interval: 30s}
  queue:
    <<: *service
    networks: [back]
  migrate:
    <<: *service
    command: ["true"]
    networks: [back]
    depends_on: {db: {condition: service_healthy}}
  api:
    <<: *service
    command: [sh, -c, "${API}"]
    networks: [front, back]
    environment: {GENERATION: "${GENERATION}"}
    configs: [settings]
    secrets: [key]
    depends_on:
      db: {condition: service_healthy, restart: true}
      cache: {condition: service_healthy}
      migrate: {condition: service_completed_successfully}
  worker:
    <<: *service
    networks: [back]
    scale: ${REPLICAS}
    depends_on: [queue]
  web:
    <<: *service
    networks: [front]
    environment: {GENERATION: "${GENERATION}"}
    ports: ["127.0.0.1:${PORT}:80"]
    depends_on: [api]
  mail:
    <<: *service
    command: [sh, -c, "${MAIL}"]
    volumes: ["/spool"]
    networks: [back]
    environment: {GENERATION: "${GENERATION}"}
  cron:
    <<: *service
    networks: [back]
  metrics:
    <<: *service
    networks: [front]
networks: {front: {}, back: {}}
volumes: {data: {}, cached: {}}
configs: {settings: {content: "a = 1"}}
secrets: {key: {environment: KEY}}
`

func loadTen(ctx context.Context, at place, v variant) (*types.Project, error) {
	env := map[string]string{
		"GENERATION": v.Generation, "REPLICAS": strconv.Itoa(v.Replicas), "PORT": strconv.Itoa(at.Port),
		"API": "exec sleep 86400", "MAIL": "exec sleep 86400", "KEY": "a secret",
	}
	if v.Broken {
		env["API"], env["MAIL"] = "exit 3", "exit 4"
	}
	return spec.Load(ctx, spec.LoadOptions{Content: []byte(ten), WorkingDir: at.Dir, Name: at.Project, Env: env})
}

func loadBuiltin(ctx context.Context, at place, v variant) (*types.Project, error) {
	port := func(n int) string { return strconv.Itoa(at.Port + n) }
	p, err := spec.WebStack(spec.WebStackOptions{Context: at.Source}).Project(ctx,
		spec.WithName(at.Project), spec.WithWorkingDir(at.Dir),
		spec.WithEnv(map[string]string{
			"WEBAPP_PORT": port(0), "POSTGRES_PORT": port(4), "REDIS_PORT": port(5), "POSTGRES_PASSWORD": "secret",
		}))
	if err != nil {
		return nil, err
	}
	// The stack as it is, but for what makes the variants.
	app, database := p.Services["webapp"], p.Services["database"]
	app.Image = at.Image
	for i := range app.Ports { // room for what it is scaled to
		app.Ports[i].Published = port(0) + "-" + port(3)
	}
	app.Scale = &v.Replicas
	if v.Broken {
		app.Command = types.ShellCommand{"healthcheck"} // of a server that is not there
		app.Restart = types.RestartPolicyNo
	}
	database.Environment["GENERATION"] = &v.Generation
	app.Environment["GENERATION"] = &v.Generation
	p.Services["webapp"], p.Services["database"] = app, database
	return p, nil
}
