// Package engine is what stackctl needs of a container engine, in its own
// words. Package engine/docker speaks to a Docker Engine; package
// engine/enginetest is an engine in memory, for tests.
//
// Errors say what failed on what. Their class can be asked for with
// containerd/errdefs (IsNotFound, IsConflict, IsUnavailable ...); those of this
// package with errors.As.
package engine

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/stackctl/stackctl/pkg/runner/state"
)

// Engine is all of it. Consumers take the part that they use.
type Engine interface {
	Observer
	Mutator
	Streamer
}

// Observer reads. Its methods change nothing.
type Observer interface {
	// Info says which engine answers. It is the first call of every command and
	// gives an *UnreachableError or *VersionError when there is none to work with.
	Info(ctx context.Context) (Info, error)
	// Containers lists the containers of a project, or of all projects and none
	// when project is empty; stopped ones included.
	Containers(ctx context.Context, project string) ([]state.Container, error)
	// Networks lists all networks of the engine.
	Networks(ctx context.Context) ([]state.Network, error)
	// Volumes lists all volumes of the engine.
	Volumes(ctx context.Context) ([]state.Volume, error)
	// Image looks up an image by reference or id; errdefs.IsNotFound when the
	// engine does not have it.
	Image(ctx context.Context, ref string) (state.Image, error)
	// Inspect looks at one container, by id or name, more closely than a list.
	Inspect(ctx context.Context, container string) (Inspection, error)
}

// Mutator makes, starts, stops and removes. Every method may be called again
// after a failure.
type Mutator interface {
	CreateNetwork(ctx context.Context, n state.NetworkSpec) error
	// RemoveNetwork takes a name or id. One that is gone is no error.
	RemoveNetwork(ctx context.Context, network string) error
	CreateVolume(ctx context.Context, v state.VolumeSpec) error
	// RemoveVolume takes a name. One that is gone is no error.
	RemoveVolume(ctx context.Context, volume string) error
	// CreateContainer makes a container and gives its id. The container is
	// attached to all its networks and holds all its files, but does not run.
	CreateContainer(ctx context.Context, c CreateContainer) (string, error)
	// StartContainer starts a container, or unpauses a paused one. One that runs
	// is no error.
	StartContainer(ctx context.Context, container string) error
	// StopContainer sends the stop signal and kills after the grace period; nil
	// for the container's own. One that does not run, or is gone, is no error.
	StopContainer(ctx context.Context, container string, grace *time.Duration) error
	// RemoveContainer removes a stopped container, with volumes its anonymous
	// volumes too. One that is gone is no error.
	RemoveContainer(ctx context.Context, container string, volumes bool) error
	RenameContainer(ctx context.Context, container, name string) error
	// RemoveImage removes the reference, and the image with its last one. One
	// that is gone is no error.
	RemoveImage(ctx context.Context, ref string) error
}

// Streamer has the calls that go on for a while.
type Streamer interface {
	// Events opens the stream of a project's container events, or of all when
	// project is empty. When it returns, the stream is open: no later event is
	// missed. The channel is closed when ctx ends or the engine ends the stream;
	// an Event with Err comes first in the second case.
	Events(ctx context.Context, project string) (<-chan Event, error)
	// Logs reads a container's log. Lines come in order for each of the two
	// streams. The log of a container with a TTY is all stdout.
	Logs(ctx context.Context, container string, o LogOptions, each func(LogLine)) error
	// Exec runs a command in a running container, waits for its end and gives
	// what it wrote, cut at 4 KiB.
	Exec(ctx context.Context, container string, c Command) (ExecResult, error)
	// Pull fetches an image from its registry. What goes wrong there is a
	// *PullError.
	Pull(ctx context.Context, ref, platform string, each func(Progress)) error
	// Build builds an image from a Dockerfile and gives its id.
	Build(ctx context.Context, b BuildRequest, each func(Progress)) (string, error)
	// LoadImage loads a `docker save` archive and gives the loaded image's id.
	LoadImage(ctx context.Context, archive io.Reader) (string, error)
	// SaveImages writes a `docker save` archive of all these references;
	// errdefs.IsNotFound when the engine does not have one of them.
	SaveImages(ctx context.Context, refs []string, w io.Writer) error
}

// Info is what an engine says of itself.
type Info struct {
	// Endpoint is the address that was dialled: "unix:///var/run/docker.sock".
	Endpoint string
	// Local says that the engine shares this machine's ports and files.
	Local bool
	// Version is the engine's release, APIVersion the version that was agreed.
	Version    string
	APIVersion string
	// OS and Arch are the platform of its containers, in Go's words: "linux",
	// "amd64".
	OS, Arch string
	// KnowsStartInterval says that the engine itself probes at start_interval
	// (API 1.44 and later).
	KnowsStartInterval bool
}

// CreateContainer asks for a container.
type CreateContainer struct {
	Spec state.ContainerSpec
	// Name overrides Spec.Name, for one that is to take over another's.
	Name string
	// Labels are added to Spec.Labels.
	Labels map[string]string
	// Keep are the anonymous volumes of the container that this one replaces,
	// mounted again at their targets.
	Keep []state.Mount
}

// Inspection is a close look at a container.
type Inspection struct {
	ID   string
	Name string
	// State and Health are as in state.Container.
	State     string
	Health    string
	ExitCode  int
	OOMKilled bool
	// Error is the engine's reason why the container could not be started.
	Error        string
	StartedAt    time.Time
	RestartCount int
	// RestartPolicy is no, always, on-failure or unless-stopped.
	RestartPolicy string
	// Healthcheck is what the engine probes with, from the stack or the image;
	// nil when there is none.
	Healthcheck *Healthcheck
	// LastProbe is the engine's last probe; nil before the first.
	LastProbe *ProbeResult
	// Tty says that the log has one stream only.
	Tty bool
}

// Healthcheck is a container's effective healthcheck.
type Healthcheck struct {
	// Command is ready to exec: CMD-SHELL is already wrapped in its shell.
	Command []string
	// Zero durations mean the engine's defaults.
	Interval, Timeout, StartPeriod, StartInterval time.Duration
	Retries                                       int
}

// ProbeResult is the end of one probe.
type ProbeResult struct {
	ExitCode int
	Output   string
}

// Event is something that happened to a container.
type Event struct {
	Time time.Time
	// ID and Name are the container's; Service is its label.
	ID, Name, Service string
	// Action is create, start, die, stop, kill, oom, destroy, rename, pause,
	// unpause, health_status or another of the engine's words. Execs are left out.
	Action string
	// Health is set with health_status: healthy or unhealthy.
	Health string
	// ExitCode is set with die.
	ExitCode int
	// Err ends the stream.
	Err error
}

// LogOptions choose lines of a log. The zero value takes all there are.
type LogOptions struct {
	Follow bool
	// Since leaves out what is older; zero takes all.
	Since time.Time
	// Tail takes the last lines only; nil takes all.
	Tail *int
}

// LogLine is one line without its line end.
type LogLine struct {
	Time   time.Time
	Stderr bool
	Text   string
}

// Command is what to run in a container that runs. The zero values of all but
// Args are the container's own.
type Command struct {
	Args []string
	User string
	// WorkingDir is absolute.
	WorkingDir string
	// Env holds "NAME=value".
	Env        []string
	Privileged bool
}

// ExecResult is the end of a command.
type ExecResult struct {
	ExitCode int
	Output   string
}

// Progress is a step of a pull, a build or a load.
type Progress struct {
	// ID is the layer or build step; empty for the whole.
	ID string
	// Text says what goes on: "Downloading", "RUN go build".
	Text string
	// Phase is where the layer ID of a pull stands; empty for all else.
	Phase Phase
	// Current and Total are bytes; Total is 0 when unknown.
	Current, Total int64
}

// BuildRequest asks for an image from a Dockerfile.
type BuildRequest struct {
	// Context is the folder that is sent, less what its .dockerignore names.
	Context string
	// Dockerfile is relative to Context. Inline holds its text instead.
	Dockerfile string
	Inline     string
	Target     string
	// Args with a nil value are not sent.
	Args     map[string]*string
	Labels   map[string]string
	Tags     []string
	Platform string
	Network  string
	// Extra hosts as "name:address".
	ExtraHosts []string
	NoCache    bool
	Pull       bool
}

// UnreachableError says that no engine answered.
type UnreachableError struct {
	// Endpoint is what was tried; Source is where the address came from: a flag,
	// DOCKER_HOST, a context or the default.
	Endpoint, Source string
	Err              error
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("the engine at %s (from %s) does not answer: %v", e.Endpoint, e.Source, e.Err)
}

func (e *UnreachableError) Unwrap() error { return e.Err }

// VersionError says that the engine is too old.
type VersionError struct {
	Endpoint            string
	APIVersion, Minimum string
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("the engine at %s speaks API %s; stackctl needs %s (Docker 20.10) or later", e.Endpoint, e.APIVersion, e.Minimum)
}
