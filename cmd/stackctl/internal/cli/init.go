package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/spf13/cobra"

	"github.com/stackctl/stackctl"
	"github.com/stackctl/stackctl/templates"
)

type initOptions struct {
	*globalOptions
	folder  string
	compose bool
	program bool
}

func newInitCommand(g *globalOptions) *cobra.Command {
	opts := &initOptions{globalOptions: g}
	cmd := &cobra.Command{
		Use:   "init [FOLDER]",
		Short: "Write a first stack to start from",
		Long: `Write a first stack to start from: a web app with PostgreSQL and Redis, as a
compose file in this folder, or as a Go program in the folder stack. Both are the
same stack. No file that is there is overwritten.`,
		Example: `  # A compose file
  stackctl init

  # A Go program
  stackctl init --go`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return &usageError{text: "init takes one folder", command: cmd.CommandPath()}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				opts.folder = args[0]
			}
			return runInit(cmd.Context(), g.app, opts)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&opts.compose, "compose", false, "a compose file (the default)")
	flags.BoolVar(&opts.program, "go", false, "a Go program that prints the compose file")
	return cmd
}

func runInit(_ context.Context, app *App, o *initOptions) error {
	if o.compose && o.program {
		return &usageError{text: "--compose and --go are two forms of one stack", hint: "keep one of them"}
	}
	folder := cmp.Or(o.folder, ".")
	if o.program {
		folder = cmp.Or(o.folder, "stack")
	}
	dir := within(app.Dir, folder)
	name := o.projectName
	if name == "" {
		named := app.Dir
		if o.folder != "" {
			named = dir
		}
		name = cmp.Or(loader.NormalizeProjectName(filepath.Base(named)), "my-stack")
	}
	if o.program {
		return o.initProgram(dir, name)
	}
	return o.initCompose(dir, name)
}

func (o *initOptions) initCompose(dir, name string) error {
	if found := o.composeFilesIn(dir); len(found) > 0 {
		return overwriteRefused(shown(o.app.Dir, found[0]))
	}
	path := filepath.Join(dir, "compose.yaml")
	if err := o.write(file{path, templates.Compose(name)}); err != nil {
		return err
	}
	run := "stackctl up"
	if dir != filepath.Clean(o.app.Dir) {
		run = "stackctl -f " + shown(o.app.Dir, dir) + " up"
	}
	return o.next(dir, run)
}

// initProgram writes a Go program, with a module around it when it is in none. The
// library is not published, so the module is tied to a clone by a workspace.
func (o *initOptions) initProgram(dir, name string) error {
	main := file{filepath.Join(dir, "main.go"), templates.Program(name)}
	root, knows := moduleAround(dir)
	clone := cloneAround(o.app.Executable)
	run := "stackctl -f " + shown(o.app.Dir, dir) + " up"
	switch {
	case knows:
		if err := o.write(main); err != nil {
			return err
		}
		return o.next(dir, run)
	case root != "":
		if err := o.write(main); err != nil {
			return err
		}
		return o.next(dir, fmt.Sprintf("(cd %s && go work init . %s)", shown(o.app.Dir, root), cmp.Or(clone, "PATH/TO/A/CLONE/OF/stackctl")), run)
	}
	goLine, err := goVersion()
	if err != nil {
		return err
	}
	module := file{filepath.Join(dir, "go.mod"), "module " + name + "\n\n" + goLine + "\n"}
	if clone == "" {
		if err := o.write(main, module); err != nil {
			return err
		}
		return o.next(dir, fmt.Sprintf("(cd %s && go work init . PATH/TO/A/CLONE/OF/stackctl)", shown(o.app.Dir, dir)), run)
	}
	workspace := file{filepath.Join(dir, "go.work"), fmt.Sprintf("%s\n\nuse (\n\t.\n\t%s\n)\n", goLine, filepath.ToSlash(clone))}
	if err := o.write(main, module, workspace); err != nil {
		return err
	}
	return o.next(dir, run)
}

// file is a file to write.
type file struct{ path, text string }

// write makes files, all of them or, when one is there already, none.
func (o *initOptions) write(files ...file) error {
	for _, f := range files {
		if _, err := os.Lstat(f.path); !errors.Is(err, fs.ErrNotExist) {
			return overwriteRefused(shown(o.app.Dir, f.path))
		}
	}
	for _, f := range files {
		if err := os.MkdirAll(filepath.Dir(f.path), 0o755); err != nil {
			return fmt.Errorf("write a first stack: %w", err)
		}
		if err := writeNew(f.path, f.text); err != nil {
			return fmt.Errorf("write a first stack: %w", err)
		}
		if _, err := fmt.Fprintf(o.app.Out, "wrote %s\n", shown(o.app.Dir, f.path)); err != nil {
			return err
		}
	}
	return nil
}

// writeNew writes a file that is not there.
func writeNew(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// next says what to type, the password first, which the stack does not start
// without.
func (o *initOptions) next(dir string, commands ...string) error {
	env := shellWord(shown(o.app.Dir, filepath.Join(dir, dotenvName)))
	text := "\nnext:\n  echo " + passwordVariable + "=a-password-of-your-own >> " + env + " && chmod 600 " + env + "\n"
	for _, command := range commands {
		text += "  " + command + "\n"
	}
	_, err := fmt.Fprint(o.app.Out, text)
	return err
}

func overwriteRefused(path string) error {
	return &refusedError{text: path + " is there already, and is not overwritten", hint: "name another folder: `stackctl init FOLDER`"}
}

// moduleAround gives the folder of the Go module that a folder is in, empty for
// none; knows says that the module can import this one.
func moduleAround(dir string) (root string, knows bool) {
	for {
		if text, err := os.ReadFile(filepath.Join(dir, "go.mod")); err == nil {
			return dir, strings.Contains(string(text), modulePath)
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", false
		}
		dir = parent
	}
}

// cloneAround gives the checkout that a program lies in, as after `make build`;
// empty for none.
func cloneAround(executable string) string {
	if executable == "" {
		return ""
	}
	if target, err := filepath.EvalSymlinks(executable); err == nil {
		executable = target
	}
	for dir := filepath.Dir(executable); ; dir = filepath.Dir(dir) {
		if isCheckout(dir) {
			return dir
		}
		if filepath.Dir(dir) == dir {
			return ""
		}
	}
}

// goVersion is the line of this module's go.mod that says which Go it needs.
func goVersion() (string, error) {
	text, err := fs.ReadFile(stackctl.Source(), "go.mod")
	if err != nil {
		return "", fmt.Errorf("read the module's Go version: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "go ") {
			return strings.TrimSpace(line), nil
		}
	}
	return "", errors.New("the module names no Go version")
}
