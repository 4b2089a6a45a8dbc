package runner

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stackctl/stackctl/pkg/runner/internal/preflight"
	"github.com/stackctl/stackctl/pkg/runner/plan"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// ForeignImageError says that a container failed whose image is for other machines
// than the engine's. It may not be why: such an image can run under emulation.
type ForeignImageError struct {
	// Image is the reference, Platform what it is for, Engine what the engine's
	// containers run on: "linux/arm64".
	Image, Platform, Engine string
	// Err is the failure.
	Err error
}

func (e *ForeignImageError) Error() string {
	return fmt.Sprintf("%v; image %s is for %s, and the engine runs on %s", e.Err, e.Image, e.Platform, e.Engine)
}

func (e *ForeignImageError) Unwrap() error { return e.Err }

// SubnetError says that a network cannot be made with its subnet, since another
// network has addresses of it.
type SubnetError struct {
	// Network is the one that was to be made.
	Network, Subnet string
	// Other is the one that is there.
	Other, OtherSubnet string
	// Free is a subnet of the same size that no network of the engine has; empty when
	// none was found.
	Free string
	// Err is what the engine said.
	Err error
}

func (e *SubnetError) Error() string {
	return fmt.Sprintf("create network %q: its subnet %s overlaps with %s of network %s", e.Network, e.Subnet, e.OtherSubnet, e.Other)
}

func (e *SubnetError) Unwrap() error { return e.Err }

// reason looks for what is behind a failure that the engine tells in its own words,
// or not at all. It costs calls, so it is for what has failed only.
func (r *Runner) reason(ctx context.Context, f Failure) error {
	switch op := f.Node.Op.(type) {
	case plan.CreateNetwork:
		return r.overlapping(ctx, op.Network, f.Err)
	case plan.StartContainer:
		if taken := r.taken(ctx, op.Container); taken != nil {
			return fmt.Errorf("start container %q: %w", op.Container.Name, taken)
		}
		return r.foreignImage(ctx, op.Container, f.Err)
	case plan.WaitReady:
		var notReady *NotReadyError
		if errors.As(f.Err, &notReady) && notReady.Exited && !notReady.OOMKilled {
			return r.foreignImage(ctx, op.Container, f.Err)
		}
	}
	return f.Err
}

// taken looks whether somebody took a host port of a container after it had been
// found free; nil when not, or when that cannot be found out.
func (r *Runner) taken(ctx context.Context, c state.ContainerSpec) error {
	info, err := r.engine.Info(ctx)
	if err != nil {
		return nil //nolint:nilerr // the failure that there is already is told
	}
	conflicts, err := preflight.Ports(ctx, r.engine, info.Local, &plan.Plan{Nodes: []plan.Node{{Op: plan.StartContainer{Container: c}}}})
	if err != nil || len(conflicts) == 0 {
		return nil //nolint:nilerr // as above
	}
	return portsError(conflicts)
}

// foreignImage adds to an error that the image is for another platform.
func (r *Runner) foreignImage(ctx context.Context, c state.ContainerSpec, err error) error {
	image, imageErr := r.engine.Image(ctx, c.Image)
	platform, platformErr := r.engine.Platform(ctx)
	if imageErr != nil || platformErr != nil {
		return err
	}
	// A variant, as in linux/arm/v7, says little of what can be run.
	parts := strings.SplitN(image.Platform, "/", 3)
	if len(parts) < 2 || parts[0] == platform.OS && parts[1] == platform.Arch {
		return err
	}
	return &ForeignImageError{Image: c.Image, Platform: image.Platform, Engine: platform.String(), Err: err}
}

// overlapping names the network that has addresses of one that could not be made.
func (r *Runner) overlapping(ctx context.Context, n state.NetworkSpec, err error) error {
	wanted := subnets(n.Config.Ipam)
	if len(wanted) == 0 {
		return err
	}
	networks, listErr := r.engine.Networks(ctx)
	if listErr != nil {
		return err
	}
	var used []netip.Prefix
	e := &SubnetError{Network: n.Name, Err: err}
	var size int
	for _, other := range networks {
		for _, pool := range other.Pools {
			there, parseErr := netip.ParsePrefix(pool.Subnet)
			if parseErr != nil {
				continue
			}
			used = append(used, there)
			for _, want := range wanted {
				if other.Name != n.Name && e.Other == "" && want.Overlaps(there) {
					e.Subnet, e.Other, e.OtherSubnet, size = want.String(), other.Name, there.String(), want.Bits()
				}
			}
		}
	}
	if e.Other == "" {
		return err
	}
	e.Free = freeSubnet(append(used, wanted...), size)
	return e
}

func subnets(config types.IPAMConfig) []netip.Prefix {
	var out []netip.Prefix
	for _, pool := range config.Config {
		if pool == nil {
			continue
		}
		if subnet, err := netip.ParsePrefix(pool.Subnet); err == nil {
			out = append(out, subnet.Masked())
		}
	}
	return out
}

// freeSubnet gives a private IPv4 subnet with so many bits that overlaps with none
// of those in use; empty for a size that is none of a usual network's.
func freeSubnet(used []netip.Prefix, bits int) string {
	if bits < 16 || bits > 29 {
		return ""
	}
	for second := range 100 {
		candidate := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(100 + second), 0, 0}), bits)
		free := true
		for _, u := range used {
			free = free && !u.Overlaps(candidate)
		}
		if free {
			return candidate.String()
		}
	}
	return ""
}
