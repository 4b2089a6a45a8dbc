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

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/spf13/cobra"

	"github.com/stackctl/stackctl/cmd/stackctl/internal/display"
	"github.com/stackctl/stackctl/pkg/runner"
	"github.com/stackctl/stackctl/pkg/runner/bundle"
	"github.com/stackctl/stackctl/pkg/runner/event"
	"github.com/stackctl/stackctl/pkg/spec"
)

type bundleOptions struct {
	*globalOptions
	services    []string
	output      string
	withSecrets bool
	build       bool
	builder     runner.BuilderMode
	pull        runner.PullPolicy
}

func newBundleCommand(g *globalOptions) *cobra.Command {
	opts := &bundleOptions{globalOptions: g, builder: runner.BuilderAuto}
	cmd := &cobra.Command{
		Use:   "bundle -o FILE [SERVICE...]",
		Short: "Save the stack with its images, for a machine without a registry",
		Long: `Save the stack with its images in one file, for a machine without a registry.

Images that are missing are built or pulled first. The file holds the compose
file with its variables as they are, and the files of its configs. Files that may
hold secrets are left out: secrets, env_file and .env. What is mounted from this
machine is left out, too.

` + "`stackctl up --bundle FILE`" + ` starts the stack from it. It is an archive such as
` + "`docker save`" + ` writes, so ` + "`docker load`" + ` takes the images out of it.`,
		Example: `  # Here
  stackctl bundle -o stack.tar

  # There
  stackctl up --bundle stack.tar

  # Without a file between
  stackctl bundle -o - | ssh there docker load`,
		ValidArgsFunction: g.completeServices,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.services = args
			return runBundle(cmd.Context(), g.app, opts)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&opts.output, "output", "o", "", "`file` to write, - for the standard output")
	flags.BoolVar(&opts.withSecrets, "with-secrets", false, "take the files of secrets and of env_file along, and .env")
	flags.BoolVar(&opts.build, "build", false, "build images that are there already, too")
	flags.Var(newChoice(&opts.builder, runner.BuilderAuto, runner.BuilderGo, runner.BuilderEngine), "builder", "what builds: auto, go (the host's Go toolchain) or engine (the Dockerfile)")
	flags.Var(newChoice(&opts.pull, runner.PullMissing, runner.PullAlways, runner.PullNever), "pull", "when to pull images: missing, always or never")
	_ = cmd.MarkFlagFilename("output", "tar")
	return cmd
}

// check looks at the flags together.
func (o *bundleOptions) check() error {
	switch {
	case o.output == "":
		return &usageError{text: "bundle needs a file to write", hint: "name it with -o, such as -o stack.tar"}
	case o.output == "-" && o.app.OutTTY:
		return &usageError{text: "a bundle is nothing to look at", hint: "send the standard output somewhere else, or name a file with -o"}
	case o.bundle != "":
		return &usageError{text: "--bundle names what is a bundle already", hint: "copy the file"}
	case o.offline && o.pull == runner.PullAlways:
		return pullOffline()
	}
	return nil
}

func runBundle(ctx context.Context, app *App, o *bundleOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	s, err := o.sourceToLoad(ctx, o.services...)
	if err != nil {
		return err
	}
	if err := s.choose(o.services); err != nil {
		return err
	}
	text, err := s.portableText(ctx) // before a folder of this machine is in it
	if err != nil {
		return err
	}
	if err := o.locateSource(ctx, s); err != nil {
		return err
	}
	p, err := s.load(ctx)
	if err != nil {
		return err
	}
	options := runner.BundleOptions{
		Services: o.services, Sources: s.origins, Profiles: s.options.Profiles,
		Build: o.build, Builder: o.builder, Pull: o.pull, Offline: o.offline,
	}
	if o.output != "-" {
		options.TempDir = filepath.Dir(within(app.Dir, o.output)) // which has room for it
	}
	if s.stack != nil {
		options.Sources = []string{"built in"}
	}
	if err := o.collect(s, p, text, &options); err != nil {
		return err
	}
	e, closeEngine, err := o.connect()
	if err != nil {
		return err
	}
	defer closeEngine()
	var made *bundle.Manifest
	size, err := o.write(func(w io.Writer) error {
		return o.watched(s.name, func(sink event.Sink) error {
			made, err = o.newRunner(e, sink).Bundle(ctx, p, options, w)
			return err
		})
	})
	if err != nil {
		return err
	}
	images := fmt.Sprintf("%d images", len(made.Images))
	if len(made.Images) == 1 {
		images = "1 image"
	}
	if o.output == "-" {
		o.progressNote("wrote %s with %s", display.Size(size), images)
		return nil
	}
	o.progressNote("wrote %s: %s with %s; `stackctl up --bundle %s` starts it", o.output, display.Size(size), images, filepath.Base(o.output))
	return nil
}

// portableText gives the compose text with its variables as they are.
func (s *source) portableText(ctx context.Context) ([]byte, error) {
	if s.stack != nil {
		return s.stack.Compose()
	}
	return s.merge(ctx, false)
}

// collect gathers what goes into the bundle beside the images, and tells what
// does not.
func (o *bundleOptions) collect(s *source, p *types.Project, text []byte, into *runner.BundleOptions) error {
	names := p.ServiceNames()
	if len(o.services) > 0 {
		names = s.withDependencies(o.services)
	}
	portable, files, left, err := spec.Portable(text, spec.PortableOptions{
		WorkingDir: s.dir, Env: s.variables, Prefix: "${" + bundleVariable + ":-.}/" + bundleFiles,
		Secrets: o.withSecrets, Services: names, Project: s.name,
	})
	if err != nil {
		return fmt.Errorf("gather the files of the stack: %w", err)
	}
	into.Compose = portable
	for _, f := range files {
		into.Files = append(into.Files, bundle.File{Name: bundleFiles + "/" + f.Name, Mode: f.Mode, Content: f.Content})
	}
	if o.withSecrets {
		env, err := o.variablesText(s)
		if err != nil {
			return err
		}
		if env != nil {
			into.Files = append(into.Files, bundle.File{Name: bundleEnv, Mode: 0o600, Content: env})
		}
	}
	o.announce()
	slices.SortFunc(left, func(a, b spec.Left) int { return cmp.Or(cmp.Compare(a.Use, b.Use), cmp.Compare(a.Path, b.Path)) })
	for _, l := range left {
		o.warn(fmt.Sprintf("%s: %s is not in the bundle, since it may hold secrets; --with-secrets takes it along", l.Use, l.Path))
	}
	for _, name := range slices.Sorted(slices.Values(names)) {
		for _, v := range p.Services[name].Volumes {
			if v.Type == types.VolumeTypeBind {
				o.warn(fmt.Sprintf("service %s mounts %s of this machine, which is not in the bundle", name, shown(s.dir, v.Source)))
			}
		}
	}
	return nil
}

// variablesText joins the files with variables; nil when there are none.
func (o *bundleOptions) variablesText(s *source) ([]byte, error) {
	files, dir := o.variableFiles(), o.app.Dir
	optional := len(files) == 0
	if optional {
		files, dir = []string{dotenvName}, s.dir
	}
	var text []byte
	for _, name := range files {
		content, err := os.ReadFile(within(dir, name))
		if optional && errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("gather the files of the stack: %w", err)
		}
		text = append(append(text, content...), '\n')
	}
	return text, nil
}

// write has f write the file, and gives its size. The file is there when all of
// it is, and not before.
func (o *bundleOptions) write(f func(io.Writer) error) (int64, error) {
	if o.output == "-" {
		out := &sized{w: o.app.Out}
		err := f(out)
		return out.n, err
	}
	path := within(o.app.Dir, o.output)
	temporary, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return 0, fmt.Errorf("write the bundle: %w", err)
	}
	defer os.Remove(temporary.Name()) // it is not there any more when all went well
	if err := f(temporary); err != nil {
		_ = temporary.Close()
		return 0, err
	}
	mode := os.FileMode(0o644)
	if o.withSecrets {
		mode = 0o600
	}
	info, err := temporary.Stat()
	err = errors.Join(err, temporary.Chmod(mode), temporary.Sync(), temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		return 0, fmt.Errorf("write the bundle: %w", err)
	}
	return info.Size(), nil
}

// sized counts what is written.
type sized struct {
	w io.Writer
	n int64
}

func (s *sized) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	s.n += int64(n)
	return n, err
}

// pullOffline is the fault of flags that contradict each other.
func pullOffline() error {
	return &usageError{text: "--pull always and --offline contradict each other", hint: "keep one of them"}
}
