package spec

import (
	"slices"
	"time"
)

// PostgresOptions are the choices of NewPostgres; the zero value is a good one.
type PostgresOptions struct {
	// Image replaces postgres:15-alpine. It has to keep the official image's
	// environment variables and its user, postgres.
	Image Value
	// Database is created with a new volume. Empty: ${POSTGRES_DB:-postgres}.
	Database Value
	// User is the superuser of a new volume. Empty: ${POSTGRES_USER:-postgres}.
	User Value
	// Password is the user's. Empty: the required variable POSTGRES_PASSWORD. Of one
	// variable, as FromEnv and RequiredEnv give it, a secret is made. Any other text
	// can only be put into the containers' environment, where all see it who may look
	// at them.
	Password Value
	// PasswordSecret holds the password in place of Password. Nil: a new secret
	// <name>-password.
	PasswordSecret *Secret
	// Port is the port on the host. Empty: ${POSTGRES_PORT:-5432}.
	Port Value
	// HostIP is the address on the host. Empty: Loopback.
	HostIP Value
	// Volume holds the data. Nil: a new volume <name>-storage.
	Volume *Volume
	// Memory is what the server may use. Empty: ${POSTGRES_MEMORY:-2g}.
	Memory Value
	// Networks are those to join.
	Networks []*Network
}

// Postgres is a PostgreSQL server: a service with its volume and its password, and
// what other services need to reach it. It is locked down: no root, no capabilities,
// nothing to write to but its volume and memory. All fields of the service are open
// to change.
type Postgres struct {
	*Service
	// Data is mounted at /var/lib/postgresql/data.
	Data *Volume
	// Database, User and Password are those of a new volume: PostgreSQL keeps
	// what it was initialised with. Password is empty where only Secret knows it.
	Database Value
	User     Value
	Password Value
	// Secret holds the password; nil where it is in the environment.
	Secret *Secret
}

const postgresPort = 5432

// NewPostgres returns a PostgreSQL server.
func NewPostgres(name string, opts PostgresOptions) *Postgres {
	db := &Postgres{
		Data:     opts.Volume,
		Database: orElse(opts.Database, FromEnvOr("POSTGRES_DB", "postgres")),
		User:     orElse(opts.User, FromEnvOr("POSTGRES_USER", "postgres")),
		Password: opts.Password,
		Secret:   opts.PasswordSecret,
	}
	db.settlePassword(name)
	if db.Data == nil {
		db.Data = &Volume{Name: name + "-storage"}
	}
	db.Service = &Service{
		Name:  name,
		Image: orElse(opts.Image, "postgres:15-alpine"),
		// The image's own variables have the names that EnvFor gives.
		Environment: MergeEnv(Env{"POSTGRES_DB": db.Database, "POSTGRES_USER": db.User}, db.passwordEnv("POSTGRES_PASSWORD")),
		Secrets:     db.SecretMounts(),
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
		// Fast shutdown: clients are cut off and the last checkpoint is written. After
		// SIGTERM, the default of an image that does not say so, the server waits for
		// its clients until it is killed.
		StopSignal: "SIGINT",
		// A busy server's last checkpoint can take longer than the engine's
		// 10 s; killed in the middle of it, the next start has to recover.
		StopGracePeriod: 30 * time.Second,
		// The image's entry point needs root only to become this user, which owns
		// the data since the volume was made.
		User:     "postgres",
		ReadOnly: true,
		// The server's socket, and what scripts of the entry point write.
		Tmpfs:       []string{"/tmp", "/var/run/postgresql"},
		CapDrop:     []string{"ALL"},
		SecurityOpt: []string{"no-new-privileges:true"},
		MemLimit:    orElse(opts.Memory, FromEnvOr("POSTGRES_MEMORY", "2g")),
		// One process for each connection, of which 100 are the default.
		PidsLimit: 1024,
		// Parallel queries share memory there, for which the engine's 64 MB are
		// not enough.
		ShmSize: "256m",
	}
	return db
}

// settlePassword finds out where the password is: in a secret, in one variable,
// from which a secret is made, or in a text.
func (p *Postgres) settlePassword(name string) {
	switch {
	case p.Secret != nil:
		if p.Secret.Variable != "" {
			p.Password = RequiredEnv(p.Secret.Variable, passwordHint)
		}
		return
	case p.Password == "":
		p.Password = RequiredEnv("POSTGRES_PASSWORD", passwordHint)
	}
	if variable, ok := p.Password.variable(); ok {
		p.Secret = &Secret{Name: name + "-password", Variable: variable}
	}
}

const passwordHint = "set it in the environment or in .env"

// AddTo implements Part: it adds the service, its volume and its secret.
func (p *Postgres) AddTo(s *Stack) {
	if p == nil {
		s.Add((*Service)(nil))
		return
	}
	s.Add(p.Service, p.Data)
	if p.Secret != nil {
		s.Add(p.Secret)
	}
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
// database must be free of characters that a URL would have to escape. The password
// is in it, for all to see who may look at the container; without it, and for one
// that is not under your control, there is EnvFor.
func (p *Postgres) URL() Value {
	return "postgres://" + p.User + ":" + p.Password + "@" + p.Host() + ":" + p.Port() + "/" + p.Database + "?sslmode=disable"
}

// EnvFor returns what a client needs as environment variables: PREFIX_HOST,
// PREFIX_DB, PREFIX_USER and PREFIX_PASSWORD_FILE, the path of the file with the
// password, for which the client mounts SecretMounts. Without a Secret it is
// PREFIX_PASSWORD, the password itself. Without a prefix it is POSTGRES; several are
// joined by '_'.
//
// A client that reads no file can be given Password, in its environment, where all
// see it who may look at the container.
func (p *Postgres) EnvFor(prefix ...string) Env {
	name := envNames("POSTGRES", prefix)
	return MergeEnv(Env{
		name("HOST"): p.Host(),
		name("DB"):   p.Database,
		name("USER"): p.User,
	}, p.passwordEnv(name("PASSWORD")))
}

// passwordEnv tells the password under a name, or under that name and _FILE where it
// is.
func (p *Postgres) passwordEnv(name string) Env {
	if p.Secret == nil {
		return Env{name: p.Password}
	}
	return Env{name + "_FILE": Literal(secretsFolder + p.Secret.Name)}
}

// SecretMounts returns what a client mounts to read the password from the file that
// EnvFor names; nil where the password is in the environment.
func (p *Postgres) SecretMounts() []SecretMount {
	if p.Secret == nil {
		return nil
	}
	return []SecretMount{MountSecret(p.Secret)}
}
