// Package nearest finds the name that was probably meant by one that nobody knows.
package nearest

import (
	"slices"
	"strings"
)

// Name gives the one of the known names that was probably meant; empty when none is
// near. Upper and lower case do not count; of two that are as near, the first in the
// alphabet is given.
func Name(name string, known []string) string {
	name = strings.ToLower(name)
	best, distance := "", max(1, len(name)/3)+1
	for _, candidate := range slices.Sorted(slices.Values(known)) {
		if longer := len(name) - len(candidate); max(longer, -longer) >= distance {
			continue
		}
		if d := editDistance(name, strings.ToLower(candidate)); d < distance {
			best, distance = candidate, d
		}
	}
	return best
}

// editDistance counts the letters to change, add, leave out or swap.
func editDistance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
