package spec

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/consts"
	"github.com/compose-spec/compose-go/v2/interpolation"
	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/tree"
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stackctl/stackctl/pkg/internal/memory"
)

// LoadOptions say what Load reads. Either Files or Content is set.
type LoadOptions struct {
	// Files are paths of compose files; later ones override earlier ones.
	Files []string
	// Contents hold the text of those Files that are not to be read: what came
	// from the standard input, called "-", or from a program. Their names are
	// taken as they are. Nil: every file is read.
	Contents map[string][]byte
	// Content is the text of a compose file that is in no file.
	Content []byte
	// WorkingDir is what relative paths in the text start from. Empty: the
	// directory of the first file that is read, or the current directory.
	WorkingDir string
	// Env holds the variables that the text may refer to. Nothing else is
	// looked up: the process's environment does not count unless it is in here.
	Env map[string]string
	// Name is the project's name, whatever the text says. Empty: the text's,
	// or if it has none, the working directory's.
	Name string
	// Profiles are the active ones, "*" for all; services of others are left out.
	Profiles []string
	// Scale sets the number of containers of services by name, whatever the text
	// says. Naming a service that is not there, or is left out, is a fault.
	Scale map[string]int
	// Cache is a folder of the user's in which is remembered what the schema has
	// accepted, which spares the next load of the same text half of its time.
	// Empty: every load checks against the schema.
	Cache string
}

// LoadOption changes how Stack.Project loads a stack.
type LoadOption func(*LoadOptions)

// WithEnv sets the variables that the stack may refer to.
func WithEnv(env map[string]string) LoadOption {
	return func(o *LoadOptions) { o.Env = env }
}

// WithWorkingDir sets the directory that relative paths start from.
func WithWorkingDir(dir string) LoadOption {
	return func(o *LoadOptions) { o.WorkingDir = dir }
}

// WithName replaces the stack's own name.
func WithName(name string) LoadOption {
	return func(o *LoadOptions) { o.Name = name }
}

// WithProfiles sets the active profiles.
func WithProfiles(profiles ...string) LoadOption {
	return func(o *LoadOptions) { o.Profiles = profiles }
}

// WithScale sets the number of containers of services by name.
func WithScale(numbers map[string]int) LoadOption {
	return func(o *LoadOptions) { o.Scale = numbers }
}

// WithCache sets the folder in which is remembered what the schema has accepted.
func WithCache(dir string) LoadOption {
	return func(o *LoadOptions) { o.Cache = dir }
}

// Load reads a project: the one way by which every stack, typed or written,
// becomes a model to run. Paths in it are absolute, variables resolved, names
// of networks and volumes complete.
//
// A stack with faults gives a *ValidationError that holds all of them; any
// other error means that the text could not be read.
func Load(ctx context.Context, opts LoadOptions) (*types.Project, error) {
	source, err := opts.read()
	if err != nil {
		return nil, fmt.Errorf("load compose file: %w", err)
	}
	if err := source.refused(ctx); err != nil {
		return nil, err
	}
	project, err := source.load(ctx)
	if ctx.Err() != nil {
		return nil, fmt.Errorf("load compose file: %w", context.Cause(ctx))
	}
	if err != nil {
		return nil, source.invalid(source.diagnose(ctx, err))
	}
	problems := scale(project, opts.Scale)
	if problems = append(problems, Check(project)...); len(problems) > 0 {
		return nil, source.invalid(problems)
	}
	return project, nil
}

// refused says why the loader should not see the files, and what else is wrong with
// them; nil when it may.
func (s *source) refused(ctx context.Context) error {
	if len(s.survey(false).problems) == 0 {
		return nil
	}
	return s.invalid(s.diagnose(ctx, nil))
}

// invalid gives problems as an error, with their positions.
func (s *source) invalid(problems []Problem) error {
	if len(problems) > maxTold {
		problems = append(slices.Clone(problems[:maxTold]), more)
	}
	return &ValidationError{Problems: s.locate(problems)}
}

// scale sets numbers of containers, and reports those that it cannot set.
func scale(p *types.Project, numbers map[string]int) []Problem {
	var problems []Problem
	for name, n := range numbers {
		service, ok := p.Services[name]
		switch {
		case ok:
			service.SetScale(n)
			p.Services[name] = service
		case has(p.DisabledServices, name):
			problems = append(problems, Problem{
				Path: "services." + name, Message: "cannot be scaled: it is left out, because none of its profiles is active",
				Hint: "activate one",
			})
		default:
			problems = append(problems, Problem{
				Path: "services." + name, Message: "cannot be scaled: it is not declared",
				Hint: "the services are " + strings.Join(p.ServiceNames(), ", "),
			})
		}
	}
	return problems
}

// source is what Load has read.
type source struct {
	files      []types.ConfigFile
	paths      []string // of files; empty for content
	workingDir string
	env        map[string]string
	name       string
	profiles   []string
	accepted   memory.File // digests
	// refusals are the files that the loader should not see, and why: what is large
	// is parsed for that once.
	refusals map[string]Problem
}

func (o LoadOptions) read() (*source, error) {
	s := &source{env: o.Env, name: o.Name, profiles: o.Profiles, accepted: memory.In(o.Cache, "accepted"), refusals: map[string]Problem{}}
	switch {
	case o.Content != nil && len(o.Files) > 0:
		return nil, errors.New("both files and content given")
	case o.Content != nil:
		s.files = []types.ConfigFile{{Filename: "compose.yml", Content: o.Content}}
	case len(o.Files) == 0:
		return nil, errors.New("no file given")
	}
	dir := o.WorkingDir
	for _, name := range o.Files {
		path := name
		content, given := o.Contents[name]
		if !given {
			var err error
			if path, err = filepath.Abs(name); err != nil {
				return nil, err
			}
			if content, err = os.ReadFile(path); err != nil {
				return nil, err
			}
			dir = cmp.Or(dir, filepath.Dir(path))
		}
		s.files = append(s.files, types.ConfigFile{Filename: path, Content: content})
		s.paths = append(s.paths, path)
	}
	var err error
	s.workingDir, err = filepath.Abs(dir)
	return s, err
}

// load runs compose-go's loader once. The adjustments are for diagnose, which
// loads what is broken.
func (s *source) load(ctx context.Context, adjust ...func(*loader.Options)) (*types.Project, error) {
	details := s.details()
	model, options, err := s.model(ctx, details, adjust...)
	if err != nil {
		return nil, unmodelled{err}
	}
	project, err := loader.ModelToProject(model, options, details)
	if err != nil && !options.SkipConsistencyCheck {
		return nil, s.inconsistency(err, model, options, details)
	}
	if err != nil {
		return nil, err
	}
	project.ComposeFiles = s.paths
	return project, nil
}

// inconsistency adds to an error of the loader the project that is not consistent, if
// it is no more than that.
func (s *source) inconsistency(cause error, model map[string]any, options *loader.Options, details types.ConfigDetails) error {
	restoreExtensions(model)
	options.SkipConsistencyCheck = true
	project, err := loader.ModelToProject(model, options, details)
	if err != nil {
		return cause
	}
	project.ComposeFiles = s.paths
	return &inconsistent{error: cause, project: project}
}

// restoreExtensions undoes what the loader has done to a tree when it made a project of
// it, so that it can do so again: it puts extensions where it does not look for them.
func restoreExtensions(tree any) {
	switch in := tree.(type) {
	case map[string]any:
		extensions, _ := in[consts.Extensions].(map[string]any)
		delete(in, consts.Extensions)
		maps.Copy(in, extensions)
		for _, value := range in {
			restoreExtensions(value)
		}
	case []any:
		for _, value := range in {
			restoreExtensions(value)
		}
	}
}

// inconsistent is an error of the loader's last check, with the project that it was
// about.
type inconsistent struct {
	error
	project *types.Project
}

func (e *inconsistent) Unwrap() error { return e.error }

// unmodelled is an error of the loader from before it checks for consistency.
type unmodelled struct{ error }

func (e unmodelled) Unwrap() error { return e.error }

func (s *source) details() types.ConfigDetails {
	details := types.ConfigDetails{
		WorkingDir:  s.workingDir,
		ConfigFiles: s.files,
		// A copy, because the loader writes COMPOSE_PROJECT_NAME into it.
		Environment: maps.Clone(s.env),
	}
	if details.Environment == nil {
		details.Environment = types.Mapping{}
	}
	return details
}

func (s *source) options() []func(*loader.Options) {
	return []func(*loader.Options){
		loader.WithProfiles(s.profiles),
		// Values of env_file are part of the environment by then.
		loader.WithDiscardEnvFiles,
		s.castLess,
		func(o *loader.Options) {
			if s.name != "" {
				o.SetProjectName(s.name, true)
			} else {
				o.SetProjectName(loader.NormalizeProjectName(filepath.Base(s.workingDir)), false)
			}
		},
	}
}

// castLess takes out of the loader's options what makes numbers and such of the text
// under keys that the files do not have: the loader compares each value's path with
// each of a hundred patterns, which is most of what a large file takes.
func (s *source) castLess(o *loader.Options) {
	// Further files have other keys, and an escape may stand for any letter.
	if s.mentions("include") || s.mentions("extends") || s.mentions(`\`) {
		return
	}
	mentioned := map[string]bool{"*": true, "[]": true}
	casts := map[tree.Path]interpolation.Cast{}
	for pattern, cast := range o.Interpolate.TypeCastMapping {
		if !slices.ContainsFunc(pattern.Parts(), func(key string) bool {
			known, seen := mentioned[key]
			if !seen {
				known = s.mentions(key)
				mentioned[key] = known
			}
			return !known
		}) {
			casts[pattern] = cast
		}
	}
	o.Interpolate.TypeCastMapping = casts
}

// mentions says that a word is somewhere in the files.
func (s *source) mentions(word string) bool {
	return slices.ContainsFunc(s.files, func(f types.ConfigFile) bool { return bytes.Contains(f.Content, []byte(word)) })
}
