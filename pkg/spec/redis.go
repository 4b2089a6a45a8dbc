package spec

import "slices"

// RedisOptions are the choices of NewRedis; the zero value is a good one.
type RedisOptions struct {
	// Image replaces redis:7-alpine. It has to have the official image's user, redis.
	Image Value
	// Port is the port on the host. Empty: ${REDIS_PORT:-6379}.
	Port Value
	// HostIP is the address on the host. Empty: Loopback.
	HostIP Value
	// Volume holds the data. Nil: a new volume <name>-storage.
	Volume *Volume
	// Memory is what the server may use; the data is all in memory. Empty:
	// ${REDIS_MEMORY:-2g}.
	Memory Value
	// Networks are those to join.
	Networks []*Network
}

// Redis is a Redis server that writes each change to its volume. It is locked down:
// no root, no capabilities, nothing to write to but its volume and memory. All fields
// of the service are open to change.
type Redis struct {
	*Service
	// Data is mounted at /data.
	Data *Volume
}

const redisPort = 6379

// NewRedis returns a Redis server with an append-only file and no password:
// only the stack's own networks and this machine reach it.
func NewRedis(name string, opts RedisOptions) *Redis {
	r := &Redis{Data: opts.Volume}
	if r.Data == nil {
		r.Data = &Volume{Name: name + "-storage"}
	}
	r.Service = &Service{
		Name:    name,
		Image:   orElse(opts.Image, "redis:7-alpine"),
		Command: []Value{"redis-server", "--appendonly", "yes"},
		Ports: []Port{{
			HostIP:    orElse(opts.HostIP, Loopback),
			Host:      orElse(opts.Port, FromEnvOr("REDIS_PORT", "6379")),
			Container: redisPort,
		}},
		Mounts:   []Mount{Mounted(r.Data, "/data")},
		Networks: slices.Clone(opts.Networks),
		// Without -e, redis-cli exits 0 while the server still loads its file.
		Healthcheck: NewHealthcheck(CmdTest("redis-cli", "-e", "ping")),
		Restart:     RestartUnlessStopped,
		// The image's entry point needs root only to become this user, which owns
		// the data since the volume was made.
		User:        "redis",
		ReadOnly:    true,
		Tmpfs:       []string{"/tmp"},
		CapDrop:     []string{"ALL"},
		SecurityOpt: []string{"no-new-privileges:true"},
		MemLimit:    orElse(opts.Memory, FromEnvOr("REDIS_MEMORY", "2g")),
		PidsLimit:   256,
	}
	return r
}

// AddTo implements Part: it adds the service and its volume.
func (r *Redis) AddTo(s *Stack) {
	if r == nil {
		s.Add((*Service)(nil))
		return
	}
	s.Add(r.Service, r.Data)
}

func (r *Redis) asService() *Service {
	if r == nil {
		return nil
	}
	return r.Service
}

// Host returns the name by which other services of the stack reach the server.
func (r *Redis) Host() Value { return Literal(r.Name) }

// Port returns the port that other services use, whatever the host publishes.
func (r *Redis) Port() Value { return "6379" }

// URL returns a connection string for other services.
func (r *Redis) URL() Value {
	return "redis://" + r.Host() + ":" + r.Port() + "/0"
}

// EnvFor returns what a client needs as environment variables: PREFIX_HOST.
// Without a prefix it is REDIS; several are joined by '_'.
func (r *Redis) EnvFor(prefix ...string) Env {
	return Env{envNames("REDIS", prefix)("HOST"): r.Host()}
}
