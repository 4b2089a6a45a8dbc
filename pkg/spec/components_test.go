package spec_test

import (
	"testing"

	"github.com/stackctl/stackctl/pkg/spec"
)

func TestComponentsHandOutHowToReachThem(t *testing.T) {
	db := spec.NewPostgres("db", spec.PostgresOptions{Database: "d", User: "u", Password: spec.FromEnv("PW"), Port: "1"})
	cache := spec.NewRedis("cache", spec.RedisOptions{Port: "2"})
	app := spec.NewGoApp("app", spec.GoAppOptions{Port: "3", ContainerPort: 5000})

	diff(t, []string{db.Host().String(), db.Port().String(), db.URL().String()},
		[]string{"db", "5432", "postgres://u:${PW}@db:5432/d?sslmode=disable"})
	diff(t, []string{cache.Host().String(), cache.Port().String(), cache.URL().String()},
		[]string{"cache", "6379", "redis://cache:6379/0"})
	diff(t, []string{app.Host().String(), app.Port().String(), app.URL().String()},
		[]string{"app", "5000", "http://app:5000"})

	diff(t, db.EnvFor(), spec.Env{
		"POSTGRES_HOST": "db", "POSTGRES_DB": "d", "POSTGRES_USER": "u",
		"POSTGRES_PASSWORD_FILE": "/run/secrets/db-password",
	})
	diff(t, db.EnvFor("ORDERS", "DB"), spec.Env{
		"ORDERS_DB_HOST": "db", "ORDERS_DB_DB": "d", "ORDERS_DB_USER": "u",
		"ORDERS_DB_PASSWORD_FILE": "/run/secrets/db-password",
	})
	diff(t, cache.EnvFor("QUEUE"), spec.Env{"QUEUE_HOST": "cache"})
}

// A password that is one variable, or a secret, is in no environment: neither the
// server's nor a client's. Only a text of another form has no other place.
func TestPostgresKeepsItsPasswordInAFile(t *testing.T) {
	own := &spec.Secret{Name: "own", File: "./password"}
	file := spec.Env{"POSTGRES_PASSWORD_FILE": "/run/secrets/db-password"}
	for name, c := range map[string]struct {
		options  spec.PostgresOptions
		secret   *spec.Secret
		env      spec.Env
		password spec.Value
	}{
		"by default": {
			secret: &spec.Secret{Name: "db-password", Variable: "POSTGRES_PASSWORD"}, env: file,
			password: spec.RequiredEnv("POSTGRES_PASSWORD", "set it in the environment or in .env"),
		},
		"a variable": {
			options: spec.PostgresOptions{Password: spec.FromEnv("PW")},
			secret:  &spec.Secret{Name: "db-password", Variable: "PW"}, env: file, password: spec.FromEnv("PW"),
		},
		"a required variable": {
			options: spec.PostgresOptions{Password: spec.RequiredEnv("PW", "choose one")},
			secret:  &spec.Secret{Name: "db-password", Variable: "PW"}, env: file, password: spec.RequiredEnv("PW", "choose one"),
		},
		"a secret of a file": {
			options: spec.PostgresOptions{PasswordSecret: own},
			secret:  own, env: spec.Env{"POSTGRES_PASSWORD_FILE": "/run/secrets/own"},
		},
		"a variable with a default": {
			options:  spec.PostgresOptions{Password: spec.FromEnvOr("PW", "x")},
			env:      spec.Env{"POSTGRES_PASSWORD": spec.FromEnvOr("PW", "x")},
			password: spec.FromEnvOr("PW", "x"),
		},
		"a part of a text": {
			options:  spec.PostgresOptions{Password: "a" + spec.FromEnv("PW") + spec.FromEnv("B")},
			env:      spec.Env{"POSTGRES_PASSWORD": "a" + spec.FromEnv("PW") + spec.FromEnv("B")},
			password: "a" + spec.FromEnv("PW") + spec.FromEnv("B"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			c.options.Database, c.options.User = "d", "u"
			db := spec.NewPostgres("db", c.options)
			diff(t, db.Secret, c.secret)
			diff(t, db.Password, c.password)
			diff(t, db.Environment, spec.MergeEnv(c.env, spec.Env{"POSTGRES_DB": "d", "POSTGRES_USER": "u"}))
			diff(t, db.EnvFor(), spec.MergeEnv(db.Environment, spec.Env{"POSTGRES_HOST": "db"}))
			diff(t, db.SecretMounts(), db.Secrets)
			diff(t, len(db.Secrets) == 1, c.secret != nil)
			diff(t, spec.New("a", db).Validate(), nil)
		})
	}
}

// What EnvFor names and SecretMounts gives belongs together.
func TestPasswordFileThatIsNotMounted(t *testing.T) {
	db := spec.NewPostgres("db", spec.PostgresOptions{})
	app := &spec.Service{Name: "app", Image: "app", Environment: db.EnvFor()}
	stack := spec.New("a", db, app)
	diff(t, faults(t, stack.Validate()), []string{
		`services.app.environment.POSTGRES_PASSWORD_FILE: names the file of the secret "db-password", which the service does not have` +
			" — add it to the service's Secrets: what gives EnvFor gives SecretMounts",
	})
	app.Secrets = db.SecretMounts()
	diff(t, stack.Validate(), nil)
	app.Secrets, app.Mounts = nil, []spec.Mount{spec.Bind("./secrets", "/run/secrets")}
	diff(t, stack.Validate(), nil)
}

// No component has more rights than it needs.
func TestComponentsAreLockedDown(t *testing.T) {
	for name, s := range map[string]*spec.Service{
		"postgres": spec.NewPostgres("db", spec.PostgresOptions{}).Service,
		"redis":    spec.NewRedis("cache", spec.RedisOptions{}).Service,
		"app":      spec.NewGoApp("app", spec.GoAppOptions{}).Service,
	} {
		t.Run(name, func(t *testing.T) {
			diff(t, []any{s.ReadOnly, s.CapDrop, s.CapAdd, s.SecurityOpt},
				[]any{true, []string{"ALL"}, []string(nil), []string{"no-new-privileges:true"}})
			if s.User == "" || s.MemLimit == "" || s.PidsLimit == 0 {
				t.Errorf("user %q, memory %q, processes %d", s.User, s.MemLimit, s.PidsLimit)
			}
		})
	}
}

// Only the app is reachable from other machines, and nothing without asking.
func TestComponentsPublishOnTheLoopback(t *testing.T) {
	address := func(s *spec.Service) string { return string(s.Ports[0].HostIP) }
	diff(t, address(spec.NewPostgres("db", spec.PostgresOptions{}).Service), spec.Loopback)
	diff(t, address(spec.NewRedis("cache", spec.RedisOptions{}).Service), spec.Loopback)
	diff(t, address(spec.NewPostgres("db", spec.PostgresOptions{HostIP: "0.0.0.0"}).Service), "0.0.0.0")
	diff(t, address(spec.NewGoApp("app", spec.GoAppOptions{}).Service), "")
}

// What a caller passes in is not shared with, or changed by, the component.
func TestComponentsDoNotKeepTheirOptions(t *testing.T) {
	networks := []*spec.Network{{Name: "a"}}
	env := spec.Env{"A": "1"}
	app := spec.NewGoApp("app", spec.GoAppOptions{Networks: networks, Environment: env})
	app.Networks[0] = &spec.Network{Name: "b"}
	app.Environment["B"] = "2"
	diff(t, networks[0].Name, "a")
	diff(t, env, spec.Env{"A": "1"})
}
