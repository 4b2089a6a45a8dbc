package gosource

import (
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/stackctl/stackctl/pkg/spec/safety"
)

// key is a key of a compose file that package spec has a field for. write
// returns false for what the field cannot say; the key goes to Extra then.
type key struct {
	name  string
	field string
	write func(*writer, *yaml.Node) (expr, bool)
}

// serviceKeys are in the order of the fields of spec.Service.
func serviceKeys() []key {
	return []key{
		{"image", "Image", (*writer).value},
		{"build", "Build", (*writer).build},
		{"command", "Command", (*writer).values},
		{"entrypoint", "Entrypoint", (*writer).values},
		{"environment", "Environment", (*writer).env},
		{"env_file", "EnvFiles", (*writer).valueList},
		{"ports", "Ports", (*writer).ports},
		{"volumes", "Mounts", (*writer).mounts},
		{"tmpfs", "Tmpfs", (*writer).texts},
		{"networks", "Networks", (*writer).serviceNetworks},
		{"secrets", "Secrets", (*writer).secretMounts},
		{"configs", "Configs", (*writer).configMounts},
		{"depends_on", "DependsOn", (*writer).dependsOn},
		{"healthcheck", "Healthcheck", (*writer).healthcheck},
		{"restart", "Restart", (*writer).restart},
		{"scale", "Replicas", (*writer).number},
		{"profiles", "Profiles", (*writer).texts},
		{"user", "User", (*writer).value},
		{"working_dir", "WorkingDir", (*writer).value},
		{"hostname", "Hostname", (*writer).value},
		{"container_name", "ContainerName", (*writer).value},
		{"init", "Init", (*writer).flag},
		{"stop_signal", "StopSignal", (*writer).plain},
		{"stop_grace_period", "StopGracePeriod", (*writer).duration},
		{"read_only", "ReadOnly", (*writer).flag},
		{"cap_drop", "CapDrop", (*writer).texts},
		{"cap_add", "CapAdd", (*writer).texts},
		{"security_opt", "SecurityOpt", (*writer).texts},
		{"mem_limit", "MemLimit", (*writer).value},
		{"pids_limit", "PidsLimit", (*writer).number},
		{"shm_size", "ShmSize", (*writer).value},
		{"labels", "Labels", (*writer).labels},
		{safety.Extension, "Allow", (*writer).allowed},
	}
}

// typed writes those keys of a mapping that have a field, and the rest as Extra.
func (p *writer) typed(o object, keys []key) ([]field, error) {
	var fields []field
	extra := extras{}
	for _, k := range keys {
		if !o.has(k.name) {
			continue
		}
		usedTime := p.usesTime
		value, ok := k.write(p, o.get(k.name))
		if !ok {
			p.usesTime = usedTime
			continue
		}
		fields = append(fields, field{key: k.field, value: value, comment: o.above(k.name)})
	}
	for _, name := range o.keys() {
		isTyped := slices.ContainsFunc(keys, func(k key) bool {
			return k.name == name && slices.ContainsFunc(fields, func(f field) bool { return f.key == k.field })
		})
		if !isTyped {
			extra.add(o, name)
		}
	}
	rest, err := extra.fields()
	return append(fields, rest...), err
}

func (p *writer) service(o object) ([]field, error) {
	keys := serviceKeys()
	if p.hasCopies(o) {
		o, keys = p.asExtension(o, keys)
	}
	fields, err := p.typed(o, keys)
	if options, ok := p.networkOptions(o.object("networks")); ok {
		at := slices.IndexFunc(fields, func(f field) bool { return f.key == "Networks" })
		if at >= 0 {
			fields = slices.Insert(fields, at+1, field{key: "NetworkOptions", value: options})
		}
	}
	return fields, err
}

// hasCopies says that a secret or config of the service is in no file on the host,
// as package spec sees it.
func (p *writer) hasCopies(o object) bool {
	of := func(section string, write func(*writer, *yaml.Node) (expr, bool), sources ...string) bool {
		items := o.get(section)
		if items == nil {
			return false
		}
		if _, typed := write(p, items); !typed {
			return false
		}
		return slices.ContainsFunc(items.Content, func(item *yaml.Node) bool {
			if source := asObject(item).get("source"); source != nil {
				item = source
			}
			declared := p.root.object(section).object(item.Value)
			return !declared.has("file") && slices.ContainsFunc(sources, func(source string) bool {
				text, ok := plain(declared.get(source))
				return ok && text != "" || source == "content" && isText(declared.get(source))
			})
		})
	}
	return of("secrets", (*writer).secretMounts, "environment") || of("configs", (*writer).configMounts, "environment", "content")
}

// asExtension makes a service that says x-stackctl: {read_only: true} one that says
// read_only, and takes the field from the keys of one that says read_only itself: with
// copies, package spec writes the field as the extension.
func (p *writer) asExtension(o object, keys []key) (object, []key) {
	extension := o.object(safety.Extension)
	if o.has("read_only") || !isTrue(extension.get(safety.ExtensionReadOnly)) {
		return o, slices.DeleteFunc(keys, func(k key) bool { return k.name == "read_only" })
	}
	rest := without(extension, safety.ExtensionReadOnly)
	if rest.keys() != nil {
		if _, typed := p.allowed(rest.node); !typed {
			return o, keys // as a whole in Extra
		}
	}
	at := o.index(safety.Extension)
	said := object{&yaml.Node{Kind: yaml.MappingNode, Content: slices.Clone(o.node.Content)}}
	readOnly := &yaml.Node{Kind: yaml.ScalarNode, Value: "read_only"}
	if rest.keys() == nil {
		readOnly.HeadComment, readOnly.LineComment = o.node.Content[at].HeadComment, o.node.Content[at].LineComment
		said.node.Content[at], said.node.Content[at+1] = readOnly, extension.get(safety.ExtensionReadOnly)
		return said, keys
	}
	said.node.Content[at+1] = rest.node
	said.node.Content = append(said.node.Content, readOnly, extension.get(safety.ExtensionReadOnly))
	return said, keys
}

func (p *writer) network(o object) ([]field, error) {
	return p.typed(o, []key{
		{"driver", "Driver", (*writer).plain},
		{"internal", "Internal", (*writer).flag},
		{"external", "External", (*writer).flag},
		{"name", "EngineName", (*writer).value},
		{"labels", "Labels", (*writer).labels},
	})
}

func (p *writer) volume(o object) ([]field, error) {
	return p.typed(o, []key{
		{"driver", "Driver", (*writer).plain},
		{"driver_opts", "DriverOpts", (*writer).labels},
		{"external", "External", (*writer).flag},
		{"name", "EngineName", (*writer).value},
		{"labels", "Labels", (*writer).labels},
	})
}

func (p *writer) secret(o object) ([]field, error) {
	return p.typed(o, oneOf(o, []key{
		{"file", "File", (*writer).value},
		{"environment", "Variable", (*writer).plain},
		{"external", "External", (*writer).flag},
	}))
}

func (p *writer) config(o object) ([]field, error) {
	return p.typed(o, oneOf(o, []key{
		{"file", "File", (*writer).value},
		{"environment", "Variable", (*writer).plain},
		{"content", "Content", (*writer).value},
		{"external", "External", (*writer).flag},
	}))
}

// oneOf returns the first of the keys that is there: a second source is a fault
// of the file, and stays one.
func oneOf(o object, keys []key) []key {
	at := slices.IndexFunc(keys, func(k key) bool { return o.has(k.name) })
	if at < 0 {
		return nil
	}
	return keys[at : at+1]
}

// build writes a build section that has a context; package spec would add one.
func (p *writer) build(n *yaml.Node) (expr, bool) {
	if isText(n) {
		return composite("&spec.Build", field{key: "Context", value: atom(value(n.Value))}), n.Value != ""
	}
	o := asObject(n)
	if context := o.get("context"); !isText(context) || context.Value == "" {
		return expr{}, false
	}
	fields, err := p.typed(o, []key{
		{"context", "Context", (*writer).value},
		{"dockerfile", "Dockerfile", (*writer).value},
		{"args", "Args", (*writer).env},
		{"target", "Target", (*writer).value},
		{"x-stackctl", "GoPackage", (*writer).goPackage},
	})
	return composite("&spec.Build", fields...), err == nil
}

func (p *writer) goPackage(n *yaml.Node) (expr, bool) {
	if o := asObject(n); !slices.Equal(o.keys(), []string{"go"}) {
		return expr{}, false
	}
	return p.plain(asObject(n).get("go"))
}

// allowed writes what package spec writes back as it is: rules that there are, sorted,
// as a list when none has a reason.
func (p *writer) allowed(n *yaml.Node) (expr, bool) {
	if o := asObject(n); !slices.Equal(o.keys(), []string{safety.ExtensionAllow}) {
		return expr{}, false
	}
	allow := asObject(n).get(safety.ExtensionAllow)
	reasons := map[string]string{}
	ids := asObject(allow).keys()
	for _, id := range ids {
		reason := asObject(allow).get(id)
		if isNull(reason) {
			continue
		}
		text, ok := plain(reason)
		if !ok || text == "" {
			return expr{}, false
		}
		reasons[id] = text
	}
	if allow.Kind == yaml.SequenceNode {
		for _, item := range allow.Content {
			ids = append(ids, item.Value)
		}
	}
	if ids == nil || allow.Kind == yaml.MappingNode && len(reasons) == 0 {
		return expr{}, false
	}
	var fields []field
	for i, id := range ids {
		if !safety.Known(id) || i > 0 && ids[i-1] >= id {
			return expr{}, false
		}
		fields = append(fields, field{key: quote(id), value: atom(quote(reasons[id]))})
	}
	return composite("spec.Allowed", fields...), true
}

func (p *writer) dependsOn(n *yaml.Node) (expr, bool) {
	var all []expr
	var seen []string
	add := func(name string, dependency object) bool {
		if !p.known["services."+name] || slices.Contains(seen, name) {
			return false
		}
		seen = append(seen, name)
		one, ok := p.dependency(p.names.of("services", name), dependency)
		all = append(all, one)
		return ok
	}
	if n.Kind == yaml.SequenceNode {
		for _, item := range n.Content {
			if !add(item.Value, object{}) {
				return expr{}, false
			}
		}
	}
	for _, name := range asObject(n).keys() {
		dependency := asObject(n).object(name)
		if !dependency.has("condition") || !add(name, dependency) {
			return expr{}, false
		}
	}
	return list("[]spec.Dependency", all), all != nil
}

// dependency writes one of depends_on; the absent object waits for a start.
func (p *writer) dependency(service string, o object) (expr, bool) {
	function, condition := "spec.Started", ""
	var more []field
	for _, name := range o.keys() {
		value := o.get(name)
		switch {
		case name == "condition" && value.Value == "service_started":
			condition = "spec.ConditionStarted"
		case name == "condition" && value.Value == "service_healthy":
			function, condition = "spec.Healthy", "spec.ConditionHealthy"
		case name == "condition" && value.Value == "service_completed_successfully":
			function, condition = "spec.Completed", "spec.ConditionCompleted"
		case name == "restart" && isTrue(value):
			more = append(more, field{key: "Restart", value: atom("true")})
		case name == "required" && value.Value == "false" && value.ShortTag() == "!!bool":
			more = append(more, field{key: "Optional", value: atom("true")})
		default:
			return expr{}, false
		}
	}
	if more == nil {
		return call(function, atom(service)), true
	}
	fields := []field{{key: "Service", value: atom(service)}, {key: "Condition", value: atom(condition)}}
	return composite("", append(fields, more...)...), true
}

// usual are the times of spec.NewHealthcheck.
func usual(o object) bool {
	times := map[string]string{"interval": "10s", "timeout": "5s", "retries": "5", "start_period": "30s", "start_interval": "250ms"}
	for name, want := range times {
		if n := o.get(name); n == nil || n.Value != want {
			return false
		}
	}
	return len(o.keys()) == len(times)+1
}

func (p *writer) healthcheck(n *yaml.Node) (expr, bool) {
	o := asObject(n)
	test := o.get("test")
	if test != nil {
		written, ok := p.test(test)
		switch {
		case !ok:
			return expr{}, false
		case len(o.keys()) == 1 && len(test.Content) == 1 && test.Content[0].Value == "NONE":
			return call("spec.NoHealthcheck"), true
		case usual(o):
			return call("spec.NewHealthcheck", written), true
		}
	}
	fields, err := p.typed(o, []key{
		{"test", "Test", (*writer).test},
		{"interval", "Interval", (*writer).duration},
		{"timeout", "Timeout", (*writer).duration},
		{"retries", "Retries", (*writer).number},
		{"start_period", "StartPeriod", (*writer).duration},
		{"start_interval", "StartInterval", (*writer).duration},
	})
	hasExtra := slices.ContainsFunc(fields, func(f field) bool { return f.key == "Extra" })
	return composite("&spec.Healthcheck", fields...), err == nil && fields != nil && !hasExtra
}

func (p *writer) test(n *yaml.Node) (expr, bool) {
	if n.Kind != yaml.SequenceNode {
		return expr{}, false
	}
	words, ok := valueItems(n)
	if !ok {
		return expr{}, false
	}
	switch {
	case len(words) > 1 && n.Content[0].Value == "CMD":
		return call("spec.CmdTest", words[1:]...), true
	case len(words) == 2 && n.Content[0].Value == "CMD-SHELL":
		return call("spec.ShellTest", words[1]), true
	}
	return list("spec.HealthTest", words), true
}

func (p *writer) restart(n *yaml.Node) (expr, bool) {
	if !isText(n) {
		return expr{}, false
	}
	switch n.Value {
	case "no":
		return atom("spec.RestartNo"), true
	case "always":
		return atom("spec.RestartAlways"), true
	case "on-failure":
		return atom("spec.RestartOnFailure"), true
	case "unless-stopped":
		return atom("spec.RestartUnlessStopped"), true
	}
	times, limited := strings.CutPrefix(n.Value, "on-failure:")
	if number, err := strconv.Atoi(times); !limited || err != nil || strconv.Itoa(number) != times {
		return expr{}, false
	}
	return call("spec.RestartOnFailureAtMost", atom(times)), true
}

// The writers below are for fields that are left out when they are empty, so
// what is empty in the file has to go elsewhere.

func (p *writer) value(n *yaml.Node) (expr, bool) {
	if !isText(n) || n.Value == "" {
		return expr{}, false
	}
	return atom(value(n.Value)), true
}

func (p *writer) plain(n *yaml.Node) (expr, bool) {
	text, ok := plain(n)
	return atom(quote(text)), ok && text != ""
}

func (p *writer) flag(n *yaml.Node) (expr, bool) { return atom("true"), isTrue(n) }

func (p *writer) number(n *yaml.Node) (expr, bool) {
	number, err := strconv.Atoi(n.Value)
	return atom(n.Value), err == nil && number > 0 && n.ShortTag() == "!!int"
}

func valueItems(n *yaml.Node) ([]expr, bool) {
	var all []expr
	for _, item := range n.Content {
		if !isText(item) {
			return nil, false
		}
		all = append(all, atom(value(item.Value)))
	}
	return all, true
}

// values may be empty: an empty command is not the image's.
func (p *writer) values(n *yaml.Node) (expr, bool) {
	items, ok := valueItems(n)
	return list("[]spec.Value", items), ok && n.Kind == yaml.SequenceNode
}

func (p *writer) valueList(n *yaml.Node) (expr, bool) {
	isEmpty := slices.ContainsFunc(n.Content, func(item *yaml.Node) bool { return item.Value == "" })
	list, ok := p.values(n)
	return list, ok && !isEmpty && n.Content != nil
}

func (p *writer) texts(n *yaml.Node) (expr, bool) {
	var all []expr
	for _, item := range n.Content {
		text, ok := plain(item)
		if !ok || text == "" {
			return expr{}, false
		}
		all = append(all, atom(quote(text)))
	}
	return list("[]string", all), n.Kind == yaml.SequenceNode && all != nil
}

func (p *writer) env(n *yaml.Node) (expr, bool) { return textMap("spec.Env", n, true) }

func (p *writer) labels(n *yaml.Node) (expr, bool) {
	return textMap("map[string]spec.Value", n, false)
}

func textMap(goType string, n *yaml.Node, inherits bool) (expr, bool) {
	var fields []field
	for _, name := range asObject(n).keys() {
		one := asObject(n).get(name)
		var text string
		switch {
		case name == "" || strings.ContainsAny(name, "=\x00"):
			return expr{}, false
		case isText(one):
			text = value(one.Value)
		case isNull(one) && inherits:
			text = "spec.Inherited"
		default:
			return expr{}, false
		}
		fields = append(fields, field{key: quote(name), value: atom(text), comment: asObject(n).above(name)})
	}
	return composite(goType, fields...), fields != nil
}
