//go:build e2e

package compose

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/stackctl/stackctl/pkg/runner/state"
)

// peer asks the engine through its unix socket, in the newest version of the API
// that it has: what inspects say goes into the comparison as it is.
type peer struct{ client http.Client }

func newPeer(endpoint string) (*peer, error) {
	socket, ok := strings.CutPrefix(endpoint, "unix://")
	if !ok {
		return nil, fmt.Errorf("these tests look at the engine through a unix socket, and got %s", endpoint)
	}
	return &peer{http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}}, nil
}

var errNotFound = errors.New("not found")

func (p *peer) get(ctx context.Context, path string, into any) error {
	return p.do(ctx, http.MethodGet, path, into)
}

func (p *peer) do(ctx context.Context, method, path string, into any) error {
	request, err := http.NewRequestWithContext(ctx, method, "http://engine"+path, nil)
	if err != nil {
		return err
	}
	response, err := p.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return err
	case response.StatusCode == http.StatusNotFound:
		return fmt.Errorf("%s %s: %w", method, path, errNotFound)
	case response.StatusCode != http.StatusOK:
		return fmt.Errorf("%s %s: %s: %s", method, path, response.Status, bytes.TrimSpace(text))
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	return decoder.Decode(into)
}

// removeImages removes what was built for a project: both tools keep it.
func (p *peer) removeImages(ctx context.Context, project string) error {
	all, err := p.list(ctx, project)
	if err != nil {
		return err
	}
	for _, image := range all.images {
		for _, tag := range image.RepoTags {
			if !strings.Contains(tag, project) {
				continue
			}
			if err := p.do(ctx, http.MethodDelete, "/images/"+tag, &[]any{}); err != nil {
				return err
			}
		}
	}
	return nil
}

// version gives the API's.
func (p *peer) version(ctx context.Context) (string, error) {
	var v struct{ APIVersion string }
	err := p.get(ctx, "/version", &v)
	return v.APIVersion, err
}

func ofProject(project string) string {
	filter, _ := json.Marshal(map[string][]string{"label": {state.LabelProject + "=" + project}}) // cannot fail
	return "filters=" + url.QueryEscape(string(filter))
}

type listing struct {
	containers []struct {
		ID      string `json:"Id"`
		Names   []string
		ImageID string
		Image   string
		State   string
		Labels  map[string]string
	}
	networks []struct{ ID, Name string }
	volumes  struct{ Volumes []struct{ Name string } }
	images   []struct{ RepoTags []string }
}

func (p *peer) list(ctx context.Context, project string) (listing, error) {
	var l listing
	filter := ofProject(project)
	return l, errors.Join(
		p.get(ctx, "/containers/json?all=true&"+filter, &l.containers),
		p.get(ctx, "/networks?"+filter, &l.networks),
		p.get(ctx, "/volumes?"+filter, &l.volumes),
		p.get(ctx, "/images/json", &l.images),
	)
}

// snapshot inspects all that a project has on the engine, and gives it normalised,
// with the names of the anonymous volumes.
func (p *peer) snapshot(ctx context.Context, project string, look func(ctx context.Context, service, id string) (string, error)) (any, []string, error) {
	all, err := p.list(ctx, project)
	if err != nil {
		return nil, nil, err
	}
	n := newNormaliser(project)
	containers, networks, volumes, images, seen := map[string]any{}, map[string]any{}, map[string]any{}, map[string]any{}, map[string]any{}
	var names, anonymous []string
	for _, v := range all.volumes.Volumes {
		names = append(names, v.Name)
	}
	for _, c := range all.containers {
		name := strings.TrimPrefix(c.Names[0], "/")
		var doc map[string]any
		if err := p.get(ctx, "/containers/"+c.ID+"/json", &doc); err != nil {
			return nil, nil, err
		}
		containers[name] = doc
		n.knows(c.ID, "container "+name)
		networks, _ := valueAt(doc, "/NetworkSettings/Networks").(map[string]any)
		for network := range networks {
			if id, _ := valueAt(networks, "/"+escape(network)+"/NetworkID").(string); id != "" {
				n.knows(id, "network "+network)
			}
		}
		mounts, _ := doc["Mounts"].([]any)
		for _, m := range mounts {
			mount, _ := m.(map[string]any)
			if volume, _ := mount["Name"].(string); volume != "" && !slices.Contains(names, volume) {
				names = append(names, volume)
				if !longID.MatchString(volume) {
					continue // somebody else's
				}
				anonymous = append(anonymous, volume)
				n.knows(volume, fmt.Sprintf("anonymous volume of %s at %v", name, mount["Destination"]))
			}
		}
		if c.State == "running" {
			out, err := look(ctx, c.Labels[state.LabelService], c.ID)
			if err != nil {
				return nil, nil, fmt.Errorf("look into %s: %w", name, err)
			}
			if out != "" {
				seen[name] = out
			}
		}
	}
	for _, network := range all.networks {
		var doc map[string]any
		if err := p.get(ctx, "/networks/"+network.ID, &doc); err != nil {
			return nil, nil, err
		}
		networks[network.Name] = doc
		n.knows(network.ID, "network "+network.Name)
	}
	for _, name := range names {
		var doc map[string]any
		if err := p.get(ctx, "/volumes/"+name, &doc); err != nil {
			return nil, nil, err
		}
		volumes[name] = doc
	}
	for _, image := range all.images {
		for _, tag := range image.RepoTags {
			if !strings.Contains(tag, project) {
				continue
			}
			var doc map[string]any
			if err := p.get(ctx, "/images/"+tag+"/json", &doc); err != nil {
				return nil, nil, err
			}
			n.knows(strings.TrimPrefix(doc["Id"].(string), "sha256:"), "image "+tag)
			images[tag] = doc
		}
	}
	return n.normalise(map[string]any{
		"containers": containers, "networks": networks, "volumes": volumes, "images": images, "look": seen,
	}), anonymous, nil
}

// left names what is still there of a project.
func (p *peer) left(ctx context.Context, project string, volumes []string) ([]string, error) {
	all, err := p.list(ctx, project)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, c := range all.containers {
		out = append(out, "container "+c.Names[0])
	}
	for _, n := range all.networks {
		out = append(out, "network "+n.Name)
	}
	for _, v := range all.volumes.Volumes {
		volumes = append(volumes, v.Name)
	}
	slices.Sort(volumes)
	for _, name := range slices.Compact(volumes) {
		switch err := p.get(ctx, "/volumes/"+name, &struct{}{}); {
		case err == nil:
			out = append(out, "volume "+name)
		case !errors.Is(err, errNotFound):
			return nil, err
		}
	}
	for _, image := range all.images {
		for _, tag := range image.RepoTags {
			if strings.Contains(tag, project) {
				out = append(out, "image "+tag)
			}
		}
	}
	return out, nil
}
