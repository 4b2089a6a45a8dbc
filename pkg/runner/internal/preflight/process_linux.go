package preflight

import (
	"fmt"
	"net"

	"github.com/prometheus/procfs"
)

// processesOn finds the processes that listen on a port, as far as this user may
// see them.
func processesOn(w want) []process {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return nil
	}
	inodes := map[string]bool{}
	add := func(ip net.IP, port, inode uint64) {
		if port == uint64(w.port) && overlap(ip.String(), w.ip) {
			inodes[fmt.Sprintf("socket:[%d]", inode)] = true
		}
	}
	const listening = 0x0A // TCP_LISTEN, include/net/tcp_states.h
	switch w.protocol {
	case "tcp":
		for _, read := range []func() (procfs.NetTCP, error){fs.NetTCP, fs.NetTCP6} {
			lines, _ := read() // a file that is missing has no lines
			for _, l := range lines {
				if l.St == listening {
					add(l.LocalAddr, l.LocalPort, l.Inode)
				}
			}
		}
	case "udp":
		for _, read := range []func() (procfs.NetUDP, error){fs.NetUDP, fs.NetUDP6} {
			lines, _ := read()
			for _, l := range lines {
				add(l.LocalAddr, l.LocalPort, l.Inode)
			}
		}
	}
	if len(inodes) == 0 {
		return nil
	}
	all, err := fs.AllProcs()
	if err != nil {
		return nil
	}
	var out []process
	for _, p := range all {
		targets, err := p.FileDescriptorTargets()
		if err != nil {
			continue // another user's
		}
		for _, target := range targets {
			if inodes[target] {
				name, err := p.Comm()
				if err != nil {
					name = "?"
				}
				out = append(out, process{name, p.PID})
				break
			}
		}
	}
	return out
}
