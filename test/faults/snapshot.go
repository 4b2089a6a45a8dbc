package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/stackctl/stackctl/pkg/runner/state"
)

// snapshot is what the engine itself says of a project.
type snapshot struct {
	// Meaning has an entry for each resource, without what is another with each run:
	// ids, addresses, times. Two runs that end in the same state give the same.
	Meaning map[string]string
	// Exact has the ids and times: the same when nothing was changed in between.
	Exact []string
	// Volumes are when the project's volumes were made, by name.
	Volumes map[string]string
	// Anonymous are the volumes without a name that its containers mount.
	Anonymous []string
}

// look takes a snapshot of a project, with the contents of files, by service and path.
func (a *api) look(ctx context.Context, files [][2]string, project string) (snapshot, error) {
	out := snapshot{Meaning: map[string]string{}, Volumes: map[string]string{}}
	note := func(kind, name string, meaning any) {
		form, err := json.MarshalIndent(meaning, "", " ")
		if err != nil {
			panic(err) // it was JSON
		}
		key := kind + " " + name
		for out.Meaning[key] != "" { // engines allow two networks of one name
			key += " again"
		}
		out.Meaning[key] = string(form)
	}
	networks := map[string]string{} // ids by name
	var allNetworks []map[string]any
	if err := a.do(ctx, http.MethodGet, "/networks?"+ofProject(project), nil, &allNetworks); err != nil {
		return out, err
	}
	for _, n := range allNetworks {
		name, id := text(n, "Name"), text(n, "Id")
		networks[name] = id
		out.Exact = append(out.Exact, "network "+id)
		note("network", name, pick(n, "Driver", "Internal", "Attachable", "EnableIPv6", "Options", "Labels"))
	}
	var volumes struct{ Volumes []map[string]any }
	if err := a.do(ctx, http.MethodGet, "/volumes?"+ofProject(project), nil, &volumes); err != nil {
		return out, err
	}
	for _, v := range volumes.Volumes {
		name := text(v, "Name")
		out.Exact = append(out.Exact, "volume "+name+" "+made(v))
		if labels, _ := v["Labels"].(map[string]any); labels[state.LabelRemnants] == nil {
			out.Volumes[name] = made(v) // else it is a note, which the next run is to remove
		}
		note("volume", name, pick(v, "Driver", "Options", "Labels"))
	}
	var listed []struct {
		ID string `json:"Id"`
	}
	if err := a.do(ctx, http.MethodGet, "/containers/json?all=1&"+ofProject(project), nil, &listed); err != nil {
		return out, err
	}
	for _, l := range listed {
		var c map[string]any
		err := a.do(ctx, http.MethodGet, "/containers/"+l.ID+"/json", nil, &c)
		var status *statusError
		if errors.As(err, &status) && status.code == http.StatusNotFound {
			continue // it was on its way out
		}
		if err != nil {
			return out, err
		}
		meaning, exact := containerState(c, networks)
		name := strings.TrimPrefix(text(c, "Name"), "/")
		for _, file := range files {
			if text(c, "Config", "Labels", "com.docker.compose.service") == file[0] {
				meaning["File "+file[1]] = a.file(ctx, l.ID, file[1])
			}
		}
		note("container", name, meaning)
		out.Exact = append(out.Exact, exact)
		for _, m := range mounts(c) {
			if volume := text(m, "Name"); isAnonymous(volume) {
				out.Anonymous = append(out.Anonymous, volume)
			}
		}
	}
	slices.Sort(out.Exact)
	return out, nil
}

var anonymousName = regexp.MustCompile(`^[0-9a-f]{64}$`)

func isAnonymous(volume string) bool { return anonymousName.MatchString(volume) }

// bookkeeping are labels that say how a container came to be, not what it is.
var bookkeeping = []string{"com.docker.compose.replace", "io.stackctl.carried-volumes"}

// containerState gives what a container is, and which it is. A container is on its
// networks by their ids: one of an old network of the same name would be elsewhere.
func containerState(c map[string]any, networks map[string]string) (meaning map[string]any, exact string) {
	id := text(c, "Id")
	config, _ := c["Config"].(map[string]any)
	labels, _ := config["Labels"].(map[string]any)
	labels = maps.Clone(labels)
	for _, name := range bookkeeping {
		delete(labels, name)
	}
	config = maps.Clone(config)
	config["Labels"] = labels
	delete(config, "Hostname") // the id, where nobody sets it
	delete(config, "Volumes")  // what is mounted counts
	if env, ok := config["Env"].([]any); ok {
		slices.SortFunc(env, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	}
	host, _ := c["HostConfig"].(map[string]any)
	host = maps.Clone(host)
	delete(host, "Mounts") // what is mounted counts, with the mode of each
	delete(host, "Binds")
	var mounted []string
	for _, m := range mounts(c) {
		name := text(m, "Name")
		if isAnonymous(name) {
			name = "without a name"
		}
		mounted = append(mounted, fmt.Sprint(m["Type"], " ", name, " at ", m["Destination"], ", writable ", m["RW"]))
	}
	slices.Sort(mounted)
	on := map[string]any{}
	all, _ := field(c, "NetworkSettings", "Networks").(map[string]any)
	for name, settings := range all {
		place := "elsewhere"
		if there := text(settings, "NetworkID"); there == networks[name] {
			place = "there"
		}
		var aliases []string
		list, _ := field(settings, "Aliases").([]any)
		for _, alias := range list {
			if alias != id[:12] {
				aliases = append(aliases, fmt.Sprint(alias))
			}
		}
		slices.Sort(aliases)
		on[name] = []any{place, slices.Compact(aliases)}
	}
	status := text(c, "State", "Status")
	running := status
	if status == "exited" {
		running = fmt.Sprint("exited ", field(c, "State", "ExitCode"))
	}
	if text(c, "State", "Health", "Status") == "unhealthy" {
		running += " (unhealthy)" // starting or healthy is a matter of the moment
	}
	meaning = map[string]any{
		"State": running, "Image": c["Image"], "Path": c["Path"], "Args": c["Args"],
		"Config": config, "HostConfig": host, "Mounts": mounted, "Networks": on,
	}
	exact = fmt.Sprint("container ", id, c["Name"], " ", status, " ", field(c, "State", "StartedAt"), " ", len(all), " networks")
	return meaning, exact
}

func mounts(c map[string]any) []map[string]any {
	list, _ := c["Mounts"].([]any)
	var out []map[string]any
	for _, m := range list {
		if m, ok := m.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

// field follows a path into JSON; nil where it leads nowhere.
func field(value any, path ...string) any {
	for _, key := range path {
		object, ok := value.(map[string]any)
		if !ok {
			return nil
		}
		value = object[key]
	}
	return value
}

// text is field for a text; empty where there is none.
func text(value any, path ...string) string {
	out, _ := field(value, path...).(string)
	return out
}

func pick(from map[string]any, keys ...string) map[string]any {
	out := map[string]any{}
	for _, key := range keys {
		out[key] = from[key]
	}
	return out
}

// settle takes snapshots until a container that is on its way somewhere has got
// there: one that ends by itself, or is being removed.
func (a *api) settle(ctx context.Context, files [][2]string, project string) (snapshot, error) {
	for {
		out, err := a.look(ctx, files, project)
		if err != nil || !slices.ContainsFunc(out.Exact, func(line string) bool { return strings.Contains(line, " removing ") }) {
			return out, err
		}
		if err := rest(ctx, 50*time.Millisecond); err != nil {
			return out, err
		}
	}
}

// rest is the pause between two looks.
func rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// rows asks the app for the names of its rows.
func rows(ctx context.Context, port string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:"+port+"/users", nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	said, err := io.ReadAll(response.Body)
	return string(said), err
}

// addRow gives the app a row.
func addRow(ctx context.Context, port, name string) error {
	body := fmt.Sprintf(`{"name":%q,"email":"%s@example.org"}`, name, name)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://127.0.0.1:"+port+"/users", strings.NewReader(body))
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusCreated {
		return fmt.Errorf("POST /users: %s", response.Status)
	}
	return nil
}

// appPort finds the host port of a service's first running container.
func (a *api) appPort(ctx context.Context, project, service string) (string, error) {
	var listed []struct {
		State  string
		Labels map[string]string
		Ports  []struct{ PublicPort int }
	}
	if err := a.do(ctx, http.MethodGet, "/containers/json?"+ofProject(project), nil, &listed); err != nil {
		return "", err
	}
	for _, c := range listed {
		if c.Labels["com.docker.compose.service"] != service {
			continue
		}
		for _, p := range c.Ports {
			if p.PublicPort != 0 {
				return fmt.Sprint(p.PublicPort), nil
			}
		}
	}
	return "", fmt.Errorf("no container of %s publishes a port", service)
}

// made says when a volume was made. Up to API 1.41 the engine tells when something in
// its top folder has changed last; its own folder around that is as old as the volume.
func made(volume map[string]any) string {
	if folder, err := os.Stat(filepath.Dir(text(volume, "Mountpoint"))); err == nil {
		return folder.ModTime().UTC().Format(time.RFC3339Nano)
	}
	return text(volume, "CreatedAt")
}
