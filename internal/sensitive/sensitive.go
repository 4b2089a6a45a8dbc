// Package sensitive says what looks like a secret. There are two questions and so two
// answers: what must not be shown (Mentions: generous, for a wrong yes costs a look
// into a file), and which variable holds a secret (Holds: strict, for a wrong yes
// refuses or blames what is right). Whatever Holds says yes to, Mentions does too.
package sensitive

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
)

var (
	// word is what the names of secrets have in them.
	word = regexp.MustCompile(`(?i)pass|pwd|secret|token|key|cred|auth|private|dsn|salt`)
	// inURL is a password in a URL: "postgres://app:word@db/app".
	inURL = regexp.MustCompile(`://[^/\s:@]*:[^/\s@]+@`)
	// flag gives a password to a client that has a short flag for it.
	flag = regexp.MustCompile(`redis-cli.* -a\b|mysql.* -p\S`)
	// assigned is a password in a connection string: "host=db password=word".
	assigned = regexp.MustCompile(`(?i)\b(?:password|passwd|pwd)=[^\s;&]`)
)

// Mentions reports whether a text, be it a name or a value, may be a secret, hold one
// or speak of one, so that it should not be shown.
func Mentions(text string) bool {
	return word.MatchString(text) || inURL.MatchString(text) || flag.MatchString(text) || assigned.MatchString(text) || Named(text)
}

// The words of a variable's name that make it one of a secret, those that do so after
// certain others only, and those that say, as the last word, that it holds something
// about a secret: where it is, how long it lives.
var (
	secrets = []string{
		"password", "passwords", "passwd", "passphrase", "passcode", "pass", "pwd", "pw", "secret", "secrets",
		"token", "tokens", "credential", "credentials", "creds", "dsn", "salt", "salts",
		"apikey", "accesskey", "secretkey", "privatekey", "requirepass",
	}
	keys = []string{
		"api", "access", "private", "secret", "encryption", "encrypt", "signing", "sign", "master", "account",
		"session", "jwt", "app", "service", "shared", "storage", "license", "admin", "auth", "cookie",
	}
	about = []string{
		"file", "files", "path", "dir", "name", "names", "id", "ids", "ttl", "age", "expiry", "expires", "expiration",
		"expire", "lifetime", "duration", "timeout", "interval", "seconds", "minutes", "hours", "days", "length", "size",
		"min", "max", "count", "limit", "rounds", "url", "uri", "host", "port", "endpoint", "issuer", "audience", "header",
		"method", "type", "algorithm", "alg", "policy", "mode", "format", "prefix", "field", "enabled", "disabled",
		"required", "encryption", "version", "user", "username", "hint", "provider", "store", "manager", "driver",
		"in", "at", "validity", "budget",
	}
)

// Named reports whether a variable of this name holds a secret. NAME_FILE holds the
// path of one, and PUBLIC_KEY is meant to be seen.
func Named(variable string) bool {
	words := split(variable)
	if len(words) == 0 || slices.Contains(about, words[len(words)-1]) || slices.Contains(words, "public") ||
		words[len(words)-1] == "tokens" && slices.Contains(words, "max") {
		return false
	}
	for i, w := range words {
		switch {
		case slices.Contains(secrets, w), strings.HasSuffix(w, "password"), strings.HasSuffix(w, "passwd"):
			return true
		case w == "key" && i > 0 && slices.Contains(keys, words[i-1]), w == "auth" && i > 0 && i == len(words)-1:
			return true
		}
	}
	return false
}

// Holds reports whether a variable with this value holds a secret: by its name, unless
// the value is nothing, a switch, or the path of a secret's file; or by a password
// within the value.
func Holds(variable, value string) bool {
	if inURL.MatchString(value) || assigned.MatchString(value) {
		return true
	}
	if !Named(variable) || strings.HasPrefix(value, "/run/secrets/") {
		return false
	}
	switch strings.ToLower(strings.TrimSpace(value)) {
	case "", "true", "false", "yes", "no", "on", "off", "0", "1", "none", "null":
		return false
	}
	return true
}

// split gives the words of a name in lower case: "apiToken", "API_TOKEN" and
// "api.token" have the same. Digits are no part of them.
func split(name string) []string {
	var words []string
	var current []rune
	end := func() {
		if len(current) > 0 {
			words = append(words, strings.ToLower(string(current)))
			current = nil
		}
	}
	runes := []rune(name)
	for i, r := range runes {
		if !unicode.IsLetter(r) {
			end()
			continue
		}
		// A word begins at an upper-case letter after a lower-case one, and at the
		// last of several before a lower-case one: "DBPassword".
		if i > 0 && unicode.IsUpper(r) && (unicode.IsLower(runes[i-1]) ||
			unicode.IsUpper(runes[i-1]) && i+1 < len(runes) && unicode.IsLower(runes[i+1])) {
			end()
		}
		current = append(current, r)
	}
	end()
	return words
}
