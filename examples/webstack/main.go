// Command webstack is the built-in stack as a Go program: a web app with
// PostgreSQL and Redis, made of the components of package spec. Run it in a
// checkout, which the app is built from:
//
//	go run ./examples/webstack > compose.yaml
package main

import "github.com/stackctl/stackctl/pkg/spec"

func main() { spec.Main(stack()) }

func stack() *spec.Stack {
	backend := &spec.Network{Name: "backend-network", Driver: "bridge"}

	database := spec.NewPostgres("database", spec.PostgresOptions{
		Database: spec.FromEnvOr("POSTGRES_DB", "myapp"),
		Volume:   &spec.Volume{Name: "postgres-storage"},
		Networks: []*spec.Network{backend},
		// The password comes from a variable and gets into containers as a file.
		PasswordSecret: &spec.Secret{Name: "postgres-password", Variable: "POSTGRES_PASSWORD"},
	})
	cache := spec.NewRedis("cache", spec.RedisOptions{
		Volume:   &spec.Volume{Name: "redis-storage"},
		Networks: []*spec.Network{backend},
	})
	webapp := spec.NewGoApp("webapp", spec.GoAppOptions{
		Build:         spec.Build{Dockerfile: "webapp/Dockerfile", GoPackage: "./webapp"},
		Port:          spec.FromEnvOr("WEBAPP_PORT", "5003"),
		ContainerPort: 5000,
		// What the components hand out: hosts, names, the path of the password.
		Environment: spec.MergeEnv(database.EnvFor(), cache.EnvFor()),
		Secrets:     database.SecretMounts(),
		Memory:      spec.FromEnvOr("WEBAPP_MEMORY", "512m"),
		DependsOn:   []spec.Dependency{spec.Healthy(database), spec.Healthy(cache)},
		Health:      spec.CmdTest("/webapp", "healthcheck"),
		Networks:    []*spec.Network{backend},
	})
	return spec.New("multi-service-app", database, cache, webapp, backend)
}
