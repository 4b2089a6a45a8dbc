//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"time"

	"golang.org/x/sync/errgroup"
)

// The floor: straight Engine API calls in the best order, and nothing else. It
// knows beforehand what to make (see recipe), reads no file of the stack, checks
// nothing and tells nothing. It runs as a process of its own, "bench floor", so
// that it pays for a start like the others.

// shortestPause is between two probes, which take no more than half of the time.
const shortestPause = 100 * time.Millisecond

// floor carries out a recipe.
type floor struct {
	api    *api
	recipe *recipe
	byName map[string]*floorContainer
}

// floorContainer is a container on its way up.
type floorContainer struct {
	containerRecipe
	started, ready chan struct{}
	found          chan struct{} // closed when the engine says healthy
}

// runFloor is the process of the floor: a verb and the file of a recipe.
func runFloor(ctx context.Context, args []string) error {
	if len(args) < 2 {
		return errors.New("bench floor: a verb and a recipe are needed")
	}
	verb, file := args[0], args[1]
	socket, err := socketOf(os.Getenv("DOCKER_HOST"))
	if err != nil {
		return err
	}
	if verb == "build" {
		return floorBuild(ctx, newAPI(socket, ""), file, args[2:])
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var r recipe
	if err := json.Unmarshal(text, &r); err != nil {
		return fmt.Errorf("read recipe %s: %w", file, err)
	}
	f := &floor{api: newAPI(socket, r.API), recipe: &r, byName: map[string]*floorContainer{}}
	for _, c := range r.Containers {
		f.byName[c.Service] = &floorContainer{c, make(chan struct{}), make(chan struct{}), make(chan struct{})}
	}
	switch verb {
	case "up":
		return f.up(ctx, false)
	case "pull":
		return f.up(ctx, true)
	case "no-op":
		return f.look(ctx)
	case "change":
		return f.change(ctx, args[2])
	case "down":
		return f.down(ctx, false)
	case "down -v":
		return f.down(ctx, true)
	case "status":
		_, err := f.api.containers(ctx, r.Project)
		return err
	default:
		return fmt.Errorf("bench floor: no verb %q", verb)
	}
}

// up makes networks and volumes at once, each container when they are there, and
// starts each when what it needs is ready. With pull, images are fetched first,
// each container waiting for its own only.
func (f *floor) up(ctx context.Context, pull bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := f.listen(ctx); err != nil {
		return err
	}
	work, ctx := errgroup.WithContext(ctx)
	base, baseCtx := errgroup.WithContext(ctx)
	for _, n := range f.recipe.Networks {
		base.Go(func() error { return f.api.do(baseCtx, http.MethodPost, "/networks/create", n, nil) })
	}
	for _, v := range f.recipe.Volumes {
		base.Go(func() error { return f.api.do(baseCtx, http.MethodPost, "/volumes/create", v, nil) })
	}
	made := make(chan struct{})
	work.Go(func() error {
		err := base.Wait()
		if err == nil {
			close(made)
		}
		return err
	})
	for _, c := range f.byName {
		work.Go(func() error {
			if pull {
				if err := f.api.stream(ctx, "/images/create?fromImage="+url.QueryEscape(c.Image), nil); err != nil {
					return err
				}
			}
			if err := wait(ctx, made); err != nil {
				return err
			}
			if err := f.create(ctx, c, c.Name); err != nil {
				return err
			}
			for _, n := range c.Needs {
				other, ok := f.byName[n.Service]
				if !ok {
					continue
				}
				gate := other.started
				if n.Healthy {
					gate = other.ready
				}
				if err := wait(ctx, gate); err != nil {
					return err
				}
			}
			return f.start(ctx, c, c.Name)
		})
	}
	return work.Wait()
}

func (f *floor) create(ctx context.Context, c *floorContainer, name string) error {
	if err := f.api.do(ctx, http.MethodPost, "/containers/create?name="+url.QueryEscape(name), c.Create, nil); err != nil {
		return err
	}
	for _, u := range c.Files {
		if err := f.api.do(ctx, http.MethodPut, "/containers/"+name+"/archive?path="+url.QueryEscape(u.Folder), bytes.NewReader(u.Tar), nil); err != nil {
			return err
		}
	}
	return nil
}

// start starts a container and waits until it is ready.
func (f *floor) start(ctx context.Context, c *floorContainer, name string) error {
	if err := f.api.do(ctx, http.MethodPost, "/containers/"+name+"/start", nil, nil); err != nil {
		return err
	}
	close(c.started)
	if err := f.waitReady(ctx, c, name); err != nil {
		return err
	}
	close(c.ready)
	return nil
}

func (f *floor) waitReady(ctx context.Context, c *floorContainer, name string) error {
	if c.EngineProbes {
		return wait(ctx, c.found)
	}
	for len(c.Test) > 0 {
		began := time.Now()
		code, err := f.exec(ctx, name, c.Test)
		if err != nil || code == 0 {
			return err
		}
		if err := pause(ctx, max(shortestPause, time.Since(began))); err != nil {
			return err
		}
	}
	return nil
}

// exec runs a command in a container and gives its exit code.
func (f *floor) exec(ctx context.Context, container string, command []string) (int, error) {
	var made struct {
		ID string `json:"Id"`
	}
	ask := map[string]any{"Cmd": command, "AttachStdout": true, "AttachStderr": true}
	if err := f.api.do(ctx, http.MethodPost, "/containers/"+container+"/exec", ask, &made); err != nil {
		return 0, err
	}
	if err := f.api.do(ctx, http.MethodPost, "/exec/"+made.ID+"/start", map[string]any{}, nil); err != nil {
		return 0, err
	}
	var end struct{ ExitCode int }
	err := f.api.do(ctx, http.MethodGet, "/exec/"+made.ID+"/json", nil, &end)
	return end.ExitCode, err
}

// listen opens the stream of events, if the engine probes any container, before
// the first start: no event is missed then.
func (f *floor) listen(ctx context.Context) error {
	waiting := map[string]*floorContainer{}
	for _, c := range f.byName {
		if c.EngineProbes {
			waiting[c.Service] = c
		}
	}
	if len(waiting) == 0 {
		return nil
	}
	filters, err := json.Marshal(map[string][]string{
		"label": {projectLabel + "=" + f.recipe.Project}, "event": {"health_status"},
	})
	if err != nil {
		return err
	}
	body, err := f.api.open(ctx, http.MethodGet, "/events?filters="+url.QueryEscape(string(filters)), nil)
	if err != nil {
		return err
	}
	go func() {
		defer body.Close()
		for decoder := json.NewDecoder(body); ; {
			var event struct {
				Action string
				Actor  struct{ Attributes map[string]string }
			}
			if decoder.Decode(&event) != nil {
				return // the run has ended
			}
			service := event.Actor.Attributes["com.docker.compose.service"]
			if c := waiting[service]; c != nil && event.Action == "health_status: healthy" {
				close(c.found)
				delete(waiting, service)
			}
		}
	}()
	return nil
}

// look asks for all that has to be known before one can say that nothing is to be
// done: the three lists and the images.
func (f *floor) look(ctx context.Context) error {
	work, ctx := errgroup.WithContext(ctx)
	work.Go(func() error { _, err := f.api.containers(ctx, f.recipe.Project); return err })
	work.Go(func() error { _, err := f.api.networks(ctx, f.recipe.Project); return err })
	work.Go(func() error { _, err := f.api.volumes(ctx, f.recipe.Project); return err })
	images := map[string]bool{}
	for _, c := range f.recipe.Containers {
		images[c.Image] = true
	}
	for image := range images {
		work.Go(func() error { return f.api.do(ctx, http.MethodGet, "/images/"+image+"/json", nil, nil) })
	}
	return work.Wait()
}

// change replaces the container of one service by one with another environment.
func (f *floor) change(ctx context.Context, service string) error {
	c, ok := f.byName[service]
	if !ok {
		return fmt.Errorf("change: no service %q", service)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := f.listen(ctx); err != nil {
		return err
	}
	var env []string
	if err := json.Unmarshal(c.Create["Env"], &env); err != nil {
		return err
	}
	text, err := json.Marshal(append(env, changedVariable+"=1"))
	if err != nil {
		return err
	}
	c.Create = maps.Clone(c.Create)
	c.Create["Env"] = text
	old := c.Name + "-old"
	if err := f.api.do(ctx, http.MethodPost, "/containers/"+c.Name+"/rename?name="+url.QueryEscape(old), nil, nil); err != nil {
		return err
	}
	// The new one is made while the old one stops; it takes over the port after.
	swap, swapCtx := errgroup.WithContext(ctx)
	swap.Go(func() error { return f.create(swapCtx, c, c.Name) })
	swap.Go(func() error { return f.api.do(swapCtx, http.MethodPost, "/containers/"+old+"/stop", nil, nil) })
	if err := swap.Wait(); err != nil {
		return err
	}
	end, endCtx := errgroup.WithContext(ctx)
	end.Go(func() error { return f.start(endCtx, c, c.Name) })
	end.Go(func() error { return f.api.do(endCtx, http.MethodDelete, "/containers/"+old, nil, nil) })
	return end.Wait()
}

// down stops and removes each container when those that need it are gone, then
// the networks and, with volumes, those.
func (f *floor) down(ctx context.Context, volumes bool) error {
	users := map[string][]string{}
	for _, c := range f.recipe.Containers {
		for _, n := range c.Needs {
			users[n.Service] = append(users[n.Service], c.Service)
		}
	}
	stopped := map[string]chan struct{}{}
	for service := range f.byName {
		stopped[service] = make(chan struct{})
	}
	work, workCtx := errgroup.WithContext(ctx)
	for service, c := range f.byName {
		work.Go(func() error {
			for _, user := range users[service] {
				if err := wait(workCtx, stopped[user]); err != nil {
					return err
				}
			}
			if err := f.api.do(workCtx, http.MethodPost, "/containers/"+c.Name+"/stop", nil, nil); err != nil {
				return err
			}
			close(stopped[service])
			return f.api.do(workCtx, http.MethodDelete, "/containers/"+c.Name, nil, nil)
		})
	}
	if err := work.Wait(); err != nil {
		return err
	}
	last, lastCtx := errgroup.WithContext(ctx)
	remove := func(kind string, bodies []json.RawMessage) {
		for _, body := range bodies {
			last.Go(func() error {
				var named struct{ Name string }
				if err := json.Unmarshal(body, &named); err != nil {
					return err
				}
				return f.api.do(lastCtx, http.MethodDelete, "/"+kind+"/"+named.Name, nil, nil)
			})
		}
	}
	remove("networks", f.recipe.Networks)
	if volumes {
		remove("volumes", f.recipe.Volumes)
	}
	return last.Wait()
}

// pause waits for a time.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// wait waits for a channel to be closed.
func wait(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
