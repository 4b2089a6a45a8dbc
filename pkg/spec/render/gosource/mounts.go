package gosource

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// parts splits an entry of the short syntax at the colons that are not within
// references or brackets.
func parts(s string) []string {
	var all []string
	depth, from := 0, 0
	for i := range len(s) {
		switch s[i] {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case ':':
			if depth == 0 {
				all = append(all, s[from:i])
				from = i + 1
			}
		}
	}
	return append(all, s[from:])
}

func (p *writer) ports(n *yaml.Node) (expr, bool) {
	var all []expr
	for _, item := range n.Content {
		var port expr
		ok := false
		switch {
		case isText(item):
			port, ok = shortPort(item.Value), true
		case item.Kind == yaml.MappingNode:
			port, ok = p.longPort(asObject(item))
		}
		if !ok {
			return expr{}, false
		}
		all = append(all, port)
	}
	return list("[]spec.Port", all), n.Kind == yaml.SequenceNode && all != nil
}

func short(text string) expr {
	return composite("", field{key: "Short", value: atom(quote(text))})
}

// shortPort writes [[host_ip:]published:]target[/protocol].
func shortPort(text string) expr {
	entry, protocol := text, ""
	if at := strings.LastIndex(text, "/"); at >= 0 {
		entry, protocol = text[:at], text[at+1:]
	}
	ip, host := "", ""
	fields := parts(entry)
	switch len(fields) {
	case 1:
	case 2:
		host = fields[0]
		if host == "" {
			return short(text)
		}
	case 3:
		ip, host = fields[0], fields[1]
		inside, bracketed := strings.CutPrefix(ip, "[")
		if ip == "" || bracketed && (!strings.HasSuffix(ip, "]") || !strings.Contains(ip, ":") || strings.Contains(ip, "$")) {
			return short(text)
		}
		ip = strings.TrimSuffix(inside, "]")
	default:
		return short(text)
	}
	target := fields[len(fields)-1]
	if !isPort(target) || !isPublished(host) || protocol != "" && protocol != "udp" && protocol != "sctp" || strings.HasSuffix(text, "/") {
		return short(text)
	}
	switch {
	case protocol == "" && ip == "127.0.0.1":
		return call("spec.PublishLocally", atom(value(host)), atom(target))
	case protocol == "" && ip == "" && host != "":
		return call("spec.Publish", atom(value(host)), atom(target))
	}
	var port []field
	if host != "" {
		port = append(port, field{key: "Host", value: atom(value(host))})
	}
	port = append(port, field{key: "Container", value: atom(target)})
	if ip != "" {
		port = append(port, field{key: "HostIP", value: atom(value(ip))})
	}
	if protocol != "" {
		port = append(port, field{key: "Protocol", value: atom(quote(protocol))})
	}
	return composite("", port...)
}

func isPort(s string) bool {
	number, err := strconv.Atoi(s)
	return err == nil && number >= 1 && number <= 65535 && strconv.Itoa(number) == s
}

// isPublished reports whether text is a host port or a range, nothing, or has
// references.
func isPublished(s string) bool {
	if s == "" {
		return true
	}
	if strings.Contains(s, "$") {
		_, isPlain := unescape(s)
		return !isPlain
	}
	first, last, isRange := strings.Cut(s, "-")
	if !isRange {
		return isPort(s)
	}
	low, _ := strconv.Atoi(first)
	high, _ := strconv.Atoi(last)
	return isPort(first) && isPort(last) && low <= high
}

func (p *writer) longPort(o object) (expr, bool) {
	fields, err := p.typed(o, []key{
		{"published", "Host", func(p *writer, n *yaml.Node) (expr, bool) {
			host, ok := p.value(n)
			return host, ok && isPublished(n.Value)
		}},
		{"target", "Container", func(_ *writer, n *yaml.Node) (expr, bool) { return atom(n.Value), isPort(n.Value) && !isText(n) }},
		{"host_ip", "HostIP", (*writer).value},
		{"protocol", "Protocol", (*writer).plain},
	})
	return composite("", fields...), err == nil && o.has("target")
}

func (p *writer) mounts(n *yaml.Node) (expr, bool) {
	var all []expr
	for _, item := range n.Content {
		var mount expr
		ok := false
		switch {
		case isText(item) && item.Value != "":
			mount, ok = p.shortMount(item.Value), true
		case item.Kind == yaml.MappingNode:
			mount, ok = p.longMount(asObject(item))
		}
		if !ok {
			return expr{}, false
		}
		all = append(all, mount)
	}
	return list("[]spec.Mount", all), n.Kind == yaml.SequenceNode && all != nil
}

// shortMount writes source:target[:ro].
func (p *writer) shortMount(text string) expr {
	fields := strings.Split(text, ":")
	readOnly := len(fields) == 3 && fields[2] == "ro"
	if len(fields) != 2 && !readOnly {
		return short(text)
	}
	source := fields[0]
	target, isPlain := unescape(fields[1])
	if !isPlain || !strings.HasPrefix(target, "/") {
		return short(text)
	}
	switch {
	case p.known["volumes."+source] && len(source) > 1:
		volume := p.names.of("volumes", source)
		if !readOnly {
			return call("spec.Mounted", atom(volume), atom(quote(target)))
		}
		return composite("", field{key: "Volume", value: atom(volume)}, field{key: "Target", value: atom(quote(target))},
			field{key: "ReadOnly", value: atom("true")})
	case source == "" || !strings.Contains("/.~", source[:1]):
		return short(text)
	case !readOnly:
		return call("spec.Bind", atom(value(source)), atom(quote(target)))
	}
	return composite("", field{key: "HostPath", value: atom(value(source))}, field{key: "Target", value: atom(quote(target))},
		field{key: "ReadOnly", value: atom("true")})
}

// longMount writes a mount that has more to say than its short syntax could.
func (p *writer) longMount(o object) (expr, bool) {
	kind, _ := plain(o.get("type"))
	source := ""
	if isText(o.get("source")) {
		source = o.get("source").Value
	}
	keys := []key{
		{"target", "Target", (*writer).plain},
		{"read_only", "ReadOnly", (*writer).flag},
	}
	var origin field
	target, _ := plain(o.get("target"))
	switch {
	case strings.HasPrefix(target, "/") && kind == "volume" && p.known["volumes."+source] && o.has("volume"):
		origin = field{key: "Volume", value: atom(p.names.of("volumes", source))}
	case strings.HasPrefix(target, "/") && kind == "bind" && isPath(source) && o.has("bind"):
		origin = field{key: "HostPath", value: atom(value(source))}
	default:
		// Extra says the type, and what the type is of.
		fields, err := p.typed(o, keys)
		return composite("", fields...), err == nil && o.has("type")
	}
	implied := []string{"type", "source"}
	if isImplied(kind, o.object(kind)) {
		implied = append(implied, kind)
	}
	fields, err := p.typed(without(o, implied...), keys)
	return composite("", append([]field{origin}, fields...)...), err == nil
}

// isPath reports whether the source of a mount is taken for a path as it is.
func isPath(source string) bool {
	return source != "" && strings.Contains(`./~\`, source[:1]) || strings.HasPrefix(source, "${")
}

// isImplied reports whether options are those that package spec writes for a
// mount without any.
func isImplied(kind string, options object) bool {
	if kind == "volume" {
		return options.node != nil && len(options.keys()) == 0
	}
	return slices.Equal(options.keys(), []string{"create_host_path"}) && isTrue(options.get("create_host_path"))
}

func (p *writer) serviceNetworks(n *yaml.Node) (expr, bool) {
	names := asObject(n).keys()
	if n.Kind == yaml.SequenceNode {
		for _, item := range n.Content {
			names = append(names, item.Value)
		}
	}
	var all []expr
	var seen []string
	for _, name := range names {
		if !p.known["networks."+name] || slices.Contains(seen, name) {
			return expr{}, false
		}
		if options := asObject(n).get(name); options != nil && !isNull(options) {
			if _, err := literal(options); err != nil || options.Kind != yaml.MappingNode {
				return expr{}, false
			}
		}
		seen = append(seen, name)
		all = append(all, atom(p.names.of("networks", name)))
	}
	return list("[]*spec.Network", all), all != nil
}

// networkOptions writes what a service's networks have below them; false if
// that is nothing.
func (p *writer) networkOptions(o object) (expr, bool) {
	var fields []field
	for _, name := range o.keys() {
		options := o.object(name)
		if len(options.keys()) == 0 {
			continue
		}
		one, err := literal(options.node)
		if err != nil {
			return expr{}, false
		}
		one.goType = ""
		fields = append(fields, field{key: p.names.of("networks", name), value: one})
	}
	return composite("map[*spec.Network]map[string]any", fields...), fields != nil
}

func (p *writer) secretMounts(n *yaml.Node) (expr, bool) {
	return p.fileMounts(n, "secrets", "Secret")
}

func (p *writer) configMounts(n *yaml.Node) (expr, bool) {
	return p.fileMounts(n, "configs", "Config")
}

func (p *writer) fileMounts(n *yaml.Node, section, kind string) (expr, bool) {
	var all []expr
	for _, item := range n.Content {
		source := item
		if item.Kind == yaml.MappingNode {
			source = asObject(item).get("source")
		}
		name, ok := plain(source)
		if !ok || !p.known[section+"."+name] {
			return expr{}, false
		}
		fields, err := p.typed(without(asObject(item), "source"), []key{
			{"target", "Target", (*writer).plain},
			{"uid", "UID", (*writer).plain},
			{"gid", "GID", (*writer).plain},
			{"mode", "Mode", (*writer).mode},
		})
		if err != nil || slices.ContainsFunc(fields, func(f field) bool { return f.key == "Extra" }) {
			return expr{}, false
		}
		variable := p.names.of(section, name)
		switch {
		case kind == "Secret" && fields == nil:
			all = append(all, call("spec.MountSecret", atom(variable)))
		case kind == "Config" && len(fields) == 1 && fields[0].key == "Target":
			all = append(all, call("spec.MountConfig", atom(variable), fields[0].value))
		default:
			all = append(all, composite("", append([]field{{key: kind, value: atom(variable)}}, fields...)...))
		}
	}
	return list("[]spec."+kind+"Mount", all), n.Kind == yaml.SequenceNode && all != nil
}

func (p *writer) mode(n *yaml.Node) (expr, bool) {
	if !isText(n) {
		return expr{}, false
	}
	mode, err := strconv.ParseUint(n.Value, 8, 32)
	return atom(fmt.Sprintf("0o%o", mode)), err == nil && mode > 0 && fmt.Sprintf("%#o", mode) == n.Value
}
