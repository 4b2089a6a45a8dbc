package state

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Difference is one point in which what there is differs from what is wanted.
type Difference struct {
	// Path is where a compose file says it: "environment.LOG_LEVEL",
	// "ports[0]", "healthcheck.interval".
	Path string
	// Old is what there is, New what is wanted, as a compose file writes them;
	// empty for nothing. Both are empty when the values may not be shown.
	Old, New string
}

// String gives "environment.LOG_LEVEL: info → debug".
func (d Difference) String() string {
	switch {
	case d.Old == "" && d.New == "":
		return d.Path + " changed"
	case d.Old == "":
		return d.Path + ": " + d.New + " is new"
	case d.New == "":
		return d.Path + ": " + d.Old + " is taken out"
	}
	return d.Path + ": " + d.Old + " → " + d.New
}

// Differences says in which points the network that there is differs from the
// wanted one. What the engine chooses by itself counts for nothing: a driver, a
// subnet, an option that the definition does not name.
func (n NetworkSpec) Differences(there Network) []Difference {
	c := n.Config
	var d differences
	if c.Driver != "" {
		d.add("driver", there.Driver, c.Driver)
	}
	d.add("internal", strconv.FormatBool(there.Internal), strconv.FormatBool(c.Internal))
	d.add("attachable", strconv.FormatBool(there.Attachable), strconv.FormatBool(c.Attachable))
	if c.EnableIPv6 != nil {
		d.add("enable_ipv6", strconv.FormatBool(there.IPv6), strconv.FormatBool(*c.EnableIPv6))
	}
	given := maps.Clone(there.Options)
	maps.DeleteFunc(given, func(name, _ string) bool {
		// Engines from 28 on write down what enable_ipv4 and enable_ipv6 say.
		_, wanted := c.DriverOpts[name]
		return !wanted && strings.HasPrefix(name, "com.docker.network.enable_ipv")
	})
	d.addMap("driver_opts", given, c.DriverOpts)
	if c.Ipam.Driver != "" {
		d.add("ipam.driver", there.IPAMDriver, c.Ipam.Driver)
	}
	for i, pool := range c.Ipam.Config {
		if pool == nil {
			continue
		}
		var old Pool
		if at := slices.IndexFunc(there.Pools, func(p Pool) bool { return p.Subnet == pool.Subnet }); at >= 0 {
			old = there.Pools[at]
		} else if i < len(there.Pools) {
			old = there.Pools[i]
		}
		path := fmt.Sprintf("ipam.config[%d].", i)
		d.add(path+"subnet", old.Subnet, pool.Subnet)
		d.add(path+"ip_range", old.IPRange, pool.IPRange)
		if pool.Gateway != "" {
			d.add(path+"gateway", old.Gateway, pool.Gateway)
		}
		d.addMap(path+"aux_addresses", old.Aux, pool.AuxiliaryAddresses)
	}
	d.addMap("labels", UserLabels(there.Labels), c.Labels)
	return d
}

// Differences says in which points the volume that there is differs from the
// wanted one, its labels apart: these change nothing about its data.
func (v VolumeSpec) Differences(there Volume) []Difference {
	var d differences
	d.add("driver", there.Driver, nameOr(v.Config.Driver, "local"))
	d.addMap("driver_opts", there.Options, v.Config.DriverOpts)
	return d
}

// LabelDifferences says which labels of the volume differ.
func (v VolumeSpec) LabelDifferences(there Volume) []Difference {
	var d differences
	d.addMap("labels", UserLabels(there.Labels), v.Config.Labels)
	return d
}

// UserLabels leaves out what Docker Compose and stackctl put on a resource.
func UserLabels(labels map[string]string) map[string]string {
	out := maps.Clone(labels)
	maps.DeleteFunc(out, func(name, _ string) bool {
		return strings.HasPrefix(name, "com.docker.compose.") || strings.HasPrefix(name, "io.stackctl.")
	})
	return out
}

type differences []Difference

func (d *differences) add(path, old, wanted string) {
	if old != wanted {
		*d = append(*d, Changed(path, old, wanted))
	}
}

func (d *differences) addMap(path string, old, wanted map[string]string) {
	names := slices.Concat(slices.Collect(maps.Keys(old)), slices.Collect(maps.Keys(wanted)))
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		d.add(path+"."+name, old[name], wanted[name])
	}
}
