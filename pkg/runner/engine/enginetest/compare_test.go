package enginetest_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/engine/enginetest"
	"github.com/stackctl/stackctl/pkg/runner/internal/projecttest"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

func TestCompare(t *testing.T) {
	spec := func(service string) state.ContainerSpec {
		d, err := state.Flatten(projecttest.Load(t, "/src", "services:\n  web:\n    image: app\n    network_mode: none\n    "+service+"\n", nil))
		if err != nil {
			t.Fatal(err)
		}
		return d.Services[0].Containers[0]
	}
	e := enginetest.New()
	e.AddImage("app", "sha256:1")
	made := spec("environment: {LEVEL: info, GONE: a, DB_PASSWORD: old}\n    command: [serve]\n    healthcheck: {test: \"true\", interval: 9s}")
	if _, err := e.CreateContainer(t.Context(), engine.CreateContainer{Spec: made}); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		service string
		want    []string
	}{
		"the same, written otherwise": {
			"environment: [DB_PASSWORD=old, GONE=a, LEVEL=info]\n    command: serve\n    healthcheck: {test: [CMD-SHELL, \"true\"], interval: 9000ms}\n    pull_policy: always", nil,
		},
		"changes": {
			"environment: {LEVEL: debug, MORE: \"\", DB_PASSWORD: new}\n    command: [serve, now]\n    healthcheck: {test: \"true\", interval: 8s}",
			[]string{
				"command: [serve] → [serve, now]", "environment.DB_PASSWORD changed", "environment.GONE: a is taken out",
				"environment.LEVEL: info → debug", `environment.MORE: "" is new`, "healthcheck.interval: 9s → 8s",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			differences, err := e.Compare(t.Context(), "shop-web-1", engine.CreateContainer{Spec: spec(test.service)})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, d := range differences {
				got = append(got, d.String())
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
