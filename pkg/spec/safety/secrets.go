package safety

import (
	"cmp"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stackctl/stackctl/internal/dockerignore"
	"github.com/stackctl/stackctl/internal/sensitive"
)

func plainSecret(s *look) {
	secretVariables(s, ".environment.", s.service.Environment, func(name string) string {
		return "give it as a secret, and its path as " + name + "_FILE where the program takes that"
	})
	for _, line := range []struct {
		path  string
		words []string
	}{
		{".entrypoint", s.service.Entrypoint},
		{".command", s.service.Command},
		{".healthcheck.test", test(s.service.HealthCheck)},
	} {
		if saysSecret(line.words) {
			s.found(line.path, "has a secret on the command line, which `docker inspect` and the process list show")
		}
	}
}

func buildSecret(s *look) {
	if s.service.Build != nil {
		secretVariables(s, ".build.args.", s.service.Build.Args, nil)
	}
}

// envInContext is the one rule that looks at files: what is in the folder of a build is
// in no model.
func envInContext(s *look) {
	b := s.service.Build
	if b == nil || !filepath.IsAbs(b.Context) || !isFile(filepath.Join(b.Context, ".env")) {
		return // of a URL, others know what is in it
	}
	dockerfile := ""
	if b.DockerfileInline == "" {
		dockerfile = cmp.Or(b.Dockerfile, "Dockerfile")
		if !filepath.IsAbs(dockerfile) {
			dockerfile = filepath.Join(b.Context, dockerfile)
		}
		if !isFile(dockerfile) {
			return // the build says so, or needs none
		}
	}
	matcher, err := dockerignore.Read(b.Context, dockerfile)
	if err != nil {
		return // the build says so
	}
	if ignored, err := matcher.MatchesOrParentMatches(".env"); err == nil && !ignored {
		s.found(".build", "sends the .env in its folder to the engine, and COPY may put it into the image")
	}
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// secretVariables finds those that hold a secret. hint may be nil.
func secretVariables(s *look, path string, variables types.MappingWithEquals, hint func(name string) string) {
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		value := variables[name]
		if value == nil || !sensitive.Holds(name, *value) {
			continue
		}
		if !sensitive.Named(name) {
			s.found(path+name, "has a password in its value, which `docker inspect` shows")
			continue
		}
		s.found(path+name, "is a secret that `docker inspect` shows")
		if hint != nil {
			s.instead("%s", hint(name))
		}
	}
}

func test(h *types.HealthCheckConfig) []string {
	if h == nil {
		return nil
	}
	return h.Test
}

// secretFlag is a flag that takes a secret, with or without its value. What the shell
// of the container fills in is no secret, and neither is a path.
var secretFlag = regexp.MustCompile(`^--?(?:requirepass|masterauth|password|passwd|root-password|admin-password|token|secret|api-key)(?:=(.*))?$`)

// filledIn is an address whose password the shell of the container fills in.
var filledIn = regexp.MustCompile("://[^/\\s:@]*:[$`]")

// saysSecret reports whether a command line has a secret in it. A shell's line is taken
// apart, too.
func saysSecret(words []string) bool {
	words = strings.Fields(strings.Join(words, " "))
	for i, word := range words {
		word = strings.Trim(word, `"'`)
		if strings.Contains(word, "://") && !filledIn.MatchString(word) && sensitive.Holds("", word) {
			return true
		}
		m := secretFlag.FindStringSubmatch(word)
		if m == nil {
			continue
		}
		value := m[1]
		if !strings.Contains(word, "=") && i+1 < len(words) {
			value = words[i+1]
		}
		value = strings.Trim(value, `"'`)
		if value != "" && !strings.ContainsAny(value[:1], "-$/`") {
			return true
		}
	}
	return false
}

// open are the variables that let everybody in, with the values that do so; none means
// that any but a false one does.
var open = map[string][]string{
	"POSTGRES_HOST_AUTH_METHOD":         {"trust"},
	"MYSQL_ALLOW_EMPTY_PASSWORD":        nil,
	"MARIADB_ALLOW_EMPTY_PASSWORD":      nil,
	"MARIADB_ALLOW_EMPTY_ROOT_PASSWORD": nil,
	"ALLOW_EMPTY_PASSWORD":              nil, // images of Bitnami
	"ALLOW_ANONYMOUS_LOGIN":             nil,
	"xpack.security.enabled":            {"false"},
	"DISABLE_SECURITY_PLUGIN":           {"true"}, // OpenSearch
	"plugins.security.disabled":         {"true"},
	"NEO4J_AUTH":                        {"none"},
}

func noPassword(s *look) {
	for _, name := range slices.Sorted(maps.Keys(s.service.Environment)) {
		values, known := open[name]
		value := s.service.Environment[name]
		if !known || value == nil || *value == "" {
			continue
		}
		lower := strings.ToLower(*value)
		isFalse := slices.Contains([]string{"no", "false", "0"}, lower)
		if slices.Contains(values, lower) || values == nil && !isFalse {
			s.found(".environment."+name, "lets everybody in without a password")
		}
	}
}
