//go:build e2e

package docker

import (
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

// Files with an owner and a mode are there before the start, in a read-only root
// too, and are written anew in the container that takes the old one's place.
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
			if readOnly == "false" {
				text = strings.Replace(text, "tmpfs: [/run]", "", 1)
			}
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
