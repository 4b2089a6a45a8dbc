// Command custom-stack is a stack of five services, a shop: a front door, an API,
// two workers, a job that migrates the database first, and the database.
//
//	stackctl -f examples/custom-stack up            brings it up
//	go run ./examples/custom-stack > compose.yml    gives it to Docker Compose
//
// Services refer to each other by value: write spec.Healthy(dbase) for
// spec.Healthy(db), and it does not compile.
package main

import (
	"time"

	"github.com/stackctl/stackctl/pkg/spec"
)

func main() { spec.Main(shop()) }

func shop() *spec.Stack {
	// The database is on a network that leads nowhere else.
	front, back := &spec.Network{Name: "front"}, &spec.Network{Name: "back", Internal: true}
	db := spec.NewPostgres("db", spec.PostgresOptions{Database: "shop", Networks: []*spec.Network{back}})
	db.Ports = nil
	db.Command = []spec.Value{"postgres", "-c", "max_connections=200"}

	signing := &spec.Secret{Name: "signing-key", File: "./signing.key"}
	shopService := func(name string, command spec.Value) *spec.Service {
		return &spec.Service{
			Name:        name,
			Image:       "example/shop:" + spec.RequiredEnv("SHOP_RELEASE", "choose a release"),
			Command:     []spec.Value{command},
			Environment: spec.MergeEnv(db.EnvFor(), spec.Env{"PRICE_FORMAT": "$%.2f"}),
			Networks:    []*spec.Network{back},
			Secrets:     append(db.SecretMounts(), spec.MountSecret(signing)),
			ReadOnly:    true,
			CapDrop:     []string{"ALL"},
			Restart:     spec.RestartUnlessStopped,
		}
	}

	migrate := shopService("migrate", "migrate")
	migrate.Restart = spec.RestartNo
	migrate.DependsOn = []spec.Dependency{spec.Healthy(db)}

	api := shopService("api", "serve")
	api.Networks = []*spec.Network{front, back}
	api.DependsOn = []spec.Dependency{spec.Completed(migrate)}
	api.Healthcheck = spec.NewHealthcheck(spec.CmdTest("/shop", "health"))

	worker := shopService("worker", "work")
	worker.Replicas = 2
	worker.StopGracePeriod = time.Minute // orders are finished first
	worker.DependsOn = []spec.Dependency{spec.Completed(migrate)}

	door := &spec.Service{
		Name: "door", Image: "nginx:1.28-alpine",
		Ports:     []spec.Port{spec.Publish(spec.FromEnvOr("SHOP_PORT", "8080"), 80)},
		Mounts:    []spec.Mount{{HostPath: "./nginx.conf", Target: "/etc/nginx/nginx.conf", ReadOnly: true}},
		Networks:  []*spec.Network{front},
		DependsOn: []spec.Dependency{spec.Healthy(api)},
	}
	return spec.New("shop", db, migrate, api, worker, door, front, back, signing)
}
