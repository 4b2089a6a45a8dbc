package plan

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

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
	// Build builds every image that has a build section, even when it is there.
	Build bool
	// Pull overrides the policy of every service that is not built.
	Pull PullPolicy
	// ForceRecreate replaces the containers of the chosen services even when
	// nothing changed.
	ForceRecreate bool
	// RemoveOrphans removes containers of services that the project no longer has.
	RemoveOrphans bool
	// NoWait leaves out the waits that no other service needs.
	NoWait bool
	// SkipDefinitions leaves out whether a container was made from today's
	// definition, for a stack that was loaded without all of its variables.
	SkipDefinitions bool
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
	r.reconcileImages()
	// What gives up host ports comes first, so that what takes them can wait.
	r.reconcileOrphans()
	r.reconcileSurplus()
	r.reconcilePorts()
	for _, s := range r.services {
		r.reconcileService(s)
	}
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
		replaced: map[string]bool{}, stops: map[string]int{},
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
	// an attachment to one of the same name have to be replaced.
	anew map[string]bool
	// replaced names the services with a container that is replaced for sure.
	replaced map[string]bool
	// stops gives the nodes after which containers, by id, have given up their
	// host ports to others.
	stops map[string]int
}

// choose fills services and needed.
func (r *reconciler) choose() error {
	g := graph{}
	for _, s := range r.desired.Services {
		deps := []string{}
		for _, dep := range s.DependsOn {
			deps = append(deps, dep.Service)
		}
		g[s.Name] = append(deps, implicitDependencies(s.Config)...)
	}
	order, err := g.order()
	if err != nil {
		return err
	}
	names := r.opts.Services
	for _, name := range names {
		if _, known := g[name]; !known {
			return fmt.Errorf("%w: %s (the stack has %s)", ErrUnknownService, name, strings.Join(slices.Sorted(maps.Keys(g)), ", "))
		}
	}
	if len(names) == 0 {
		names = order
	}
	chosen := g.closure(names)
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

// implicitDependencies are the services whose containers must exist first, by
// network_mode, volumes_from and the like.
func implicitDependencies(c types.ServiceConfig) []string {
	var out []string
	for _, mode := range []string{c.NetworkMode, c.Ipc, c.Pid} {
		if name, ok := strings.CutPrefix(mode, types.ServicePrefix); ok {
			out = append(out, name)
		}
	}
	for _, from := range c.VolumesFrom {
		if !strings.HasPrefix(from, types.ContainerPrefix) {
			name, _, _ := strings.Cut(from, ":")
			out = append(out, name)
		}
	}
	return out
}

func (r *reconciler) reconcileNetworks() {
	used := map[string]bool{}
	for _, s := range r.services {
		for _, c := range s.Containers {
			for _, a := range c.Networks {
				used[a.Network] = true
			}
		}
	}
	for _, n := range r.desired.Networks {
		if !used[n.Name] {
			continue
		}
		seen, exists := r.observed.Network(n.Name)
		switch {
		case n.External() && !exists:
			r.problem(ErrMissing, "network %s is external and does not exist; `docker network create %s` makes it", n.Name, n.Name)
		case n.External():
		case !exists:
			r.networks[n.Name] = r.plan.add(CreateNetwork{n}, "does not exist")
			r.anew[n.Name] = true
		case seen.Project == r.desired.Project:
			if seen.Hash != "" && seen.Hash != n.Labels[state.LabelHash] {
				r.plan.warn("network %s was made from another definition; `down` and `up` make it anew", n.Name)
			}
		default:
			r.problem(ErrConflict, "network %s exists and %s; remove it, or declare it `external: true` to use it as it is", n.Name, owner(seen.Project))
		}
	}
}

func (r *reconciler) reconcileVolumes() {
	used := map[string]bool{}
	for _, s := range r.services {
		for _, v := range s.Config.Volumes {
			if v.Type == types.VolumeTypeVolume && v.Source != "" {
				used[v.Source] = true
			}
		}
	}
	for _, v := range r.desired.Volumes {
		if !used[v.Key] {
			continue
		}
		seen, exists := r.observed.Volume(v.Name)
		switch {
		case v.External() && !exists:
			r.problem(ErrMissing, "volume %s is external and does not exist; `docker volume create %s` makes it", v.Name, v.Name)
		case v.External():
		case !exists:
			r.volumes[v.Key] = r.plan.add(CreateVolume{v}, "does not exist")
		case seen.Project != r.desired.Project:
			// As Docker Compose does: the data may be meant, so it is used, but it
			// is not ours to remove.
			r.plan.warn("volume %s exists and %s: it is used as it is, and `down -v` will not remove it", v.Name, owner(seen.Project))
		}
	}
}

func (r *reconciler) reconcileImages() {
	// What one service builds, another may only use: it is not pulled then.
	built := map[string]bool{}
	for _, s := range r.services {
		if s.Config.Build == nil || len(s.Containers) == 0 || built[s.Image] || r.opts.Archived != nil {
			continue
		}
		built[s.Image] = true
		_, there := r.observed.Images[s.Image]
		switch {
		case r.opts.Build:
			r.images[s.Image] = r.plan.add(BuildImage{s.Image, s}, "asked for with --build")
		case s.Config.PullPolicy == types.PullPolicyBuild:
			r.images[s.Image] = r.plan.add(BuildImage{s.Image, s}, "its pull_policy is build")
		case !there:
			r.images[s.Image] = r.plan.add(BuildImage{s.Image, s}, "is not on the engine")
		}
	}
	for _, s := range r.services {
		if built[s.Image] || r.images[s.Image] != 0 || len(s.Containers) == 0 {
			continue
		}
		if r.opts.Offline || r.opts.Archived != nil {
			r.reconcileWithout(s)
			continue
		}
		_, there := r.observed.Images[s.Image]
		pull := PullImage{Image: s.Image, Platform: s.Config.Platform}
		policy := r.opts.Pull
		if policy == "" {
			policy = PullPolicy(s.Config.PullPolicy)
		}
		switch {
		case policy == PullAlways:
			r.images[s.Image] = r.plan.add(pull, "its pull policy is always")
		case there:
		case policy == PullNever:
			r.problem(ErrMissing, "image %s is not on the engine and may not be pulled; load it with `docker load`, or allow it with --pull missing", s.Image)
		default:
			r.images[s.Image] = r.plan.add(pull, "is not on the engine")
		}
	}
	if r.opts.Offline {
		for _, s := range r.services {
			if s.Config.Build == nil || r.images[s.Image] == 0 {
				continue
			}
			for _, base := range r.opts.Bases[s.Image] {
				if _, there := r.observed.Images[base]; !there && !built[base] {
					r.miss(base, s.Name, true)
				}
			}
		}
	}
	if len(r.missing) > 0 {
		r.problems = append(r.problems, &MissingImagesError{r.missing})
	}
}

// reconcileSurplus removes containers beyond the number that is wanted.
func (r *reconciler) reconcileSurplus() {
	for _, s := range r.services {
		for _, c := range r.observed.Containers {
			if c.Service == s.Name && isSurplus(c, s) {
				r.planRemove(c, fmt.Sprintf("%s is scaled to %d", s.Name, len(s.Containers)))
			}
		}
	}
}

func isSurplus(c state.Container, s *state.ServiceSpec) bool {
	return c.Number < 1 || c.Number > len(s.Containers)
}

// restartsWith names a dependency that is replaced and whose dependents restart
// with it; empty when there is none.
func (r *reconciler) restartsWith(s *state.ServiceSpec) string {
	for _, dep := range s.DependsOn {
		if dep.Restart && r.replaced[dep.Service] {
			return dep.Service
		}
	}
	return ""
}

// reconcileService decides for each container of a service.
func (r *reconciler) reconcileService(s *state.ServiceSpec) {
	seen := map[int][]state.Container{}
	for _, c := range r.observed.Containers {
		if c.Service == s.Name && !isSurplus(c, s) {
			seen[c.Number] = append(seen[c.Number], c)
		}
	}
	for _, want := range s.Containers {
		current, extra := pick(seen[want.Number], want)
		var removed []int
		for _, c := range extra {
			removed = append(removed, r.planRemove(c, "left over beside "+current.Name))
		}
		r.reconcileContainer(s, want, current, removed)
	}
}

// reconcileContainer decides for one container; current is nil when there is
// none, and removed are the nodes that clear its name.
func (r *reconciler) reconcileContainer(s *state.ServiceSpec, want state.ContainerSpec, current *state.Container, removed []int) {
	ports := r.portsGivenUp(want)
	needs := slices.Concat(r.resources(s, want), r.dependencies(s), removed, ports)
	var (
		last int    // the node after which the container runs
		id   string // the container's, when it stays
	)
	switch cause := r.diverged(s, want, current); {
	case current == nil:
		create := r.plan.add(CreateContainer{want}, "does not exist", slices.Concat(r.resources(s, want), removed)...)
		last = r.plan.add(StartContainer{Container: want}, "created in this run", slices.Concat(r.dependencies(s), ports, []int{create})...)
	case cause != "":
		r.replaced[s.Name] = true
		replace := r.plan.add(ReplaceContainer{Old: *current, New: want}, cause, append(needs, r.stops[current.ID])...)
		last = r.plan.add(StartContainer{Container: want}, "replaced in this run", replace)
	default:
		id = current.ID
		var before int
		if current.Name != want.Name {
			before = r.plan.add(RenameContainer{*current, want}, "was left as "+current.Name, needs...)
		}
		if image := r.images[s.Image]; image != 0 {
			before = r.plan.add(ReplaceContainer{Old: *current, New: want, IfImageChanged: true}, "its image may have changed", append(needs, before)...)
			start := StartContainer{Container: want, IfReplaced: r.isDone(s, current)}
			last = r.plan.add(start, "its image may have changed", before)
			id = "" // known only when the image is
			break
		}
		switch {
		case r.isDone(s, current):
			return
		case current.State != "running" && current.State != "restarting":
			last = r.plan.add(StartContainer{Container: want, ID: current.ID}, "is "+current.State, append(needs, before)...)
		case current.State == "restarting", hasHealthcheck(s) && current.Health != "healthy",
			r.needed[s.Name][types.ServiceConditionCompletedSuccessfully]:
			last = before // it was started, and is not ready or not at its end
		case r.restartsWith(s) != "":
			cause := "restarts with " + r.restartsWith(s)
			stop := r.plan.add(StopContainer{Container: *current}, cause, before)
			last = r.plan.add(StartContainer{Container: want, ID: current.ID}, cause, append(needs, stop)...)
		default:
			if before != 0 {
				r.made[s.Name] = append(r.made[s.Name], before)
			}
			return
		}
	}
	if last != 0 {
		r.made[s.Name] = append(r.made[s.Name], last)
	}
	r.planWait(s, want, id, last)
}

// planWait adds the waits for a container that starts in this run, or runs and
// is not ready.
func (r *reconciler) planWait(s *state.ServiceSpec, want state.ContainerSpec, id string, after int) {
	needed := r.needed[s.Name]
	add := func(condition state.Condition, cause string) {
		key := s.Name + "/" + string(condition)
		r.waits[key] = append(r.waits[key], r.plan.add(WaitReady{want, id, condition}, cause, after))
	}
	if needed[types.ServiceConditionCompletedSuccessfully] {
		add(state.Completed, "others start when it has completed")
		if !needed[types.ServiceConditionHealthy] {
			return
		}
	}
	switch {
	case needed[types.ServiceConditionHealthy]:
		add(state.Healthy, "others start when it is healthy")
	case r.opts.NoWait:
	case hasHealthcheck(s):
		add(state.Healthy, "up ends when it is healthy")
	default:
		add(state.Running, "up ends when it runs")
	}
}

// resources are the nodes that make what a container is made of.
func (r *reconciler) resources(s *state.ServiceSpec, want state.ContainerSpec) []int {
	needs := []int{r.images[s.Image]}
	for _, a := range want.Networks {
		needs = append(needs, r.networks[a.Network])
	}
	for _, v := range s.Config.Volumes {
		needs = append(needs, r.volumes[v.Source])
	}
	for _, dep := range implicitDependencies(s.Config) {
		needs = append(needs, r.made[dep]...)
	}
	return needs
}

// dependencies are the nodes that must have ended before a container of the
// service starts.
func (r *reconciler) dependencies(s *state.ServiceSpec) []int {
	var needs []int
	for _, dep := range s.DependsOn {
		switch dep.Condition {
		case types.ServiceConditionHealthy:
			needs = append(needs, r.waits[dep.Service+"/"+string(state.Healthy)]...)
		case types.ServiceConditionCompletedSuccessfully:
			needs = append(needs, r.waits[dep.Service+"/"+string(state.Completed)]...)
		default:
			needs = append(needs, r.made[dep.Service]...)
		}
	}
	return needs
}

// diverged says in words why a container has to be replaced; empty when it may
// stay.
func (r *reconciler) diverged(s *state.ServiceSpec, want state.ContainerSpec, c *state.Container) string {
	if c == nil {
		return ""
	}
	image, known := r.observed.Images[s.Image]
	switch {
	case c.State == "dead" || c.State == "removing":
		return "is " + c.State
	case r.opts.ForceRecreate && r.isTarget(s.Name):
		return "asked for with --force-recreate"
	case !r.opts.SkipDefinitions && c.Hash != "" && c.Hash != s.Hash:
		return "its definition changed"
	case !r.opts.SkipDefinitions && c.Hash == "" && c.ComposeHash != s.ComposeHash:
		return "made by Docker Compose from another definition"
	case known && c.ImageID != "" && c.ImageID != image.ID:
		return "image " + s.Image + " changed"
	}
	for _, a := range want.Networks {
		id, attached := c.Networks[a.Network]
		network, exists := r.observed.Network(a.Network)
		switch {
		case r.anew[a.Network]:
			return "network " + a.Network + " is made anew"
		case !attached:
			return "is not on network " + a.Network
		case exists && id != "" && id != network.ID:
			return "network " + a.Network + " was made anew"
		}
	}
	for _, n := range r.observed.Networks { // sorted, so that the cause is always the same
		_, attached := c.Networks[n.Name]
		wanted := slices.ContainsFunc(want.Networks, func(a state.Attachment) bool { return a.Network == n.Name })
		if attached && !wanted && n.Project == r.desired.Project {
			return "is on network " + n.Name + ", where it should not be"
		}
	}
	for _, v := range s.Config.Volumes {
		if v.Type != types.VolumeTypeVolume || v.Source == "" {
			continue
		}
		name := want.VolumeNames[v.Source]
		if r.volumes[v.Source] != 0 {
			return "volume " + name + " is made anew"
		}
		if !slices.ContainsFunc(c.Mounts, func(m state.Mount) bool { return m.Name == name && m.Target == v.Target }) {
			return "does not mount volume " + name
		}
	}
	return ""
}

// isDone says that a container has ended well and was only there to do so: some
// service waits for its completion.
func (r *reconciler) isDone(s *state.ServiceSpec, c *state.Container) bool {
	return c.State == "exited" && c.ExitCode == 0 && r.needed[s.Name][types.ServiceConditionCompletedSuccessfully]
}

// isTarget says that the service was named, or none was.
func (r *reconciler) isTarget(name string) bool {
	return len(r.opts.Services) == 0 || slices.Contains(r.opts.Services, name)
}

func (r *reconciler) reconcileOrphans() {
	known := map[string]bool{}
	for _, s := range r.desired.Services {
		known[s.Name] = true
	}
	for _, name := range r.desired.Inactive {
		known[name] = true
	}
	var left []string
	for _, c := range r.observed.Containers {
		switch {
		case known[c.Service]:
		case r.opts.RemoveOrphans:
			r.planRemove(c, "no service of the stack, and asked for with --remove-orphans")
		default:
			left = append(left, c.Name)
		}
	}
	if len(left) > 0 {
		r.plan.warn("containers of no service in the stack: %s; --remove-orphans removes them", strings.Join(left, ", "))
	}
}

func (r *reconciler) planRemove(c state.Container, cause string) int {
	var stop int
	if isRunning(c) {
		stop = r.plan.add(StopContainer{Container: c}, cause)
		r.stops[c.ID] = stop
	}
	return r.plan.add(RemoveContainer{Container: c}, cause, stop)
}

func (r *reconciler) problem(class error, format string, args ...any) {
	r.problems = append(r.problems, fmt.Errorf("%w: "+format, append([]any{class}, args...)...))
}

// pick chooses among several containers with one number: what a run that was
// interrupted leaves. The one made from today's definition is kept, then the one
// with the proper name, then a running one, then the youngest.
func pick(seen []state.Container, want state.ContainerSpec) (*state.Container, []state.Container) {
	if len(seen) == 0 {
		return nil, nil
	}
	hash := want.Labels[state.LabelHash]
	rank := func(c state.Container) int {
		score := 0
		if c.Hash == hash {
			score += 8
		}
		if c.Name == want.Name {
			score += 4
		}
		if c.State == "running" {
			score += 2
		}
		return score
	}
	sorted := slices.Clone(seen)
	slices.SortStableFunc(sorted, func(a, b state.Container) int {
		if d := rank(b) - rank(a); d != 0 {
			return d
		}
		return b.Created.Compare(a.Created)
	})
	return &sorted[0], sorted[1:]
}

func hasHealthcheck(s *state.ServiceSpec) bool {
	return s.Config.HealthCheck != nil && !s.Config.HealthCheck.Disable
}

func isRunning(c state.Container) bool {
	return c.State == "running" || c.State == "restarting" || c.State == "paused"
}

// owner says whose a resource is.
func owner(project string) string {
	if project == "" {
		return "belongs to no project"
	}
	return "belongs to project " + project
}
