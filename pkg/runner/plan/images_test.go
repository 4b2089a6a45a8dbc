package plan_test

import (
	"errors"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/google/go-cmp/cmp"

	"github.com/stackctl/stackctl/pkg/runner/plan"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

const images = `
name: shop
services:
  web:
    build: {context: ., args: {A: "1", B: "2"}}
    image: shop/web
    depends_on: [db, tool]
  tool:
    build: ./tool
  db: {image: "postgres:15"}
  copy: {image: "postgres:15"}
  local: {image: mine, pull_policy: never}
  lazy: {image: lazy, pull_policy: missing}
`

func TestPull(t *testing.T) {
	d := desired(t, images)
	here := state.Observed{Images: map[string]state.Image{"lazy": {ID: "1"}, "postgres:15": {ID: "2"}}}
	for name, test := range map[string]struct {
		opts plan.PullOptions
		want string
	}{
		"each image once, by the services' policies": {want: `
[1] pull image postgres:15: asked for
[2] pull image shop/web: asked for
`},
		"not what can be built": {opts: plan.PullOptions{IgnoreBuildable: true}, want: `
[1] pull image postgres:15: asked for
`},
		"missing": {opts: plan.PullOptions{Policy: plan.PullMissing}, want: `
[1] pull image mine: is not on the engine
[2] pull image shop/web: is not on the engine
`},
		"always": {opts: plan.PullOptions{Policy: plan.PullAlways}, want: `
[1] pull image postgres:15: asked for
[2] pull image lazy: asked for
[3] pull image mine: asked for
[4] pull image shop/web: asked for
`},
		"one service": {opts: plan.PullOptions{Services: []string{"web"}}, want: `
[1] pull image shop/web: asked for
`},
		"with what it depends on": {opts: plan.PullOptions{Services: []string{"web"}, Dependencies: true}, want: `
[1] pull image postgres:15: asked for
[2] pull image shop/web: asked for
`},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := plan.Pull(d, here, test.opts)
			wantPlan(t, p, err, test.want)
		})
	}
	if _, err := plan.Pull(d, here, plan.PullOptions{Services: []string{"nope"}}); !errors.Is(err, plan.ErrUnknownService) {
		t.Errorf("unknown service: %v", err)
	}
}

func TestBuild(t *testing.T) {
	d := desired(t, images)
	p, err := plan.Build(d, plan.BuildOptions{})
	wantPlan(t, p, err, `
[1] build image shop-tool: asked for
[2] build image shop/web: asked for
`)
	p, err = plan.Build(d, plan.BuildOptions{Services: []string{"web", "db"}})
	wantPlan(t, p, err, `
[1] build image shop/web: asked for
warning: service db has no build section: there is nothing to build for it
`)
	p, err = plan.Build(d, plan.BuildOptions{Services: []string{"web"}, Dependencies: true})
	wantPlan(t, p, err, `
[1] build image shop-tool: asked for
[2] build image shop/web: asked for
`)
	if _, err := plan.Build(d, plan.BuildOptions{Services: []string{"nope"}}); !errors.Is(err, plan.ErrUnknownService) {
		t.Errorf("unknown service: %v", err)
	}
}

// The options go into the build section that is built, and nowhere else.
func TestBuildOptionsLeaveTheStackAlone(t *testing.T) {
	d := desired(t, images)
	three := "3"
	p, err := plan.Build(d, plan.BuildOptions{
		Services: []string{"web"}, NoCache: true, Pull: true, Args: types.MappingWithEquals{"B": &three, "C": nil},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := p.Nodes[0].Op.(plan.BuildImage).Service.Config.Build
	one, two := "1", "2"
	if diff := cmp.Diff(types.MappingWithEquals{"A": &one, "B": &three, "C": nil}, got.Args); diff != "" || !got.NoCache || !got.Pull {
		t.Errorf("no cache %t, pull %t, args (-want +got):\n%s", got.NoCache, got.Pull, diff)
	}
	web, _ := d.Service("web")
	if diff := cmp.Diff(types.MappingWithEquals{"A": &one, "B": &two}, web.Config.Build.Args); diff != "" || web.Config.Build.NoCache {
		t.Errorf("the stack has changed (-want +got):\n%s", diff)
	}
}
