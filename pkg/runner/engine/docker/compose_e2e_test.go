//go:build e2e

package docker

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// What Docker Compose and stackctl make of one file is the same to the engine.
func TestSameContainerAsDockerCompose(t *testing.T) {
	compose := os.Getenv("COMPOSE")
	if compose == "" {
		t.Fatal("COMPOSE has to name a Docker Compose 2: test/engine/compose.sh gives one")
	}
	s := newStand(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "compose.yml")
	write(t, filepath.Join(dir, "fixed"), []byte("fixed\n"))
	write(t, file, []byte(`
services:
  web:
    image: alpine:latest
    command: ["sleep", "600"]
    environment: {A: "1", EMPTY: ""}
    user: "1000"
    working_dir: /tmp
    hostname: web
    ports: ["80", "127.0.0.1:0:81", "127.0.0.1:0:53/udp"]
    expose: ["9000/tcp"]
    volumes:
      - data:/data
      - other:/other:ro
      - /anonymous
      - ./made:/made
      - {type: bind, source: ./fixed, target: /fixed, bind: {create_host_path: false}}
      - {type: tmpfs, target: /scratch, tmpfs: {size: 1m}}
    tmpfs: [/run]
    configs: [{source: conf, target: /etc/conf}]
    networks: {back: {aliases: [db], priority: 5}, front: {}}
    healthcheck: {test: "true", interval: 7s, timeout: 3s, retries: 4, start_period: 9s}
    restart: unless-stopped
    stop_signal: SIGINT
    stop_grace_period: 3s
    init: true
    read_only: true
    cap_add: [CAP_NET_ADMIN]
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
    ulimits: {nofile: {soft: 100, hard: 200}}
    sysctls: {net.core.somaxconn: "1024"}
    shm_size: 32m
    extra_hosts: ["other:10.0.0.1"]
    dns: [10.0.0.2]
    group_add: ["5"]
    logging: {driver: json-file, options: {max-size: 1m}}
    mem_limit: 64m
    cpus: 0.5
    pids_limit: 50
    deploy: {resources: {reservations: {memory: 16m}}}
networks: {back: {}, front: {}}
volumes: {data: {}, other: {}}
configs: {conf: {file: ./fixed}}
`))
	project, err := loader.LoadWithContext(s.ctx(), types.ConfigDetails{
		WorkingDir: dir, ConfigFiles: []types.ConfigFile{{Filename: file}}, Environment: types.Mapping{},
	}, func(o *loader.Options) { o.SetProjectName(s.project, true) })
	s.must(err)
	d, err := state.Flatten(project)
	s.must(err)
	spec := d.Services[0].Containers[0]

	run := func(args ...string) {
		t.Helper()
		cmd := exec.CommandContext(s.ctx(), compose, append([]string{"-p", s.project, "-f", file}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	run("up", "-d")
	theirs, err := s.api.ContainerInspect(s.ctx(), spec.Name)
	s.must(err)
	run("down", "-t", "0", "-v")

	for _, n := range d.Networks {
		s.must(s.CreateNetwork(s.ctx(), n))
	}
	for _, v := range d.Volumes {
		s.must(s.CreateVolume(s.ctx(), v))
	}
	id, err := s.CreateContainer(s.ctx(), engine.CreateContainer{Spec: spec})
	s.must(err)
	s.must(s.StartContainer(s.ctx(), id))
	ours, err := s.api.ContainerInspect(s.ctx(), id)
	s.must(err)

	// The order of lists that are sets, and the names that the engine makes up.
	order := cmp.Options{
		cmpopts.SortSlices(func(a, b string) bool { return a < b }),
		cmpopts.SortSlices(func(a, b container.MountPoint) bool { return a.Destination < b.Destination }),
		cmpopts.EquateEmpty(),
		cmpopts.IgnoreFields(container.Config{}, "Labels"),
		cmpopts.SortSlices(func(a, b mount.Mount) bool { return a.Target < b.Target }),
		cmp.FilterPath(func(p cmp.Path) bool { return strings.HasSuffix(p.String(), "HostPort") }, cmp.Ignore()),
	}
	if diff := cmp.Diff(theirs.Config, ours.Config, order); diff != "" {
		t.Errorf("config (-compose +stackctl):\n%s", diff)
	}
	if diff := cmp.Diff(theirs.HostConfig, ours.HostConfig, order); diff != "" {
		t.Errorf("host config (-compose +stackctl):\n%s", diff)
	}
	for _, c := range []container.InspectResponse{theirs, ours} {
		for i, m := range c.Mounts {
			if m.Destination == "/anonymous" {
				c.Mounts[i].Name, c.Mounts[i].Source = "", ""
			}
		}
	}
	if diff := cmp.Diff(theirs.Mounts, ours.Mounts, order); diff != "" {
		t.Errorf("mounts (-compose +stackctl):\n%s", diff)
	}
	if diff := cmp.Diff(aliases(theirs), aliases(ours)); diff != "" {
		t.Errorf("networks (-compose +stackctl):\n%s", diff)
	}
	for label, value := range theirs.Config.Labels {
		// Ours leaves empty ones out; the image's id is the caller's to add; and the
		// loader above does not note which files it read.
		if _, there := ours.Config.Labels[label]; !there && value != "" && label != state.LabelImage && label != state.LabelConfigFiles {
			t.Errorf("label %s=%s of Compose is missing", label, value)
		}
	}
}

// aliases gives the names that a container has on each network, less what the
// engine adds by itself.
func aliases(c container.InspectResponse) map[string][]string {
	out := map[string][]string{}
	for name, endpoint := range c.NetworkSettings.Networks {
		own := slices.DeleteFunc(slices.Clone(endpoint.Aliases), func(alias string) bool { return strings.HasPrefix(c.ID, alias) })
		slices.Sort(own)
		out[name] = slices.Compact(own)
	}
	return out
}
