package spec_test

import (
	"testing"
	"time"

	"github.com/stackctl/stackctl/pkg/spec"
	"github.com/stackctl/stackctl/pkg/spec/safety"
)

// Each case is one stack; all of its faults are reported, and nothing else.
func TestStackFaults(t *testing.T) {
	image := func(name string) *spec.Service { return &spec.Service{Name: name, Image: "example"} }
	tests := []struct {
		name  string
		stack func() *spec.Stack
		want  []string
	}{
		{
			"empty",
			func() *spec.Stack { return spec.New("") },
			[]string{
				`services: there is no service — pass one to spec.New`,
			},
		},
		{
			"what is allowed",
			func() *spec.Stack {
				web := image("web")
				web.Allow = spec.Allowed{safety.Privileged: "", "lastest-tag": "why"}
				web.Extra = map[string]any{"x-stackctl": map[string]any{}}
				stack := spec.New("p", web)
				stack.Allow = spec.Allowed{"privilege": ""}
				return stack
			},
			[]string{
				`services.web.x-stackctl: is set by a field and in Extra — keep one of them`,
				`services.web.x-stackctl.allow.lastest-tag: there is no rule "lastest-tag" — did you mean latest-tag?`,
				`x-stackctl.allow.privilege: there is no rule "privilege" — did you mean privileged?`,
			},
		},
		{
			"names",
			func() *spec.Stack {
				return spec.New("My Project", image("web"), image("web"), image("a b"), image(""),
					&spec.Volume{Name: "v"}, &spec.Volume{Name: "v"}, &spec.Network{Name: "n/1"}, &spec.Secret{Name: "$"})
			},
			[]string{
				`name: "My Project" is not a project name — use lower-case letters, digits, '-' and '_', and begin with a letter or digit`,
				`networks[0]: "n/1" is not a name — use letters, digits, '.', '-' and '_'`,
				`secrets[0]: "$" is not a name — use letters, digits, '.', '-' and '_'`,
				`services[2]: "a b" is not a name — use letters, digits, '.', '-' and '_'`,
				`services[3]: "" is not a name — use letters, digits, '.', '-' and '_'`,
				`services.web: is declared twice — give each its own name`,
				`volumes.v: is declared twice — give each its own name`,
			},
		},
		{
			"references to what is not in the stack",
			func() *spec.Stack {
				web := image("web")
				web.Mounts = []spec.Mount{spec.Mounted(&spec.Volume{Name: "data"}, "/data"), spec.Mounted(nil, "/nil")}
				web.Networks = []*spec.Network{{Name: "back"}, nil}
				web.Secrets = []spec.SecretMount{spec.MountSecret(&spec.Secret{Name: "token"}), {}}
				web.DependsOn = []spec.Dependency{spec.Healthy(image("db")), {}, spec.Started((*spec.Postgres)(nil))}
				return spec.New("p", web, &spec.Volume{Name: "data"})
			},
			[]string{
				`services.web.depends_on[0]: service "db" is not declared — pass it to spec.New too`,
				`services.web.depends_on[1]: refers to a nil service`,
				`services.web.depends_on[2]: refers to a nil service`,
				`services.web.networks[0]: network "back" is not declared — pass it to spec.New too`,
				`services.web.networks[1]: refers to a nil network`,
				`services.web.secrets[0]: secret "token" is not declared — pass it to spec.New too`,
				`services.web.secrets[1]: refers to a nil secret`,
				`services.web.volumes[0]: volume "data" is not declared — pass it to spec.New too`,
				`services.web.volumes[1]: refers to a nil volume`,
			},
		},
		{
			"nil parts",
			func() *spec.Stack {
				return spec.New("p", nil, image("web"), (*spec.Service)(nil), (*spec.Postgres)(nil), (*spec.Redis)(nil),
					(*spec.GoApp)(nil), (*spec.Volume)(nil), (*spec.Network)(nil), (*spec.Secret)(nil))
			},
			[]string{
				`networks[0]: is nil`,
				`secrets[0]: is nil`,
				`services[1]: is nil`,
				`services[2]: is nil`,
				`services[3]: is nil`,
				`services[4]: is nil`,
				`volumes[0]: is nil`,
			},
		},
		{
			"fields",
			func() *spec.Stack {
				data := &spec.Volume{Name: "data"}
				db := image("db")
				web := &spec.Service{
					Name:            "web",
					Command:         []spec.Value{"ok", spec.FromEnv("not a name"), spec.Literal("a\x00b"), "\xff"},
					Environment:     spec.Env{"A=B": "", "C": spec.FromEnvOr("C", "{}")},
					Ports:           []spec.Port{{}, spec.Publish("http", 80), spec.Publish("9-1", 80), spec.Publish("70000", 70000)},
					Mounts:          []spec.Mount{{Volume: data, HostPath: "./x", Target: "/x"}, spec.Bind("./y", "y")},
					DependsOn:       []spec.Dependency{spec.Started(db), spec.Healthy(db), {Service: db, Condition: "ready"}},
					Healthcheck:     &spec.Healthcheck{Test: spec.CmdTest("true"), Interval: -1, Retries: -1},
					Replicas:        -1,
					StopGracePeriod: -time.Second,
					Extra:           map[string]any{"command": "x", "platform": spec.FromEnv("")},
				}
				return spec.New("p", web, db, data, &spec.Secret{Name: "both", File: "f", Variable: "V"}, &spec.Secret{Name: "none"})
			},
			[]string{
				`secrets.both: needs exactly one source — set File, Variable or External`,
				`secrets.none: needs exactly one source — set File, Variable or External`,
				`services.web: has neither an image nor a build — set Image or Build`,
				`services.web.command: is set by a field and in Extra — keep one of them`,
				`services.web.command[1]: refers to "not a name", which is not the name of a variable`,
				`services.web.command[2]: holds a NUL byte`,
				`services.web.command[3]: is not valid UTF-8`,
				`services.web.depends_on[1]: service "db" is depended on twice — keep the stricter condition`,
				`services.web.depends_on[2]: service "db" is depended on twice — keep the stricter condition`,
				`services.web.environment: "A=B" cannot be a name`,
				`services.web.environment.C: refers to C with a text that holds a brace, a line break or another reference`,
				`services.web.healthcheck.interval: -1ns is negative`,
				`services.web.healthcheck.retries: -1 is not a number of retries — set Retries to 0 or more`,
				`services.web.platform: cannot be written as YAML: refers to "", which is not the name of a variable`,
				`services.web.ports[0].target: 0 is not a port — set Container to 1 to 65535`,
				`services.web.ports[1].published: "http" is not a port — set Host to a port or to a range such as "8000-8010"`,
				`services.web.ports[2].published: "9-1" is not a port — set Host to a port or to a range such as "8000-8010"`,
				`services.web.ports[3].target: 70000 is not a port — set Container to 1 to 65535`,
				`services.web.scale: -1 replicas — set Replicas to 0 or more`,
				`services.web.stop_grace_period: -1s is negative`,
				`services.web.volumes[0]: mounts both a volume and a host path — set Volume or HostPath, not both`,
				`services.web.volumes[1]: target "y" is not an absolute path — begin Target with '/'`,
			},
		},
		{
			"entries with more than one way to be said",
			func() *spec.Stack {
				back, front := &spec.Network{Name: "back"}, &spec.Network{Name: "front"}
				conf := &spec.Config{Name: "conf", File: "a", Content: "b"}
				web := image("web")
				web.Ports = []spec.Port{{Short: "80", Container: 80}, {Container: 80, Extra: map[string]any{"target": 81}}}
				web.Mounts = []spec.Mount{{Short: "/a", Target: "/b"}, {Extra: map[string]any{"size": 1}}}
				web.Networks = []*spec.Network{back}
				web.NetworkOptions = map[*spec.Network]map[string]any{front: {"priority": 1}, back: {"priority": spec.FromEnv("")}}
				web.Configs = []spec.ConfigMount{{}, {Config: &spec.Config{Name: "other"}}, {Config: conf}}
				web.Build = &spec.Build{Extra: map[string]any{"context": ".."}}
				web.User = spec.Interpolated("a\x00b")
				web.Hostname = spec.Inherited
				stack := spec.New("p", web, back, front, conf, &spec.Config{Name: "none"}, (*spec.Config)(nil))
				stack.Extra = map[string]any{"services": nil, "x-a": 1}
				return stack
			},
			[]string{
				`configs[2]: is nil`,
				`configs.conf: needs exactly one source — set File, Variable, Content or External`,
				`configs.none: needs exactly one source — set File, Variable, Content or External`,
				`services: is set by a field and in Extra — keep one of them`,
				`services.web.build.context: is set by a field and in Extra — keep one of them`,
				`services.web.configs[0]: refers to a nil config`,
				`services.web.configs[1]: config "other" is not declared — pass it to spec.New too`,
				`services.web.hostname: holds a NUL byte`,
				`services.web.networks: NetworkOptions has a network that the service does not join — put it into Networks too`,
				`services.web.networks.back.priority: cannot be written as YAML: refers to "", which is not the name of a variable`,
				`services.web.ports[0]: has both Short and other fields — keep one of them`,
				`services.web.ports[1].target: is set by a field and in Extra — keep one of them`,
				`services.web.user: holds a NUL byte`,
				`services.web.volumes[0]: has both Short and other fields — keep one of them`,
				`services.web.volumes[1]: refers to a nil volume`,
			},
		},
		{
			"faults in Go and faults that show when it is loaded, in one list",
			func() *spec.Stack {
				db, cache, web := image("db"), image("cache"), image("web")
				db.Ports = []spec.Port{spec.PublishLocally("5432", 5432)}
				cache.Ports = []spec.Port{spec.Publish("5432", 6379)}
				cache.DependsOn = []spec.Dependency{spec.Started(web)}
				web.DependsOn = []spec.Dependency{spec.Healthy(db), spec.Started(cache)}
				web.Networks = []*spec.Network{{Name: "back"}}
				web.Environment = spec.Env{"PW": spec.RequiredEnv("PW", "set PW in .env")}
				web.Healthcheck = &spec.Healthcheck{Test: spec.CmdTest("true"), StartInterval: time.Second}
				web.Restart = "sometimes"
				web.Extra = map[string]any{"mem_limt": "1g"}
				return spec.New("p", db, cache, web)
			},
			[]string{
				`services.cache.depends_on.web: dependency cycle: cache -> web -> cache — remove one of these dependencies`,
				`services.db.ports[0]: host port 5432 is published by services.cache.ports[0] too — publish one of them on another port`,
				`services.web.depends_on.db: waits until "db" is healthy, but that has no healthcheck — give services.db a healthcheck, or depend on it with condition service_started`,
				`services.web.environment.PW: required variable PW has no value — set PW in .env`,
				`services.web.healthcheck.start_interval: has no effect without start_period — set start_period, or remove start_interval`,
				`services.web.mem_limt: is not a known key — did you mean mem_limit?`,
				`services.web.networks[0]: network "back" is not declared — pass it to spec.New too`,
				`services.web.restart: "sometimes" is not a restart policy — use no, always, on-failure or unless-stopped`,
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for range 5 { // whatever order maps are ranged over
				_, err := tt.stack().Project(t.Context())
				diff(t, faults(t, err), tt.want)
			}
		})
	}
}

// Validate and Compose refuse a stack for what is wrong in Go, without loading.
func TestValidateNeedsNoVariables(t *testing.T) {
	sound := spec.WebStack(spec.WebStackOptions{})
	if err := sound.Validate(); err != nil {
		t.Errorf("the built-in stack: %v", err)
	}
	faulty := spec.New("p", &spec.Service{Name: "web"})
	want := []string{`services.web: has neither an image nor a build — set Image or Build`}
	diff(t, faults(t, faulty.Validate()), want)
	_, err := faulty.Compose()
	diff(t, faults(t, err), want)
}

func TestValidationErrorListsEveryProblem(t *testing.T) {
	err := &spec.ValidationError{Problems: []spec.Problem{
		{Path: "services.web.ports[0]", Message: "is wrong", Hint: "mend it"},
		{Message: "not YAML"},
	}}
	diff(t, err.Error(), "services.web.ports[0]: is wrong — mend it\nnot YAML")
}

func TestPartsAreAddedOnce(t *testing.T) {
	db := spec.NewPostgres("db", spec.PostgresOptions{})
	stack := spec.New("p", db, db.Data, db.Service, db)
	diff(t, stack.Services, []*spec.Service{db.Service})
	diff(t, stack.Volumes, []*spec.Volume{db.Data})
}
