package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"github.com/compose-spec/compose-go/v2/dotenv"
)

// dotenvName is the file that is read when no --env-file is given.
const dotenvName = ".env"

// readVariables gives what the stack may refer to: the process's environment
// first, then the files, of which later ones win. Without files it is .env of
// the folder, which need not be there.
//
// For needed variables an empty value counts as none, wherever it stands, so an
// empty one in the environment does not hide the one in a file.
func readVariables(environ []string, dir string, files []string, needed ...string) (map[string]string, error) {
	process := map[string]string{}
	for _, entry := range environ {
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
	for _, name := range files {
		content, err := os.ReadFile(within(dir, name))
		if optional && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			var path *fs.PathError
			if errors.As(err, &path) {
				err = path.Err
			}
			return nil, &envFileError{name, err}
		}
		values, err := dotenv.ParseWithLookup(bytes.NewReader(content), func(name string) (string, bool) {
			if value, ok := process[name]; ok {
				return value, true
			}
			value, ok := fromFiles[name]
			return value, ok
		})
		if err != nil {
			return nil, &envFileError{name, err}
		}
		dropEmpty(values)
		maps.Copy(fromFiles, values)
	}
	maps.Copy(fromFiles, process)
	return fromFiles, nil
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
	err  error
}

func (e *envFileError) Error() string {
	return fmt.Sprintf("read variables from %s: %v", e.file, e.err)
}
func (e *envFileError) Unwrap() error { return e.err }
