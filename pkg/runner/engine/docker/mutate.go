package docker

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"

	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// cleanupTimeout bounds what is undone after a failure, when the caller's ctx
// may have ended already.
const cleanupTimeout = 10 * time.Second

// containerName gives the name of the container that a call has failed on, for the
// error to name it as people know it: callers mean containers by id where names
// move. What cannot be looked up keeps its id.
func (e *Engine) containerName(ctx context.Context, id string, err error) string {
	if err == nil || !isID(id) {
		return id
	}
	there, inspectErr := e.api.ContainerInspect(ctx, id)
	if inspectErr != nil || there.ContainerJSONBase == nil {
		return id
	}
	return strings.TrimPrefix(there.Name, "/")
}

// networkName is containerName for networks.
func (e *Engine) networkName(ctx context.Context, id string, err error) string {
	if err == nil || !isID(id) {
		return id
	}
	there, inspectErr := e.api.NetworkInspect(ctx, id, network.InspectOptions{})
	if inspectErr != nil {
		return id
	}
	return there.Name
}

// isID says that a text is a whole id rather than a name.
func isID(text string) bool {
	_, err := hex.DecodeString(text)
	return len(text) == 64 && err == nil
}

// CreateNetwork makes a network. One of that name that the project has already
// is no error: another run of stackctl may have been faster.
func (e *Engine) CreateNetwork(ctx context.Context, n state.NetworkSpec) error {
	_, err := e.api.NetworkCreate(ctx, n.Name, convertNetwork(n))
	if errdefs.IsConflict(err) {
		there, inspectErr := e.api.NetworkInspect(ctx, n.Name, network.InspectOptions{})
		if inspectErr == nil && there.Name == n.Name && there.Labels[state.LabelProject] == n.Labels[state.LabelProject] {
			return nil
		}
	}
	return failed("create", "network", n.Name, err)
}

// RemoveNetwork removes a network.
func (e *Engine) RemoveNetwork(ctx context.Context, name string) error {
	err := e.api.NetworkRemove(ctx, name)
	if errdefs.IsNotFound(err) {
		return nil
	}
	return failed("remove", "network", e.networkName(ctx, name, err), err)
}

// Connect attaches a container to one more network.
func (e *Engine) Connect(ctx context.Context, name string, a state.Attachment) error {
	endpoint, err := convertEndpoint(a)
	if err != nil {
		return fmt.Errorf("connect container %s to network %s: %w", name, a.Network, err)
	}
	err = e.api.NetworkConnect(ctx, a.Network, name, endpoint)
	if errdefs.IsConflict(err) || errdefs.IsPermissionDenied(err) {
		// "endpoint with name web-1 already exists in network back"
		there, inspectErr := e.api.ContainerInspect(ctx, name)
		if inspectErr == nil && there.NetworkSettings != nil && there.NetworkSettings.Networks[a.Network] != nil {
			return nil
		}
	}
	return failed("connect to network "+a.Network, "container", e.containerName(ctx, name, err), err)
}

// Disconnect takes a container off a network.
func (e *Engine) Disconnect(ctx context.Context, name, from string) error {
	err := e.api.NetworkDisconnect(ctx, from, name, false)
	if err != nil {
		there, inspectErr := e.api.ContainerInspect(ctx, name)
		switch {
		case errdefs.IsNotFound(inspectErr):
			return nil
		case inspectErr == nil && !isOn(there, from):
			return nil
		}
	}
	return failed("disconnect from network "+from, "container", e.containerName(ctx, name, err), err)
}

// isOn says that a container is on a network, by name or id.
func isOn(c container.InspectResponse, net string) bool {
	if c.NetworkSettings == nil {
		return false
	}
	for name, settings := range c.NetworkSettings.Networks {
		if name == net || settings != nil && settings.NetworkID == net {
			return true
		}
	}
	return false
}

// CreateVolume makes a volume. The engine gives back one that is there.
func (e *Engine) CreateVolume(ctx context.Context, v state.VolumeSpec) error {
	_, err := e.api.VolumeCreate(ctx, convertVolume(v))
	return failed("create", "volume", v.Name, err)
}

// RemoveVolume removes a volume.
func (e *Engine) RemoveVolume(ctx context.Context, name string) error {
	err := e.api.VolumeRemove(ctx, name, false)
	if errdefs.IsNotFound(err) {
		return nil
	}
	return failed("remove", "volume", name, err)
}

// CreateContainer makes a container with its networks and files. When one of
// these fails, the container is taken away again, so that the call can be
// repeated.
func (e *Engine) CreateContainer(ctx context.Context, c engine.CreateContainer) (string, error) {
	fail := func(name string, err error) (string, error) { return "", failed("create", "container", name, err) }
	c, create, err := e.translate(ctx, c)
	if err != nil {
		return fail(c.Spec.Name, err)
	}
	files, err := uploads(c.Spec)
	if err != nil {
		return fail(create.name, err)
	}
	made, err := e.api.ContainerCreate(ctx, create.config, create.host, create.network, create.platform, create.name)
	if err != nil {
		return fail(create.name, err)
	}
	if err := e.complete(ctx, made.ID, create, files); err != nil {
		cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
		defer cancel()
		_ = e.api.ContainerRemove(cleanup, made.ID, container.RemoveOptions{RemoveVolumes: true})
		return fail(create.name, err)
	}
	return made.ID, nil
}

// complete does what the call that makes a container cannot.
func (e *Engine) complete(ctx context.Context, id string, create creation, files []upload) error {
	for _, c := range create.connect {
		if err := e.api.NetworkConnect(ctx, c.network, id, c.endpoint); err != nil {
			return fmt.Errorf("connect to network %s: %w", c.network, trimmed(err))
		}
	}
	for _, f := range files {
		// Without CopyUIDGID, for that gives the files to the container's user
		// whatever the archive says.
		err := e.api.CopyToContainer(ctx, id, f.folder, bytes.NewReader(f.tar), container.CopyToContainerOptions{})
		if err != nil {
			return fmt.Errorf("copy files to %s: %w", f.folder, trimmed(err))
		}
	}
	return nil
}

// readProfile reads a seccomp profile and takes the white space out.
func readProfile(dir, path string) (string, error) {
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	if err := json.Compact(&out, text); err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return out.String(), nil
}

// StartContainer starts a container; the engine takes one that runs as it is.
func (e *Engine) StartContainer(ctx context.Context, name string) error {
	err := e.api.ContainerStart(ctx, name, container.StartOptions{})
	if errdefs.IsConflict(err) {
		// "cannot start a paused container, try unpause instead"
		there, inspectErr := e.api.ContainerInspect(ctx, name)
		if inspectErr == nil && there.State != nil && there.State.Paused {
			err = e.api.ContainerUnpause(ctx, name)
		}
	}
	return failed("start", "container", e.containerName(ctx, name, err), err)
}

// StopContainer stops a container.
func (e *Engine) StopContainer(ctx context.Context, name string, grace *time.Duration) error {
	var options container.StopOptions
	if grace != nil {
		options.Timeout = wholeSeconds(*grace)
	}
	err := e.awaitStop(ctx, name, options)
	if errdefs.IsNotFound(err) {
		return nil
	}
	return failed("stop", "container", e.containerName(ctx, name, err), err)
}

// RemoveContainer removes a container that does not run. Force goes only to a
// dead one, whose removal failed half-way before: to any other it would mean
// SIGKILL, and to end a running container is the caller's to say, with Stop.
func (e *Engine) RemoveContainer(ctx context.Context, name string, volumes bool) error {
	options := container.RemoveOptions{RemoveVolumes: volumes}
	err := e.api.ContainerRemove(ctx, name, options)
	if errdefs.IsConflict(err) {
		there, inspectErr := e.api.ContainerInspect(ctx, name)
		switch {
		case errdefs.IsNotFound(inspectErr):
			return nil
		case inspectErr != nil || there.State == nil:
		case there.State.Status == container.StateRemoving:
			err = e.waitRemoved(ctx, name)
		case there.State.Status == container.StateDead:
			options.Force = true
			err = e.api.ContainerRemove(ctx, name, options)
		}
	}
	if errdefs.IsNotFound(err) {
		return nil
	}
	return failed("remove", "container", e.containerName(ctx, name, err), err)
}

// waitRemoved waits for the removal that somebody else has asked for.
func (e *Engine) waitRemoved(ctx context.Context, name string) error {
	done, errs := e.api.ContainerWait(ctx, name, container.WaitConditionRemoved)
	select {
	case <-done:
		return nil
	case err := <-errs:
		return err
	}
}

// RenameContainer gives a container another name. One that has it is no error.
func (e *Engine) RenameContainer(ctx context.Context, name, to string) error {
	err := e.api.ContainerRename(ctx, name, to)
	if err != nil {
		if there, inspectErr := e.api.ContainerInspect(ctx, name); inspectErr == nil && there.Name == "/"+to {
			return nil
		}
	}
	return failed("rename", "container", e.containerName(ctx, name, err), err)
}

// RemoveImage removes a reference to an image, and the image with the last.
func (e *Engine) RemoveImage(ctx context.Context, ref string) error {
	_, err := e.api.ImageRemove(ctx, ref, image.RemoveOptions{PruneChildren: true})
	if errdefs.IsNotFound(err) {
		return nil
	}
	return failed("remove", "image", ref, err)
}
