package runner

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// EventsOptions choose events. The zero value takes those of all services from
// now on.
type EventsOptions struct {
	// Services limits them to these.
	Services []string
	// Since starts with what happened then; zero with now. An engine remembers
	// little: some 256 events of all that happens on it.
	Since time.Time
	// Until ends the stream at a time, which may have passed; zero does not.
	Until time.Time
}

// ContainerEvent is something that happened to a container of a project.
type ContainerEvent struct {
	Time    time.Time
	Service string
	// ID and Name are the container's.
	ID, Name string
	// Action is the engine's word, with what follows it: "start",
	// "health_status: healthy", "exec_create: pg_isready".
	Action string
	// Attributes are the rest: the container's name, image and labels, and with
	// "die" its exitCode. The labels of Docker Compose and of stackctl are left out.
	Attributes map[string]string
}

// isOurs tells the labels of Docker Compose and of stackctl from the user's.
func isOurs(name, _ string) bool {
	return strings.HasPrefix(name, "com.docker.compose.") || strings.HasPrefix(name, "io.stackctl.")
}

// Events gives each what happens to a project's containers, until ctx ends or
// o.Until is reached. The containers of `docker compose run` are left out. An
// engine that goes away is an error: there is nothing to tell what was missed.
func (r *Runner) Events(ctx context.Context, project string, o EventsOptions, each func(ContainerEvent)) error {
	if project == "" {
		return errors.New("events: no project named")
	}
	return r.engine.AllEvents(ctx, engine.EventOptions{Project: project, Since: o.Since, Until: o.Until}, func(e engine.Event) {
		if e.Attributes[state.LabelOneOff] == "True" || len(o.Services) > 0 && !slices.Contains(o.Services, e.Service) {
			return
		}
		attributes := maps.Clone(e.Attributes)
		maps.DeleteFunc(attributes, isOurs)
		action := e.Action
		if e.Detail != "" {
			action += ": " + e.Detail
		}
		each(ContainerEvent{e.Time, e.Service, e.ID, e.Name, action, attributes})
	})
}
