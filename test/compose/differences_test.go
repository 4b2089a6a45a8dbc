package compose

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/google/go-cmp/cmp"
)

// difference is one that is meant: what the engine says at Path may be other after
// stackctl than after Docker Compose.
type difference struct {
	// Path leads through the inspected documents: /containers/NAME/..., /networks,
	// /volumes, /images, and /look for what a script printed. PROJECT stands for the
	// project's name and - for any entry of a list; a part may end in *.
	Path string
	// File limits the entry to one file of the corpus. Empty: all of them.
	File string
	// Compose and Stackctl are regular expressions for the whole value, written as
	// JSON, or the word absent.
	Compose, Stackctl string
	// API and Before limit the entry to engines from the one version on, and
	// before the other. Empty: no limit.
	API, Before string
	Reason      string
}

// struck stands where a listed difference was.
const struck = "(listed difference)"

const absent = "absent"

// strike replaces the values at the path where they differ in both documents.
// Values that differ in another way than the listed one are an error.
func (d difference) strike(theirs, ours any) (used bool, err error) {
	parts := strings.Split(strings.TrimPrefix(d.Path, "/"), "/")
	return d.walk("", parts, theirs, ours)
}

func (d difference) walk(path string, parts []string, theirs, ours any) (used bool, err error) {
	switch a := theirs.(type) {
	case map[string]any:
		b, ok := ours.(map[string]any)
		if !ok {
			return false, nil
		}
		for _, key := range keysOf(a, b) {
			if !matches(parts[0], escape(key)) {
				continue
			}
			here := path + "/" + escape(key)
			one, inOne := a[key]
			other, inOther := b[key]
			if len(parts) > 1 {
				below, err := d.walk(here, parts[1:], one, other)
				used = used || below
				if err != nil {
					return used, err
				}
				continue
			}
			if inOne == inOther && cmp.Equal(one, other) {
				continue
			}
			if err := d.check(here, textOf(one, inOne), textOf(other, inOther)); err != nil {
				return used, err
			}
			a[key], b[key], used = struck, struck, true
		}
	case []any:
		b, ok := ours.([]any)
		if !ok || len(a) != len(b) || parts[0] != "-" {
			return false, nil
		}
		for i := range a {
			here := path + "/" + strconv.Itoa(i)
			if len(parts) > 1 {
				below, err := d.walk(here, parts[1:], a[i], b[i])
				used = used || below
				if err != nil {
					return used, err
				}
				continue
			}
			if cmp.Equal(a[i], b[i]) {
				continue
			}
			if err := d.check(here, asText(a[i]), asText(b[i])); err != nil {
				return used, err
			}
			a[i], b[i], used = struck, struck, true
		}
	}
	return used, nil
}

// keysOf gives the keys of both, sorted.
func keysOf(a, b map[string]any) []string {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return slices.Sorted(maps.Keys(all))
}

func (d difference) check(path, theirs, ours string) error {
	for _, side := range []struct{ tool, want, got string }{
		{"docker-compose", d.Compose, theirs}, {"stackctl", d.Stackctl, ours},
	} {
		if !regexp.MustCompile("^(" + side.want + ")$").MatchString(side.got) {
			return fmt.Errorf("%s differs otherwise than listed: %s has %s, the list %s", path, side.tool, side.got, side.want)
		}
	}
	return nil
}

// unlisted gives a line for each difference that is left.
func unlisted(path string, theirs, ours any) []string {
	if cmp.Equal(theirs, ours) {
		return nil
	}
	var out []string
	switch a := theirs.(type) {
	case map[string]any:
		b, ok := ours.(map[string]any)
		if !ok {
			break
		}
		for _, key := range keysOf(a, b) {
			here := path + "/" + escape(key)
			one, inOne := a[key]
			other, inOther := b[key]
			if inOne && inOther {
				out = append(out, unlisted(here, one, other)...)
			} else {
				out = append(out, line(here, textOf(one, inOne), textOf(other, inOther)))
			}
		}
		return out
	case []any:
		b, ok := ours.([]any)
		if !ok || len(a) != len(b) {
			break
		}
		for i := range a {
			out = append(out, unlisted(fmt.Sprintf("%s/%d", path, i), a[i], b[i])...)
		}
		return out
	}
	return []string{line(path, asText(theirs), asText(ours))}
}

func line(path, theirs, ours string) string {
	return fmt.Sprintf("%s\n\tdocker-compose %s\n\tstackctl       %s", path, theirs, ours)
}

func textOf(v any, there bool) string {
	if !there {
		return absent
	}
	return asText(v)
}

// differences are all that are meant, and why. docs/compose-differences.md shows
// them.
var differences = []difference{
	{
		Path:    "/containers/*/Config/Labels/io.stackctl.*",
		Compose: absent, Stackctl: `".+"`,
		Reason: "stackctl's own labels, beside Compose's: what the container was made from, by meaning.",
	},
	{
		Path:    "/networks/*/Labels/io.stackctl.*",
		Compose: absent, Stackctl: `".+"`,
		Reason: "By them stackctl sees that a network's definition changed; Compose 2.26.1 cannot.",
	},
	{
		Path:    "/containers/*/Config/Labels/com.docker.compose.version",
		Compose: `"2\.26\.1.*"`, Stackctl: `"\d+\.\d+\.\d+"`,
		Reason: "The tool's version. stackctl writes the Compose release whose labels it follows.",
	},
	{
		Path:    "/networks/*/Labels/com.docker.compose.version",
		Compose: `"2\.26\.1.*"`, Stackctl: `"\d+\.\d+\.\d+"`,
		Reason: "The same on networks.",
	},
	{
		Path:    "/volumes/*/Labels/com.docker.compose.version",
		Compose: `"2\.26\.1.*"`, Stackctl: `"\d+\.\d+\.\d+"`,
		Reason: "The same on volumes.",
	},
	{
		Path:    "/images/*/Config/Labels/com.docker.compose.version",
		Compose: `"2\.26\.1.*"`, Stackctl: `"\d+\.\d+\.\d+"`,
		Reason: "The same on images that were built.",
	},
	{
		Path:    "/containers/*/Config/Labels/com.docker.compose.config-hash",
		Compose: `"[0-9a-f]{64}"`, Stackctl: `"[0-9a-f]{64}"`,
		Reason: "Compose's hash is over Go types of compose-go, which other releases have otherwise.",
	},
	{
		Path: "/containers/*/HostConfig/CapAdd/-", File: "security",
		Compose: `"[A-Z_]+"`, Stackctl: `"CAP_[A-Z_]+"`,
		Reason: "The client library that stackctl has writes capabilities under their full names. The engine takes both as the same.",
	},
	{
		Path: "/containers/PROJECT-fraction-1/Config/StopTimeout", File: "process",
		Compose: `1`, Stackctl: `2`,
		Reason: "The engine counts in whole seconds. A stop_grace_period of 1.5 s is rounded up: half a second must not become none.",
	},
	{
		Path: "/look/PROJECT-web-1", File: "files-of-a-user",
		Compose: `"400 0:0.*"`, Stackctl: `"400 103:104.*"`,
		Reason: "In a container with a user, Compose 2.26.1 gives configs and secrets to that user, whatever their uid and gid say.",
	},
	{
		Path: "/containers/PROJECT-files-1/HostConfig/VolumesFrom/-", File: "external",
		Compose: `"PROJECT-outside"`, Stackctl: `"PROJECT-outside:ro"`,
		Reason: "Compose 2.26.1 loses the :ro of volumes_from: container:NAME:ro.",
	},
	{
		Path: "/containers/PROJECT-files-1/Mounts/-/RW", File: "external",
		Compose: `true`, Stackctl: `false`,
		Reason: "What follows from it.",
	},
	{
		Path: "/containers/PROJECT-files-1/Config/Env/-", File: "environment",
		Compose: `"FIFTH=of the file/below"`, Stackctl: `"FIFTH=of the second file/below"`,
		Reason: "With several env_file, a reference in one means what that file says first, then the files before it. Newer releases of Compose do so too.",
	},
	{
		Path: "/look/PROJECT-files-1", File: "environment",
		Compose: `".*FIFTH=of the file/below.*"`, Stackctl: `".*FIFTH=of the second file/below.*"`,
		Reason: "What follows from it.",
	},
	{
		Path: "/containers/PROJECT-web-1/HostConfig/Binds", File: "binds-long",
		Compose: `.*`, Stackctl: `.*:/long:ro.*:/private:rw,rprivate.*`,
		Reason: "A folder of the host in the long syntax goes to the engine in the short form where that can say it: every engine then makes the folder if it is missing. Newer releases of Compose do so too, but where propagation is set.",
	},
	{
		Path: "/containers/PROJECT-web-1/HostConfig/Mounts", File: "binds-long",
		Compose: `.*"Target":"/private".*"Target":"/long".*"Target":"/strict".*`, Stackctl: `.*"Target":"/strict".*`,
		Reason: "The other side of it.",
	},
	{
		Path: "/containers/PROJECT-web-1/Mounts/-/Mode", File: "binds-long",
		Compose: absent, Stackctl: `"ro"|"rw,rprivate"`,
		Reason: "What follows from it: the engine repeats the short form here.",
	},
	{
		Path: "/containers/PROJECT-web-1/Config/MacAddress", File: "networks-mac", API: "1.44",
		Compose: absent, Stackctl: `"92:d0:c6:0a:29:33"`,
		Reason: "Compose 2.26.1 loses the mac_address of a service that names no network.",
	},
	{
		Path: "/containers/PROJECT-web-1/NetworkSettings/Networks/PROJECT_default/MacAddress", File: "networks-mac", API: "1.44",
		Compose: `"<hardware address>"`, Stackctl: `"92:d0:c6:0a:29:33"`,
		Reason: "What follows from it.",
	},
	{
		Path: "/networks/PROJECT_default/Containers/*/MacAddress", File: "networks-mac", API: "1.44",
		Compose: `"<hardware address>"`, Stackctl: `"92:d0:c6:0a:29:33"`,
		Reason: "The same, seen from the network.",
	},
	{
		Path: "/look/PROJECT-web-1", File: "networks-mac", API: "1.44",
		Compose: `"<hardware address>.*"`, Stackctl: `"92:d0:c6:0a:29:33.*"`,
		Reason: "The same, seen in the container.",
	},
}
