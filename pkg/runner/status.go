package runner

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stackctl/stackctl/pkg/runner/plan"
	"github.com/stackctl/stackctl/pkg/runner/probe"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// Status is how a project stands.
type Status struct {
	Project string `json:"project" yaml:"project"`
	// Containers has an entry for every container that is wanted or there, by
	// service and number.
	Containers []ContainerStatus `json:"containers" yaml:"containers"`
}

// ContainerStatus is how one container stands.
type ContainerStatus struct {
	Service   string `json:"service" yaml:"service"`
	Container string `json:"container" yaml:"container"`
	// ID is the engine's; empty for one that is missing.
	ID string `json:"id" yaml:"id"`
	// State is the engine's, or "missing".
	State string `json:"state" yaml:"state"`
	// Health is starting, healthy or unhealthy; empty without a healthcheck.
	Health string `json:"health" yaml:"health"`
	// Uptime is the engine's sentence: "Up 5 minutes".
	Uptime string       `json:"uptime" yaml:"uptime"`
	Ports  []state.Port `json:"ports" yaml:"ports"`
	Image  string       `json:"image" yaml:"image"`
	// Drift says why `up` would change it; empty when it is as the stack has it.
	Drift string `json:"drift" yaml:"drift"`
	// Orphan says that the stack has no such service.
	Orphan bool `json:"orphan" yaml:"orphan"`
	// Ready says that it is as it should be: running and not unhealthy, or
	// completed where that is its purpose.
	Ready bool `json:"ready" yaml:"ready"`
}

// Ready says that every container of the stack is.
func (s Status) Ready() bool {
	return !slices.ContainsFunc(s.Containers, func(c ContainerStatus) bool { return !c.Orphan && !c.Ready })
}

// StatusOptions change what Status shows.
type StatusOptions struct {
	// SkipDefinitions leaves out of Drift what the containers were made from, for
	// a stack that was loaded without all of its variables.
	SkipDefinitions bool
}

// Status compares the engine with the stack. A container whose health the engine
// has not looked at yet is probed once.
func (r *Runner) Status(ctx context.Context, p *types.Project, o StatusOptions) (Status, error) {
	desired, observed, err := r.observe(ctx, p, o.SkipDefinitions)
	if err != nil {
		return Status{}, err
	}
	// What the plan would do to a container is how it differs. A stack that
	// cannot be planned has its containers shown all the same.
	drift := map[string]string{}
	if todo, err := plan.Reconcile(desired, observed, plan.Options{Pull: plan.PullMissing, Now: r.now(), SkipDefinitions: o.SkipDefinitions}); err == nil {
		drift = drifts(todo)
	}
	out := Status{Project: p.Name, Containers: []ContainerStatus{}}
	for _, s := range desired.Services {
		// `restart: "no"` says that it is there to end, too.
		job := isJob(desired, s.Name) || s.Config.Restart == types.RestartPolicyNo
		for _, want := range s.Containers {
			row := ContainerStatus{Service: s.Name, Container: want.Name, State: "missing", Image: s.Image, Ports: []state.Port{}}
			i := slices.IndexFunc(observed.Containers, func(c state.Container) bool {
				return c.Service == s.Name && c.Number == want.Number
			})
			if i >= 0 {
				row = rowOf(observed.Containers[i])
				row.Ready = row.State == "running" && row.Health != "unhealthy" ||
					job && row.State == "exited" && observed.Containers[i].ExitCode == 0
			}
			row.Drift = drift[want.Name]
			out.Containers = append(out.Containers, row)
		}
	}
	for _, c := range observed.Containers {
		if slices.ContainsFunc(out.Containers, func(row ContainerStatus) bool { return row.Container == c.Name }) {
			continue
		}
		row := rowOf(c)
		_, known := desired.Service(c.Service)
		row.Orphan = !known && !slices.Contains(desired.Inactive, c.Service)
		row.Drift = drift[c.Name]
		out.Containers = append(out.Containers, row)
	}
	r.probeStarting(ctx, out.Containers)
	slices.SortStableFunc(out.Containers, func(a, b ContainerStatus) int { return cmp.Compare(a.Service, b.Service) })
	return out, nil
}

func rowOf(c state.Container) ContainerStatus {
	return ContainerStatus{
		Service: c.Service, Container: c.Name, ID: c.ID, State: c.State, Health: c.Health,
		Uptime: c.Status, Ports: append([]state.Port{}, c.Ports...), Image: c.Image,
	}
}

// isJob says that some service waits for this one's completion.
func isJob(d state.Desired, name string) bool {
	return slices.ContainsFunc(d.Services, func(s state.ServiceSpec) bool {
		return slices.ContainsFunc(s.DependsOn, func(dep state.Dependency) bool {
			return dep.Service == name && dep.Condition == types.ServiceConditionCompletedSuccessfully
		})
	})
}

// drifts gives the first cause of a change for each container's name.
func drifts(p *plan.Plan) map[string]string {
	out := map[string]string{}
	for _, n := range p.Nodes {
		if _, wait := n.Op.(plan.WaitReady); wait || n.Op.Ref().Kind != state.KindContainer {
			continue
		}
		if name := n.Op.Ref().Name; out[name] == "" {
			out[name] = n.Cause
		}
	}
	return out
}

// probeStarting asks the containers whose health the engine does not know yet:
// its first look can be a whole interval away, long after `up` has ended well.
func (r *Runner) probeStarting(ctx context.Context, rows []ContainerStatus) {
	var wg sync.WaitGroup
	for i := range rows {
		row := &rows[i]
		if row.State != "running" || row.Health != "starting" {
			continue
		}
		wg.Go(func() {
			look, err := r.engine.Inspect(ctx, row.Container)
			if err != nil || look.Healthcheck == nil {
				row.Ready = false
				return
			}
			result, err := probe.Once(ctx, r.engine, look.ID, look.Healthcheck)
			row.Ready = err == nil && result.ExitCode == 0
			if row.Ready {
				r.foundReady(look)
				row.Health = "healthy"
			}
		})
	}
	wg.Wait()
}
