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

// difference is one that is meant: what the engine says may be other after stackctl
// than after Docker Compose.
type difference struct {
	Reason string
	// File limits it to one file of the corpus. Empty: all of them.
	File string
	// API is the first version of the engine's API with the difference. Empty: all
	// have it.
	API string
	// At is where it shows.
	At []place
}

// place is one value of the inspected documents.
type place struct {
	// Path leads through them: /containers/NAME/..., /networks, /volumes, /images, and
	// /look for what a script printed. PROJECT stands for the project's name and - for
	// any entry of a list; a part may end in *.
	Path string
	// Compose and Stackctl are regular expressions for the whole value, written as
	// JSON, or the word absent.
	Compose, Stackctl string
}

// struck stands where a listed difference was.
const struck = "(listed difference)"

const absent = "absent"

// strike replaces the values at the path where they differ in both documents.
// Values that differ in another way than the listed one are an error.
func (p place) strike(theirs, ours any) (used bool, err error) {
	parts := strings.Split(strings.TrimPrefix(p.Path, "/"), "/")
	return p.walk("", parts, theirs, ours)
}

func (p place) walk(path string, parts []string, theirs, ours any) (used bool, err error) {
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
				below, err := p.walk(here, parts[1:], one, other)
				used = used || below
				if err != nil {
					return used, err
				}
				continue
			}
			if inOne == inOther && cmp.Equal(one, other) {
				continue
			}
			if err := p.check(here, textOf(one, inOne), textOf(other, inOther)); err != nil {
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
				below, err := p.walk(here, parts[1:], a[i], b[i])
				used = used || below
				if err != nil {
					return used, err
				}
				continue
			}
			if cmp.Equal(a[i], b[i]) {
				continue
			}
			if err := p.check(here, asText(a[i]), asText(b[i])); err != nil {
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

func (p place) check(path, theirs, ours string) error {
	for _, side := range []struct{ tool, want, got string }{
		{"docker-compose", p.Compose, theirs}, {"stackctl", p.Stackctl, ours},
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
		Reason: "stackctl has labels of its own beside Compose's: what a container or a network was made from, by meaning.",
		At: []place{
			{Path: "/containers/*/Config/Labels/io.stackctl.*", Compose: absent, Stackctl: `".+"`},
			{Path: "/networks/*/Labels/io.stackctl.*", Compose: absent, Stackctl: `".+"`},
		},
	},
	{
		Reason: "The tool's version. stackctl writes the Compose release whose labels it follows.",
		At: []place{
			{Path: "/containers/*/Config/Labels/com.docker.compose.version", Compose: composeVersion, Stackctl: ourVersion},
			{Path: "/networks/*/Labels/com.docker.compose.version", Compose: composeVersion, Stackctl: ourVersion},
			{Path: "/volumes/*/Labels/com.docker.compose.version", Compose: composeVersion, Stackctl: ourVersion},
			{Path: "/images/*/Config/Labels/com.docker.compose.version", Compose: composeVersion, Stackctl: ourVersion},
		},
	},
	{
		Reason: "Compose's hash is over Go types of compose-go, which other releases have otherwise.",
		At: []place{
			{Path: "/containers/*/Config/Labels/com.docker.compose.config-hash", Compose: `"[0-9a-f]{64}"`, Stackctl: `"[0-9a-f]{64}"`},
		},
	},
	{
		Reason: "The client library that stackctl has writes capabilities under their full names. The engine takes both as the same.",
		File:   "security",
		At: []place{
			{Path: "/containers/*/HostConfig/CapAdd/-", Compose: `"[A-Z_]+"`, Stackctl: `"CAP_[A-Z_]+"`},
		},
	},
	{
		Reason: "The engine counts in whole seconds. A stop_grace_period of 1.5 s is rounded up: half a second must not become none.",
		File:   "process",
		At: []place{
			{Path: "/containers/PROJECT-fraction-1/Config/StopTimeout", Compose: `1`, Stackctl: `2`},
		},
	},
	{
		Reason: "In a container with a user, Compose 2.26.1 gives configs and secrets to that user, whatever their uid and gid say.",
		File:   "files-of-a-user",
		At: []place{
			{Path: "/look/PROJECT-web-1", Compose: `"400 0:0.*"`, Stackctl: `"400 103:104.*"`},
		},
	},
	{
		Reason: "Compose 2.26.1 loses the :ro of volumes_from: container:NAME:ro.",
		File:   "external",
		At: []place{
			{Path: "/containers/PROJECT-files-1/HostConfig/VolumesFrom/-", Compose: `"PROJECT-outside"`, Stackctl: `"PROJECT-outside:ro"`},
			{Path: "/containers/PROJECT-files-1/Mounts/-/RW", Compose: `true`, Stackctl: `false`},
		},
	},
	{
		Reason: "Docker Compose loses the :ro of volumes_from: SERVICE:ro.",
		File:   "volumes-from",
		At: []place{
			{Path: "/containers/PROJECT-reader-1/HostConfig/VolumesFrom/-", Compose: `"<container PROJECT-main-1>"`, Stackctl: `"<container PROJECT-main-1>:ro"`},
			{Path: "/containers/PROJECT-reader-1/Mounts/-/RW", Compose: `true`, Stackctl: `false`},
		},
	},
	{
		Reason: "A config or secret that is a file of the host, with a uid, gid or mode: Compose mounts it, with the owner and mode that it has on the host, and says in a warning that the rest is ignored. stackctl copies it into the container, with those.",
		File:   "files-with-owners",
		At: []place{
			{Path: "/containers/PROJECT-web-1/HostConfig/Mounts", Compose: `.*"Target":"/run/secrets/password".*`, Stackctl: absent},
			{Path: "/containers/PROJECT-web-1/Mounts", Compose: `.*"Destination":"/run/secrets/password".*`, Stackctl: absent},
			{Path: "/look/PROJECT-web-1", Compose: `"/run/secrets/password 644 0:0.*`, Stackctl: `"/run/secrets/password 400 1000:1000.*`},
		},
	},
	{
		Reason: "Compose names the first network of a container by its id when it is somebody else's.",
		File:   "external-links",
		At: []place{
			{Path: "/containers/PROJECT-web-1/HostConfig/NetworkMode", Compose: `"<network PROJECT-net>"`, Stackctl: `"PROJECT-net"`},
		},
	},
	{
		Reason: "With several env_file, a reference in one means what that file says first, then the files before it. Newer releases of Compose do so too.",
		File:   "environment",
		At: []place{
			{Path: "/containers/PROJECT-files-1/Config/Env/-", Compose: `"FIFTH=of the file/below"`, Stackctl: `"FIFTH=of the second file/below"`},
			{Path: "/look/PROJECT-files-1", Compose: `".*FIFTH=of the file/below.*"`, Stackctl: `".*FIFTH=of the second file/below.*"`},
		},
	},
	{
		Reason: "A folder of the host in the long syntax goes to the engine in the short form where that can say it: every engine then makes the folder if it is missing. Newer releases of Compose do so too, but where propagation is set.",
		File:   "binds-long",
		At: []place{
			{Path: "/containers/PROJECT-web-1/HostConfig/Binds", Compose: absent, Stackctl: `.*:/long:ro".*:/private:rw,rprivate".*`},
			{
				Path:    "/containers/PROJECT-web-1/HostConfig/Mounts",
				Compose: `.*"Target":"/private".*"Target":"/long".*"Target":"/strict".*`, Stackctl: `\[\{[^{}]*"Target":"/strict"[^{}]*\}\]`,
			},
			{Path: "/containers/PROJECT-web-1/Mounts/-/Mode", Compose: absent, Stackctl: `"ro"|"rw,rprivate"`},
		},
	},
	{
		Reason: "Compose 2.26.1 loses the mac_address of a service that names no network.",
		File:   "networks-mac",
		API:    "1.44",
		At: []place{
			{Path: "/containers/PROJECT-web-1/Config/MacAddress", Compose: absent, Stackctl: chosenMAC},
			{Path: "/containers/PROJECT-web-1/NetworkSettings/Networks/PROJECT_default/MacAddress", Compose: `"<hardware address>"`, Stackctl: chosenMAC},
			{Path: "/networks/PROJECT_default/Containers/*/MacAddress", Compose: `"<hardware address>"`, Stackctl: chosenMAC},
			{Path: "/look/PROJECT-web-1", Compose: `"<hardware address>.*"`, Stackctl: `"92:d0:c6:0a:29:33.*"`},
		},
	},
}

const (
	composeVersion = `"2\.26\.1.*"`
	ourVersion     = `"\d+\.\d+\.\d+"`
	chosenMAC      = `"92:d0:c6:0a:29:33"`
)
