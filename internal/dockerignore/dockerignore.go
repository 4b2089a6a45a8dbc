// Package dockerignore says what a build leaves out of its context.
package dockerignore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// Read gives what the ignore file of a context leaves out, nothing where there is none.
// The Dockerfile is the path of that, empty for one that is in no file: BuildKit prefers
// an ignore file that belongs to it.
func Read(context, dockerfile string) (*patternmatcher.PatternMatcher, error) {
	name := filepath.Join(context, ".dockerignore")
	if own := dockerfile + ".dockerignore"; dockerfile != "" && exists(own) {
		name = own
	}
	patterns, err := read(name)
	if err != nil {
		return nil, err
	}
	matcher, err := patternmatcher.New(patterns)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return matcher, nil
}

func read(name string) ([]string, error) {
	file, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf(".dockerignore: %w", err)
	}
	defer file.Close()
	patterns, err := ignorefile.ReadAll(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return patterns, nil
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}
