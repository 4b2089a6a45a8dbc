package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/dotenv"

	"github.com/stackctl/stackctl/pkg/runner"
	"github.com/stackctl/stackctl/pkg/runner/bundle"
)

// Where things are in a bundle, and the variable that its compose text finds them
// by.
const (
	bundleFiles    = "files"
	bundleEnv      = "env"
	bundleVariable = "STACKCTL_BUNDLE"
)

// bundleSource is the stack of a bundle. Relative paths in it, and .env, are looked
// for where the command runs.
func (g *globalOptions) bundleSource(ctx context.Context, dir string) (*source, error) {
	file := within(g.app.Dir, g.bundle)
	b, err := bundle.Open(file)
	if err != nil {
		var reason *fs.PathError
		if errors.As(err, &reason) {
			return nil, &usageError{text: fmt.Sprintf("read the bundle %s: %v", g.bundle, reason.Err), hint: "check the path after --bundle"}
		}
		return nil, err
	}
	variables, err := g.projectVariables(dir)
	if err != nil {
		return nil, err
	}
	variables = maps.Clone(variables)
	if err := unpack(b, g.app.CacheDir, variables); err != nil {
		return nil, fmt.Errorf("unpack the bundle %s: %w", g.bundle, err)
	}
	if len(g.profiles) == 0 {
		g.profiles = b.Profiles
	}
	g.opened = b
	s, err := g.composeSource(ctx, dir, []string{file}, variables)
	if err != nil {
		return nil, err
	}
	s.bundle = b
	return s, nil
}

// unpack puts the files of a bundle where the compose text finds them, and its
// variables under those that are known already. The content of a file decides
// where it is, so one that is in use never changes.
func unpack(b *bundle.Bundle, cacheDir func() (string, error), variables map[string]string) error {
	var files []bundle.File
	for _, f := range b.Files {
		switch {
		case f.Name == bundleEnv:
			values, err := dotenv.ParseWithLookup(bytes.NewReader(f.Content), func(name string) (string, bool) {
				value, ok := variables[name]
				return value, ok
			})
			if err != nil {
				return err
			}
			for name, value := range values {
				if _, known := variables[name]; !known {
					variables[name] = value
				}
			}
		case strings.HasPrefix(f.Name, bundleFiles+"/"):
			files = append(files, f)
		}
	}
	if len(files) == 0 {
		return nil
	}
	cache, err := cacheDir()
	if err != nil {
		return err
	}
	root := filepath.Join(cache, "stackctl", "bundle")
	variables[bundleVariable] = filepath.ToSlash(root)
	for _, f := range files {
		name := filepath.Join(root, filepath.FromSlash(f.Name))
		if content, err := os.ReadFile(name); err == nil && bytes.Equal(content, f.Content) {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			return err
		}
		if err := writeBeside(name, f.Content, f.Mode|0o400); err != nil {
			return err
		}
	}
	return nil
}

// writeBeside writes a file that is there whole or not at all.
func writeBeside(name string, content []byte, mode fs.FileMode) error {
	temporary, err := os.CreateTemp(filepath.Dir(name), "."+path.Base(filepath.ToSlash(name))+".*")
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name()) // it is not there any more when all went well
	_, err = temporary.Write(content)
	if err = errors.Join(err, temporary.Chmod(mode), temporary.Close()); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), name)
}

// withoutRegistry adds what --offline and --bundle mean for a run.
func (g *globalOptions) withoutRegistry(s *source, o runner.UpOptions) runner.UpOptions {
	o.Offline = g.offline
	if s.bundle != nil {
		o.Offline, o.Archive = true, s.bundle
		if len(o.Services) == 0 {
			o.Services = slices.Clone(s.bundle.Services)
		}
	}
	return o
}
