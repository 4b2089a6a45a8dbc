//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackctl/stackctl/pkg/runner/state"
)

// lookalikes are what stands beside a project and is not its own: of the same
// names with another project's label, with the same beginning, without any label,
// and what the project may use but not remove.
type lookalikes struct {
	*stage
	containers, networks, volumes, images []string
}

func (l *lookalikes) container(name, project string, binds ...string) {
	l.t.Helper()
	body := map[string]any{
		"Image": "alpine", "Cmd": []string{"sleep", "1000"}, "StopSignal": "SIGKILL",
		"HostConfig": map[string]any{"NetworkMode": "none", "Binds": binds},
	}
	if project != "" {
		body["Labels"] = map[string]string{
			state.LabelProject: project, state.LabelService: "web", state.LabelNumber: "1", state.LabelOneOff: "False",
			state.LabelComposeHash: "x",
		}
	}
	l.ask(http.MethodPost, "/containers/create?name="+name, body, nil)
	l.containers = append(l.containers, name)
	l.ask(http.MethodPost, "/containers/"+name+"/start", nil, nil)
}

func labels(project string) map[string]string {
	if project == "" {
		return nil
	}
	return map[string]string{state.LabelProject: project, state.LabelVolume: "data", state.LabelNetwork: "default"}
}

func (l *lookalikes) network(name, project string) {
	l.t.Helper()
	l.ask(http.MethodPost, "/networks/create", map[string]any{"Name": name, "Labels": labels(project), "Internal": true}, nil)
	l.networks = append(l.networks, name)
}

func (l *lookalikes) volume(name, project string) {
	l.t.Helper()
	l.ask(http.MethodPost, "/volumes/create", map[string]any{"Name": name, "Labels": labels(project)}, nil)
	l.volumes = append(l.volumes, name)
}

// image tags the small image, which has no project's label.
func (l *lookalikes) image(name string) {
	l.t.Helper()
	l.ask(http.MethodPost, "/images/alpine/tag?repo="+url.QueryEscape(name)+"&tag=latest", nil, nil)
	l.images = append(l.images, name)
}

// ids says which they are: another one under the same name is another.
func (l *lookalikes) ids() []string {
	l.t.Helper()
	var out []string
	for _, name := range l.containers {
		var c struct {
			ID    string
			State struct{ Status, StartedAt string }
		}
		l.ask(http.MethodGet, "/containers/"+name+"/json", nil, &c)
		out = append(out, fmt.Sprint("container ", name, " ", c.ID, " ", c.State.Status, " ", c.State.StartedAt))
	}
	for _, name := range l.networks {
		var n struct {
			ID         string
			Containers map[string]any
		}
		l.ask(http.MethodGet, "/networks/"+name, nil, &n)
		out = append(out, fmt.Sprint("network ", name, " ", n.ID))
	}
	for _, name := range l.volumes {
		var v struct{ CreatedAt, Mountpoint string }
		l.ask(http.MethodGet, "/volumes/"+name, nil, &v)
		out = append(out, fmt.Sprint("volume ", name, " ", v.CreatedAt))
	}
	for _, name := range l.images {
		var i struct{ ID string }
		l.ask(http.MethodGet, "/images/"+name+":latest/json", nil, &i)
		out = append(out, fmt.Sprint("image ", name, " ", i.ID))
	}
	return out
}

func (l *lookalikes) remove() {
	for _, name := range l.containers {
		_ = l.raw.do(withoutCancel(l.t), http.MethodDelete, "/containers/"+name+"?force=true", nil, nil)
	}
	for _, name := range l.networks {
		_ = l.raw.do(withoutCancel(l.t), http.MethodDelete, "/networks/"+name, nil, nil)
	}
	for _, name := range l.volumes {
		_ = l.raw.do(withoutCancel(l.t), http.MethodDelete, "/volumes/"+name, nil, nil)
	}
	for _, name := range l.images {
		_ = l.raw.do(withoutCancel(l.t), http.MethodDelete, "/images/"+name+":latest", nil, nil)
	}
}

// No command removes or changes what is not the project's own, however much it
// looks like it, nor what is external, nor a volume that somebody else uses.
func TestLookAlikesStay(t *testing.T) {
	s := newStage(t)
	l := &lookalikes{stage: s}
	t.Cleanup(func() {
		s.clean()
		l.remove()
	})
	p := s.project
	// The same beginning, and the same names as service b-c of a project a, and c of
	// a-b, have.
	l.container(p+"-web-10", p+"-web")
	l.container(p+"-web-run-1", "")
	l.container(p+"-webx-1", p+"x")
	l.container(p+"_web_1", "")
	l.network(p+"_default2", p+"2")
	l.network(p+"_other", "")
	l.network(p+"-outside", "")
	l.volume(p+"_data2", p+"2")
	l.volume(p+"_other", "")
	l.volume(p+"-outside", "")
	l.image(p + "-base") // which the project runs
	l.image(p + "-web")
	l.image(p + "-webx")
	// The project's own volume, in the hands of another project.
	l.container(p+"x-web-1", p+"x", p+"-outside:/outside")

	s.write("compose.yaml", `
services:
  web:
    image: `+p+`-base
    command: [sleep, "1000"]
    stop_signal: SIGKILL
    networks: [default, outside]
    volumes: ["data:/data", "outside:/outside", "/anonymous"]
  more: {image: `+p+`-base, command: [sleep, "1000"], stop_signal: SIGKILL, scale: 2}
networks: {outside: {external: true, name: `+p+`-outside}}
volumes: {data: {}, outside: {external: true, name: `+p+`-outside}}
`)
	s.write("changed.yaml", `
services:
  web:
    image: `+p+`-base
    command: [sleep, "2000"]
    stop_signal: SIGKILL
    networks: [default, outside]
    volumes: ["data:/data", "outside:/outside", "/anonymous"]
networks: {outside: {external: true, name: `+p+`-outside}, default: {labels: {changed: "1"}}}
volumes: {data: {}, outside: {external: true, name: `+p+`-outside}}
`)
	before := l.ids()
	for _, args := range [][]string{
		{"up"},
		{"run", "--rm", "web", "true"},
		{"up", "--force-recreate", "-V"},
		{"up", "--scale", "more=1"},
		{"-f", "changed.yaml", "up", "--remove-orphans"},
		{"restart"},
		{"stop"},
		{"volume", "backup", "backups", "data"},
		{"-f", "changed.yaml", "up", "--rollback", "--remove-orphans"},
		{"down", "-v", "--rmi", "local", "--remove-orphans"},
		{"volume", "restore", "backups", "data"},
		{"up"},
		{"down", "-v", "--backup", "more"},
		{"up"},
	} {
		s.run(0, args...)
		if diff := cmp.Diff(before, l.ids()); diff != "" {
			t.Fatalf("after %s (-before +after):\n%s", strings.Join(args, " "), diff)
		}
	}

	// A backup has to stop what uses a volume, and what is not the project's
	// own is not stopped for it.
	l.container(p+"y-web-1", p+"y", p+"_data:/theirs")
	before = l.ids()
	s.run(1, "volume", "backup", "busy")
	s.run(0, "down", "-v", "--rmi", "local", "--remove-orphans")
	if diff := cmp.Diff(before, l.ids()); diff != "" {
		t.Fatalf("after down -v (-before +after):\n%s", diff)
	}
	if left := s.resources(); !slices.Equal(left, []string{"volume " + p + "_data"}) {
		t.Errorf("left of the project: %q; its volume, which somebody uses, is all that should be", left)
	}
	s.run(0, "up")
	s.run(0, "down", "--rmi", "all", "--remove-orphans")
	l.images = slices.DeleteFunc(l.images, func(name string) bool { return name == p+"-base" })
	before = slices.DeleteFunc(before, func(line string) bool { return strings.HasPrefix(line, "image "+p+"-base ") })
	if diff := cmp.Diff(before, l.ids()); diff != "" {
		t.Fatalf("after down --rmi all (-before +after):\n%s", diff)
	}
	l.remove()
	s.run(0, "down", "-v")
	if left := s.resources(); len(left) > 0 {
		t.Errorf("left of the project: %q", left)
	}
}
