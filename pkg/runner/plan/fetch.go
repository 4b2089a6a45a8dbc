package plan

import (
	"maps"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stackctl/stackctl/pkg/runner/state"
)

// PullOptions change what [Pull] decides. The zero value pulls the image of every
// service whose own policy does not forbid it.
type PullOptions struct {
	// Services limits the pull to these.
	Services []string
	// Dependencies pulls for what they depend on, too.
	Dependencies bool
	// Policy overrides every service's own; a service without one is pulled always.
	Policy PullPolicy
	// IgnoreBuildable leaves out what can be built.
	IgnoreBuildable bool
}

// Pull decides which images are fetched: each one once, all at a time. Nothing is
// made or replaced.
func Pull(d state.Desired, o state.Observed, opts PullOptions) (*Plan, error) {
	services, err := chooseServices(d, opts.Services, opts.Dependencies)
	if err != nil {
		return nil, err
	}
	p := &Plan{Project: d.Project}
	pulled := map[string]bool{}
	for _, s := range services {
		if s.Config.Image == "" || pulled[s.Image] || opts.IgnoreBuildable && s.Config.Build != nil {
			continue
		}
		policy := s.Config.PullPolicy
		if opts.Policy != "" {
			policy = string(opts.Policy)
		}
		cause := "asked for"
		switch policy {
		case types.PullPolicyNever, types.PullPolicyBuild:
			continue
		case types.PullPolicyMissing, types.PullPolicyIfNotPresent:
			if hasImage(o, s.Image) {
				continue
			}
			cause = "is not on the engine"
		}
		pulled[s.Image] = true
		p.add(PullImage{Image: s.Image, Platform: s.Config.Platform}, cause)
	}
	return p, nil
}

// BuildOptions change what [Build] decides. The zero value builds the image of
// every service that has a build section.
type BuildOptions struct {
	// Services limits the build to these.
	Services []string
	// Dependencies builds for what they depend on, too.
	Dependencies bool
	// NoCache runs every step of a Dockerfile anew.
	NoCache bool
	// Pull looks for newer base images.
	Pull bool
	// Args are set over those of the build sections; one without a value is not
	// sent.
	Args types.MappingWithEquals
}

// Build decides which images are built: each one once, all at a time.
func Build(d state.Desired, opts BuildOptions) (*Plan, error) {
	services, err := chooseServices(d, opts.Services, opts.Dependencies)
	if err != nil {
		return nil, err
	}
	p := &Plan{Project: d.Project}
	built := map[string]bool{}
	for _, s := range services {
		if s.Config.Build == nil {
			if slices.Contains(opts.Services, s.Name) {
				p.warn("service %s has no build section: there is nothing to build for it", s.Name)
			}
			continue
		}
		if built[s.Image] {
			continue
		}
		built[s.Image] = true
		p.add(BuildImage{s.Image, forBuild(s, opts)}, "asked for")
	}
	return p, nil
}

// forBuild gives a service with its build section as the options have it. The
// service itself is not changed.
func forBuild(s *state.ServiceSpec, opts BuildOptions) *state.ServiceSpec {
	out, config := *s, *s.Config.Build
	config.NoCache = config.NoCache || opts.NoCache
	config.Pull = config.Pull || opts.Pull
	args := types.MappingWithEquals{}
	maps.Copy(args, config.Args)
	maps.Copy(args, opts.Args)
	if len(args) > 0 {
		config.Args = args
	}
	out.Config.Build = &config
	return &out
}

// chooseServices gives the named services, and with dependencies what they depend
// on; all when none is named. They are sorted by name.
func chooseServices(d state.Desired, names []string, dependencies bool) ([]*state.ServiceSpec, error) {
	g, err := graphOf(&d, names)
	if err != nil {
		return nil, err
	}
	chosen := g.closure(names)
	var out []*state.ServiceSpec
	for i := range d.Services {
		s := &d.Services[i]
		if len(names) == 0 || slices.Contains(names, s.Name) || dependencies && chosen[s.Name] {
			out = append(out, s)
		}
	}
	return out, nil
}
