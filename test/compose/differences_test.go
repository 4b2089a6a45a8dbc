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
	// /volumes, /images, and /look for what a script printed. A part may end in *.
	Path string
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
	last := len(parts) == 1
	switch a := theirs.(type) {
	case map[string]any:
		b, ok := ours.(map[string]any)
		if !ok {
			return false, nil
		}
		keys := slices.Collect(maps.Keys(a))
		for key := range b {
			if _, both := a[key]; !both {
				keys = append(keys, key)
			}
		}
		slices.Sort(keys)
		for _, key := range keys {
			if !matches(parts[0], escape(key)) {
				continue
			}
			here := path + "/" + escape(key)
			if !last {
				below, err := d.walk(here, parts[1:], a[key], b[key])
				used = used || below
				if err != nil {
					return used, err
				}
				continue
			}
			one, inOne := a[key]
			other, inOther := b[key]
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
		if !ok || len(a) != len(b) {
			return false, nil
		}
		for i := range a {
			here := path + "/" + strconv.Itoa(i)
			if !matches(parts[0], "-") || last {
				continue
			}
			below, err := d.walk(here, parts[1:], a[i], b[i])
			used = used || below
			if err != nil {
				return used, err
			}
		}
	}
	return used, nil
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
		keys := map[string]bool{}
		for key := range a {
			keys[key] = true
		}
		for key := range b {
			keys[key] = true
		}
		for _, key := range slices.Sorted(maps.Keys(keys)) {
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
		Path:    "/*/*/Config/Labels/com.docker.compose.version",
		Compose: `"2\.26\.1.*"`, Stackctl: `"\d+\.\d+\.\d+"`,
		Reason: "The tool's version. stackctl writes the Compose release whose labels it follows.",
	},
	{
		Path:    "/*/*/Labels/com.docker.compose.version",
		Compose: `"2\.26\.1.*"`, Stackctl: `"\d+\.\d+\.\d+"`,
		Reason: "The same on networks and volumes.",
	},
	{
		Path:    "/containers/*/Config/Labels/com.docker.compose.config-hash",
		Compose: `"<id>"`, Stackctl: `"<id>"`,
		Reason: "Compose's hash is over Go types of compose-go, which other releases have otherwise.",
	},
	{
		Path:    "/networks/*/Labels/io.stackctl.*",
		Compose: absent, Stackctl: `".+"`,
		Reason: "By it stackctl sees that a network's definition changed; Compose 2.26.1 cannot.",
	},
}
