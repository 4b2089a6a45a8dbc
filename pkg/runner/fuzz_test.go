package runner_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stackctl/stackctl/pkg/runner"
	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/engine/enginetest"
	"github.com/stackctl/stackctl/pkg/runner/plan"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// FuzzConverge brings any project up over what another one and any damage have
// left, and holds it to what up and down promise: what is wanted is there, nothing
// of others is touched, no data is lost, a second run has nothing to do, and a run
// that failed anywhere is mended by the next. Time is the bubble's, so a run that
// hangs ends the test at once.
func FuzzConverge(f *testing.F) {
	// One thread makes the order of what happens at one time much the same each time.
	before := runtime.GOMAXPROCS(1)
	f.Cleanup(func() { runtime.GOMAXPROCS(before) })
	f.Add([]byte{})
	for seed := range uint64(30) { // cases of any kind, for the fuzzer to begin with
		noise, data := rand.New(rand.NewPCG(seed, 0)), make([]byte, 300)
		for i := range data {
			data[i] = byte(noise.Uint32())
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 400 {
			t.Skip("more than any case reads")
		}
		synctest.Test(t, func(t *testing.T) { converge(t, &choices{data}) })
	})
}

// story is one fuzzed case.
type story struct {
	*testing.T
	project *types.Project
	desired state.Desired
	opts    runner.UpOptions
	chosen  map[string]bool
	*damage
}

func converge(t *testing.T, c *choices) {
	e := fuzzEngine()
	d := &damage{t: t, e: e}
	first := chosenProject(c)
	behave(e, first)
	_, err := runner.New(e).Up(t.Context(), first, runner.UpOptions{})
	d.tell("up of\n%s  ended with: %v", text(first), err)
	for range c.of(7) {
		d.one(c)
	}
	s := &story{T: t, project: first, damage: d}
	if c.of(4) != 0 {
		s.project = chosenProject(c)
	}
	s.opts = chosenOptions(c, s.project)
	behave(e, s.project)
	if s.desired, err = state.Flatten(s.project); err != nil {
		t.Fatal(err)
	}
	s.chosen = chosenServices(s.project, s.opts)

	// One question for each case: each costs as much as all before it.
	question, broken := c.of(5), e.Clone()
	good := s.checkUp(e, s.opts)
	switch {
	case question == 0:
		s.checkDown(c, e)
	case !good:
	case question == 1:
		s.checkAgain(e, s.opts)
	case question == 2:
		s.checkStopAndStart(c, e)
	default:
		s.checkFailure(c, broken, e)
	}
}

// fail ends the test with all that led to it.
func (s *story) fail(e *enginetest.Engine, format string, args ...any) {
	s.Helper()
	s.Fatalf("%s\n\n%s\n\noptions %s, project\n%s\nengine:\n%s", fmt.Sprintf(format, args...),
		strings.Join(s.done, "\n"), describe(s.opts), text(s.project), dump(s.T, e))
}

// checkUp brings the project up, and says whether that went well.
func (s *story) checkUp(e *enginetest.Engine, o runner.UpOptions) bool {
	s.Helper()
	before := lookAt(s.T, e)
	todo, planErr := runner.New(e).Plan(s.Context(), s.project, o)
	e.ForgetCalls()
	report, err := runner.New(e).Up(s.Context(), s.project, o)
	after := lookAt(s.T, e)
	s.checkOthers(e, before, after, o)
	if planErr != nil || report == nil || isRefusal(err) {
		if err == nil || len(e.Calls()) > 0 || !isRefusal(err) {
			s.fail(e, "the plan was refused with %v, up ended with %v and did %v", planErr, err, e.Calls())
		}
		return false
	}
	if report.Plan.String() != todo.String() {
		s.fail(e, "the same input gave two plans:\n%s\n%s", todo, report.Plan)
	}
	s.checkGraph(e, todo)
	if err != nil {
		if !s.mayFail(before, o) {
			s.fail(e, "up failed: %v\nplan:\n%s\ncalls: %v", err, todo, e.Calls())
		}
		return false
	}
	if slices.ContainsFunc(report.Outcomes, func(out runner.Outcome) bool { return out.Status != runner.Done }) {
		if !s.mayFail(before, o) {
			s.fail(e, "what is not required failed:\n%s", todo)
		}
		return false
	}
	s.checkSettled(e, before, after, o)
	return true
}

// isRefusal says that an error is one of those before anything is done, which a
// caller can tell apart.
func isRefusal(err error) bool {
	var ports *runner.PortsError
	return errors.Is(err, plan.ErrConflict) || errors.Is(err, plan.ErrKeepsData) || errors.Is(err, plan.ErrMissing) || errors.As(err, &ports)
}

// mayFail says that an up can fail with reason.
func (s *story) mayFail(before look, o runner.UpOptions) bool {
	return s.inTheWay || o.NoRecreate || o.NoDeps || o.SkipDefinitions ||
		slices.ContainsFunc(before.containers, func(c state.Container) bool {
			return c.State == "restarting" // and stays so, since nobody restarts it
		})
}

// checkGraph holds a plan to what its readers build on.
func (s *story) checkGraph(e *enginetest.Engine, p *plan.Plan) {
	seen := map[string]int{}
	ends := map[string][]int{}   // nodes that start a service's containers
	begins := map[string][]int{} // the same, for which dependencies count
	reach := make([]map[int]bool, len(p.Nodes)+1)
	for i, n := range p.Nodes {
		if n.ID != i+1 || n.Cause == "" {
			s.fail(e, "node %d is %+v in\n%s", i+1, n, p)
		}
		reach[n.ID] = map[int]bool{}
		for _, id := range slices.Concat(n.Needs, n.After) {
			if id < 1 || id >= n.ID {
				s.fail(e, "node %d waits for %d in\n%s", n.ID, id, p)
			}
			reach[n.ID][id] = true
			maps.Copy(reach[n.ID], reach[id])
		}
		key := fmt.Sprintf("%T %s", n.Op, n.Op.Ref())
		switch op := n.Op.(type) {
		case plan.StopContainer:
			key = "stop " + op.Container.ID
		case plan.RemoveContainer:
			key = "remove " + op.Container.ID
		case plan.ReplaceContainer:
			key = "replace " + op.Old.ID
		case plan.ConnectContainer:
			key = "connect " + op.Container.ID + " " + op.Attachment.Network
		case plan.DisconnectContainer:
			key = "disconnect " + op.Container.ID + " " + op.Network.ID
		case plan.WaitReady:
			key += " " + string(op.Condition)
		case plan.StartContainer:
			begins[op.Container.Service] = append(begins[op.Container.Service], n.ID)
			ends[op.Container.Service] = append(ends[op.Container.Service], n.ID)
		case plan.RemoveVolume, plan.RemoveImage:
			s.fail(e, "up is to remove %s in\n%s", n.Op.Ref(), p)
		}
		if other := seen[key]; other != 0 {
			s.fail(e, "nodes %d and %d do the same in\n%s", other, n.ID, p)
		}
		seen[key] = n.ID
		if n.Destructive {
			s.fail(e, "up is to delete data in\n%s", p)
		}
	}
	for name, starts := range begins {
		for dep := range s.project.Services[name].DependsOn {
			for _, start := range starts {
				for _, end := range ends[dep] {
					if !reach[start][end] {
						s.fail(e, "%s starts with %d before its dependency %s does with %d in\n%s", name, start, dep, end, p)
					}
				}
			}
		}
	}
}

// checkOthers holds a run to what it may not touch.
func (s *story) checkOthers(e *enginetest.Engine, before, after look, o runner.UpOptions) {
	for _, was := range before.containers {
		_, known := s.project.Services[was.Service]
		_, inactive := s.project.DisabledServices[was.Service]
		switch {
		case was.Project != "shop":
		case was.OneOff, inactive, known && !s.chosen[was.Service], !known && !o.RemoveOrphans:
			was.Networks = nil // which may be made anew
		default:
			continue
		}
		is, there := after.container(was.ID)
		if was.Networks == nil {
			is.Networks = nil
		}
		if !there || form(was) != form(is) {
			s.fail(e, "%s was changed:\n%s\n%s", was.Name, form(was), form(is))
		}
	}
	for name, was := range before.networks {
		if is, there := after.networks[name]; was.Project != "shop" && (!there || is.ID != was.ID) {
			s.fail(e, "network %s of project %q is another one, or gone", name, was.Project)
		}
	}
	for name, was := range before.volumes {
		if is, there := after.volumes[name]; !there || is.Created != was.Created || is.Project != was.Project {
			s.fail(e, "volume %s is another one, or gone", name)
		}
	}
}

// checkSettled holds an up that went well to its word.
func (s *story) checkSettled(e *enginetest.Engine, before, after look, o runner.UpOptions) {
	for _, spec := range s.desired.Services {
		if !s.chosen[spec.Name] {
			continue
		}
		have := after.of(spec.Name)
		if len(have) != len(spec.Containers) {
			s.fail(e, "%s has %d containers, want %d", spec.Name, len(have), len(spec.Containers))
		}
		for i, want := range spec.Containers {
			s.checkContainer(e, spec, want, have[i], after, o)
			if o.RenewVolumes {
				continue
			}
			for _, m := range before.anonymous(spec.Name, want.Number) {
				if !slices.Contains(have[i].Mounts, m) {
					s.fail(e, "%s lost its volume at %s", want.Name, m.Target)
				}
			}
		}
	}
}

func (s *story) checkContainer(e *enginetest.Engine, spec state.ServiceSpec, want state.ContainerSpec, have state.Container, after look, o runner.UpOptions) {
	if have.Number != want.Number || have.Name != want.Name {
		s.fail(e, "container %s is number %d, want %s, %d", have.Name, have.Number, want.Name, want.Number)
	}
	ended := isJob(spec.Config) && have.State == "exited" && have.ExitCode == 0
	left := o.NoWait && have.State == "restarting"
	if have.State != "running" && !ended && !left {
		s.fail(e, "%s is %s %d", have.Name, have.State, have.ExitCode)
	}
	if o.NoRecreate {
		return
	}
	if image, err := e.Image(s.Context(), want.Image); err != nil || image.ID != have.ImageID {
		s.fail(e, "%s runs image %s, want %s, %v", have.Name, have.ImageID, image.ID, err)
	}
	if !o.SkipDefinitions && !state.SameHash(have, spec) {
		if differences, err := e.Compare(s.Context(), have.ID, engine.CreateContainer{Spec: want}); err != nil || len(differences) > 0 {
			s.fail(e, "%s was made otherwise: %v, %v", have.Name, differences, err)
		}
	}
	for _, a := range want.Networks {
		if id := have.Networks[a.Network]; id == "" || id != after.networks[a.Network].ID {
			s.fail(e, "%s is not on network %s", have.Name, a.Network)
		}
	}
	for name := range have.Networks {
		if after.networks[name].Project == "shop" && !slices.ContainsFunc(want.Networks, func(a state.Attachment) bool { return a.Network == name }) {
			s.fail(e, "%s is on network %s", have.Name, name)
		}
	}
	for _, v := range want.Config.Volumes {
		if !slices.Contains(have.Mounts, state.Mount{Type: v.Type, Name: want.VolumeNames[v.Source], Target: v.Target}) {
			s.fail(e, "%s does not mount %s", have.Name, v.Source)
		}
	}
	if name, shares := strings.CutPrefix(spec.Config.NetworkMode, types.ServicePrefix); shares && s.chosen[name] {
		other, there := after.container(have.SharesNetwork)
		if !there || other.Service != name || other.State != "running" {
			s.fail(e, "%s shares the network of %q, not of a container of %s that runs", have.Name, have.SharesNetwork, name)
		}
	}
}

// checkAgain plans once more, for nothing.
func (s *story) checkAgain(e *enginetest.Engine, o runner.UpOptions) {
	o.ForceRecreate = false
	if o.Pull == runner.PullAlways {
		o.Pull = ""
	}
	before := dump(s.T, e)
	again, err := runner.New(e).Plan(s.Context(), s.project, o)
	if err != nil {
		s.fail(e, "planning again: %v", err)
	}
	var left []string
	for _, n := range again.Nodes {
		if !s.isRepeated(e, n, o) {
			left = append(left, fmt.Sprintf("%s %s: %s", n.Op.Verb(), n.Op.Ref(), n.Cause))
		}
	}
	if len(left) > 0 {
		s.fail(e, "not settled: %s\nplan:\n%s", strings.Join(left, "; "), again)
	}
	if again.Changes() == 0 {
		return
	}
	if _, err := runner.New(e).Up(s.Context(), s.project, o); err != nil {
		s.fail(e, "up again: %v", err)
	}
	if after := dump(s.T, e); after != before {
		s.fail(e, "up again changed something, before:\n%s", before)
	}
}

// isRepeated says that a node is there each time: pulls that are asked for, and
// what depends on them; jobs that nobody waits for; waits for what the engine does
// not call ready.
func (s *story) isRepeated(e *enginetest.Engine, n plan.Node, o runner.UpOptions) bool {
	pulls := false
	for name := range s.chosen {
		pulls = pulls || s.project.Services[name].PullPolicy == "always"
	}
	service := plan.ServiceOf(n.Op)
	switch op := n.Op.(type) {
	case plan.PullImage:
		return true
	case plan.ReplaceContainer:
		return pulls && op.Conditional()
	case plan.StartContainer:
		return pulls || isJob(s.project.Services[service])
	case plan.StopContainer:
		return pulls && op.IfReplaced != ""
	case plan.WaitReady:
		there, err := e.Inspect(s.Context(), op.Container.Name)
		return err == nil && (pulls || isJob(s.project.Services[service]) || there.State == "restarting" || there.Health != "healthy")
	}
	return false
}

// checkFailure has a call of an up fail, or its answer be lost, or the run be cut
// then, and brings the project up once more: it ends as it did without.
func (s *story) checkFailure(c *choices, broken, whole *enginetest.Engine) {
	var calls []string
	for _, call := range whole.AllCalls() {
		calls = append(calls, plainName(call.String()))
	}
	slices.Sort(calls)
	which, how := pick(c, calls...), c.of(3)
	s.failAt(broken, which, how)
	again := s.opts
	again.ForceRecreate = false
	if !s.checkUp(broken, again) {
		s.fail(broken, "%s failed, and so did the next up", which)
	}
	if once, twice := dump(s.T, whole), dump(s.T, broken); once != twice && !s.opts.NoRecreate {
		s.fail(broken, "%s failed (%d), and after the next up it is not as without that:\n%s", which, how, once)
	}
}

// failAt brings the project up with a failure at one call.
func (s *story) failAt(e *enginetest.Engine, which string, how int) {
	before := lookAt(s.T, e)
	ctx, cancel := context.WithCancelCause(s.Context())
	defer cancel(nil)
	var failed atomic.Bool // calls come at one time
	e.FailWith(func(call enginetest.Call) error {
		if plainName(call.String()) != which || !failed.CompareAndSwap(false, true) {
			return nil
		}
		switch how {
		case 1:
			cancel(errors.New("interrupted"))
			return nil
		case 2: // it happens, and the answer is lost
			switch call.Method {
			case "StartContainer":
				_ = e.StartContainer(s.Context(), call.Name)
			case "StopContainer":
				_ = e.StopContainer(s.Context(), call.Name, nil)
			case "RemoveContainer":
				_ = e.RemoveContainer(s.Context(), call.Name, false)
			}
		}
		return errors.New("the engine is out of order")
	})
	_, err := runner.New(e).Up(ctx, s.project, s.opts)
	e.FailWith(nil)
	s.checkOthers(e, before, lookAt(s.T, e), s.opts)
	s.tell("%s failed (%d), so up ended with: %v", which, how, err)
}

// checkStopAndStart stops, starts and restarts what up has brought up.
func (s *story) checkStopAndStart(c *choices, e *enginetest.Engine) {
	if s.inTheWay || s.opts.NoRecreate || s.opts.NoDeps || s.opts.SkipDefinitions || s.opts.Pull != "" {
		return
	}
	before := lookAt(s.T, e)
	if slices.ContainsFunc(before.containers, func(c state.Container) bool {
		return c.Project == "shop" && !s.chosen[c.Service]
	}) {
		return // which may not be able to start, or end otherwise than it did before
	}
	r := runner.New(e)
	var err error
	verb := "start"
	if c.flag() {
		verb = "restart"
		_, err = r.Restart(s.Context(), "shop", runner.RestartOptions{})
	} else {
		if _, err = r.Stop(s.Context(), "shop", runner.StopOptions{}); err != nil {
			s.fail(e, "stop failed: %v", err)
		}
		for _, is := range lookAt(s.T, e).containers {
			if is.Project == "shop" && !is.OneOff && is.Running() {
				s.fail(e, "%s runs after a stop", is.Name)
			}
		}
		_, err = r.Start(s.Context(), "shop", runner.StartOptions{})
	}
	if err != nil && !errors.Is(err, runner.ErrNoContainer) {
		s.fail(e, "%s failed: %v", verb, err)
	}
	if before, after := dumpOf(before), dump(s.T, e); before != after {
		s.fail(e, "%s changed something, before:\n%s", verb, before)
	}
}

// checkDown takes the project down.
func (s *story) checkDown(c *choices, e *enginetest.Engine) {
	o := runner.DownOptions{Volumes: c.flag(), RemoveOrphans: c.flag()}
	if c.flag() {
		o.Services = append(s.project.ServiceNames(), s.project.DisabledServiceNames()...)
	}
	before := lookAt(s.T, e)
	_, err := runner.New(e).Down(s.Context(), "shop", o)
	if err != nil && !s.inTheWay {
		s.fail(e, "down %+v failed: %v", o, err)
	}
	after := lookAt(s.T, e)
	stays := func(c state.Container) bool {
		return c.Project != "shop" || o.Services != nil && !o.RemoveOrphans && !slices.Contains(o.Services, c.Service)
	}
	for _, was := range before.containers {
		is, there := after.container(was.ID)
		switch {
		case stays(was) && (!there || form(was) != form(is)):
			s.fail(e, "down %+v changed %s", o, was.Name)
		case !stays(was) && there && err == nil:
			s.fail(e, "down %+v left %s", o, was.Name)
		}
	}
	for name, was := range before.networks {
		_, there := after.networks[name]
		used := slices.ContainsFunc(before.containers, func(c state.Container) bool { _, on := c.Networks[name]; return on && stays(c) })
		switch {
		case was.Project != "shop" && !there:
			s.fail(e, "down %+v removed network %s of %q", o, name, was.Project)
		case was.Project == "shop" && there && !used && err == nil:
			s.fail(e, "down %+v left network %s", o, name)
		}
	}
	for name, was := range before.volumes {
		_, there := after.volumes[name]
		if !there && (!o.Volumes || was.Project != "shop") && !before.isCarried(name) {
			s.fail(e, "down %+v removed volume %s of %q", o, name, was.Project)
		}
	}
}

// look is what is on an engine.
type look struct {
	containers []state.Container // sorted by service, number, name
	networks   map[string]state.Network
	volumes    map[string]state.Volume
}

func lookAt(t *testing.T, e *enginetest.Engine) look {
	t.Helper()
	l := look{networks: map[string]state.Network{}, volumes: map[string]state.Volume{}}
	var err error
	if l.containers, err = e.Containers(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(l.containers, func(a, b state.Container) int {
		return cmp.Or(cmp.Compare(a.Project, b.Project), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Number, b.Number), cmp.Compare(a.Name, b.Name))
	})
	networks, err := e.Networks(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range networks {
		l.networks[n.Name] = n
	}
	volumes, err := e.Volumes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range volumes {
		l.volumes[v.Name] = v
	}
	return l
}

func (l look) container(id string) (state.Container, bool) {
	i := slices.IndexFunc(l.containers, func(c state.Container) bool { return c.ID == id })
	if i < 0 {
		return state.Container{}, false
	}
	return l.containers[i], true
}

// of gives the containers of a service of the project, by their numbers.
func (l look) of(service string) []state.Container {
	return slices.DeleteFunc(slices.Clone(l.containers), func(c state.Container) bool {
		return c.Project != "shop" || c.OneOff || c.Service != service
	})
}

// anonymous gives the volumes without a name of the one container that has a number;
// none when several have it, since one of them goes.
func (l look) anonymous(service string, number int) []state.Mount {
	var out []state.Mount
	seen := 0
	for _, c := range l.of(service) {
		if c.Number != number {
			continue
		}
		seen++
		for _, m := range c.Mounts {
			if m.Anonymous() {
				out = append(out, m)
			}
		}
	}
	if seen != 1 {
		return nil
	}
	return out
}

// isCarried says that a volume is one of the project's containers' own, by label.
func (l look) isCarried(volume string) bool {
	return slices.ContainsFunc(l.containers, func(c state.Container) bool {
		return c.Project == "shop" && slices.Contains(c.Carried, volume)
	})
}

var temporaryName = regexp.MustCompile(`\bctr[0-9]{9}_`)

// plainName leaves the ids out of names: they differ with the order of creation.
func plainName(name string) string { return temporaryName.ReplaceAllString(name, "ctr_") }

// form gives what counts of a container in a line.
func form(c state.Container) string {
	var mounts []string
	for _, m := range c.Mounts {
		mounts = append(mounts, m.Name+":"+m.Target)
	}
	slices.Sort(mounts)
	if c.State != "exited" {
		c.ExitCode = 0 // of a run before
	}
	return fmt.Sprintf("container %s project %q service %q %d %s %d hash %.8s image %s networks %v volumes %v",
		plainName(c.Name), c.Project, c.Service, c.Number, c.State, c.ExitCode, c.Hash, c.ImageID, slices.Sorted(maps.Keys(c.Networks)), mounts)
}

// dumpOf gives what is on an engine as text.
func dumpOf(l look) string {
	var lines []string
	for _, c := range l.containers {
		lines = append(lines, form(c))
	}
	for name, n := range l.networks {
		lines = append(lines, fmt.Sprintf("network %s project %q internal %t %v", name, n.Project, n.Internal, n.Options))
	}
	for name, v := range l.volumes {
		lines = append(lines, fmt.Sprintf("volume %s project %q %v", name, v.Project, v.Options))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func dump(t *testing.T, e *enginetest.Engine) string {
	t.Helper()
	return dumpOf(lookAt(t, e))
}

// text gives a project as a compose file.
func text(p *types.Project) string {
	out, err := p.MarshalYAML()
	if err != nil {
		return err.Error()
	}
	return string(out)
}

// chosenServices names the services that an up is about.
func chosenServices(p *types.Project, o runner.UpOptions) map[string]bool {
	out := map[string]bool{}
	var add func(string)
	add = func(name string) {
		s, there := p.Services[name]
		if !there || out[name] {
			return
		}
		out[name] = true
		if !o.NoDeps {
			for dep := range s.DependsOn {
				add(dep)
			}
		}
	}
	for _, name := range o.Services {
		add(name)
	}
	if len(o.Services) == 0 {
		for name := range p.Services {
			add(name)
		}
	}
	return out
}
