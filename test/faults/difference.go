package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// difference says in which lines two states differ, resource by resource; empty for
// none.
func difference(want, got map[string]string) string {
	var out strings.Builder
	all := maps.Clone(want)
	maps.Copy(all, got)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		before, wanted := want[name]
		now, there := got[name]
		switch {
		case !there:
			fmt.Fprintf(&out, "%s: is missing\n", name)
		case !wanted:
			fmt.Fprintf(&out, "%s: should not be there\n", name)
		case before != now:
			fmt.Fprintf(&out, "%s:\n", name)
			for _, line := range without(before, now) {
				fmt.Fprintf(&out, "  - %s\n", line)
			}
			for _, line := range without(now, before) {
				fmt.Fprintf(&out, "  + %s\n", line)
			}
		}
	}
	return out.String()
}

// without gives the lines of a text that another has not.
func without(text, other string) []string {
	lines := strings.Split(other, "\n")
	return slices.DeleteFunc(strings.Split(text, "\n"), func(line string) bool { return slices.Contains(lines, line) })
}
