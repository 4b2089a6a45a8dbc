package docker

import (
	"os"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/docker/api/types/mount"

	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// convertMounts gives what is mounted. Plain binds go as Binds, as with Compose:
// only Binds make a missing folder on the host, on every engine. All the rest
// goes as Mounts. A later entry for the same target replaces an earlier one.
func convertMounts(c engine.CreateContainer) (binds []string, mounts []mount.Mount, err error) {
	kept := map[string]state.Mount{}
	for _, m := range c.Keep {
		if m.Type == types.VolumeTypeVolume && m.Name != "" {
			kept[m.Target] = m
		}
	}
	volumes := c.Spec.Config.Volumes
	for i, v := range volumes {
		if slices.ContainsFunc(volumes[i+1:], func(later types.ServiceVolumeConfig) bool { return later.Target == v.Target }) {
			continue
		}
		if v.Type == types.VolumeTypeVolume && v.Source == "" {
			v.Source = kept[v.Target].Name
		} else if name, declared := c.Spec.VolumeNames[v.Source]; declared && v.Type == types.VolumeTypeVolume {
			v.Source = name
		}
		delete(kept, v.Target)
		if bind, ok := bindString(v); ok {
			binds = append(binds, bind)
			continue
		}
		mounts = append(mounts, convertMount(v))
	}
	folders, err := fileFolders(c.Spec)
	if err != nil {
		return nil, nil, err
	}
	for _, folder := range folders {
		// The old container's is taken again: its files are written anew.
		mounts = append(mounts, mount.Mount{Type: mount.TypeVolume, Source: kept[folder].Name, Target: folder})
		delete(kept, folder)
	}
	// What is left of the kept ones are the volumes that the image declares.
	for _, m := range c.Keep {
		if _, left := kept[m.Target]; left {
			mounts = append(mounts, mount.Mount{Type: mount.TypeVolume, Source: m.Name, Target: m.Target})
		}
	}
	for _, f := range c.Spec.Files {
		taken := slices.ContainsFunc(volumes, func(v types.ServiceVolumeConfig) bool { return v.Target == f.Target })
		if isCopied(f) || taken {
			continue
		}
		mounts = append(mounts, mount.Mount{Type: mount.TypeBind, Source: f.Source, Target: f.Target, ReadOnly: true})
	}
	return binds, mounts, nil
}

// bindString writes a mount of a folder in the short form; false for one that it
// cannot say. Volumes go the long way: only then does the engine label their
// files for SELinux (mode "z") though the mount says "rw" or "ro".
func bindString(v types.ServiceVolumeConfig) (string, bool) {
	if v.Type != types.VolumeTypeBind {
		return "", false
	}
	options := []string{"rw"}
	if v.ReadOnly {
		options[0] = "ro"
	}
	if b := v.Bind; b != nil {
		if !bool(b.CreateHostPath) || b.Recursive != "" {
			return "", false
		}
		if b.SELinux != "" {
			options = append(options, b.SELinux)
		}
		if b.Propagation != "" {
			options = append(options, b.Propagation)
		}
	}
	return v.Source + ":" + v.Target + ":" + strings.Join(options, ","), true
}

func convertMount(v types.ServiceVolumeConfig) mount.Mount {
	m := mount.Mount{
		Type:        mount.Type(v.Type),
		Source:      v.Source,
		Target:      v.Target,
		ReadOnly:    v.ReadOnly,
		Consistency: mount.Consistency(v.Consistency),
	}
	switch v.Type {
	case types.VolumeTypeBind:
		if v.Bind != nil {
			m.BindOptions = bindOptions(v.Bind)
		}
	case types.VolumeTypeVolume:
		if o := v.Volume; o != nil {
			m.VolumeOptions = &mount.VolumeOptions{NoCopy: o.NoCopy, Subpath: o.Subpath, Labels: o.Labels}
		}
	case types.VolumeTypeTmpfs:
		if o := v.Tmpfs; o != nil {
			m.TmpfsOptions = &mount.TmpfsOptions{SizeBytes: int64(o.Size), Mode: os.FileMode(o.Mode)}
		}
	case types.VolumeTypeImage:
		if v.Image != nil {
			m.ImageOptions = &mount.ImageOptions{Subpath: v.Image.SubPath}
		}
	}
	return m
}

func bindOptions(b *types.ServiceVolumeBind) *mount.BindOptions {
	return &mount.BindOptions{
		Propagation:      mount.Propagation(b.Propagation),
		CreateMountpoint: bool(b.CreateHostPath),
		NonRecursive:     b.Recursive == "disabled",
		// Before API 1.44 no read-only bind is read-only in what is mounted below.
		ReadOnlyNonRecursive:   b.Recursive == "writable",
		ReadOnlyForceRecursive: b.Recursive == "readonly",
	}
}
