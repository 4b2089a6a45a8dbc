package cli

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/stackctl/stackctl"
)

// modulePath is the module that the app belongs to.
const modulePath = "github.com/stackctl/stackctl"

// isCheckout says that a folder is the root of this module, with the app's
// source in it.
func isCheckout(dir string) bool {
	gomod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(gomod)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "module" {
			_, err := os.Stat(filepath.Join(dir, "webapp", "main.go"))
			return err == nil && strings.Trim(fields[1], `"`) == modulePath
		}
	}
	return false
}

// locateSource sets the build context of the app: the working directory when it
// is a checkout, and otherwise a copy of the source in this binary.
func (g *globalOptions) locateSource(ctx context.Context, s *source) error {
	if s.stack == nil || isCheckout(s.dir) {
		return nil
	}
	cache, err := g.app.CacheDir()
	if err != nil {
		return fmt.Errorf("find a folder for the app's source: %w", err)
	}
	dir, err := extract(ctx, stackctl.Source(), filepath.Join(cache, "stackctl"))
	if err != nil {
		return fmt.Errorf("extract the app's source: %w", err)
	}
	s.setBuildContext(dir)
	return nil
}

// extract writes files below parent, into a folder that is named after their
// content, and gives that folder. One that is there already and whole is taken
// as it is.
func extract(ctx context.Context, files fs.FS, parent string) (string, error) {
	name, err := digest(files)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(parent, "source-"+name)
	if isCopy(files, dir) {
		return dir, nil
	}
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return "", err
	}
	temporary, err := os.MkdirTemp(parent, ".source-*")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(temporary) // it is not there any more when all went well
	if err := os.CopyFS(temporary, files); err != nil {
		return "", err
	}
	if err := os.Chmod(temporary, 0o755); err != nil {
		return "", err
	}
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	err = os.Rename(temporary, dir)
	if err == nil || isCopy(files, dir) { // another run was as quick
		return dir, nil
	}
	// What is there is broken, and nobody can work with it.
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	return dir, os.Rename(temporary, dir)
}

// digest names the content of all files.
func digest(files fs.FS) (string, error) {
	sum := sha256.New()
	err := fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := fs.ReadFile(files, path)
		fmt.Fprintf(sum, "%s %d\n", path, len(content))
		sum.Write(content)
		return err
	})
	return hex.EncodeToString(sum.Sum(nil))[:16], err
}

var errDiffers = errors.New("differs")

// isCopy says that a folder has all files as they are.
func isCopy(files fs.FS, dir string) bool {
	return fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		want, err := fs.ReadFile(files, path)
		if err != nil {
			return err
		}
		got, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(path)))
		if err == nil && !bytes.Equal(got, want) {
			err = errDiffers
		}
		return err
	}) == nil
}
