package state

import (
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/stackctl/stackctl/internal/sensitive"
)

// shownLength is how many characters of a value a [Difference] shows.
const shownLength = 60

// longWord is one that may be a key by itself, whatever it is called.
var longWord = regexp.MustCompile(`[A-Za-z0-9+]{20,}`)

// Changed is the difference between two values of a field, fit to be shown: what
// looks like a secret by its name or by either value is left out, and what is
// long is cut. An empty value stands for nothing.
func Changed(path, old, wanted string) Difference {
	if sensitive.Mentions(path) || looksSecret(path, old) || looksSecret(path, wanted) {
		return Difference{Path: path}
	}
	return Difference{Path: path, Old: cut(old), New: cut(wanted)}
}

// looksSecret is generous: a value that is not shown costs a look into the file,
// one that is shown may end in a log.
func looksSecret(path, value string) bool {
	if sensitive.Mentions(value) {
		return true
	}
	field, _, _ := strings.Cut(path, ".")
	if field == "volumes" || field == "tmpfs" || field == "networks" {
		return false // names of folders and of resources may be long
	}
	return slices.ContainsFunc(longWord.FindAllString(value, -1), func(word string) bool {
		return strings.ContainsAny(word, "0123456789") && strings.ContainsAny(strings.ToLower(word), "abcdefghijklmnopqrstuvwxyz")
	})
}

// cut shortens a value to what is shown of it, on one line.
func cut(value string) string {
	value = strings.ReplaceAll(value, "\n", `\n`)
	if utf8.RuneCountInString(value) <= shownLength {
		return value
	}
	return string([]rune(value)[:shownLength-1]) + "…"
}
