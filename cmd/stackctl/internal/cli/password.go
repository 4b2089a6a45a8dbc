package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/state"
	"github.com/stackctl/stackctl/templates"
)

// passwordVariable is the one variable of the built-in stack without a default.
const passwordVariable = "POSTGRES_PASSWORD"

// refusedError says that something was not done because it needs the user's
// decision first.
type refusedError struct{ text, hint string }

func (e *refusedError) Error() string { return e.text }

// givePassword puts a password into the source for a first `up`, and into .env
// so that it is known from then on. A database that exists already has a
// password of its own, which nobody but the user knows.
func (g *globalOptions) givePassword(ctx context.Context, e engine.Engine, s *source, p *types.Project) error {
	name := databaseVolume(p)
	if exists, err := findVolume(ctx, e, name); err != nil {
		return err
	} else if exists {
		return passwordRefused(name)
	}
	if files := g.variableFiles(); len(files) > 0 {
		// Which of the files, and in what form, is not ours to say.
		return missingPassword(fmt.Sprintf("add a line %s=… to %s", passwordVariable, files[len(files)-1]))
	}
	// Letters and digits, which need no quotes and no escapes in files, URLs and
	// shells.
	password := rand.Text()
	g.announce()
	g.ignoreDotenv(ctx, s.dir)
	path := filepath.Join(s.dir, dotenvName)
	if err := appendLine(path, templates.Env(), passwordVariable+"="+password, true); err != nil {
		return fmt.Errorf("keep the new database password: %w", err)
	}
	s.variables[passwordVariable] = password
	g.note("made a database password and wrote it to %s as %s", shown(g.app.Dir, path), passwordVariable)
	return nil
}

// loadToRun loads the stack with all that its containers need, a password made
// for the built-in one where it has none.
func (g *globalOptions) loadToRun(ctx context.Context, e engine.Engine, s *source) (*types.Project, error) {
	p, err := s.load(ctx)
	if err != nil || s.knowsPassword() {
		return p, err
	}
	if _, err := e.Info(ctx); err != nil {
		return nil, err
	}
	if err := g.givePassword(ctx, e, s, p); err != nil {
		return nil, err
	}
	return s.load(ctx)
}

// findVolume says whether the engine has a volume.
func findVolume(ctx context.Context, e engine.Observer, name string) (bool, error) {
	volumes, err := e.Volumes(ctx)
	return slices.ContainsFunc(volumes, func(v state.Volume) bool { return v.Name == name }), err
}

func passwordRefused(volume string) error {
	return &refusedError{
		text: fmt.Sprintf("volume %s holds a database already, and %s is not set: PostgreSQL keeps the password that it was initialised with", volume, passwordVariable),
		hint: fmt.Sprintf("put %s=… with that password into %s, or delete the data with `stackctl down -v`", passwordVariable, dotenvName),
	}
}

// appendLine adds a line to a file, or makes the file, with header in front.
// Whoever reads it sees the old content or the new one, never a part; a secret
// file can afterwards be read by its owner only. A link is followed.
func appendLine(path, header, line string, secret bool) error {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	content, err := os.ReadFile(path)
	exists := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	mode := os.FileMode(0o644)
	if exists {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		mode = info.Mode().Perm()
	}
	if secret {
		mode &= 0o600
	}
	text := string(content)
	if !exists {
		text = header
	}
	newline := "\n"
	if strings.Contains(text, "\r\n") {
		newline = "\r\n"
	}
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += newline
	}
	text += line + newline

	temporary, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name()) // it is not there any more when all went well
	_, err = temporary.WriteString(text)
	err = errors.Join(err, temporary.Chmod(mode), temporary.Sync(), temporary.Close())
	if err != nil {
		return err
	}
	owner := path
	if !exists {
		owner = filepath.Dir(path)
	}
	giveTo(temporary.Name(), owner)
	if exists {
		return os.Rename(temporary.Name(), path)
	}
	// A link, unlike a rename, does not overwrite what another run has just made.
	err = os.Link(temporary.Name(), path)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s has just been made by another run; try again", path)
	}
	if err != nil { // not every file system has links
		return os.Rename(temporary.Name(), path)
	}
	return nil
}
