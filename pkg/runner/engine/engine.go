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
	"errors"
	"fmt"
	"io"
	"strings"
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
	// Platform says what the engine's containers run on. Only builds and bundles
	// need it: an engine takes about 10 ms to say so.
	Platform(ctx context.Context) (Platform, error)
	// Now gives the time by the engine's clock, which is that of logs and events. It
	// asks on a new connection: an engine that is being stopped takes none, while it
	// still answers on old ones. One that takes none is an *UnreachableError.
	Now(ctx context.Context) (time.Time, error)
	// Containers lists the containers of a project, or of all projects and none
	// when project is empty; stopped ones included.
	Containers(ctx context.Context, project string) ([]state.Container, error)
	// Networks lists all networks of the engine.
	Networks(ctx context.Context) ([]state.Network, error)
	// Volumes lists all volumes of the engine.
	Volumes(ctx context.Context) ([]state.Volume, error)
	// VolumeSizes gives the bytes that each volume takes, by name; those that the
	// engine cannot tell are left out. It is slow: the engine walks through all files.
	VolumeSizes(ctx context.Context) (map[string]int64, error)
	// Image looks up an image by reference or id; errdefs.IsNotFound when the
	// engine does not have it.
	Image(ctx context.Context, ref string) (state.Image, error)
	// Inspect looks at one container, by id or name, more closely than a list.
	Inspect(ctx context.Context, container string) (Inspection, error)
	// Compare says in which points a container, by id or name, differs from what
	// CreateContainer would make now; none when it is the same in meaning. Networks
	// and images are not compared: their names and ids are in the lists.
	Compare(ctx context.Context, container string, c CreateContainer) ([]state.Difference, error)
}

// Mutator makes, starts, stops and removes. Every method may be called again
// after a failure.
type Mutator interface {
	CreateNetwork(ctx context.Context, n state.NetworkSpec) error
	// RemoveNetwork takes a name or id. One that is gone is no error.
	RemoveNetwork(ctx context.Context, network string) error
	// Connect attaches a container to one more network, at once when it runs.
	Connect(ctx context.Context, container string, a state.Attachment) error
	// Disconnect takes a container off a network, by name or id. One that is not
	// on it, or is gone, is no error.
	Disconnect(ctx context.Context, container, network string) error
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
	// for the container's own. One that does not run, or is gone, is no error. An engine
	// that is silent for longer than that is an *UnansweredError.
	StopContainer(ctx context.Context, container string, grace *time.Duration) error
	// RemoveContainer removes a stopped container, with volumes its anonymous
	// volumes too. One that is gone is no error.
	RemoveContainer(ctx context.Context, container string, volumes bool) error
	RenameContainer(ctx context.Context, container, name string) error
	// SignalContainer sends a signal, such as "SIGINT", to the main process of a
	// container; errdefs.IsConflict for one that does not run.
	SignalContainer(ctx context.Context, container, signal string) error
	// RemoveImage removes the reference, and the image with its last one. One
	// that is gone is no error.
	RemoveImage(ctx context.Context, ref string) error
}

// Streamer has the calls that go on for a while.
type Streamer interface {
	// Events opens the stream of a project's container events, or of all when
	// project is empty. When it returns, the stream is open: no later event is
	// missed. The channel is closed when ctx ends or the engine ends the stream;
	// an Event with Err comes first in the second case. Execs are left out.
	Events(ctx context.Context, project string) (<-chan Event, error)
	// AllEvents gives each what happened to a project's containers, execs and
	// one-off containers included, and goes on until ctx or the engine ends it: nil
	// is the end that was asked for, with ctx or o.Until.
	AllEvents(ctx context.Context, o EventOptions, each func(Event)) error
	// Logs reads a container's log. Lines come in order for each of the two
	// streams. The log of a container with a TTY is all stdout.
	Logs(ctx context.Context, container string, o LogOptions, each func(LogLine)) error
	// Exec runs a command in a running container, waits for its end and gives
	// what it wrote, cut at 4 KiB.
	Exec(ctx context.Context, container string, c Command) (ExecResult, error)
	// ExecAttached runs a command in a running container with the caller's
	// streams, waits for its end and gives its exit code. When ctx ends it returns
	// at once and the command goes on. The error is ErrDetached when the user let
	// go of the command.
	ExecAttached(ctx context.Context, container string, c Command, s Streams) (int, error)
	// ExecDetached starts a command in a running container and leaves it alone.
	ExecDetached(ctx context.Context, container string, c Command) error
	// StartAttached starts a container that does not run with the caller's
	// streams, so that nothing it writes is missed, waits for its end and gives its
	// exit code; one that the engine removes at its end is gone then. When ctx ends
	// it returns at once and the container goes on. The error is ErrDetached when
	// the user let go of the container. started is called once it runs; nil for
	// no call.
	StartAttached(ctx context.Context, container string, s Streams, started func()) (int, error)
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
	// ReadFolder writes a tar archive of a folder of a container, which need not run:
	// "./" first, with the folder's own owner and mode, then what is below it. An
	// error of w ends the call and is given as it is.
	ReadFolder(ctx context.Context, container, folder string, w io.Writer) error
	// WriteFolder unpacks such an archive in a folder of a container, which need not
	// run, and gives the folder the owner and mode that the archive has for it. The
	// folder's parent has to be outside of any volume.
	WriteFolder(ctx context.Context, container, folder string, archive io.Reader) error
}

// Info is what an engine says of itself.
type Info struct {
	// Endpoint is the address that was dialled: "unix:///var/run/docker.sock".
	Endpoint string
	// Local says that the engine shares this machine's ports and files.
	Local bool
	// APIVersion is the version that was agreed.
	APIVersion string
	// KnowsStartInterval says that the engine itself probes at start_interval
	// (API 1.44 and later).
	KnowsStartInterval bool
}

// Platform is what containers run on, in Go's words.
type Platform struct {
	OS   string // "linux"
	Arch string // "amd64"
}

// String gives the platform as images name it: "linux/amd64".
func (p Platform) String() string { return p.OS + "/" + p.Arch }

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
	// StopSignal is the container's own, "SIGTERM" unless it says otherwise; StopGrace
	// is the time between it and the kill.
	StopSignal string
	StopGrace  time.Duration
	// Tty says that the log has one stream only.
	Tty bool
	// Published are the host ports as they were asked for, sorted: "8080",
	// "8000-8010". Those that the engine chooses are left out.
	Published []string
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
	// unpause, health_status or another of the engine's words.
	Action string
	// Detail is what the engine says beside the action: the command of an exec.
	Detail string
	// Health is set with health_status: healthy or unhealthy.
	Health string
	// ExitCode is set with die.
	ExitCode int
	// Attributes are what else the engine tells: the container's name, image and
	// labels. They come with AllEvents only.
	Attributes map[string]string
	// Err ends the stream.
	Err error
}

// EventOptions choose events. The zero value takes those of all containers from
// now on.
type EventOptions struct {
	// Project limits them to the containers of one.
	Project string
	// Since starts with what happened then; zero with now. An engine remembers its
	// last 256 events, of all kinds.
	Since time.Time
	// Until ends the stream at a time, which may have passed; zero does not.
	Until time.Time
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

// Streams connect a caller with a command. The zero value gives it no input and
// throws away what it writes.
type Streams struct {
	// In is read to its end, which the command sees too; nil for no input. A Read
	// that waits when the command ends is left behind.
	In io.Reader
	// Out and Err take what it writes; nil throws it away. An error of theirs ends
	// the call. With a Terminal all goes to Out.
	Out, Err io.Writer
	// Terminal gives the command a terminal; nil gives it none.
	Terminal *Terminal
}

// Terminal is the caller's terminal, as far as a command's own follows it. The
// keys ctrl-p ctrl-q, one after the other, let go of the command.
type Terminal struct {
	// Size is the size at the start.
	Size Size
	// Resized brings every later size; nil when there is none.
	Resized <-chan Size
}

// Size is that of a terminal, in characters.
type Size struct{ Columns, Rows int }

// ErrDetached says that the user has let go of a command by the keys for it. The
// command goes on.
var ErrDetached = errors.New("detached")

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
	// Context is the folder that is sent, less what its .dockerignore names; or the
	// address of a repository or an archive, which the engine fetches itself.
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
	// CacheFrom are images whose layers and inline caches may be taken over.
	CacheFrom []string
	// ShmSize is in bytes; zero for the engine's default.
	ShmSize int64
	Ulimits []Ulimit
	// Isolation is for engines on Windows; empty for the default.
	Isolation string
	// Secrets are what RUN --mount=type=secret can ask for, by id.
	Secrets map[string][]byte
	// Agents are the sockets of ssh agents that RUN --mount=type=ssh can ask for,
	// by id; an empty path stands for the user's own agent.
	Agents map[string]string
}

// Remote says that the context is not a folder of this machine.
func (b BuildRequest) Remote() bool {
	return strings.Contains(b.Context, "://") || strings.HasPrefix(b.Context, "git@") || strings.HasPrefix(b.Context, "github.com/")
}

// Ulimit is a limit of the processes of a build.
type Ulimit struct {
	Name       string
	Soft, Hard int64
}

// UnreachableError says that no engine answered.
type UnreachableError struct {
	// Endpoint is what was tried; Source is where the address came from: a flag,
	// DOCKER_HOST, a context or the default.
	Endpoint, Source string
	// Lost says that it had answered before: it was stopped, or the network was cut.
	Lost bool
	Err  error
}

func (e *UnreachableError) Error() string {
	if e.Lost {
		return fmt.Sprintf("the engine at %s does not answer any more: %v", e.Endpoint, e.Err)
	}
	return fmt.Sprintf("the engine at %s (from %s) does not answer: %v", e.Endpoint, e.Source, e.Err)
}

func (e *UnreachableError) Unwrap() error { return e.Err }

// AnswerError says that what answers does not do so as a Docker Engine does: something
// stands between, or it is another program.
type AnswerError struct {
	// Endpoint is the engine's address, Call the method and path of the request.
	Endpoint, Call string
	// Reason says what came instead of an answer.
	Reason string
}

func (e *AnswerError) Error() string {
	return fmt.Sprintf("what answers at %s is no Docker Engine, or something stands between: the answer to %s makes no sense: %s", e.Endpoint, e.Call, e.Reason)
}

// VersionError says that the engine is too old.
type VersionError struct {
	Endpoint            string
	APIVersion, Minimum string
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("the engine at %s speaks API %s; stackctl needs %s (Docker 20.10) or later", e.Endpoint, e.APIVersion, e.Minimum)
}
