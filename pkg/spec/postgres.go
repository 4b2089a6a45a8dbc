package spec

import (
	"slices"
	"time"
)

// PostgresOptions are the choices of NewPostgres; the zero value is a good one.
type PostgresOptions struct {
	// Image replaces postgres:15-alpine. It has to keep the official image's
	// environment variables.
	Image Value
	// Database is created with a new volume. Empty: ${POSTGRES_DB:-postgres}.
	Database Value
	// User is the superuser of a new volume. Empty: ${POSTGRES_USER:-postgres}.
	User Value
	// Password is the user's. Empty: the required variable POSTGRES_PASSWORD.
	Password Value
	// Port is the port on the host. Empty: ${POSTGRES_PORT:-5432}.
	Port Value
	// HostIP is the address on the host. Empty: Loopback.
	HostIP Value
	// Volume holds the data. Nil: a new volume <name>-storage.
	Volume *Volume
	// Networks are those to join.
	Networks []*Network
}

// Postgres is a PostgreSQL server: a service with its volume, and what other
// services need to reach it. All fields of the service are open to change.
type Postgres struct {
	*Service
	// Data is mounted at /var/lib/postgresql/data.
	Data *Volume
	// Database, User and Password are those of a new volume: PostgreSQL keeps
	// what it was initialised with.
	Database Value
	User     Value
	Password Value
}

const postgresPort = 5432

// NewPostgres returns a PostgreSQL server.
func NewPostgres(name string, opts PostgresOptions) *Postgres {
	db := &Postgres{
		Data:     opts.Volume,
		Database: orElse(opts.Database, FromEnvOr("POSTGRES_DB", "postgres")),
		User:     orElse(opts.User, FromEnvOr("POSTGRES_USER", "postgres")),
		Password: orElse(opts.Password, RequiredEnv("POSTGRES_PASSWORD", "set it in the environment or in .env")),
	}
	if db.Data == nil {
		db.Data = &Volume{Name: name + "-storage"}
	}
	db.Service = &Service{
		Name:  name,
		Image: orElse(opts.Image, "postgres:15-alpine"),
		Environment: Env{
			"POSTGRES_DB":       db.Database,
			"POSTGRES_USER":     db.User,
			"POSTGRES_PASSWORD": db.Password,
		},
		Ports: []Port{{
			HostIP:    orElse(opts.HostIP, Loopback),
			Host:      orElse(opts.Port, FromEnvOr("POSTGRES_PORT", "5432")),
			Container: postgresPort,
		}},
		Mounts:   []Mount{Mounted(db.Data, "/var/lib/postgresql/data")},
		Networks: slices.Clone(opts.Networks),
		// While a new volume is initialised, the image runs a temporary server
		// that listens on the unix socket only: asked over TCP, pg_isready does
		// not take that one for the real one.
		Healthcheck: NewHealthcheck(CmdTest("pg_isready", "-h", "127.0.0.1", "-U", db.User, "-d", db.Database)),
		Restart:     RestartUnlessStopped,
		// A busy server's last checkpoint can take longer than the engine's
		// 10 s; killed in the middle of it, the next start has to recover.
		StopGracePeriod: 30 * time.Second,
	}
	return db
}

// AddTo implements Part: it adds the service and its volume.
func (p *Postgres) AddTo(s *Stack) {
	if p == nil {
		s.Add((*Service)(nil))
		return
	}
	s.Add(p.Service, p.Data)
}

func (p *Postgres) asService() *Service {
	if p == nil {
		return nil
	}
	return p.Service
}

// Host returns the name by which other services of the stack reach the server.
func (p *Postgres) Host() Value { return Literal(p.Name) }

// Port returns the port that other services use, whatever the host publishes.
func (p *Postgres) Port() Value { return "5432" }

// URL returns a connection string for other services. User, password and
// database must be free of characters that a URL would have to escape; where a
// password is not under your control, hand out EnvFor instead.
func (p *Postgres) URL() Value {
	return "postgres://" + p.User + ":" + p.Password + "@" + p.Host() + ":" + p.Port() + "/" + p.Database + "?sslmode=disable"
}

// EnvFor returns what a client needs as environment variables: PREFIX_HOST,
// PREFIX_DB, PREFIX_USER and PREFIX_PASSWORD. Without a prefix it is POSTGRES;
// several are joined by '_'.
func (p *Postgres) EnvFor(prefix ...string) Env {
	name := envNames("POSTGRES", prefix)
	return Env{
		name("HOST"):     p.Host(),
		name("DB"):       p.Database,
		name("USER"):     p.User,
		name("PASSWORD"): p.Password,
	}
}
