package spec

import (
	"cmp"
	"strconv"
	"strings"
)

// comparePaths orders paths so that ports[2] comes before ports[10], and what
// has no path first.
func comparePaths(a, b string) int {
	left, right := pathParts(a), pathParts(b)
	for i := range min(len(left), len(right)) {
		l, lerr := strconv.Atoi(left[i])
		r, rerr := strconv.Atoi(right[i])
		if lerr == nil && rerr == nil && l != r {
			return cmp.Compare(l, r)
		}
		if c := cmp.Compare(left[i], right[i]); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(left), len(right))
}

// pathParts splits services.web.ports[0] into its keys and indices.
func pathParts(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '.' || r == '[' || r == ']' })
}
