package docker

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"

	"github.com/stackctl/stackctl/pkg/runner/state"
)

// peer is a container of a service that another service refers to.
type peer struct {
	id, name string
	number   int
	created  int64
	runs     int // 1 when it does
}

// peersOf looks up containers of a project's services, in the order of their
// numbers. A plan makes them before the container that refers to them.
func (e *Engine) peersOf(ctx context.Context, project string) func(service string) ([]peer, error) {
	return func(service string) ([]peer, error) {
		list, err := e.api.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(
			filters.Arg("label", state.LabelProject+"="+project),
			filters.Arg("label", state.LabelService+"="+service),
			filters.Arg("label", state.LabelOneOff+"=False"),
		)})
		if err != nil {
			return nil, failed("list", "containers of", service, err)
		}
		return sortPeers(list), nil
	}
}

// sortPeers puts the lowest number first; of two with one number, the newer one:
// the other is about to be replaced by it. Of two that were made in the same
// second, which is all that a list tells, that is the one that runs.
func sortPeers(list []container.Summary) []peer {
	var out []peer
	for _, c := range list {
		number, _ := strconv.Atoi(c.Labels[state.LabelNumber])
		p := peer{id: c.ID, name: ownName(c.Names), number: number, created: c.Created}
		if c.State == container.StateRunning {
			p.runs = 1
		}
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b peer) int {
		return cmp.Or(cmp.Compare(a.number, b.number), cmp.Compare(b.created, a.created), cmp.Compare(b.runs, a.runs),
			cmp.Compare(a.name, b.name))
	})
	return out
}

// noPeerError says that a service which another refers to has no container.
type noPeerError struct{ service string }

func (e *noPeerError) Error() string {
	return fmt.Sprintf("service %s, which it refers to, has no container: bring it up first", e.service)
}

// first gives the id of a service's first container.
func (s surroundings) first(service string) (string, error) {
	peers, err := s.peers(service)
	if err != nil {
		return "", err
	}
	if len(peers) == 0 {
		return "", &noPeerError{service}
	}
	return peers[0].id, nil
}

// shared resolves a namespace that is a service's to one that is a container's.
func (s surroundings) shared(mode string) (string, error) {
	service, found := strings.CutPrefix(mode, types.ServicePrefix)
	if !found {
		return mode, nil
	}
	id, err := s.first(service)
	return types.ContainerPrefix + id, err
}

// volumesFrom gives the containers whose volumes are mounted. Unlike Docker
// Compose it keeps the access mode of a service's.
func volumesFrom(service types.ServiceConfig, s surroundings) ([]string, error) {
	var out []string
	for _, from := range service.VolumesFrom {
		if name, found := strings.CutPrefix(from, types.ContainerPrefix); found {
			out = append(out, name)
			continue
		}
		name, mode, hasMode := strings.Cut(from, ":")
		id, err := s.first(name)
		if err != nil {
			return nil, fmt.Errorf("volumes_from: %w", err)
		}
		if hasMode {
			id += ":" + mode
		}
		out = append(out, id)
	}
	return out, nil
}

// links gives the links of a container as Docker Compose writes them: each
// container of a linked service under the link's name, and under two that carry
// the number of the container that links.
func links(spec state.ContainerSpec, s surroundings) ([]string, error) {
	var out []string
	for _, link := range spec.Config.Links {
		service, alias, named := strings.Cut(link, ":")
		if !named {
			alias = service
		}
		peers, err := s.peers(service)
		if err != nil {
			return nil, fmt.Errorf("links: %w", err)
		}
		numbered := fmt.Sprintf("%s-%d", service, spec.Number)
		for _, p := range peers {
			out = append(out,
				p.name+":"+alias,
				p.name+":"+numbered,
				p.name+":"+s.project+"-"+numbered,
			)
		}
	}
	for _, link := range spec.Config.ExternalLinks {
		name, alias, named := strings.Cut(link, ":")
		if !named {
			alias = name
		}
		out = append(out, name+":"+alias)
	}
	return out, nil
}
