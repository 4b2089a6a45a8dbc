package compose

import (
	"cmp"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// dropped are the paths of what differs between any two runs of one tool: times,
// process ids, and the state of health checks.
var dropped = []string{
	"/containers/*/Created",
	"/containers/*/State/StartedAt",
	"/containers/*/State/FinishedAt",
	"/containers/*/State/Pid",
	"/containers/*/State/Health",
	"/containers/*/ExecIDs",
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
	// Addresses of the pools that an engine takes networks from by itself; the
	// files of the corpus use others.
	pooled = regexp.MustCompile(`\b(172\.(1[6-9]|2\d|3[01])|192\.168)\.\d+\.\d+\b`)
	// The hardware address that an engine makes of such an address.
	pooledMAC = regexp.MustCompile(`\b02:42:(ac|c0)(:[0-9a-f]{2}){3}\b`)
	longID    = regexp.MustCompile(`\b[0-9a-f]{64}\b`)
	freePort  = regexp.MustCompile(`^(3276[89]|327[7-9]\d|32[89]\d\d|3[3-9]\d{3}|[45]\d{4}|6\d{4})$`)
)

// normaliser replaces what differs between any two runs of one tool by what it
// stands for.
type normaliser struct{ names map[string]string }

func newNormaliser() *normaliser { return &normaliser{map[string]string{}} }

// knows tells what an id belongs to; its short form is known with it.
func (n *normaliser) knows(id, what string) {
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
	return n.value("", document, strings.NewReplacer(pairs...))
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
		if strings.HasSuffix(path, "/HostPort") && matches("/containers/*/NetworkSettings/Ports/*/-/HostPort", path) {
			return freePort.ReplaceAllString(v, "<free port>")
		}
		return n.text(v, ids)
	default:
		return v
	}
}

func (n *normaliser) text(s string, ids *strings.Replacer) string {
	s = ids.Replace(s)
	s = pooled.ReplaceAllString(s, "<address>")
	s = pooledMAC.ReplaceAllString(s, "<hardware address>")
	return longID.ReplaceAllString(s, "<id>")
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

func asText(v any) string {
	text, _ := json.Marshal(v) // it came from JSON
	return string(text)
}

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
