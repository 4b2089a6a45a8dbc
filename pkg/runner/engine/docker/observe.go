package docker

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"

	"github.com/stackctl/stackctl/pkg/runner/state"
)

// Containers lists the containers of a project in one call.
func (e *Engine) Containers(ctx context.Context, project string) ([]state.Container, error) {
	options := container.ListOptions{All: true}
	if project != "" {
		options.Filters = filters.NewArgs(filters.Arg("label", state.LabelProject+"="+project))
	}
	list, err := e.api.ContainerList(ctx, options)
	if err != nil {
		return nil, failed("list", "containers of", project, err)
	}
	out := make([]state.Container, 0, len(list))
	for _, c := range list {
		out = append(out, containerFromSummary(c))
	}
	return out, nil
}

func containerFromSummary(s container.Summary) state.Container {
	c := state.Container{
		ID:      s.ID,
		Name:    ownName(s.Names),
		Image:   s.Image,
		ImageID: s.ImageID,
		State:   s.State,
		Health:  healthFromStatus(s.Status),
		Status:  s.Status,
		Created: time.Unix(s.Created, 0),
	}
	c.ExitCode = exitCodeFromStatus(s.Status)
	for _, p := range s.Ports {
		c.Ports = append(c.Ports, state.Port{
			HostIP: p.IP, HostPort: int(p.PublicPort), ContainerPort: int(p.PrivatePort), Protocol: p.Type,
		})
	}
	slices.SortFunc(c.Ports, func(a, b state.Port) int {
		return cmp.Or(
			cmp.Compare(a.ContainerPort, b.ContainerPort), cmp.Compare(a.Protocol, b.Protocol),
			cmp.Compare(a.HostPort, b.HostPort), cmp.Compare(a.HostIP, b.HostIP),
		)
	})
	if s.NetworkSettings != nil && len(s.NetworkSettings.Networks) > 0 {
		c.Networks = map[string]string{}
		for name, settings := range s.NetworkSettings.Networks {
			c.Networks[name] = ""
			if settings != nil {
				c.Networks[name] = settings.NetworkID
			}
		}
	}
	if other, found := strings.CutPrefix(s.HostConfig.NetworkMode, types.ContainerPrefix); found {
		c.SharesNetwork = other
	}
	for _, m := range s.Mounts {
		c.Mounts = append(c.Mounts, state.Mount{Type: string(m.Type), Name: m.Name, Target: m.Destination})
	}
	slices.SortFunc(c.Mounts, func(a, b state.Mount) int { return cmp.Compare(a.Target, b.Target) })
	return state.ContainerFromLabels(c, s.Labels)
}

// ownName picks the container's name among the aliases that links give it, which
// have a second slash.
func ownName(names []string) string {
	for _, name := range names {
		if name = strings.TrimPrefix(name, "/"); !strings.Contains(name, "/") {
			return name
		}
	}
	return ""
}

// healthFromStatus reads what a list says of health: no engine before API 1.52
// has a field of its own for it.
func healthFromStatus(status string) string {
	switch {
	case strings.HasSuffix(status, "(healthy)"):
		return "healthy"
	case strings.HasSuffix(status, "(unhealthy)"):
		return "unhealthy"
	case strings.HasSuffix(status, "(health: starting)"):
		return "starting"
	}
	return ""
}

// exitCodeFromStatus reads "Exited (137) 5 seconds ago" and "Restarting (1) ...";
// 0 for any other.
func exitCodeFromStatus(status string) int {
	for _, prefix := range []string{"Exited (", "Restarting ("} {
		if rest, found := strings.CutPrefix(status, prefix); found {
			digits, _, _ := strings.Cut(rest, ")")
			code, _ := strconv.Atoi(digits)
			return code
		}
	}
	return 0
}

// Networks lists all networks.
func (e *Engine) Networks(ctx context.Context) ([]state.Network, error) {
	list, err := e.api.NetworkList(ctx, network.ListOptions{})
	if err != nil {
		return nil, failed("list", "networks of", e.endpoint.host, err)
	}
	out := make([]state.Network, 0, len(list))
	for _, n := range list {
		out = append(out, state.Network{
			ID: n.ID, Name: n.Name, Driver: n.Driver,
			Project: n.Labels[state.LabelProject], Key: n.Labels[state.LabelNetwork],
			Hash: n.Labels[state.LabelHash], Internal: n.Internal, Attachable: n.Attachable, IPv6: n.EnableIPv6,
			Options: n.Options, Labels: n.Labels, IPAMDriver: n.IPAM.Driver, Pools: pools(n.IPAM.Config),
		})
	}
	return out, nil
}

func pools(in []network.IPAMConfig) []state.Pool {
	var out []state.Pool
	for _, p := range in {
		out = append(out, state.Pool{Subnet: p.Subnet, IPRange: p.IPRange, Gateway: p.Gateway, Aux: p.AuxAddress})
	}
	return out
}

// Volumes lists all volumes.
func (e *Engine) Volumes(ctx context.Context) ([]state.Volume, error) {
	list, err := e.api.VolumeList(ctx, volume.ListOptions{})
	if err != nil {
		return nil, failed("list", "volumes of", e.endpoint.host, err)
	}
	out := make([]state.Volume, 0, len(list.Volumes))
	for _, v := range list.Volumes {
		if v == nil {
			continue
		}
		created, _ := time.Parse(time.RFC3339, v.CreatedAt)
		out = append(out, state.Volume{
			Name: v.Name, Driver: v.Driver, Created: created,
			Project: v.Labels[state.LabelProject], Key: v.Labels[state.LabelVolume],
			Options: v.Options, Labels: v.Labels,
		})
	}
	return out, nil
}

// Image looks up an image.
func (e *Engine) Image(ctx context.Context, ref string) (state.Image, error) {
	i, err := e.api.ImageInspect(ctx, ref)
	if err != nil {
		return state.Image{}, failed("look up", "image", ref, err)
	}
	out := state.Image{ID: i.ID, Size: i.Size, Digests: i.RepoDigests, Tagged: i.Metadata.LastTagTime}
	if i.Os != "" {
		out.Platform = strings.TrimSuffix(i.Os+"/"+i.Architecture+"/"+i.Variant, "/")
	}
	if i.Config != nil {
		out.Labels = i.Config.Labels
	}
	return out, nil
}
