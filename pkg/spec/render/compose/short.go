package compose

import (
	"strings"

	"gopkg.in/yaml.v3"
)

// shortenService replaces the long forms of a service's keys by short ones
// that load alike.
func shortenService(s object) {
	each(s.get("ports"), shortPort)
	each(s.get("volumes"), shortMount)
	each(s.get("env_file"), shortEnvFile)
	each(s.get("secrets"), func(o object) *yaml.Node {
		if o.text("target") == "/run/secrets/"+o.text("source") {
			o.remove("target")
		}
		return shortSource(o)
	})
	each(s.get("configs"), shortSource)
	shortDependsOn(s)

	if networks := s.object("networks"); networks.node != nil && allBlank(networks) {
		s.replace("networks", keyList(networks))
	}
	if environment := pairs(s.get("environment")); environment != nil {
		s.replace("environment", environment)
	}

	build := s.object("build")
	if build.text("dockerfile") == "Dockerfile" {
		build.remove("dockerfile")
	}
	if build.only("context") && build.text("context") != "" {
		s.replace("build", build.get("context"))
	}

	shortDuration(s.get("stop_grace_period"))
	for _, key := range []string{"interval", "timeout", "start_period", "start_interval"} {
		shortDuration(s.object("healthcheck").get(key))
	}
}

// each replaces those mappings of a list that have a short form.
func each(list *yaml.Node, short func(object) *yaml.Node) {
	for i, item := range items(list) {
		if o := asObject(item); o.node != nil {
			if replacement := short(o); replacement != nil {
				list.Content[i] = replacement
			}
		}
	}
}

// shortPort returns host_ip:published:target/protocol.
func shortPort(o object) *yaml.Node {
	if o.text("mode") == "ingress" {
		o.remove("mode")
	}
	if o.text("protocol") == "tcp" {
		o.remove("protocol")
	}
	target, published, ip := o.text("target"), o.text("published"), o.text("host_ip")
	if target == "" || !o.only("target", "published", "host_ip", "protocol") {
		return nil
	}
	short := target
	if ip != "" || published != "" {
		short = published + ":" + short
	}
	if ip != "" {
		// A reference may hold colons of its own syntax, an IPv6 address needs
		// brackets.
		if strings.Contains(ip, ":") && !strings.Contains(ip, "$") {
			ip = "[" + ip + "]"
		}
		short = ip + ":" + short
	}
	if protocol := o.text("protocol"); protocol != "" {
		short += "/" + protocol
	}
	return stringNode(short)
}

// shortMount returns source:target[:ro] for volumes and paths without options.
func shortMount(o object) *yaml.Node {
	source, target := o.text("source"), o.text("target")
	if source == "" || target == "" || strings.Contains(source+target, ":") ||
		!o.only("type", "source", "target", "read_only", "volume", "bind") {
		return nil
	}
	isPath := strings.HasPrefix(source, "/") || strings.HasPrefix(source, ".") || strings.HasPrefix(source, "~")
	switch {
	case o.text("type") == "volume" && !isPath && blank(o, "volume") && o.get("bind") == nil && !strings.Contains(source, "$") &&
		len(source) > 1: // one letter would be a drive of Windows
	case o.text("type") == "bind" && isPath && makesHostPath(o) && o.get("volume") == nil:
	default:
		return nil
	}
	short := source + ":" + target
	switch readOnly := o.get("read_only"); {
	case isTrue(readOnly):
		short += ":ro"
	case readOnly != nil && readOnly.Value != "false":
		return nil
	}
	return stringNode(short)
}

// makesHostPath reports whether a bind mount makes a missing path on the host,
// as the short form does. In the long form, loaders differ on the default, so
// it has to be written; compose-go leaves it out only of an empty mapping.
func makesHostPath(o object) bool {
	bind := o.object("bind")
	return bind.node != nil && bind.only("create_host_path") &&
		(isTrue(bind.get("create_host_path")) || len(bind.node.Content) == 0)
}

func blank(o object, key string) bool { return o.get(key) == nil || isBlank(o.get(key)) }

// shortEnvFile returns the path of a file that has to exist.
func shortEnvFile(o object) *yaml.Node {
	if isTrue(o.get("required")) {
		o.remove("required")
	}
	if !o.only("path") {
		return nil
	}
	return o.get("path")
}

func shortSource(o object) *yaml.Node {
	if !o.only("source") {
		return nil
	}
	return o.get("source")
}

// shortDependsOn leaves out what is the default, and the conditions too if none
// of them asks for more than a start.
func shortDependsOn(s object) {
	all := s.object("depends_on")
	if all.node == nil {
		return
	}
	started := true
	for _, name := range all.keys() {
		one := all.object(name)
		if isTrue(one.get("required")) {
			one.remove("required")
		}
		if restart := one.get("restart"); isScalar(restart) && restart.Value == "false" {
			one.remove("restart")
		}
		started = started && one.only("condition") && one.text("condition") == "service_started"
	}
	if started {
		s.replace("depends_on", keyList(all))
	}
}

func allBlank(o object) bool {
	for _, key := range o.keys() {
		if !isBlank(o.get(key)) {
			return false
		}
	}
	return true
}

// keyList returns a mapping's keys as a list.
func keyList(o object) *yaml.Node {
	var keys []*yaml.Node
	for i := 0; i < len(o.node.Content); i += 2 {
		keys = append(keys, o.node.Content[i])
	}
	return sequenceNode(keys)
}

// pairs returns a list of NAME=value as a mapping; nil if it is none, or if a
// name comes twice, which a mapping cannot hold.
func pairs(list *yaml.Node) *yaml.Node {
	if items(list) == nil {
		return nil
	}
	m := object{&yaml.Node{Kind: yaml.MappingNode, Tag: tagMap}}
	for _, item := range items(list) {
		if !isScalar(item) {
			return nil
		}
		name, text, assigned := strings.Cut(item.Value, "=")
		// A reference in the name's place could hold the '=' itself.
		if m.get(name) != nil || strings.Contains(name, "$") {
			return nil
		}
		value := stringNode(text)
		if !assigned {
			value = &yaml.Node{Kind: yaml.ScalarNode, Tag: tagNull}
		}
		m.node.Content = append(m.node.Content, stringNode(name), value)
	}
	return m.node
}

// shortDuration leaves out the zeros that Go prints: 1m0s is 1m.
func shortDuration(n *yaml.Node) {
	if !isScalar(n) {
		return
	}
	if strings.HasSuffix(n.Value, "m0s") {
		n.Value = strings.TrimSuffix(n.Value, "0s")
	}
	if strings.HasSuffix(n.Value, "h0m") {
		n.Value = strings.TrimSuffix(n.Value, "0m")
	}
}
