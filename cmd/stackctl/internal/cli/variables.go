package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/template"

	"github.com/stackctl/stackctl/internal/sensitive"
	"github.com/stackctl/stackctl/pkg/spec"
)

// dotenvName is the file that is read when no --env-file is given.
const dotenvName = ".env"

// readVariables gives what the stack may refer to: the process's environment
// first, then the files, of which later ones win. Without files it is .env of
// the folder, which need not be there.
//
// For needed variables an empty value counts as none, wherever it stands, so an
// empty one in the environment does not hide the one in a file.
func (g *globalOptions) readVariables(dir string, files []string, needed ...string) (map[string]string, error) {
	process := map[string]string{}
	for _, entry := range g.app.Environ {
		if name, value, ok := strings.Cut(entry, "="); ok && name != "" {
			process[name] = value
		}
	}
	dropEmpty := func(variables map[string]string) {
		for _, name := range needed {
			if variables[name] == "" {
				delete(variables, name)
			}
		}
	}
	dropEmpty(process)
	optional := len(files) == 0
	if optional {
		files = []string{dotenvName}
	}
	fromFiles := map[string]string{}
	for _, file := range files {
		path := within(dir, file)
		name := shown(g.app.Dir, path)
		content, err := os.ReadFile(path)
		if optional && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			var reason *fs.PathError
			if errors.As(err, &reason) {
				err = reason.Err
			}
			return nil, &envFileError{file: name, err: err}
		}
		// Without it, compose-go takes a last line for nothing that has no "=".
		content = append(content, '\n')
		values, unset, err := spec.ParseEnv(content, func(name string) (string, bool) {
			if value, ok := process[name]; ok {
				return value, true
			}
			value, ok := fromFiles[name]
			return value, ok
		})
		if err != nil {
			line, what := spec.EnvFileFault(err)
			return nil, &envFileError{file: name, line: line, err: errors.New(what)}
		}
		if err := checkPrivate(path, name, content); err != nil {
			return nil, err
		}
		g.warnOfReferences(name, unset)
		dropEmpty(values)
		maps.Copy(fromFiles, values)
	}
	maps.Copy(fromFiles, process)
	return fromFiles, nil
}

// checkIncluded refuses files with variables that included files bring, as those of
// the project itself.
func (g *globalOptions) checkIncluded(files []string) error {
	for _, path := range files {
		content, err := os.ReadFile(path)
		if err != nil {
			continue // the loader says so
		}
		if err := checkPrivate(path, shown(g.app.Dir, path), content); err != nil {
			return err
		}
	}
	return nil
}

// warnOfReferences tells of dollars that may have been meant for themselves, and not
// what follows them: it may be a piece of a password.
func (g *globalOptions) warnOfReferences(file string, unset []spec.EnvReference) {
	for _, r := range unset {
		in := ""
		if r.Variable != "" {
			in = " in " + r.Variable
		}
		g.logged(fmt.Sprintf("%s:%d: a $%s refers to a variable that is not set, %s", file, r.Line, in, keepDollar))
	}
}

// checkPrivate refuses a file that holds a secret and that others may read. A pipe is
// nobody else's, and Windows has no such bits.
func checkPrivate(path, name string, content []byte) error {
	info, err := os.Stat(path)
	if err != nil || runtime.GOOS == "windows" || !info.Mode().IsRegular() || info.Mode().Perm()&0o044 == 0 {
		return nil //nolint:nilerr // what cannot be read has been told of
	}
	values, err := ownValues(content)
	if err != nil {
		return nil //nolint:nilerr // what cannot be parsed is told of, too
	}
	for _, variable := range slices.Sorted(maps.Keys(values)) {
		if sensitive.Holds(variable, values[variable]) {
			return &refusedError{
				text: fmt.Sprintf("%s holds a secret, %s, and other users of this machine can read it (mode %04o)", name, variable, info.Mode().Perm()),
				hint: "`chmod 600 " + shellWord(name) + "` keeps it to you",
			}
		}
	}
	return nil
}

// ownValues parses a file with variables without what comes from elsewhere, which is
// not in the file. What must not be empty is 1, which is no secret either.
func ownValues(content []byte) (map[string]string, error) {
	needed := map[string]bool{}
	for {
		values, err := dotenv.ParseWithLookup(bytes.NewReader(content), func(name string) (string, bool) {
			if needed[name] {
				return "1", true
			}
			return "", true
		})
		var missing *template.MissingRequiredError
		if !errors.As(err, &missing) || needed[missing.Variable] {
			return values, err
		}
		needed[missing.Variable] = true
	}
}

// shellWord writes a path as a shell reads it.
func shellWord(path string) string {
	if strings.HasPrefix(path, "-") {
		path = "./" + path
	}
	isPlain := func(r rune) bool {
		return strings.ContainsRune("/._-", r) || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
	}
	if strings.IndexFunc(path, func(r rune) bool { return !isPlain(r) }) < 0 {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

// within gives a path as the working directory of the command sees it.
func within(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// envFileError says that a file with variables cannot be used.
type envFileError struct {
	file string
	line int // counted from 1; 0 for what is about the whole
	err  error
}

func (e *envFileError) Error() string {
	at := e.file
	if e.line > 0 {
		at += ":" + strconv.Itoa(e.line)
	}
	return fmt.Sprintf("read variables from %s: %v", at, e.err)
}
func (e *envFileError) Unwrap() error { return e.err }
