package plan

import (
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stackctl/stackctl/pkg/runner/state"
)

// Op is one engine action. The set is sealed: a switch over it can be complete.
type Op interface {
	// Verb is the action in words: "create", "wait until healthy".
	Verb() string
	// Ref names what it acts on.
	Ref() state.Ref
	// kind names the operation in JSON.
	kind() string
}

// CreateNetwork makes a network.
type CreateNetwork struct {
	Network state.NetworkSpec
	// Before is the network that was removed for it, and comes back when it cannot
	// be made; nil for none.
	Before *state.Network
	// Members are the containers that were on that one.
	Members []ConnectContainer
}

// CreateVolume makes a volume.
type CreateVolume struct{ Volume state.VolumeSpec }

// PullImage fetches an image from its registry.
type PullImage struct {
	Image    string
	Platform string
}

// LoadImage brings an image in from an archive.
type LoadImage struct{ Image string }

// BuildImage builds a service's image.
type BuildImage struct {
	Image   string
	Service *state.ServiceSpec
}

// CreateContainer makes a container, which does not run yet.
type CreateContainer struct{ Container state.ContainerSpec }

// ReplaceContainer makes a container and gives it the place and the name of
// another, which is stopped and put aside under a name that nothing wants;
// anonymous volumes move along. The new one does not run yet; the old one is there
// until the new one has started, or is ready.
type ReplaceContainer struct {
	Old state.Container
	New state.ContainerSpec
	// IfImageChanged keeps the old container when its image is still the one
	// that the reference means, after the pull or build before.
	IfImageChanged bool
	// IfReplaced keeps the old container, too, unless the container of this name
	// was replaced: it lives in that one's namespaces.
	IfReplaced string
	// RenewVolumes lets the new container begin with empty anonymous volumes.
	RenewVolumes bool
	// Grace is the time between stop signal and kill; nil for the container's own.
	Grace *time.Duration
}

// Conditional says that the replacement may turn out not to be needed.
func (o ReplaceContainer) Conditional() bool { return o.IfImageChanged || o.IfReplaced != "" }

// ConnectContainer attaches a container that stays to a network that was made anew.
type ConnectContainer struct {
	Container  state.Container
	Attachment state.Attachment
}

// DisconnectContainer takes a container off a network that is made anew.
type DisconnectContainer struct {
	Container state.Container
	Network   state.Network
}

// RenameContainer gives a container its proper name.
type RenameContainer struct {
	Old state.Container
	New state.ContainerSpec
}

// StartContainer starts a container.
type StartContainer struct {
	Container state.ContainerSpec
	// ID is the container's; empty for one that this plan makes.
	ID string
	// IfReplaced starts it only if the container of this name was replaced after
	// all: itself, since one that has done its work is not run again, or one that
	// it restarts with.
	IfReplaced string
	// Replaced is the container whose place it has taken, to be removed when it has
	// started; nil for none.
	Replaced *state.Container
}

// WaitReady waits until a container meets a condition.
type WaitReady struct {
	Container state.ContainerSpec
	// ID is the container's; empty for one that this plan makes.
	ID        string
	Condition state.Condition
	// Replaced is the container whose place it has taken, to be removed when it is
	// ready; nil for none.
	Replaced *state.Container
}

// StopContainer stops a container.
type StopContainer struct {
	Container state.Container
	// Grace is the time between stop signal and kill; nil for the container's own.
	Grace *time.Duration
	// Hooks run in the container before.
	Hooks []types.ServiceHook
	// IfReplaced stops it only if the container of this name was replaced after all.
	IfReplaced string
}

// RemoveContainer removes a stopped container.
type RemoveContainer struct {
	Container state.Container
	// Volumes removes its anonymous volumes too.
	Volumes bool
}

// RemoveNetwork removes a network.
type RemoveNetwork struct{ Network state.Network }

// BackupVolume writes what is in a volume to a backup, and reads that again.
type BackupVolume struct{ Volume state.Volume }

// RestoreVolume writes a backup into a volume that is empty.
type RestoreVolume struct {
	Volume state.VolumeSpec
	// Made says that this plan has made the volume, so it is removed again when the
	// backup does not get into it.
	Made bool
}

// RemoveVolume removes a volume and the data in it.
type RemoveVolume struct{ Volume state.Volume }

// RemoveRemnants removes what a run has left that was cut while it removed a container.
type RemoveRemnants struct{ Remnants state.Remnants }

// RemoveImage removes an image.
type RemoveImage struct{ Image string }

// The verbs are what a person reads in plans and progress.

func (CreateNetwork) Verb() string       { return "create" }
func (CreateVolume) Verb() string        { return "create" }
func (PullImage) Verb() string           { return "pull" }
func (LoadImage) Verb() string           { return "load" }
func (BuildImage) Verb() string          { return "build" }
func (CreateContainer) Verb() string     { return "create" }
func (ReplaceContainer) Verb() string    { return "replace" }
func (RenameContainer) Verb() string     { return "rename" }
func (ConnectContainer) Verb() string    { return "connect" }
func (DisconnectContainer) Verb() string { return "disconnect" }
func (StartContainer) Verb() string      { return "start" }
func (o WaitReady) Verb() string         { return "wait until " + string(o.Condition) }
func (StopContainer) Verb() string       { return "stop" }
func (RemoveContainer) Verb() string     { return "remove" }
func (RemoveNetwork) Verb() string       { return "remove" }
func (RemoveVolume) Verb() string        { return "remove" }
func (RemoveRemnants) Verb() string      { return "remove" }
func (BackupVolume) Verb() string        { return "back up" }
func (RestoreVolume) Verb() string       { return "restore" }
func (RemoveImage) Verb() string         { return "remove" }

func (o CreateNetwork) Ref() state.Ref { return o.Network.Ref() }
func (o CreateVolume) Ref() state.Ref  { return o.Volume.Ref() }
func (o PullImage) Ref() state.Ref     { return state.Ref{Kind: state.KindImage, Name: o.Image} }
func (o LoadImage) Ref() state.Ref     { return state.Ref{Kind: state.KindImage, Name: o.Image} }

func (o BuildImage) Ref() state.Ref          { return state.Ref{Kind: state.KindImage, Name: o.Image} }
func (o CreateContainer) Ref() state.Ref     { return o.Container.Ref() }
func (o ReplaceContainer) Ref() state.Ref    { return o.New.Ref() }
func (o RenameContainer) Ref() state.Ref     { return o.New.Ref() }
func (o ConnectContainer) Ref() state.Ref    { return o.Container.Ref() }
func (o DisconnectContainer) Ref() state.Ref { return o.Container.Ref() }
func (o StartContainer) Ref() state.Ref      { return o.Container.Ref() }
func (o WaitReady) Ref() state.Ref           { return o.Container.Ref() }
func (o StopContainer) Ref() state.Ref       { return o.Container.Ref() }
func (o RemoveContainer) Ref() state.Ref     { return o.Container.Ref() }
func (o RemoveNetwork) Ref() state.Ref       { return o.Network.Ref() }
func (o RemoveVolume) Ref() state.Ref        { return o.Volume.Ref() }
func (o RemoveRemnants) Ref() state.Ref      { return o.Remnants.Ref() }
func (o BackupVolume) Ref() state.Ref        { return o.Volume.Ref() }
func (o RestoreVolume) Ref() state.Ref       { return o.Volume.Ref() }
func (o RemoveImage) Ref() state.Ref         { return state.Ref{Kind: state.KindImage, Name: o.Image} }

func (CreateNetwork) kind() string       { return "create_network" }
func (CreateVolume) kind() string        { return "create_volume" }
func (PullImage) kind() string           { return "pull_image" }
func (LoadImage) kind() string           { return "load_image" }
func (BuildImage) kind() string          { return "build_image" }
func (CreateContainer) kind() string     { return "create_container" }
func (ReplaceContainer) kind() string    { return "replace_container" }
func (RenameContainer) kind() string     { return "rename_container" }
func (ConnectContainer) kind() string    { return "connect_container" }
func (DisconnectContainer) kind() string { return "disconnect_container" }
func (StartContainer) kind() string      { return "start_container" }
func (WaitReady) kind() string           { return "wait_ready" }
func (StopContainer) kind() string       { return "stop_container" }
func (RemoveContainer) kind() string     { return "remove_container" }
func (RemoveNetwork) kind() string       { return "remove_network" }
func (RemoveVolume) kind() string        { return "remove_volume" }
func (RemoveRemnants) kind() string      { return "remove_remnants" }
func (BackupVolume) kind() string        { return "backup_volume" }
func (RestoreVolume) kind() string       { return "restore_volume" }
func (RemoveImage) kind() string         { return "remove_image" }

// ServiceOf names the service whose container or image an operation works on;
// empty for what belongs to none.
func ServiceOf(op Op) string {
	switch op := op.(type) {
	case BuildImage:
		return op.Service.Name
	case CreateContainer:
		return op.Container.Service
	case ReplaceContainer:
		return op.New.Service
	case RenameContainer:
		return op.New.Service
	case ConnectContainer:
		return op.Container.Service
	case DisconnectContainer:
		return op.Container.Service
	case StartContainer:
		return op.Container.Service
	case WaitReady:
		return op.Container.Service
	case StopContainer:
		return op.Container.Service
	case RemoveContainer:
		return op.Container.Service
	}
	return ""
}
