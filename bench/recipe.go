//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
)

// recipe is what the floor makes: the very requests that lead to what stackctl
// made of the same file, taken from the engine by inspection. So all contestants
// give the engine the same work, and none of the floor's time goes into finding
// out what to do.
type recipe struct {
	Project    string
	API        string
	Networks   []json.RawMessage
	Volumes    []json.RawMessage
	Containers []containerRecipe
}

type containerRecipe struct {
	Service string
	Name    string
	Image   string
	// Create is the body of the request that creates the container.
	Create createBody
	// Test is the command that tells whether it is ready; none for always.
	Test []string
	// EngineProbes says that the engine runs Test soon after the start.
	EngineProbes bool
	Needs        []need
	// Files are written into it between create and start.
	Files []upload
}

// upload is an archive that is unpacked in a folder of a container.
type upload struct {
	Folder string
	Tar    []byte
}

type createBody map[string]json.RawMessage

type need struct {
	Service string
	// Healthy is false where the start is enough.
	Healthy bool
}

// record takes the recipe of a project that is on the engine.
func record(ctx context.Context, a *api, engine engineInfo, project string) (*recipe, error) {
	r := &recipe{Project: project, API: engine.API}
	networks, err := a.networks(ctx, project)
	if err != nil {
		return nil, err
	}
	for _, name := range networks {
		var n struct {
			Name, Driver    string
			Options, Labels map[string]string
			Internal        bool
		}
		if err := a.do(ctx, http.MethodGet, "/networks/"+name, nil, &n); err != nil {
			return nil, err
		}
		if err := r.addBody(&r.Networks, n); err != nil {
			return nil, err
		}
	}
	volumes, err := a.volumes(ctx, project)
	if err != nil {
		return nil, err
	}
	for _, name := range volumes {
		var v struct {
			Name, Driver string
			Labels       map[string]string
		}
		if err := a.do(ctx, http.MethodGet, "/volumes/"+name, nil, &v); err != nil {
			return nil, err
		}
		if err := r.addBody(&r.Volumes, v); err != nil {
			return nil, err
		}
	}
	containers, err := a.containers(ctx, project)
	if err != nil {
		return nil, err
	}
	r.Containers = make([]containerRecipe, len(containers))
	var looks errgroup.Group
	looks.SetLimit(8)
	for i, c := range containers {
		looks.Go(func() error {
			one, err := recordContainer(ctx, a, engine, c)
			r.Containers[i] = one
			return err
		})
	}
	if err := looks.Wait(); err != nil {
		return nil, err
	}
	slices.SortFunc(r.Containers, func(a, b containerRecipe) int { return strings.Compare(a.Name, b.Name) })
	return r, nil
}

func (r *recipe) addBody(to *[]json.RawMessage, value any) error {
	text, err := json.Marshal(value)
	*to = append(*to, text)
	return err
}

func recordContainer(ctx context.Context, a *api, engine engineInfo, c listed) (containerRecipe, error) {
	var seen struct {
		Name            string
		Config          createBody
		HostConfig      json.RawMessage
		NetworkSettings struct {
			Networks map[string]struct{ Aliases []string }
		}
	}
	if err := a.do(ctx, http.MethodGet, "/containers/"+c.ID+"/json", nil, &seen); err != nil {
		return containerRecipe{}, err
	}
	out := containerRecipe{Service: c.service(), Name: strings.TrimPrefix(seen.Name, "/"), Create: seen.Config}
	if err := json.Unmarshal(seen.Config["Image"], &out.Image); err != nil {
		return containerRecipe{}, fmt.Errorf("image of container %s: %w", out.Name, err)
	}
	if err := out.readHealth(engine); err != nil {
		return containerRecipe{}, fmt.Errorf("healthcheck of container %s: %w", out.Name, err)
	}
	out.Needs = needsOf(c.Labels["com.docker.compose.depends_on"])

	// The engine has added its id where nothing was asked for.
	delete(out.Create, "Hostname")
	type endpoint struct{ Aliases []string }
	endpoints := map[string]endpoint{}
	for name, n := range seen.NetworkSettings.Networks {
		endpoints[name] = endpoint{slices.DeleteFunc(n.Aliases, func(alias string) bool { return strings.HasPrefix(c.ID, alias) })}
	}
	networking, err := json.Marshal(map[string]any{"EndpointsConfig": endpoints})
	out.Create["HostConfig"], out.Create["NetworkingConfig"] = seen.HostConfig, networking
	if err != nil {
		return containerRecipe{}, err
	}
	out.Files, err = recordFiles(ctx, a, c)
	return out, err
}

// recordFiles reads the configs and secrets that were written into a container, by the
// label that lists them as target=digest.
func recordFiles(ctx context.Context, a *api, c listed) ([]upload, error) {
	var out []upload
	for entry := range strings.SplitSeq(c.Labels["io.stackctl.files"], ",") {
		target, _, found := strings.Cut(entry, "=")
		if !found {
			continue
		}
		archive, err := a.open(ctx, http.MethodGet, "/containers/"+c.ID+"/archive?path="+url.QueryEscape(target), nil)
		if err != nil {
			return nil, err
		}
		content, err := io.ReadAll(archive)
		archive.Close()
		if err != nil {
			return nil, fmt.Errorf("read %s of container %s: %w", target, c.ID, err)
		}
		out = append(out, upload{path.Dir(target), content})
	}
	return out, nil
}

// readHealth takes the probe from the request's body.
func (c *containerRecipe) readHealth(engine engineInfo) error {
	text, ok := c.Create["Healthcheck"]
	if !ok {
		return nil
	}
	var health struct {
		Test                       []string
		StartPeriod, StartInterval int64
	}
	if err := json.Unmarshal(text, &health); err != nil {
		return err
	}
	if len(health.Test) < 2 {
		return nil
	}
	switch health.Test[0] {
	case "CMD":
		c.Test = health.Test[1:]
	case "CMD-SHELL":
		c.Test = []string{"/bin/sh", "-c", health.Test[1]}
	}
	c.EngineProbes = health.StartPeriod > 0 && health.StartInterval > 0 && engine.knowsStartInterval()
	return nil
}

// needsOf reads "db:service_healthy:false,cache:service_started:false".
func needsOf(label string) []need {
	var out []need
	for part := range strings.SplitSeq(label, ",") {
		if service, rest, ok := strings.Cut(part, ":"); ok {
			out = append(out, need{service, strings.HasPrefix(rest, "service_healthy")})
		}
	}
	return out
}
