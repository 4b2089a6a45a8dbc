package preflight

import (
	"context"
	"fmt"
	"slices"

	"github.com/shirou/gopsutil/v4/net"
	"github.com/shirou/gopsutil/v4/process"

	"github.com/stackctl/stackctl/pkg/runner/state"
)

// listening is the state of a TCP socket that takes connections; UDP sockets
// have none.
const listening = "LISTEN"

// processesOn names the processes that have a port, as far as this user may see
// them: "process postgres (pid 812)".
func processesOn(ctx context.Context, w want) []string {
	sockets, err := net.ConnectionsWithContext(ctx, w.port.Protocol)
	if err != nil {
		return nil
	}
	var names []string
	for _, s := range sockets {
		socket := state.Port{HostIP: s.Laddr.IP, HostPort: int(s.Laddr.Port), Protocol: w.port.Protocol}
		if !socket.Overlaps(w.port) || s.Pid == 0 {
			continue
		}
		if w.port.Protocol == "tcp" && s.Status != listening {
			continue
		}
		name := "?"
		if p, err := process.NewProcessWithContext(ctx, s.Pid); err == nil {
			if known, err := p.NameWithContext(ctx); err == nil {
				name = known
			}
		}
		name = fmt.Sprintf("process %s (pid %d)", name, s.Pid)
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}
