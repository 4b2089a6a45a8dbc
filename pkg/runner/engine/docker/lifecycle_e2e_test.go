//go:build e2e

package docker

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"

	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

func TestInfo(t *testing.T) {
	s := newStand(t)
	if s.info.APIVersion == "" || s.platform.OS != "linux" || s.platform.Arch == "" || s.info.Endpoint == "" {
		t.Errorf("info is %+v", s.info)
	}
	if s.info.KnowsStartInterval != s.atLeast("1.44") {
		t.Errorf("info is %+v", s.info)
	}
}

func TestContainerLifecycle(t *testing.T) {
	s := newStand(t)
	ctx := s.ctx()
	s.must(s.CreateVolume(ctx, s.volumeSpec("data")))
	s.must(s.CreateVolume(ctx, s.volumeSpec("data")))
	back, front := s.network("back"), s.network("front")
	back.Aliases, front.Aliases = []string{"db", "main"}, []string{"db"}
	spec := s.spec("db", "trap 'exit 7' TERM; while :; do sleep 0.1; done", func(c *types.ServiceConfig) {
		c.NetworkMode = ""
		c.Volumes = []types.ServiceVolumeConfig{{Type: "volume", Source: "data", Target: "/data"}}
	})
	spec.Networks = []state.Attachment{back, front}
	spec.VolumeNames = map[string]string{"data": s.project + "_data"}

	id := s.create(spec)
	list, err := s.Containers(ctx, s.project)
	s.must(err)
	if len(list) != 1 || list[0].State != "created" || len(list[0].Networks) != 2 {
		t.Fatalf("created: %+v", list)
	}
	if _, err := s.CreateContainer(ctx, engine.CreateContainer{Spec: spec}); !errdefs.IsConflict(err) {
		t.Errorf("a second container of the same name: %v", err)
	}

	s.must(s.StartContainer(ctx, id))
	s.must(s.StartContainer(ctx, id))
	list, err = s.Containers(ctx, s.project)
	s.must(err)
	networks, err := s.Networks(ctx)
	s.must(err)
	want := state.Container{
		ID: id, Name: spec.Name, Project: s.project, Service: "db", Number: 1,
		Image: fixture, ImageID: list[0].ImageID, State: "running",
		Status: list[0].Status, Created: list[0].Created,
		Networks: map[string]string{},
		Mounts:   []state.Mount{{Type: "volume", Name: s.project + "_data", Target: "/data"}},
	}
	for _, n := range networks {
		if n.Project == s.project {
			want.Networks[n.Name] = n.ID
		}
	}
	if diff := cmp.Diff(want, list[0]); diff != "" {
		t.Errorf("running (-want +got):\n%s", diff)
	}
	if err := s.RemoveContainer(ctx, id, false); !errdefs.IsConflict(err) {
		t.Errorf("removal of a running container: %v", err)
	}

	s.must(s.api.ContainerPause(ctx, id))
	s.must(s.StartContainer(ctx, id))
	s.must(s.RenameContainer(ctx, id, spec.Name+"-old"))
	s.must(s.RenameContainer(ctx, id, spec.Name+"-old"))

	grace := 30 * time.Second
	s.must(s.StopContainer(ctx, id, &grace))
	s.must(s.StopContainer(ctx, id, nil))
	list, err = s.Containers(ctx, s.project)
	s.must(err)
	if list[0].State != "exited" || list[0].ExitCode != 7 || list[0].Name != spec.Name+"-old" {
		t.Errorf("stopped: %+v", list[0])
	}
	s.must(s.RemoveContainer(ctx, id, true))
	s.must(s.RemoveContainer(ctx, id, true))
	s.must(s.StopContainer(ctx, id, nil))
	for range 2 {
		s.must(s.RemoveVolume(ctx, s.project+"_data"))
		s.must(s.RemoveNetwork(ctx, back.Network))
		s.must(s.RemoveNetwork(ctx, front.Network))
	}
}

func TestNetworkOfAnotherProjectIsAConflict(t *testing.T) {
	s := newStand(t)
	s.network("shared")
	s.must(s.CreateNetwork(s.ctx(), s.networkSpec("shared")))
	other := s.networkSpec("shared")
	other.Labels = map[string]string{state.LabelProject: "somebody-else"}
	if err := s.CreateNetwork(s.ctx(), other); !errdefs.IsConflict(err) {
		t.Errorf("error is %v", err)
	}
}

func TestSecondNetworkReachesByAlias(t *testing.T) {
	s := newStand(t)
	back, front := s.network("back"), s.network("front")
	server := s.spec("server", "while :; do echo hello | nc -l -p 9000; done", func(c *types.ServiceConfig) { c.NetworkMode = "" })
	server.Networks = []state.Attachment{{Network: back.Network, Aliases: []string{"one"}}, {Network: front.Network, Aliases: []string{"two"}}}
	s.run(server)
	client := s.spec("client", "until nc two 9000 </dev/null; do sleep 0.1; done", func(c *types.ServiceConfig) { c.NetworkMode = "" })
	client.Networks = []state.Attachment{{Network: front.Network}}
	id := s.run(client)
	if code := s.ended(id); code != 0 {
		t.Errorf("exit code %d, output %s", code, s.output(id))
	}
}

func TestFilesComeWithOwnerAndMode(t *testing.T) {
	s := newStand(t)
	mode := types.FileMode(0o640)
	spec := s.spec("web", "stat -c '%u %g %a' /etc/app/web.conf /run/secrets/key && cat /etc/app/web.conf /run/secrets/key", func(c *types.ServiceConfig) {
		c.User = "1000:1000"
	})
	spec.Files = []state.File{
		{Content: "hello\n", Target: "/etc/app/web.conf"},
		{Content: "secret\n", Target: "/run/secrets/key", UID: "1000", GID: "5", Mode: &mode},
	}
	id := s.run(spec)
	code := s.ended(id)
	if got, want := s.output(id), "0 0 444\n1000 5 640\nhello\nsecret\n"; got != want || code != 0 {
		t.Errorf("exit code %d, output %q, want %q", code, got, want)
	}
}

func TestFailedCreateLeavesNothing(t *testing.T) {
	s := newStand(t)
	spec := s.spec("web", "true")
	// A folder in place of the file makes the copy fail after the container is made.
	spec.Files = []state.File{{Content: "x", Target: "/etc"}}
	if _, err := s.CreateContainer(s.ctx(), engine.CreateContainer{Spec: spec}); err == nil {
		t.Fatal("no error")
	}
	list, err := s.Containers(s.ctx(), s.project)
	s.must(err)
	if len(list) != 0 {
		t.Errorf("left behind: %+v", list)
	}
}

func TestKeptVolumesAreMountedAgain(t *testing.T) {
	s := newStand(t)
	anonymous := func(c *types.ServiceConfig) {
		c.Volumes = []types.ServiceVolumeConfig{{Type: "volume", Target: "/data"}}
	}
	first := s.run(s.spec("db", "echo kept > /data/file", anonymous))
	s.ended(first)
	list, err := s.Containers(s.ctx(), s.project)
	s.must(err)
	spec := s.spec("db", "cat /data/file", anonymous)
	spec.Name += "-next"
	next, err := s.CreateContainer(s.ctx(), engine.CreateContainer{Spec: spec, Keep: list[0].Mounts})
	s.must(err)
	s.must(s.StartContainer(s.ctx(), next))
	s.ended(next)
	if got := s.output(next); got != "kept\n" {
		t.Errorf("output %q", got)
	}
}

func TestInspect(t *testing.T) {
	s := newStand(t)
	interval, retries := types.Duration(100*time.Millisecond), uint64(1)
	spec := s.spec("db", "while :; do sleep 0.1; done", func(c *types.ServiceConfig) {
		c.Restart = "unless-stopped"
		c.HealthCheck = &types.HealthCheckConfig{
			Test:     types.HealthCheckTest{"CMD-SHELL", "head -c 9000 /dev/zero | tr '\\0' x; exit 3"},
			Interval: &interval, Retries: &retries,
		}
	})
	ctx := s.ctx()
	events, err := s.Events(ctx, s.project)
	s.must(err)
	id := s.run(spec)
	for e := range events {
		if e.Err != nil {
			t.Fatal(e.Err)
		}
		if e.Action == "health_status" {
			if e.Health != "unhealthy" || e.Service != "db" || e.ID != id {
				t.Errorf("event %+v", e)
			}
			break
		}
	}
	got, err := s.Inspect(ctx, spec.Name)
	s.must(err)
	probe := got.LastProbe
	if probe == nil || probe.ExitCode != 3 || !strings.HasPrefix(probe.Output, "xxx") || len(probe.Output) > outputLimit {
		t.Fatalf("last probe %+v", probe)
	}
	want := engine.Inspection{
		ID: id, Name: spec.Name, State: "running", Health: "unhealthy", StartedAt: got.StartedAt,
		RestartPolicy: "unless-stopped", LastProbe: probe, StopSignal: "SIGTERM", StopGrace: 10 * time.Second,
		Healthcheck: &engine.Healthcheck{
			Command:  []string{"/bin/sh", "-c", "head -c 9000 /dev/zero | tr '\\0' x; exit 3"},
			Interval: 100 * time.Millisecond, Retries: 1,
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	list, err := s.Containers(ctx, s.project)
	s.must(err)
	if list[0].Health != "unhealthy" {
		t.Errorf("health %q of status %q", list[0].Health, list[0].Status)
	}
}

func TestStartErrorIsKept(t *testing.T) {
	s := newStand(t)
	id := s.create(s.spec("web", "", func(c *types.ServiceConfig) { c.Command = types.ShellCommand{"/no/such/program"} }))
	err := s.StartContainer(s.ctx(), id)
	if err == nil || !strings.Contains(err.Error(), "/no/such/program") || strings.Contains(err.Error(), daemonPrefix) {
		t.Errorf("error is %v", err)
	}
	got, err := s.Inspect(s.ctx(), id)
	s.must(err)
	if !strings.Contains(got.Error, "/no/such/program") || got.ExitCode != 127 {
		t.Errorf("inspection %+v", got)
	}
}

func TestPortsAreListedSorted(t *testing.T) {
	s := newStand(t)
	net := s.network("default")
	spec := s.spec("web", "while :; do sleep 0.1; done", func(c *types.ServiceConfig) {
		c.NetworkMode = ""
		c.Ports = []types.ServicePortConfig{
			{Target: 9000, HostIP: "127.0.0.1", Protocol: "tcp"},
			{Target: 53, HostIP: "127.0.0.1", Protocol: "udp"},
		}
		c.Expose = types.StringOrNumberList{"8000-8001"}
	})
	spec.Networks = []state.Attachment{net}
	s.run(spec)
	list, err := s.Containers(s.ctx(), s.project)
	s.must(err)
	got := slices.Clone(list[0].Ports)
	for i := range got {
		if (got[i].HostPort != 0) != (got[i].HostIP != "") {
			t.Errorf("port %+v", got[i])
		}
		got[i].HostPort = 0
	}
	want := []state.Port{
		{HostIP: "127.0.0.1", ContainerPort: 53, Protocol: "udp"},
		{ContainerPort: 8000, Protocol: "tcp"},
		{ContainerPort: 8001, Protocol: "tcp"},
		{HostIP: "127.0.0.1", ContainerPort: 9000, Protocol: "tcp"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
