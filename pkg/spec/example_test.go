package spec_test

import (
	"context"
	"fmt"

	"github.com/stackctl/stackctl/pkg/spec"
)

// A stack of an image and a database, as a compose file.
func ExampleStack_Compose() {
	db := spec.NewPostgres("db", spec.PostgresOptions{Database: "shop"})
	app := &spec.Service{
		Name:        "app",
		Image:       "example/app:1.4",
		Environment: spec.MergeEnv(db.EnvFor(), spec.Env{"PRICE_TAG": "$5"}),
		Secrets:     db.SecretMounts(),
		Ports:       []spec.Port{spec.Publish("8080", 80)},
		DependsOn:   []spec.Dependency{spec.Healthy(db)},
	}

	text, err := spec.New("shop", db, app).Compose()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(string(text))
	// Output:
	// name: shop
	//
	// services:
	//   db:
	//     image: postgres:15-alpine
	//     environment:
	//       POSTGRES_DB: shop
	//       POSTGRES_PASSWORD_FILE: /run/secrets/db-password
	//       POSTGRES_USER: ${POSTGRES_USER:-postgres}
	//     ports:
	//       - "127.0.0.1:${POSTGRES_PORT:-5432}:5432"
	//     volumes:
	//       - db-storage:/var/lib/postgresql/data
	//     tmpfs:
	//       - /tmp
	//       - /var/run/postgresql
	//     secrets:
	//       - db-password
	//     healthcheck:
	//       test: ["CMD", "pg_isready", "-h", "127.0.0.1", "-U", "${POSTGRES_USER:-postgres}", "-d", "shop"]
	//       interval: 10s
	//       timeout: 5s
	//       retries: 5
	//       start_period: 30s
	//       start_interval: 250ms
	//     restart: unless-stopped
	//     stop_signal: SIGINT
	//     stop_grace_period: 30s
	//     user: postgres
	//     cap_drop:
	//       - ALL
	//     security_opt:
	//       - no-new-privileges:true
	//     mem_limit: ${POSTGRES_MEMORY:-2g}
	//     pids_limit: 1024
	//     shm_size: 256m
	//     x-stackctl:
	//       read_only: true
	//
	//   app:
	//     image: example/app:1.4
	//     environment:
	//       POSTGRES_DB: shop
	//       POSTGRES_HOST: db
	//       POSTGRES_PASSWORD_FILE: /run/secrets/db-password
	//       POSTGRES_USER: ${POSTGRES_USER:-postgres}
	//       PRICE_TAG: $$5
	//     ports:
	//       - "8080:80"
	//     secrets:
	//       - db-password
	//     depends_on:
	//       db:
	//         condition: service_healthy
	//
	// volumes:
	//   db-storage:
	//
	// secrets:
	//   db-password:
	//     environment: POSTGRES_PASSWORD
}

// Everything that is wrong comes in one error.
func ExampleStack_Project() {
	cache := &spec.Service{Name: "cache", Image: "redis:7-alpine", Ports: []spec.Port{spec.Publish("8080", 6379)}}
	app := &spec.Service{
		Name:        "app",
		Image:       "example/app:" + spec.RequiredEnv("TAG", "choose a release"),
		Ports:       []spec.Port{spec.Publish("8080", 80)},
		Mounts:      []spec.Mount{spec.Mounted(&spec.Volume{Name: "uploads"}, "/uploads")},
		DependsOn:   []spec.Dependency{spec.Healthy(cache)},
		Healthcheck: spec.NewHealthcheck(spec.CmdTest("/app", "health")),
	}

	_, err := spec.New("shop", cache, app).Project(context.Background())
	fmt.Println(err)
	// Output:
	// services.app.depends_on.cache: waits until "cache" is healthy, but that has no healthcheck — give services.cache a healthcheck, or depend on it with condition service_started
	// services.app.image: required variable TAG has no value — choose a release
	// services.app.volumes[0]: volume "uploads" is not declared — pass it to spec.New too
	// services.cache.ports[0]: host port 8080 is published by services.app.ports[0] too — publish one of them on another port
}

// A component's fields are open to change, and it goes where a service goes.
func ExamplePostgres() {
	db := spec.NewPostgres("orders-db", spec.PostgresOptions{
		Password: spec.FromEnv("ORDERS_PASSWORD"),
		Port:     "5433",
	})
	db.Image = "postgres:16-alpine"
	db.Command = []spec.Value{"postgres", "-c", "max_connections=200"}

	env := db.EnvFor("ORDERS")
	fmt.Println(env["ORDERS_HOST"], env["ORDERS_PASSWORD_FILE"], db.Secret.Variable)
	fmt.Println(db.URL())
	// Output:
	// orders-db /run/secrets/orders-db-password ORDERS_PASSWORD
	// postgres://${POSTGRES_USER:-postgres}:${ORDERS_PASSWORD}@orders-db:5432/${POSTGRES_DB:-postgres}?sslmode=disable
}
