package image

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/containerd/errdefs"
	"github.com/distribution/reference"

	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/state"
	"github.com/stackctl/stackctl/pkg/runner/support"
)

// Mode says what builds images.
type Mode string

// The modes; the empty one is Auto.
const (
	// Auto takes the Go toolchain for a service that names a Go package, where
	// there is one, and the engine for all else.
	Auto Mode = "auto"
	// Go takes the Go toolchain only.
	Go Mode = "go"
	// Engine has the engine build the Dockerfile.
	Engine Mode = "engine"
)

// The ways that [Result.How] names.
const (
	HowGo         = "Go toolchain"
	HowDockerfile = "Dockerfile"
)

// Images is what building needs of an engine.
type Images interface {
	Image(ctx context.Context, ref string) (state.Image, error)
	Build(ctx context.Context, b engine.BuildRequest, each func(engine.Progress)) (string, error)
	LoadImage(ctx context.Context, archive io.Reader) (string, error)
}

// Builder builds images of services.
type Builder struct {
	Engine Images
	Mode   Mode
	// OS and Arch are the platform of the engine's containers, in Go's words.
	OS, Arch string
	// GoCommand is the go command; empty to look for it on the PATH.
	GoCommand string
	// Offline lets the go command fetch no modules. What an engine fetches is for
	// [Builder.Bases] to find out before.
	Offline bool
	// Cache is a folder for what can be made again: what went into the last build
	// of each Go package. Empty to remember nothing.
	Cache string
}

// Request asks for the image of a service.
type Request struct {
	Project string
	Service types.ServiceConfig
	// Tag is the reference that the image gets.
	Tag string
	// Secrets are what the Dockerfile may ask for; Target is the id.
	Secrets []state.File
}

// Result is the image that came out.
type Result struct {
	ImageID string
	// Changed is false when the engine had the very same image before.
	Changed bool
	// How is [HowGo] or [HowDockerfile].
	How string
}

// Build makes the image of a service under s.Image, and says how.
func (b *Builder) Build(ctx context.Context, project string, s *state.ServiceSpec, each func(engine.Progress)) (note string, err error) {
	result, err := b.Make(ctx, Request{Project: project, Service: s.Config, Tag: s.Image, Secrets: s.BuildSecrets}, each)
	if err != nil {
		return "", err
	}
	if !result.Changed {
		return "unchanged, " + result.How, nil
	}
	return result.How, nil
}

// Make makes the image that is asked for. The engine has it afterwards under the
// tag, and under the further tags of the build section.
func (b *Builder) Make(ctx context.Context, r Request, each func(engine.Progress)) (Result, error) {
	result, err := b.make(ctx, r, each)
	if err != nil {
		return Result{}, fmt.Errorf("service %s: %w", r.Service.Name, err)
	}
	return result, nil
}

func (b *Builder) make(ctx context.Context, r Request, each func(engine.Progress)) (Result, error) {
	if each == nil {
		each = func(engine.Progress) {}
	}
	if r.Service.Build == nil {
		return Result{}, errors.New("there is no build section")
	}
	tags, err := tagsOf(r)
	if err != nil {
		return Result{}, err
	}
	platform, err := platformOf(r.Service)
	if err != nil {
		return Result{}, err
	}
	goPackage, err := goPackage(r.Service.Build)
	if err != nil {
		return Result{}, err
	}
	p := b.targetOf(platform)
	switch b.Mode {
	case Go:
		if goPackage == "" {
			return Result{}, errors.New("it names no Go package to build: add x-stackctl: {go: ./package} to its build section, or let the engine build its Dockerfile (--builder engine)")
		}
		tool, err := b.toolchain(ctx, r.Service.Build.Context, goPackage, p)
		if err != nil {
			return Result{}, fmt.Errorf("there is no go command on the PATH (%w): install Go, or let the engine build the Dockerfile (--builder engine)", err)
		}
		return b.makeGo(ctx, r, tool, goPackage, p, tags, each)
	case Auto, "":
		if goPackage == "" {
			break
		}
		if tool, err := b.toolchain(ctx, r.Service.Build.Context, goPackage, p); err == nil && tool.usable() {
			return b.makeGo(ctx, r, tool, goPackage, p, tags, each)
		}
	case Engine:
	default:
		return Result{}, fmt.Errorf("no builder is called %q; there are auto, go and engine", b.Mode)
	}
	return b.makeDockerfile(ctx, r, platform, tags, each)
}

// tagsOf gives the references of the image, in full.
func tagsOf(r Request) ([]string, error) {
	var tags []string
	for _, tag := range append([]string{r.Tag}, r.Service.Build.Tags...) {
		named, err := reference.ParseNormalizedNamed(tag)
		if err != nil {
			return nil, fmt.Errorf("image %q: %w", tag, err)
		}
		if _, digested := named.(reference.Digested); digested {
			return nil, fmt.Errorf("image %q: what is built cannot have a digest for its name", tag)
		}
		if tag = reference.FamiliarString(reference.TagNameOnly(named)); !slices.Contains(tags, tag) {
			tags = append(tags, tag)
		}
	}
	return tags, nil
}

// platformOf gives the platform that the service asks for; empty for the
// engine's own.
func platformOf(service types.ServiceConfig) (string, error) {
	platforms := service.Build.Platforms
	switch {
	case service.Platform != "" && len(platforms) > 0 && !slices.Contains(platforms, service.Platform):
		return "", fmt.Errorf("its platform %s is none of build.platforms", service.Platform)
	case service.Platform == "" && len(platforms) > 1:
		return "", errors.New("build.platforms has more than one, and an engine holds one: name it with platform")
	case service.Platform == "" && len(platforms) == 1:
		return platforms[0], nil
	}
	return service.Platform, nil
}

// labelsOf gives the labels that Docker Compose puts on what it builds.
func labelsOf(r Request) map[string]string {
	labels := maps.Clone(map[string]string(r.Service.Build.Labels))
	if labels == nil {
		labels = map[string]string{}
	}
	labels[state.LabelProject] = r.Project
	labels[state.LabelService] = r.Service.Name
	labels[state.LabelVersion] = state.ComposeVersion
	return labels
}

// makeDockerfile has the engine build.
func (b *Builder) makeDockerfile(ctx context.Context, r Request, platform string, tags []string, each func(engine.Progress)) (Result, error) {
	config := r.Service.Build
	if _, err := support.CheckBuild(r.Service, ""); err != nil {
		return Result{}, err
	}
	secrets, err := secrets(r.Secrets)
	if err != nil {
		return Result{}, err
	}
	before, err := b.Engine.Image(ctx, tags[0])
	if err != nil && !errdefs.IsNotFound(err) {
		return Result{}, err
	}
	hosts := config.ExtraHosts.AsList(":")
	slices.Sort(hosts)
	id, err := b.Engine.Build(ctx, engine.BuildRequest{
		Context:    cmp.Or(config.Context, "."),
		Dockerfile: config.Dockerfile,
		Inline:     config.DockerfileInline,
		Target:     config.Target,
		Args:       arguments(config),
		Labels:     labelsOf(r),
		Tags:       tags,
		Platform:   platform,
		Network:    config.Network,
		ExtraHosts: hosts,
		// The API knows no stages, so all of them are built anew for the sake of one.
		NoCache:   config.NoCache || len(config.NoCacheFilter) > 0,
		Pull:      config.Pull,
		CacheFrom: caches(config),
		ShmSize:   int64(config.ShmSize),
		Ulimits:   ulimits(config.Ulimits),
		Isolation: config.Isolation,
		Secrets:   secrets,
		Agents:    agents(config.SSH),
	}, each)
	if err != nil {
		return Result{}, err
	}
	return Result{ImageID: id, Changed: id != before.ID, How: HowDockerfile}, nil
}
