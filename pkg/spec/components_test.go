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
		"POSTGRES_HOST": "db", "POSTGRES_DB": "d", "POSTGRES_USER": "u", "POSTGRES_PASSWORD": spec.FromEnv("PW"),
	})
	diff(t, db.EnvFor("ORDERS", "DB"), spec.Env{
		"ORDERS_DB_HOST": "db", "ORDERS_DB_DB": "d", "ORDERS_DB_USER": "u", "ORDERS_DB_PASSWORD": spec.FromEnv("PW"),
	})
	diff(t, cache.EnvFor("QUEUE"), spec.Env{"QUEUE_HOST": "cache"})
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
