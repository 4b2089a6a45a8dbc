package docker

import (
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/docker/api/types/blkiodev"
	"github.com/docker/docker/api/types/container"
)

func convertResources(service types.ServiceConfig) container.Resources {
	r := container.Resources{
		CgroupParent:       service.CgroupParent,
		Memory:             int64(service.MemLimit),
		MemoryReservation:  int64(service.MemReservation),
		MemorySwap:         int64(service.MemSwapLimit),
		OomKillDisable:     &service.OomKillDisable,
		CPUShares:          service.CPUShares,
		CPUPeriod:          service.CPUPeriod,
		CPUQuota:           service.CPUQuota,
		CPURealtimePeriod:  service.CPURTPeriod,
		CPURealtimeRuntime: service.CPURTRuntime,
		CPUCount:           service.CPUCount,
		CPUPercent:         int64(service.CPUPercent * 100),
		CpusetCpus:         service.CPUSet,
		NanoCPUs:           nanoCPUs(service.CPUS),
		DeviceCgroupRules:  service.DeviceCgroupRules,
		Ulimits:            ulimits(service.Ulimits),
	}
	if service.MemSwappiness != 0 {
		swappiness := int64(service.MemSwappiness)
		r.MemorySwappiness = &swappiness
	}
	if service.PidsLimit != 0 {
		r.PidsLimit = &service.PidsLimit
	}
	convertBlkio(service.BlkioConfig, &r)
	if service.Deploy != nil {
		convertDeploy(service.Deploy.Resources, &r)
	}
	convertDevices(service, &r)
	return r
}

// convertDeploy lays the resources of deploy over the service's own.
func convertDeploy(resources types.Resources, r *container.Resources) {
	if limits := resources.Limits; limits != nil {
		if limits.MemoryBytes != 0 {
			r.Memory = int64(limits.MemoryBytes)
		}
		if limits.NanoCPUs != 0 {
			r.NanoCPUs = nanoCPUs(float32(limits.NanoCPUs))
		}
		if limits.Pids > 0 {
			r.PidsLimit = &limits.Pids
		}
	}
	// Of the reservations an engine without swarm knows memory and devices.
	if reserved := resources.Reservations; reserved != nil {
		if reserved.MemoryBytes != 0 {
			r.MemoryReservation = int64(reserved.MemoryBytes)
		}
		for _, d := range reserved.Devices {
			r.DeviceRequests = append(r.DeviceRequests, deviceRequest(d))
		}
	}
}

func convertDevices(service types.ServiceConfig, r *container.Resources) {
	var cdi []string
	for _, d := range service.Devices {
		if d.Source == d.Target && isCDI(d.Source) {
			cdi = append(cdi, d.Source)
			continue
		}
		r.Devices = append(r.Devices, container.DeviceMapping{
			PathOnHost: d.Source, PathInContainer: d.Target, CgroupPermissions: d.Permissions,
		})
	}
	if len(cdi) > 0 {
		r.DeviceRequests = append(r.DeviceRequests, container.DeviceRequest{Driver: "cdi", DeviceIDs: cdi})
	}
	for _, g := range service.Gpus {
		g.Capabilities = append(slices.Clone(g.Capabilities), "gpu")
		r.DeviceRequests = append(r.DeviceRequests, deviceRequest(g))
	}
}

// isCDI tells the name of a device of the Container Device Interface,
// "vendor.com/class=name", from a path.
func isCDI(name string) bool {
	kind, _, found := strings.Cut(name, "=")
	return found && strings.Contains(kind, "/") && !strings.HasPrefix(kind, "/")
}

func deviceRequest(d types.DeviceRequest) container.DeviceRequest {
	return container.DeviceRequest{
		Driver:       d.Driver,
		Count:        int(d.Count),
		DeviceIDs:    d.IDs,
		Capabilities: [][]string{d.Capabilities},
		Options:      d.Options,
	}
}

func convertBlkio(b *types.BlkioConfig, r *container.Resources) {
	if b == nil {
		return
	}
	r.BlkioWeight = b.Weight
	for _, d := range b.WeightDevice {
		r.BlkioWeightDevice = append(r.BlkioWeightDevice, &blkiodev.WeightDevice{Path: d.Path, Weight: d.Weight})
	}
	r.BlkioDeviceReadBps = throttles(b.DeviceReadBps)
	r.BlkioDeviceReadIOps = throttles(b.DeviceReadIOps)
	r.BlkioDeviceWriteBps = throttles(b.DeviceWriteBps)
	r.BlkioDeviceWriteIOps = throttles(b.DeviceWriteIOps)
}

func throttles(in []types.ThrottleDevice) []*blkiodev.ThrottleDevice {
	var out []*blkiodev.ThrottleDevice
	for _, d := range in {
		out = append(out, &blkiodev.ThrottleDevice{Path: d.Path, Rate: uint64(d.Rate)})
	}
	return out
}

func ulimits(in map[string]*types.UlimitsConfig) []*container.Ulimit {
	var out []*container.Ulimit
	for _, name := range slices.Sorted(maps.Keys(in)) {
		u := in[name]
		if u == nil {
			continue
		}
		limit := &container.Ulimit{Name: name, Soft: int64(u.Single), Hard: int64(u.Single)}
		if u.Soft != 0 {
			limit.Soft = int64(u.Soft)
		}
		if u.Hard != 0 {
			limit.Hard = int64(u.Hard)
		}
		out = append(out, limit)
	}
	return out
}

// nanoCPUs rounds to a millionth of a CPU, for 0.1 in 32 bits is a little more.
func nanoCPUs(cpus float32) int64 {
	return int64(float64(cpus)*1e6+0.5) * 1000
}
