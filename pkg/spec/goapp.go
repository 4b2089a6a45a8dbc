package spec

import (
	"slices"
	"strconv"
)

// GoAppOptions are the choices of NewGoApp.
type GoAppOptions struct {
	// Build says how the image is made. Its GoPackage should be set, so that
	// the host's Go toolchain can make it.
	Build Build
	// Port is the port on the host. Empty: ContainerPort's number.
	Port Value
	// HostIP is the address on the host. Empty: all of them.
	HostIP Value
	// ContainerPort is the port that the app listens on. Zero: 8080.
	ContainerPort int
	// Health is run to see whether the app works. The image has no shell, so
	// it is usually a subcommand of the app itself. Nil: no healthcheck.
	Health HealthTest
	// Environment is the app's; see MergeEnv for joining what the components
	// hand out.
	Environment Env
	// Secrets are the app's, such as Postgres.SecretMounts gives for what EnvFor
	// puts into Environment.
	Secrets []SecretMount
	// Memory is what the app may use. Empty: 512m.
	Memory Value
	// DependsOn is what has to be up before the app.
	DependsOn []Dependency
	// Networks are those to join.
	Networks []*Network
}

// GoApp is an HTTP service that is one static Go binary, locked down as such a
// service can be: no root, no capabilities, nothing to write to. All fields of
// the service are open to change.
type GoApp struct {
	*Service
	port int
}

// NewGoApp returns a Go service.
func NewGoApp(name string, opts GoAppOptions) *GoApp {
	app := &GoApp{port: opts.ContainerPort}
	if app.port == 0 {
		app.port = 8080
	}
	app.Service = &Service{
		Name:        name,
		Build:       &opts.Build,
		Environment: MergeEnv(opts.Environment),
		Ports: []Port{{
			HostIP:    opts.HostIP,
			Host:      orElse(opts.Port, app.Port()),
			Container: app.port,
		}},
		Secrets:   slices.Clone(opts.Secrets),
		Networks:  slices.Clone(opts.Networks),
		DependsOn: slices.Clone(opts.DependsOn),
		Restart:   RestartUnlessStopped,
		// The user that distroless images call nonroot; it needs no entry in
		// /etc/passwd, which the image does not have.
		User:        "65532:65532",
		ReadOnly:    true,
		CapDrop:     []string{"ALL"},
		SecurityOpt: []string{"no-new-privileges:true"},
		MemLimit:    orElse(opts.Memory, "512m"),
		PidsLimit:   256,
	}
	if opts.Health != nil {
		app.Healthcheck = NewHealthcheck(opts.Health)
	}
	return app
}

// AddTo implements Part.
func (a *GoApp) AddTo(s *Stack) { s.Add(a.asService()) }

func (a *GoApp) asService() *Service {
	if a == nil {
		return nil
	}
	return a.Service
}

// Host returns the name by which other services of the stack reach the app.
func (a *GoApp) Host() Value { return Literal(a.Name) }

// Port returns the port that other services use, whatever the host publishes.
func (a *GoApp) Port() Value { return Literal(strconv.Itoa(a.port)) }

// URL returns the app's address for other services.
func (a *GoApp) URL() Value { return "http://" + a.Host() + ":" + a.Port() }
