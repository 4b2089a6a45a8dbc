package spec

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// claim is one entry of a service's ports: the service gets one port of the
// host between first and last.
type claim struct {
	path        string
	ip          string
	protocol    string
	first, last uint64
}

// ports reports ports of the host that are claimed twice. A range of which the
// engine picks a free port is no conflict with another range, but it is with a
// single port inside: the engine may have picked that one already.
func (c *checker) ports() {
	claims := claimed{single: map[uint64][]int{}}
	for _, name := range slices.Sorted(maps.Keys(c.project.Services)) {
		service := c.project.Services[name]
		if service.NetworkMode == "host" {
			continue // the engine publishes nothing then
		}
		for i, port := range service.Ports {
			next, ok := c.claim(fmt.Sprintf("services.%s.ports[%d]", name, i), port)
			if !ok {
				continue
			}
			switch replicas := service.GetScale(); {
			case replicas > 1 && next.isSingle():
				c.found(next.path, fmt.Sprintf("%d replicas cannot publish one host port %s", replicas, next),
					"publish a range of ports, or none")
			case replicas > next.size():
				c.found(next.path, fmt.Sprintf("%d replicas cannot share the %d host ports %s", replicas, next.size(), next),
					"publish a port for each of them, or none")
			}
			if taken := claims.firstAgainst(next); taken >= 0 {
				c.found(next.path, fmt.Sprintf("host port %s is published by %s too", next, claims.all[taken].path),
					"publish one of them on another port", claims.all[taken].path)
			}
			claims.add(next)
		}
	}
}

// claimed are claims, found by their ports: one entry of a range such as
// "10000-20000:10000-20000" makes ten thousand of them.
type claimed struct {
	all    []claim
	single map[uint64][]int // places of claims of one port
	ranges []int
}

func (c *claimed) add(next claim) {
	at := len(c.all)
	c.all = append(c.all, next)
	if next.isSingle() {
		c.single[next.first] = append(c.single[next.first], at)
	} else {
		c.ranges = append(c.ranges, at)
	}
}

// firstAgainst gives the place of the first claim that conflicts with another one; -1
// for none.
func (c *claimed) firstAgainst(next claim) int {
	first := -1
	look := func(places []int) {
		for _, at := range places {
			if first >= 0 && at >= first {
				return
			}
			if next.conflicts(c.all[at]) {
				first = at
			}
		}
	}
	for port := next.first; port <= next.last; port++ {
		look(c.single[port])
	}
	if next.isSingle() { // ranges do not conflict with each other
		look(c.ranges)
	}
	return first
}

// claim returns what a port entry claims, false if that is nothing.
func (c *checker) claim(path string, port types.ServicePortConfig) (claim, bool) {
	if port.Published == "" || port.Published == "0" {
		return claim{}, false // any free port
	}
	if !isPortRange(port.Published) {
		c.found(path, fmt.Sprintf("%q is not a host port", port.Published), `publish a port, or a range such as "8000-8010"`)
		return claim{}, false
	}
	low, high, isRange := strings.Cut(port.Published, "-")
	if !isRange {
		high = low
	}
	// isPortRange has parsed both.
	first, _ := strconv.ParseUint(low, 10, 16)
	last, _ := strconv.ParseUint(high, 10, 16)
	return claim{path: path, ip: port.HostIP, protocol: port.Protocol, first: first, last: last}, true
}

func (c claim) isSingle() bool { return c.first == c.last }

func (c claim) size() int { return int(c.last-c.first) + 1 }

func (c claim) conflicts(other claim) bool {
	return c.protocol == other.protocol &&
		(c.isSingle() || other.isSingle()) &&
		c.first <= other.last && other.first <= c.last &&
		overlap(c.ip, other.ip)
}

// overlap reports whether a port can clash on two addresses of the host: equal
// ones, or one that stands for all of the other's family.
func overlap(a, b string) bool {
	if a == "" || b == "" || a == b {
		return true
	}
	left, errLeft := netip.ParseAddr(a)
	right, errRight := netip.ParseAddr(b)
	if errLeft != nil || errRight != nil {
		return false
	}
	left, right = left.Unmap(), right.Unmap()
	return left == right || left.Is4() == right.Is4() && (left.IsUnspecified() || right.IsUnspecified())
}

func (c claim) String() string {
	s := strconv.FormatUint(c.first, 10)
	if !c.isSingle() {
		s += "-" + strconv.FormatUint(c.last, 10)
	}
	if c.protocol != "" && c.protocol != "tcp" {
		s += "/" + c.protocol
	}
	return s
}
