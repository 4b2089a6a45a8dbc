package spec

// WebStackOptions are the choices of WebStack; the zero value is the built-in
// stack as it is documented.
type WebStackOptions struct {
	// Context is the directory of the app's source, the one that holds go.mod,
	// relative to the compose file. Empty: ".".
	Context string
}

// WebStack returns the built-in stack: a web app in Go with PostgreSQL and
// Redis. The variables WEBAPP_PORT, POSTGRES_PORT, REDIS_PORT, POSTGRES_DB,
// POSTGRES_USER, POSTGRES_PASSWORD, WEBAPP_MEMORY, POSTGRES_MEMORY and REDIS_MEMORY
// feed it; only the password has no default. The password reaches the containers as a
// file.
func WebStack(opts WebStackOptions) *Stack {
	backend := &Network{Name: "backend-network", Driver: "bridge"}

	database := NewPostgres("database", PostgresOptions{
		Database: FromEnvOr("POSTGRES_DB", "myapp"),
		Volume:   &Volume{Name: "postgres-storage"},
		Networks: []*Network{backend},

		PasswordSecret: &Secret{Name: "postgres-password", Variable: "POSTGRES_PASSWORD"},
	})
	cache := NewRedis("cache", RedisOptions{
		Volume:   &Volume{Name: "redis-storage"},
		Networks: []*Network{backend},
	})
	webapp := NewGoApp("webapp", GoAppOptions{
		Build: Build{
			Context:    Literal(opts.Context),
			Dockerfile: "webapp/Dockerfile",
			GoPackage:  "./webapp",
		},
		Port:          FromEnvOr("WEBAPP_PORT", "5003"),
		ContainerPort: 5000,
		Environment:   MergeEnv(database.EnvFor(), cache.EnvFor()),
		Secrets:       database.SecretMounts(),
		Memory:        FromEnvOr("WEBAPP_MEMORY", "512m"),
		DependsOn:     []Dependency{Healthy(database), Healthy(cache)},
		Health:        CmdTest("/webapp", "healthcheck"),
		Networks:      []*Network{backend},
	})
	return New("multi-service-app", database, cache, webapp, backend)
}
