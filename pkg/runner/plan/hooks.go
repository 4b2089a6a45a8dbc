package plan

import "github.com/compose-spec/compose-go/v2/types"

// Hooks are the commands that run in a service's containers around their starts
// and stops. No label tells them.
type Hooks struct {
	PostStart, PreStop []types.ServiceHook
}

// HooksOf collects the hooks of a project, by service.
func HooksOf(p *types.Project) map[string]Hooks {
	out := map[string]Hooks{}
	for name, s := range p.Services {
		if len(s.PostStart)+len(s.PreStop) > 0 {
			out[name] = Hooks{PostStart: s.PostStart, PreStop: s.PreStop}
		}
	}
	return out
}
