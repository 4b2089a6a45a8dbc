package plan

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stackctl/stackctl/pkg/runner/state"
)

// PullPolicy says when an image is fetched. The empty policy is PullMissing,
// unless the service has a policy of its own.
type PullPolicy string

// The policies.
const (
	PullMissing PullPolicy = "missing"
	PullAlways  PullPolicy = "always"
	PullNever   PullPolicy = "never"
)

// Options change what [Reconcile] decides. The zero value converges the whole
// project and waits for all of it.
type Options struct {
	// Services limits the run to these and what they depend on; empty means all.
	Services []string
	// NoDeps leaves out what Services depend on.
	NoDeps bool
	// Build builds every image that has a build section, even when it is there.
	Build bool
	// Pull overrides the policy of every service that is not built.
	Pull PullPolicy
	// ForceRecreate replaces the containers of the chosen services even when
	// nothing changed.
	ForceRecreate bool
	// NoRecreate keeps containers even when something changed.
	NoRecreate bool
	// RenewVolumes lets containers that are replaced begin with empty anonymous
	// volumes.
	RenewVolumes bool
	// Rollback keeps a replaced container until the new one is ready.
	Rollback bool
	// RemoveOrphans removes containers of services that the project no longer has.
	RemoveOrphans bool
	// NoWait leaves out the waits that no other service needs.
	NoWait bool
	// SkipDefinitions leaves out whether a container was made from today's
	// definition, for a stack that was loaded without all of its variables.
	SkipDefinitions bool
	// Grace is the time between stop signal and kill of containers that are
	// stopped; nil for each container's own.
	Grace *time.Duration
	// Now is the time that the age of images counts to; zero makes all too old.
	Now time.Time
	// Offline lets nothing be pulled, whatever any policy says: images that are
	// missing are a *MissingImagesError.
	Offline bool
	// Bases are the images that a build starts from, by the image that is built;
	// they count with Offline only.
	Bases map[string][]string
	// Archived are the ids of images that can be loaded, by reference. When it is
	// not nil, they are loaded where they differ, nothing is built, and all is as
	// with Offline.
	Archived map[string]string
}

// ErrUnknownService is wrapped by the error for a service that is not there.
var ErrUnknownService = errors.New("no such service")

// ErrConflict is wrapped by errors about a resource that is in the way and not
// the project's own, so that the plan will not touch it.
var ErrConflict = errors.New("not this project's")

// ErrMissing is wrapped by errors about something that must be there and is
// not: an external network or volume, an image that may not be pulled.
var ErrMissing = errors.New("missing")

// ErrKeepsData is wrapped by the error about a volume that differs from its
// definition: only without its data could it be made anew.
var ErrKeepsData = errors.New("holds data")

// Reconcile decides what has to happen so that the engine has what the project
// wants. It only ever changes or removes resources with the project's label.
// The error joins everything that stands in the way.
func Reconcile(d state.Desired, o state.Observed, opts Options) (*Plan, error) {
	r := newReconciler(&d, &o, opts)
	if err := r.choose(); err != nil {
		return nil, err
	}
	r.reconcileNetworks()
	r.reconcileVolumes()
	if err := checkRestores(o); err != nil {
		r.problems = append(r.problems, err)
	}
	r.reconcileImages()
	// What gives up host ports comes first, so that what takes them can wait.
	r.reconcileOrphans()
	r.reconcileSurplus()
	r.reconcilePorts()
	r.reconcileNames()
	for _, s := range r.services {
		r.reconcileService(s)
	}
	r.reconnectOthers()
	r.plan.removeRemnants(o)
	r.markOptional()
	if err := errors.Join(r.problems...); err != nil {
		return nil, err
	}
	return r.plan, nil
}

func newReconciler(d *state.Desired, o *state.Observed, opts Options) *reconciler {
	return &reconciler{
		desired: d, observed: o, opts: opts,
		plan:     &Plan{Project: d.Project},
		networks: map[string]int{}, volumes: map[string]int{}, images: map[string]int{},
		made: map[string][]int{}, waits: map[string][]int{}, anew: map[string]bool{},
		remade: map[string]bool{}, replaced: map[string]bool{}, perhaps: map[string]string{},
		stops: map[string]int{}, names: map[string]int{}, aside: map[string]int{}, handled: map[string]bool{}, removed: map[string]bool{}, first: map[string]bool{},
		begins: map[string]string{},
	}
}

type reconciler struct {
	desired  *state.Desired
	observed *state.Observed
	opts     Options
	plan     *Plan
	problems []error
	missing  []MissingImage

	// services are the chosen ones, each after what it depends on.
	services []*state.ServiceSpec
	// needed names the services that others wait for, with the condition.
	needed map[string]map[string]bool

	// The nodes that make a network or volume (by name) or an image (by
	// reference); nothing is there for what exists already.
	networks, volumes, images map[string]int
	// made and waits are the last nodes of each service's containers: those that
	// make or start them, and those that wait for them.
	made, waits map[string][]int
	// anew names the networks that are made in this run, so that containers with
	// an attachment to one of the same name have to be replaced; remade those that
	// were there with another definition, and whose containers are reconnected.
	anew, remade map[string]bool
	// replaced names the services with a container that is replaced for sure.
	replaced map[string]bool
	// perhaps gives, for services whose containers are replaced only if their image
	// changed, the name of the first of these.
	perhaps map[string]string
	// stops gives the nodes after which containers, by id, have given up their
	// host ports to others.
	stops map[string]int
	// names gives the nodes after which the names of containers are free, and aside
	// those after which containers, by id, have given up theirs.
	names, aside map[string]int
	// begins names the services with a container that stays and is started, with the
	// name of the one that has to have been replaced for that; empty where it is
	// for sure.
	begins map[string]string
	// first names the services whose first container is made in this run, and has
	// no predecessor.
	first map[string]bool
	// handled holds the ids of the containers that are removed, or whose networks
	// are looked after; removed those of the former that nothing replaces.
	handled, removed map[string]bool
}

// choose fills services and needed.
func (r *reconciler) choose() error {
	names := r.opts.Services
	g, err := graphOf(r.desired, names)
	if err != nil {
		return err
	}
	order, err := g.order()
	if err != nil {
		return err
	}
	if len(names) == 0 {
		names = order
	}
	chosen := map[string]bool{}
	if r.opts.NoDeps {
		for _, name := range names {
			chosen[name] = true
		}
	} else {
		chosen = g.closure(names)
	}
	r.needed = map[string]map[string]bool{}
	for _, name := range order {
		if !chosen[name] {
			continue
		}
		s, _ := r.desired.Service(name)
		r.services = append(r.services, s)
		for _, dep := range s.DependsOn {
			if r.needed[dep.Service] == nil {
				r.needed[dep.Service] = map[string]bool{}
			}
			r.needed[dep.Service][dep.Condition] = true
		}
	}
	return nil
}

// graphOf gives what each service depends on, and refuses names of services that
// are not there.
func graphOf(d *state.Desired, names []string) (graph, error) {
	g := graph{}
	for _, s := range d.Services {
		deps := refersTo(s.Config)
		for _, dep := range s.DependsOn {
			deps = append(deps, dep.Service)
		}
		g[s.Name] = deps
	}
	for _, name := range names {
		if _, known := g[name]; !known {
			return nil, fmt.Errorf("%w: %s (the stack has %s)", ErrUnknownService, name, strings.Join(slices.Sorted(maps.Keys(g)), ", "))
		}
	}
	return g, nil
}

// shares names the services whose containers one of this service lives with, by
// network_mode, volumes_from and the like: it names them by their ids.
func shares(c types.ServiceConfig) []string {
	out := namespaces(c)
	for _, from := range c.VolumesFrom {
		if !strings.HasPrefix(from, types.ContainerPrefix) {
			name, _, _ := strings.Cut(from, ":")
			out = append(out, name)
		}
	}
	return out
}

// namespaces names the services in whose containers' namespaces one of this service
// lives. They are new with each start of those.
func namespaces(c types.ServiceConfig) []string {
	var out []string
	for _, mode := range []string{c.NetworkMode, c.Ipc, c.Pid, c.Uts, c.Cgroup} {
		if name, ok := strings.CutPrefix(mode, types.ServicePrefix); ok {
			out = append(out, name)
		}
	}
	return out
}

// refersTo names the services whose containers must exist before one of this
// service can be made: those that it shares something with, and those that it has
// links to, which name them by name.
func refersTo(c types.ServiceConfig) []string {
	out := shares(c)
	for _, link := range c.Links {
		name, _, _ := strings.Cut(link, ":")
		out = append(out, name)
	}
	return out
}

// isTarget says that the service was named, or none was.
func (r *reconciler) isTarget(name string) bool {
	return len(r.opts.Services) == 0 || slices.Contains(r.opts.Services, name)
}

// markOptional marks the nodes of services that are there only for others which
// do not require them.
func (r *reconciler) markOptional() {
	optional := map[string]bool{}
	needed, wanted := map[string]bool{}, map[string]bool{} // by what is required, by anything
	for _, s := range slices.Backward(r.services) {        // dependents first
		named := slices.Contains(r.opts.Services, s.Name)
		optional[s.Name] = wanted[s.Name] && !needed[s.Name] && !named
		need := func(name string, required bool) {
			wanted[name] = true
			needed[name] = needed[name] || required && !optional[s.Name]
		}
		for _, name := range refersTo(s.Config) {
			need(name, true)
		}
		for _, dep := range s.DependsOn {
			need(dep.Service, dep.Required)
		}
	}
	required := map[string]bool{} // images
	for _, s := range r.services {
		if !optional[s.Name] {
			required[s.Image] = true
		}
	}
	for i := range r.plan.Nodes {
		n := &r.plan.Nodes[i]
		switch op := n.Op.(type) {
		case PullImage:
			n.Optional = !required[op.Image]
		case BuildImage:
			n.Optional = !required[op.Image]
		case ConnectContainer, DisconnectContainer: // the network is for others, too
		default:
			n.Optional = optional[ServiceOf(op)]
		}
	}
	// What something required needs is required, whosever it is: the stop of a
	// container that has its port.
	for _, n := range slices.Backward(r.plan.Nodes) {
		for _, id := range n.Needs {
			if !n.Optional {
				r.plan.Nodes[id-1].Optional = false
			}
		}
	}
}

func (r *reconciler) problem(class error, format string, args ...any) {
	r.problems = append(r.problems, fmt.Errorf("%w: "+format, append([]any{class}, args...)...))
}

// owner says whose a resource is.
func owner(project string) string {
	if project == "" {
		return "belongs to no project"
	}
	return "belongs to project " + project
}
