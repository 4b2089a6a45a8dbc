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
	"github.com/google/go-cmp/cmp"

	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// load gives a compose file's containers by service, with its networks and
// volumes on the engine.
func (s *stand) load(text string) map[string]state.ContainerSpec {
	s.t.Helper()
	project, err := loader.LoadWithContext(s.ctx(), types.ConfigDetails{
		WorkingDir:  s.t.TempDir(),
		ConfigFiles: []types.ConfigFile{{Filename: "compose.yml", Content: []byte(text)}},
		Environment: types.Mapping{"TOKEN": "from the environment"},
	}, func(o *loader.Options) { o.SetProjectName(s.project, true) })
	s.must(err)
	d, err := state.Flatten(project)
	s.must(err)
	for _, n := range d.Networks {
		s.must(s.CreateNetwork(s.ctx(), n))
	}
	for _, v := range d.Volumes {
		s.must(s.CreateVolume(s.ctx(), v))
	}
	out := map[string]state.ContainerSpec{}
	for _, service := range d.Services {
		out[service.Name] = service.Containers[0]
	}
	return out
}

// A service shares what another one has.
func TestReferencesToServices(t *testing.T) {
	s := newStand(t)
	specs := s.load(`
services:
  base:
    image: alpine:latest
    command: [sh, -c, "echo shared > /shared/file; exec sleep 4711"]
    hostname: the-base
    ipc: shareable
    volumes: [/shared]
  guest:
    image: alpine:latest
    command: [sh, -c, "hostname; ps | grep -c '[s]leep 4711'; until cat /shared/file; do :; done; echo no > /shared/file || echo read-only"]
    network_mode: service:base
    ipc: service:base
    pid: service:base
    volumes_from: ["base:ro"]
  caller:
    image: alpine:latest
    command: [sh, -c, "for name in base alias base-1; do nslookup $$name >/dev/null 2>&1 && echo $$name; done"]
    links: [base, "base:alias"]
`)
	base := s.run(specs["base"])
	guest := s.run(specs["guest"])
	if code := s.ended(guest); code != 0 {
		t.Errorf("guest: exit code %d", code)
	}
	want := "the-base\n1\nshared\nread-only\n"
	var got []string
	for line := range strings.Lines(s.output(guest)) {
		if !strings.Contains(line, "can't") { // what the shell says of the file
			got = append(got, line)
		}
	}
	if diff := cmp.Diff(want, strings.Join(got, "")); diff != "" {
		t.Errorf("guest (-want +got):\n%s", diff)
	}
	look, err := s.api.ContainerInspect(s.ctx(), guest)
	s.must(err)
	if string(look.HostConfig.IpcMode) != "container:"+base {
		t.Errorf("ipc mode is %s, want that of %s", look.HostConfig.IpcMode, base)
	}
	caller := s.run(specs["caller"])
	s.ended(caller)
	if diff := cmp.Diff("base\nalias\nbase-1\n", s.output(caller)); diff != "" {
		t.Errorf("links (-want +got):\n%s", diff)
	}
}

// Files with an owner and a mode are there at the start, in a read-only root and
// below a tmpfs too, and are written anew in the container that takes the old one's place.
func TestFilesHaveOwners(t *testing.T) {
	for name, readOnly := range map[string]string{"a root that can be written": "false", "a read-only root": "true"} {
		t.Run(name, func(t *testing.T) {
			s := newStand(t)
			text := `
services:
  web:
    image: alpine:latest
    read_only: ` + readOnly + `
    tmpfs: [/run]
    command: [sh, -c, "cd /run/secrets; stat -c '%n %u %g %a' *; cat *; stat -c '%n %u %g %a' /etc/app/conf; cat /etc/app/conf"]
    secrets: [{source: token, target: owned, uid: "5", gid: "6", mode: 0400}]
    configs: [{source: conf, target: /etc/app/conf}]
secrets: {token: {environment: TOKEN}}
configs: {conf: {content: "a config\n"}}
`
			spec := s.load(text)["web"]
			want := "owned 5 6 400\nfrom the environment/etc/app/conf 0 0 444\na config\n"
			first := s.run(spec)
			s.ended(first)
			if diff := cmp.Diff(want, s.output(first)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			all, err := s.Containers(s.ctx(), s.project)
			s.must(err)
			spec.Files[0].Content = "changed\n"
			id, err := s.CreateContainer(s.ctx(), engine.CreateContainer{Spec: spec, Name: spec.Name + "-next", Keep: all[0].Mounts})
			s.must(err)
			s.must(s.StartContainer(s.ctx(), id))
			s.ended(id)
			if diff := cmp.Diff(strings.Replace(want, "a config", "changed", 1), s.output(id)); diff != "" {
				t.Errorf("replaced (-want +got):\n%s", diff)
			}
		})
	}
}

func TestUseAPISocket(t *testing.T) {
	s := newStand(t)
	spec := s.load(`
services:
  web:
    image: alpine:latest
    command: [sh, -c, "echo $$DOCKER_CONFIG; head -c1 $$DOCKER_CONFIG/config.json; grep -c ' /run/docker.sock \\| /var/run/docker.sock ' /proc/mounts"]
    use_api_socket: true
    network_mode: none
`)["web"]
	id := s.run(spec)
	s.ended(id)
	if diff := cmp.Diff("/run/secrets/docker\n{1\n", s.output(id)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What one service has of another is the same to the engine as with Docker
// Compose.
func TestSameReferencesAsDockerCompose(t *testing.T) {
	compose := os.Getenv("COMPOSE")
	if compose == "" {
		t.Fatal("COMPOSE has to name a Docker Compose 2: test/engine/compose.sh gives one")
	}
	s := newStand(t)
	const text = `
services:
  base:
    image: alpine:latest
    command: [sleep, "600"]
    stop_signal: SIGKILL
    ipc: shareable
    volumes: [/shared]
  guest:
    image: alpine:latest
    command: [sleep, "600"]
    stop_signal: SIGKILL
    network_mode: service:base
    ipc: service:base
    pid: service:base
    volumes_from: [base]
  caller:
    image: alpine:latest
    command: [sleep, "600"]
    stop_signal: SIGKILL
    networks: [front, back]
    links: [helper, "helper:alias"]
    external_links: ["EXTERNAL:theirs"]
  helper:
    image: alpine:latest
    command: [sleep, "600"]
    stop_signal: SIGKILL
    networks: [front, back]
networks: {front: {}, back: {}}
`
	theirs := s.spec("external", "sleep 600")
	theirs.Labels = map[string]string{state.LabelProject: s.project}
	theirs.Config.NetworkMode = "bridge"
	s.run(theirs)
	file := filepath.Join(t.TempDir(), "compose.yml")
	filled := strings.ReplaceAll(text, "EXTERNAL", theirs.Name)
	write(t, file, []byte(filled))

	// look gives what matters of the containers, with names in place of ids.
	look := func() map[string]any {
		base, err := s.api.ContainerInspect(s.ctx(), s.project+"-base-1")
		s.must(err)
		named := func(text string) string { return strings.ReplaceAll(text, base.ID, "base") }
		out := map[string]any{}
		for _, service := range []string{"guest", "caller"} {
			c, err := s.api.ContainerInspect(s.ctx(), s.project+"-"+service+"-1")
			s.must(err)
			var from []string
			for _, entry := range c.HostConfig.VolumesFrom {
				from = append(from, named(entry))
			}
			out[service] = []any{
				named(string(c.HostConfig.NetworkMode)), named(string(c.HostConfig.IpcMode)), named(string(c.HostConfig.PidMode)),
				from, slices.Sorted(slices.Values(c.HostConfig.Links)),
			}
			for name, endpoint := range c.NetworkSettings.Networks {
				out[service+" "+name] = slices.Sorted(slices.Values(endpoint.Links))
			}
		}
		return out
	}
	run := func(args ...string) {
		t.Helper()
		cmd := exec.CommandContext(s.ctx(), compose, append([]string{"-p", s.project, "-f", file}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	run("up", "-d")
	want := look()
	run("down", "-t", "0", "-v")
	specs := s.load(filled)
	for _, service := range []string{"base", "guest", "helper", "caller"} {
		s.run(specs[service])
	}
	if diff := cmp.Diff(want, look()); diff != "" {
		t.Errorf("(-compose +stackctl):\n%s", diff)
	}
}
