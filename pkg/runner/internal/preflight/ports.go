// Package preflight looks, before anything is changed, at what would make a run
// fail half-way.
package preflight

import (
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/stackctl/stackctl/pkg/runner/plan"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// Conflict is a host port that is taken.
type Conflict struct {
	Service string
	// Address is "127.0.0.1:5432", or "5003" for all addresses.
	Address  string
	Protocol string
	Holder   string
}

// Lister lists the containers of the whole engine.
type Lister interface {
	Containers(ctx context.Context, project string) ([]state.Container, error)
}

// want is a fixed host port that a container is to publish.
type want struct {
	service, container string
	port               state.Port
}

// listen is the address to listen on.
func (w want) listen() string { return net.JoinHostPort(w.port.HostIP, strconv.Itoa(w.port.HostPort)) }

// String is the address as compose files write it: "127.0.0.1:5432", "5003".
func (w want) String() string { return strings.TrimPrefix(w.listen(), ":") }

// Ports gives the fixed host ports of the containers which the plan starts that
// somebody else has: another container, or, when the engine shares this
// machine's ports, a process. Containers that the plan removes do not count.
func Ports(ctx context.Context, e Lister, local bool, p *plan.Plan) ([]Conflict, error) {
	wants, going := wanted(p)
	if len(wants) == 0 {
		return nil, nil
	}
	containers, err := e.Containers(ctx, "")
	if err != nil {
		return nil, err
	}
	var out []Conflict
	for _, w := range wants {
		holder, handedOver := containerHolding(w, containers, going)
		if holder == "" && local && !handedOver {
			holder = processHolding(ctx, w)
		}
		if holder != "" {
			out = append(out, Conflict{w.service, w.String(), w.port.Protocol, holder})
		}
	}
	return out, nil
}

// wanted collects the ports that the plan's containers publish, and the ids of the
// containers that give up theirs in the same plan.
func wanted(p *plan.Plan) ([]want, map[string]bool) {
	var wants []want
	going := map[string]bool{}
	add := func(c state.ContainerSpec) {
		for _, port := range c.Config.Ports {
			fixed, ok := state.FixedPort(port)
			w := want{c.Service, c.Name, fixed}
			if ok && !slices.Contains(wants, w) {
				wants = append(wants, w)
			}
		}
	}
	for _, n := range p.Nodes {
		switch op := n.Op.(type) {
		case plan.StopContainer:
			going[op.Container.ID] = true
		case plan.ReplaceContainer:
			going[op.Old.ID] = true
		case plan.CreateContainer: // which somebody else may start
			add(op.Container)
		case plan.StartContainer:
			add(op.Container)
		}
	}
	return wants, going
}

// containerHolding names the container that has the port; none when it is the
// wanted one itself, or one that gives the port up in the same plan. Handed over
// says that it is one of these: the engine's proxy still listens for it then.
func containerHolding(w want, containers []state.Container, going map[string]bool) (holder string, handedOver bool) {
	for _, c := range containers {
		switch {
		case !slices.ContainsFunc(c.Ports, w.port.Overlaps):
		case c.Name == w.container || going[c.ID]:
			handedOver = true
		default:
			return "container " + c.Name, false
		}
	}
	return "", handedOver
}

// processHolding tries to listen, which tells for sure, and only then looks for
// who does.
func processHolding(ctx context.Context, w want) string {
	var (
		listen net.ListenConfig
		err    error
	)
	switch w.port.Protocol {
	case "tcp":
		var l net.Listener
		if l, err = listen.Listen(ctx, "tcp", w.listen()); err == nil {
			err = l.Close()
		}
	case "udp":
		var c net.PacketConn
		if c, err = listen.ListenPacket(ctx, "udp", w.listen()); err == nil {
			err = c.Close()
		}
	}
	if !errors.Is(err, syscall.EADDRINUSE) {
		// Free, or something that is the engine's to say: a port below 1024 that
		// only root may have, an address that is not this machine's.
		return ""
	}
	names := processesOn(ctx, w)
	if len(names) == 0 {
		return "another process"
	}
	return strings.Join(names, ", ")
}
