package docker

import (
	"fmt"
	"maps"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"

	"github.com/stackctl/stackctl/pkg/runner/state"
)

// interfaceOption is the endpoint option that names a network's interface.
const interfaceOption = "com.docker.network.endpoint.ifname"

// networkMode names the network that the container is made on.
func networkMode(spec state.ContainerSpec) string {
	switch {
	case spec.Config.NetworkMode != "":
		return spec.Config.NetworkMode
	case len(spec.Networks) > 0:
		return spec.Networks[0].Network
	}
	return network.NetworkNone
}

// convertNetworks attaches the container to its networks: to all at once where
// the engine can, else to the first, and to the others before the start.
func convertNetworks(spec state.ContainerSpec, s surroundings, links []string, out *creation) error {
	mac := spec.Config.MacAddress
	if len(spec.Networks) == 0 {
		if mac != "" {
			out.config.MacAddress = mac //nolint:staticcheck // the only place for it without a network of one's own
		}
		return nil
	}
	out.network = &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{}}
	for i, attachment := range spec.Networks {
		endpoint, err := convertEndpoint(attachment)
		if err != nil {
			return fmt.Errorf("network %s: %w", attachment.Network, err)
		}
		endpoint.Links = links
		if i == 0 && mac != "" {
			if endpoint.MacAddress != "" && endpoint.MacAddress != mac {
				return fmt.Errorf("network %s: mac_address is %s here and %s on the service", attachment.Network, endpoint.MacAddress, mac)
			}
			endpoint.MacAddress = mac
		}
		switch {
		case s.atLeast(api144):
			out.network.EndpointsConfig[attachment.Network] = endpoint
		case i == 0:
			// These engines take the address of the first network from here.
			out.config.MacAddress = endpoint.MacAddress //nolint:staticcheck // deprecated for API 1.44 and later only
			endpoint.MacAddress = ""
			out.network.EndpointsConfig[attachment.Network] = endpoint
		default:
			out.connect = append(out.connect, connection{attachment.Network, endpoint})
		}
	}
	return nil
}

func convertEndpoint(a state.Attachment) (*network.EndpointSettings, error) {
	out := &network.EndpointSettings{Aliases: a.Aliases}
	c := a.Config
	if c == nil {
		return out, nil
	}
	if c.Ipv4Address != "" || c.Ipv6Address != "" || len(c.LinkLocalIPs) > 0 {
		out.IPAMConfig = &network.EndpointIPAMConfig{
			IPv4Address: c.Ipv4Address, IPv6Address: c.Ipv6Address, LinkLocalIPs: c.LinkLocalIPs,
		}
	}
	out.MacAddress = c.MacAddress
	out.DriverOpts = c.DriverOpts
	if c.InterfaceName != "" {
		if other := c.DriverOpts[interfaceOption]; other != "" && other != c.InterfaceName {
			return nil, fmt.Errorf("interface_name is %s, and %s in driver_opts", c.InterfaceName, other)
		}
		out.DriverOpts = maps.Clone(c.DriverOpts)
		if out.DriverOpts == nil {
			out.DriverOpts = map[string]string{}
		}
		out.DriverOpts[interfaceOption] = c.InterfaceName
	}
	out.GwPriority = c.GatewayPriority
	return out, nil
}

func convertNetwork(n state.NetworkSpec) network.CreateOptions {
	c := n.Config
	out := network.CreateOptions{
		Driver:     c.Driver,
		EnableIPv4: c.EnableIPv4,
		EnableIPv6: c.EnableIPv6,
		Internal:   c.Internal,
		Attachable: c.Attachable,
		Options:    c.DriverOpts,
		Labels:     n.Labels,
	}
	if c.Ipam.Driver != "" || len(c.Ipam.Config) > 0 || len(c.Ipam.Options) > 0 {
		out.IPAM = &network.IPAM{Driver: c.Ipam.Driver, Options: c.Ipam.Options, Config: ipamPools(c.Ipam.Config)}
	}
	return out
}

func ipamPools(in []*types.IPAMPool) []network.IPAMConfig {
	var out []network.IPAMConfig
	for _, pool := range in {
		if pool != nil {
			out = append(out, network.IPAMConfig{
				Subnet: pool.Subnet, IPRange: pool.IPRange, Gateway: pool.Gateway, AuxAddress: pool.AuxiliaryAddresses,
			})
		}
	}
	return out
}

func convertVolume(v state.VolumeSpec) volume.CreateOptions {
	return volume.CreateOptions{Name: v.Name, Driver: v.Config.Driver, DriverOpts: v.Config.DriverOpts, Labels: v.Labels}
}
