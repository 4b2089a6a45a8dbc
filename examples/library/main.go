// Command library brings a stack of its own up: a page that waits for a cache.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/stackctl/stackctl/pkg/runner"
	"github.com/stackctl/stackctl/pkg/runner/engine/docker"
	"github.com/stackctl/stackctl/pkg/spec"
)

func main() {
	cache := spec.NewRedis("cache", spec.RedisOptions{})
	cache.Ports = nil // for the page only
	page := &spec.Service{
		Name: "page", Image: "alpine",
		Command:     []spec.Value{"sh", "-c", "cd /tmp && echo hello >index.html && exec httpd -f -p 80"},
		Environment: cache.EnvFor(),
		Ports:       []spec.Port{spec.PublishLocally("", 80)}, // any free port
		DependsOn:   []spec.Dependency{spec.Healthy(cache)},
	}
	ctx := context.Background()
	project, err := spec.New("library-example", cache, page).Project(ctx)
	check(err)
	engine, err := docker.New(docker.Options{LookupEnv: os.LookupEnv})
	check(err)
	report, err := runner.New(engine).Up(ctx, project, runner.UpOptions{})
	check(err)
	fmt.Println(report.Endpoints[0].URL)
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
