package runner

import (
	"cmp"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"

	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// Endpoint is an address at which a service answers on the host.
type Endpoint struct {
	Service   string `json:"service"`
	Container string `json:"container"`
	// URL is "http://localhost:5003"; the scheme follows app_protocol, or what
	// usually speaks on the container's port.
	URL string `json:"url"`
}

// schemes says what usually speaks on a container's port; anything else is taken
// for HTTP.
var schemes = map[int]string{
	443: "https", 8443: "https",
	1433: "sqlserver", 1883: "mqtt", 3306: "mysql", 4222: "nats", 5432: "postgres", 5672: "amqp",
	6379: "redis", 9042: "cassandra", 9092: "kafka", 11211: "memcached", 27017: "mongodb",
}

// endpoints lists what the running containers publish, by service and port.
func endpoints(containers []state.Container, d state.Desired, info engine.Info) []Endpoint {
	var out []Endpoint
	for _, c := range containers {
		if c.State != "running" || c.OneOff {
			continue
		}
		seen := map[string]bool{} // IPv4 and IPv6 publish the same port twice
		for _, p := range c.Ports {
			if p.HostPort == 0 {
				continue
			}
			endpoint := Endpoint{c.Service, c.Name, fmt.Sprintf("%s://%s", scheme(d, c.Service, p), net.JoinHostPort(hostOf(p.HostIP, info), strconv.Itoa(p.HostPort)))}
			if !seen[endpoint.URL] {
				seen[endpoint.URL] = true
				out = append(out, endpoint)
			}
		}
	}
	slices.SortFunc(out, func(a, b Endpoint) int {
		return cmp.Or(cmp.Compare(a.Container, b.Container), cmp.Compare(a.URL, b.URL))
	})
	return out
}

func scheme(d state.Desired, service string, p state.Port) string {
	if s, known := d.Service(service); known {
		for _, port := range s.Config.Ports {
			if int(port.Target) == p.ContainerPort && port.AppProtocol != "" {
				return port.AppProtocol
			}
		}
	}
	if p.Protocol == "udp" {
		return "udp"
	}
	if scheme, known := schemes[p.ContainerPort]; known {
		return scheme
	}
	return "http"
}

// hostOf gives the name under which a published port is reached from here.
func hostOf(ip string, info engine.Info) string {
	parsed := net.ParseIP(ip)
	switch {
	case ip != "" && parsed != nil && !parsed.IsUnspecified() && !parsed.IsLoopback():
		return ip
	case info.Local:
		return "localhost"
	}
	if u, err := url.Parse(info.Endpoint); err == nil && u.Hostname() != "" {
		return u.Hostname()
	}
	return "localhost"
}
