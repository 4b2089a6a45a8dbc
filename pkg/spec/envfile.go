package spec

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/dotenv"
)

var (
	envLine       = regexp.MustCompile(`^(?:.*?)line (\d+): (.*)$`)
	envCharacter  = regexp.MustCompile(`(?s)^unexpected character (".*?") in variable name .*$`)
	envTemplate   = regexp.MustCompile(`(?s)^Invalid template: .*$`)
	envUnfinished = regexp.MustCompile(`(?s)^unterminated quoted value .*$`)
)

// EnvFileFault says of an error that a file with lines NAME=value gave when it was
// parsed in which line it is, counted from 1, and what is wrong there; 0 when the
// line is not known. The text does not hold what the file holds, which may be secret.
func EnvFileFault(err error) (line int, what string) {
	text := oneLine(err.Error())
	if m := envLine.FindStringSubmatch(text); m != nil {
		line, text = number(m[1]), m[2]
	}
	switch m := envCharacter.FindStringSubmatch(text); {
	case m != nil:
		text = "there is a " + m[1] + " in the name of a variable"
	case envUnfinished.MatchString(text):
		text = "the quotes around a value are not closed before the end of the file"
	case envTemplate.MatchString(text):
		text = "there is a $ in a value that begins no reference to a variable: write $$, or put the value in single quotes"
	case text == "key cannot contain a space":
		text = "there is a space in the name of a variable"
	}
	return line, text
}

// EnvReference is a place in a file with lines NAME=value at which a $ refers to a
// variable that is not set, so that nothing stands there. It may have been meant for
// itself, as in a password, so what follows it is not told.
type EnvReference struct {
	// Line is counted from 1.
	Line int
	// Variable is the one whose value it is in; empty where that begins in a line before.
	Variable string
}

var envKey = regexp.MustCompile(`^\s*(?:export\s+)?([\w.-]+)\s*[=:]\s*('?)`)

// ParseEnv reads lines NAME=value as compose-go does, which would log the names after
// each $ that refers to nothing. Here they are given as places, without the names.
func ParseEnv(text []byte, lookup func(name string) (string, bool)) (map[string]string, []EnvReference, error) {
	asked := map[string]bool{}
	written, _ := dotenv.ParseWithLookup(bytes.NewReader(text), func(name string) (string, bool) {
		asked[name] = true
		return placeholder, true
	})
	unset := map[string]bool{} // and whether that is told apart from empty
	for name := range asked {
		_, known := lookup(name)
		if _, earlier := written[name]; !known && !earlier {
			unset[name] = regexp.MustCompile(`\$\{` + regexp.QuoteMeta(name) + `[-?+]`).Match(text)
		}
	}
	values, err := dotenv.ParseWithLookup(bytes.NewReader(text), func(name string) (string, bool) {
		differs, isUnset := unset[name]
		if isUnset && !differs {
			return "", true
		}
		return lookup(name)
	})
	return values, referencesIn(string(text), slices.Sorted(maps.Keys(unset))), err
}

// referencesIn finds the lines in which a $ is followed by one of the names alone.
func referencesIn(text string, names []string) []EnvReference {
	if len(names) == 0 {
		return nil
	}
	for i := range names {
		names[i] = regexp.QuoteMeta(names[i])
	}
	all := strings.Join(names, "|")
	reference := regexp.MustCompile(`\$(?:(?:` + all + `)\b|\{(?:` + all + `)\})`)
	var found []EnvReference
	for i, line := range strings.Split(text, "\n") {
		key := envKey.FindStringSubmatch(line)
		isQuoted := key != nil && key[2] != ""
		if isQuoted || strings.HasPrefix(strings.TrimSpace(line), "#") || !reference.MatchString(line) {
			continue
		}
		r := EnvReference{Line: i + 1}
		if key != nil {
			r.Variable = key[1]
		}
		found = append(found, r)
	}
	return found
}

// parseEnvFiles reads files with lines NAME=value, of which later ones win.
func parseEnvFiles(env map[string]string, files []string) (map[string]string, error) {
	out := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		values, _, err := ParseEnv(text, func(name string) (string, bool) {
			if value, ok := env[name]; ok {
				return value, true
			}
			value, ok := out[name]
			return value, ok
		})
		if err != nil {
			return nil, err
		}
		maps.Copy(out, values)
	}
	return out, nil
}

// Included are files that a stack's own files bring with them.
type Included struct {
	// Compose are the files that they include or extend.
	Compose []string
	// Env are the files with variables of those that they include: what env_file of an
	// include names, or the .env in its folder.
	Env []string
}

// ReadIncluded finds the files that a stack's files bring, by absolute paths. What
// cannot be read brings none: Load says so.
func ReadIncluded(opts LoadOptions) Included {
	s, err := opts.read()
	if err != nil || !s.mentions("include") && !s.mentions("extends") && !s.mentions(`\`) {
		return Included{}
	}
	v := s.survey(false)
	var out Included
	for i, file := range v.files {
		if !slices.Contains(v.own, i) {
			out.Compose = append(out.Compose, file.name)
		}
		for _, name := range file.envFiles {
			if name = filepath.Clean(name); !slices.Contains(out.Env, name) {
				out.Env = append(out.Env, name)
			}
		}
	}
	return out
}
