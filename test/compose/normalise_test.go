package compose

import (
	"bytes"
	"cmp"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// masked are the paths of ids that nothing else refers to.
var masked = []string{
	"/containers/*/NetworkSettings/SandboxID",
	"/containers/*/NetworkSettings/EndpointID",
	"/containers/*/NetworkSettings/Networks/*/EndpointID",
	"/networks/*/Containers/*/EndpointID",
}

// dropped are the paths of what differs between any two runs of one tool: times,
// process ids, and the state of health checks.
var dropped = []string{
	"/containers/*/Created",
	"/containers/*/State/StartedAt",
	"/containers/*/State/FinishedAt",
	"/containers/*/State/Pid",
	"/containers/*/State/Health",
	"/containers/*/State/Error", // with ids of processes and folders
	"/containers/*/ExecIDs",
	"/containers/*/GraphDriver/Data", // folders of layers
	"/containers/*/NetworkSettings/SandboxKey",
	"/networks/*/Created",
	"/volumes/*/CreatedAt",
	"/images/*/Created",
	"/images/*/Metadata",
	"/images/*/GraphDriver",
	"/images/*/RootFS",
	"/images/*/Size",
	"/images/*/VirtualSize",
	"/images/*/Parent",
}

// unordered are the paths of lists whose order means nothing to the engine, and
// which at least one of the tools writes in the order of a Go map.
var unordered = []string{
	"/containers/*/Config/Env",
	"/containers/*/HostConfig/Binds",
	"/containers/*/HostConfig/ExtraHosts",
	"/containers/*/HostConfig/Links",
	"/containers/*/HostConfig/Mounts",
	"/containers/*/HostConfig/Ulimits",
	"/containers/*/Mounts",
	"/containers/*/NetworkSettings/Networks/*/Aliases",
	"/containers/*/NetworkSettings/Networks/*/DNSNames",
	"/containers/*/NetworkSettings/Networks/*/Links",
}

var (
	// Addresses of the pools that an engine takes networks from by itself. The
	// files of the corpus name none of these.
	pooled = regexp.MustCompile(`\b(10|172|192)(\.\d+){3}\b(/\d+)?`)
	// The hardware address that an engine makes of such an address.
	pooledMAC = regexp.MustCompile(`\b02:42:(0a|ac|c0)(:[0-9a-f]{2}){3}\b`)
	longID    = regexp.MustCompile(`\b[0-9a-f]{64}\b`)
)

// normaliser replaces what differs between any two runs of one tool by what it
// stands for.
type normaliser struct {
	project string
	names   map[string]string
}

func newNormaliser(project string) *normaliser {
	return &normaliser{project, map[string]string{project: "PROJECT"}}
}

// knows tells what an id belongs to; its short form is known with it.
func (n *normaliser) knows(id, what string) {
	what = strings.ReplaceAll(what, n.project, "PROJECT")
	n.names[id] = "<" + what + ">"
	if len(id) == 64 {
		n.names[id[:12]] = "<short " + what + ">"
	}
}

func (n *normaliser) normalise(document any) any {
	// Long ids first: a short one is the beginning of a long one.
	ids := slices.SortedFunc(maps.Keys(n.names), func(a, b string) int {
		return cmp.Or(cmp.Compare(len(b), len(a)), strings.Compare(a, b))
	})
	var pairs []string
	for _, id := range ids {
		pairs = append(pairs, id, n.names[id])
	}
	out := n.value("", document, strings.NewReplacer(pairs...)).(map[string]any)
	containers, _ := out["containers"].(map[string]any)
	for _, c := range containers {
		chosenPorts(c.(map[string]any))
	}
	return out
}

// chosenPorts replaces the host ports that the engine was to choose.
func chosenPorts(container map[string]any) {
	at := func(v any, keys ...string) any {
		for _, key := range keys {
			m, _ := v.(map[string]any)
			v = m[key]
		}
		return v
	}
	asked, _ := at(container, "HostConfig", "PortBindings").(map[string]any)
	for port, bindings := range asked {
		list, _ := bindings.([]any)
		fixed := !slices.ContainsFunc(list, func(b any) bool {
			host, _ := at(b, "HostPort").(string)
			return host == "" || host == "0" || strings.Contains(host, "-")
		})
		got, _ := at(container, "NetworkSettings", "Ports", port).([]any)
		for _, binding := range got {
			if b, ok := binding.(map[string]any); ok && !fixed {
				b["HostPort"] = "<chosen>"
			}
		}
	}
}

func (n *normaliser) value(path string, v any, ids *strings.Replacer) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, value := range v {
			key = n.text(key, ids)
			below := path + "/" + escape(key)
			if matchesAny(dropped, below) {
				continue
			}
			// Said to be nothing and not said are the same.
			if value := n.value(below, value, ids); !isNothing(value) {
				out[key] = value
			}
		}
		if out["IPAddress"] == "<address>" {
			out["IPPrefixLen"] = "<of the pool>"
		}
		return out
	case []any:
		out := []any{}
		for _, value := range v {
			out = append(out, n.value(path+"/-", value, ids))
		}
		if matchesAny(unordered, path) {
			slices.SortFunc(out, func(a, b any) int { return strings.Compare(asText(a), asText(b)) })
		}
		return out
	case string:
		if matches("/containers/*/Config/Labels/com.docker.compose.depends_on", path) {
			// Compose writes it in the order of a Go map.
			parts := strings.Split(v, ",")
			slices.Sort(parts)
			v = strings.Join(parts, ",")
		}
		v = n.text(v, ids)
		if matchesAny(masked, path) {
			v = longID.ReplaceAllString(v, "<id>")
		}
		return v
	default:
		return v
	}
}

func (n *normaliser) text(s string, ids *strings.Replacer) string {
	s = ids.Replace(s)
	s = pooled.ReplaceAllString(s, "<address>")
	return pooledMAC.ReplaceAllString(s, "<hardware address>")
}

// valueAt gives what a document has at a path; nil when there is nothing.
func valueAt(document any, path string) any {
	for part := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		m, _ := document.(map[string]any)
		document = m[unescape.Replace(part)]
	}
	return document
}

func isNothing(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}

// asText writes a value that came from JSON as JSON.
func asText(v any) string {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return err.Error()
	}
	return strings.TrimSpace(out.String())
}

var unescape = strings.NewReplacer("~1", "/", "~0", "~")

// escape writes a key as a part of a path, as JSON pointers do.
func escape(key string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
}

// matches compares a path with a pattern, in which * stands for any part and
// "name*" for any part that begins so.
func matches(pattern, path string) bool {
	want, got := strings.Split(pattern, "/"), strings.Split(path, "/")
	if len(want) != len(got) {
		return false
	}
	for i := range want {
		if start, open := strings.CutSuffix(want[i], "*"); open && strings.HasPrefix(got[i], start) {
			continue
		}
		if want[i] != got[i] {
			return false
		}
	}
	return true
}

func matchesAny(patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, path) })
}
