package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/consts"

	"github.com/stackctl/stackctl/pkg/spec"
)

// standardInput is the name of the compose file that is read from there.
const standardInput = "-"

// envFilesVariable names the files with variables where --env-file does not.
const envFilesVariable = "COMPOSE_ENV_FILES"

// findSource looks for the stack in the order of Docker Compose: -f, COMPOSE_FILE,
// the compose file of this folder or the nearest one above it that has one. With
// none of them it is the built-in stack.
func (g *globalOptions) findSource(ctx context.Context) (*source, error) {
	start := within(g.app.Dir, g.projectDirectory)
	if info, err := os.Stat(start); err != nil || !info.IsDir() {
		return nil, &usageError{text: g.projectDirectory + " is not a folder", hint: "check the path after --project-directory"}
	}
	if g.builtin {
		return g.builtInSource(start)
	}
	if g.bundle != "" {
		return g.bundleSource(ctx, start)
	}
	files, origin := g.files, "the path after -f"
	variables, err := g.projectVariables(g.folderOf(files))
	if err != nil {
		return nil, err
	}
	if value := variables[consts.ComposeFilePath]; len(files) == 0 && value != "" {
		separator := cmp.Or(variables[consts.ComposePathSeparator], string(os.PathListSeparator))
		files, origin = strings.Split(value, separator), consts.ComposeFilePath
	}
	if len(files) == 0 {
		if files = g.discover(start); len(files) == 0 {
			s, err := g.builtInSource(start)
			if err == nil {
				s.assumed = g.projectName != ""
			}
			return s, err
		}
	}
	if files, err = g.resolve(files, origin); err != nil {
		return nil, err
	}
	// The folder may be another one by now, with a .env of its own.
	dir := g.folderOf(files)
	beside, err := g.projectVariables(dir)
	if err != nil {
		return nil, err
	}
	for name, value := range beside {
		if _, ok := variables[name]; !ok {
			variables[name] = value
		}
	}
	return g.composeSource(ctx, dir, files, variables)
}

// composeSource is a stack that the user has written, in files with absolute
// paths.
func (g *globalOptions) composeSource(ctx context.Context, dir string, files []string, variables map[string]string) (*source, error) {
	if err := checkProjectName(variables[projectNameVariable], projectNameVariable+"="); err != nil {
		return nil, err
	}
	s := &source{dir: dir, base: g.app.Dir, variables: variables, scale: g.scale}
	s.options = spec.LoadOptions{
		Files: files, Contents: map[string][]byte{}, WorkingDir: dir, Env: variables,
		Name: cmp.Or(g.projectName, variables[projectNameVariable]), Profiles: g.activeProfiles(variables),
		Cache: g.cache(),
	}
	for _, file := range g.variableFiles() {
		s.envFiles = append(s.envFiles, within(g.app.Dir, file))
	}
	for _, file := range files {
		content, origin, err := g.content(ctx, file)
		if err != nil {
			return nil, err
		}
		if content != nil {
			s.options.Contents[file] = content
		}
		s.origins = append(s.origins, origin)
	}
	brought := spec.ReadIncluded(s.options)
	if err := g.checkIncluded(brought.Env); err != nil {
		return nil, err
	}
	g.written = s.texts(brought.Compose)
	if g.loads {
		s.loadOnce(ctx)
	}
	if s.fault != nil && !g.chooses {
		return nil, s.located(s.fault)
	}
	if s.project != nil {
		s.outline = spec.OutlineOf(s.project)
	} else {
		var err error
		if s.outline, err = spec.ReadOutline(ctx, s.options); err != nil {
			return nil, s.located(err)
		}
	}
	s.name = s.options.Name
	if s.name == "" {
		s.name = s.outline.Name
	}
	return s, nil
}

// content gives the text of what is no file to read, nil for one that is, and how
// it is called.
func (g *globalOptions) content(ctx context.Context, file string) ([]byte, string, error) {
	if g.opened != nil {
		return g.opened.Compose(), "bundle " + g.bundle, nil
	}
	if file == standardInput {
		text, err := io.ReadAll(g.app.In)
		if err != nil {
			return nil, "", fmt.Errorf("read the compose file from the standard input: %w", err)
		}
		if text == nil {
			text = []byte{}
		}
		return text, "standard input", nil
	}
	name := shown(g.app.Dir, file)
	if !isFolder(file) {
		return nil, name, nil
	}
	text, err := g.runProgram(ctx, file)
	return text, "the Go program in " + folderName(name), err
}

// isProgram says that one of the files is a Go program's folder.
func (s *source) isProgram(at int) bool {
	file := s.options.Files[at]
	_, given := s.options.Contents[file]
	return given && file != standardInput
}

// resolve makes the paths absolute, and compose files of folders that hold some.
// origin is where the user wrote them.
func (g *globalOptions) resolve(files []string, origin string) ([]string, error) {
	var out []string
	for _, name := range files {
		if name == standardInput {
			if slices.Contains(out, name) {
				return nil, &usageError{text: "the standard input can be read once only", hint: "keep one -f -"}
			}
			out = append(out, name)
			continue
		}
		path := within(g.app.Dir, name)
		info, err := os.Stat(path)
		switch {
		case err != nil:
			var reason *fs.PathError
			if errors.As(err, &reason) {
				err = reason.Err
			}
			return nil, &usageError{text: fmt.Sprintf("read the compose file %s: %v", name, err), hint: "check " + origin}
		case !info.IsDir():
			out = append(out, path)
		case isProgramFolder(path):
			out = append(out, path)
		default:
			found := g.composeFilesIn(path)
			if len(found) == 0 {
				return nil, &usageError{
					text: fmt.Sprintf("folder %s holds neither a compose file nor a Go program", name),
					hint: "`stackctl init` writes one to start from",
				}
			}
			out = append(out, found...)
		}
	}
	return out, nil
}

// folderOf gives the project's folder: what --project-directory says, the folder
// of the first file, or the working directory.
func (g *globalOptions) folderOf(files []string) string {
	if g.projectDirectory != "" {
		return within(g.app.Dir, g.projectDirectory)
	}
	for _, file := range files {
		if file == standardInput {
			continue
		}
		path := within(g.app.Dir, file)
		if isFolder(path) {
			return path
		}
		return filepath.Dir(path)
	}
	return g.app.Dir
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// discover gives the compose file of a folder and its override, or those of the
// nearest folder above that has one; none when there is none.
func (g *globalOptions) discover(dir string) []string {
	for {
		if files := g.composeFilesIn(dir); len(files) > 0 {
			return files
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return nil
		}
		dir = parent
	}
}

// composeFilesIn gives the compose file of a folder and its override.
func (g *globalOptions) composeFilesIn(dir string) []string {
	file := g.oneOf(dir, cli.DefaultFileNames)
	if file == "" {
		return nil
	}
	if override := g.oneOf(dir, cli.DefaultOverrideFileNames); override != "" {
		return []string{file, override}
	}
	return []string{file}
}

// oneOf gives the first of the names that is a file in a folder; empty for none.
func (g *globalOptions) oneOf(dir string, names []string) string {
	var found []string
	for _, name := range names {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.IsDir() || info.Size() == 0 && g.overwrites {
			continue
		}
		found = append(found, filepath.Join(dir, name))
	}
	if len(found) == 0 {
		return ""
	}
	if len(found) > 1 {
		var others []string
		for _, path := range found[1:] {
			others = append(others, filepath.Base(path))
		}
		g.warn(fmt.Sprintf("using %s; %s beside it is not read", shown(g.app.Dir, found[0]), list(others)))
	}
	return found[0]
}

// variableFiles are the files with variables that the user has named.
func (g *globalOptions) variableFiles() []string {
	if len(g.envFiles) > 0 {
		return g.envFiles
	}
	value, _ := g.app.lookupEnv(envFilesVariable)
	return slices.DeleteFunc(strings.Split(value, ","), func(name string) bool { return name == "" })
}

// projectVariables reads what a project in a folder may refer to: the process's
// environment, then the files that were named, or else the folder's .env.
func (g *globalOptions) projectVariables(dir string) (map[string]string, error) {
	if files := g.variableFiles(); len(files) > 0 {
		return g.readVariables(g.app.Dir, files)
	}
	if value, ok := g.app.lookupEnv(consts.ComposeDisableDefaultEnvFile); ok {
		disabled, err := strconv.ParseBool(value)
		if err != nil {
			return nil, &usageError{
				text: fmt.Sprintf("%s=%s is neither true nor false", consts.ComposeDisableDefaultEnvFile, value), hint: "set it to true or false",
			}
		}
		if disabled {
			return g.readVariables(dir, []string{os.DevNull})
		}
	}
	if isFolder(filepath.Join(dir, dotenvName)) {
		// Python keeps its environments in a folder of that name.
		return g.readVariables(dir, []string{os.DevNull})
	}
	return g.readVariables(dir, nil)
}

// activeProfiles are those of the flags, or else of the environment.
func (g *globalOptions) activeProfiles(variables map[string]string) []string {
	if len(g.profiles) > 0 {
		return slices.Clone(g.profiles)
	}
	var out []string
	for name := range strings.SplitSeq(variables[consts.ComposeProfiles], ",") {
		if name = strings.TrimSpace(name); name != "" {
			out = append(out, name)
		}
	}
	return out
}
