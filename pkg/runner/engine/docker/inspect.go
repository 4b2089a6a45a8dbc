package docker

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/go-connections/nat"

	"github.com/stackctl/stackctl/pkg/runner/engine"
)

// outputLimit is how much of a command's output is kept, as the engine does for
// its own probes.
const outputLimit = 4096

// Inspect looks at one container closely.
func (e *Engine) Inspect(ctx context.Context, name string) (engine.Inspection, error) {
	c, err := e.api.ContainerInspect(ctx, name)
	if err != nil {
		return engine.Inspection{}, failed("inspect", "container", e.containerName(ctx, name, err), err)
	}
	return inspectionFrom(c), nil
}

func inspectionFrom(c container.InspectResponse) engine.Inspection {
	var out engine.Inspection
	if c.ContainerJSONBase != nil {
		out.ID = c.ID
		out.Name = strings.TrimPrefix(c.Name, "/")
		out.RestartCount = c.RestartCount
		out.RestartPolicy = string(container.RestartPolicyDisabled)
		if c.HostConfig != nil && c.HostConfig.RestartPolicy.Name != "" {
			out.RestartPolicy = string(c.HostConfig.RestartPolicy.Name)
		}
		if c.HostConfig != nil {
			out.Published = published(c.HostConfig.PortBindings)
		}
		if s := c.State; s != nil {
			out.State = s.Status
			out.ExitCode = s.ExitCode
			out.OOMKilled = s.OOMKilled
			out.Error = s.Error
			// The engine writes the year 1 for a container that never ran.
			out.StartedAt, _ = time.Parse(time.RFC3339Nano, s.StartedAt)
			out.Health, out.LastProbe = healthFrom(s.Health)
		}
	}
	if c.Config != nil {
		out.Tty = c.Config.Tty
		out.StopSignal, out.StopGrace = cmp.Or(c.Config.StopSignal, "SIGTERM"), defaultGrace*time.Second
		if seconds := c.Config.StopTimeout; seconds != nil {
			out.StopGrace = time.Duration(*seconds) * time.Second
		}
		out.Healthcheck = healthcheckFrom(c.Config)
	}
	return out
}

// published gives the host ports that were asked for.
func published(bindings nat.PortMap) []string {
	var out []string
	for _, of := range bindings {
		for _, binding := range of {
			if port := binding.HostPort; port != "" && port != "0" && !slices.Contains(out, port) {
				out = append(out, port)
			}
		}
	}
	slices.Sort(out)
	return out
}

func healthFrom(h *container.Health) (string, *engine.ProbeResult) {
	if h == nil || h.Status == container.NoHealthcheck {
		return "", nil
	}
	var last *engine.ProbeResult
	if n := len(h.Log); n > 0 && h.Log[n-1] != nil {
		last = &engine.ProbeResult{ExitCode: h.Log[n-1].ExitCode, Output: cut(h.Log[n-1].Output)}
	}
	return h.Status, last
}

// healthcheckFrom gives what the engine probes with. The engine has merged the
// image's healthcheck into the container's by then.
func healthcheckFrom(c *container.Config) *engine.Healthcheck {
	h := c.Healthcheck
	if h == nil || len(h.Test) == 0 {
		return nil
	}
	var command []string
	switch h.Test[0] {
	case "CMD":
		command = slices.Clone(h.Test[1:])
	case "CMD-SHELL":
		// The SHELL of the image counts here, as it does for the engine.
		command = slices.Clone([]string(c.Shell))
		if len(command) == 0 {
			command = []string{"/bin/sh", "-c"}
		}
		command = append(command, h.Test[1:]...)
	}
	if len(command) == 0 {
		return nil
	}
	return &engine.Healthcheck{
		Command:       command,
		Interval:      h.Interval,
		Timeout:       h.Timeout,
		StartPeriod:   h.StartPeriod,
		StartInterval: h.StartInterval,
		Retries:       h.Retries,
	}
}

// cut keeps the beginning of an output, as valid text.
func cut(output string) string {
	if len(output) > outputLimit {
		output = output[:outputLimit]
	}
	return strings.ToValidUTF8(output, "")
}
