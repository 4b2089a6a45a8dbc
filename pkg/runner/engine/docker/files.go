package docker

import (
	"archive/tar"
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stackctl/stackctl/pkg/runner/state"
)

// defaultFileMode is what configs and secrets get that name no mode.
const defaultFileMode = 0o444

// upload is an archive that is unpacked in a folder of a container.
type upload struct {
	folder string
	tar    []byte
}

// isCopied says that a config or secret is written into the container. One from a
// file is mounted, unless an owner or a mode is asked for, which a mount of the
// host's file cannot give.
func isCopied(f state.File) bool {
	return f.Source == "" || f.UID != "" || f.GID != "" || f.Mode != nil
}

// uploads packs the configs and secrets that are copied.
func uploads(spec state.ContainerSpec) ([]upload, error) {
	buffers := map[string]*bytes.Buffer{}
	archives := map[string]*tar.Writer{}
	for _, f := range spec.Files {
		if !isCopied(f) {
			continue
		}
		if err := func() error {
			folder, _, err := placeOf(spec, f)
			if err != nil {
				return err
			}
			if archives[folder] == nil {
				buffers[folder] = &bytes.Buffer{}
				archives[folder] = tar.NewWriter(buffers[folder])
			}
			return pack(archives[folder], folder, f)
		}(); err != nil {
			return nil, fmt.Errorf("file at %s: %w", f.Target, err)
		}
	}
	var out []upload
	for _, folder := range sortedKeys(archives) {
		if err := archives[folder].Close(); err != nil {
			return nil, err
		}
		out = append(out, upload{folder, buffers[folder].Bytes()})
	}
	return out, nil
}

// pack adds a file to the archive of a folder.
func pack(archive *tar.Writer, folder string, f state.File) error {
	content := []byte(f.Content)
	if f.Source != "" {
		var err error
		if content, err = os.ReadFile(f.Source); err != nil {
			return err
		}
	}
	header := &tar.Header{
		Typeflag: tar.TypeReg,
		Name:     strings.TrimPrefix(strings.TrimPrefix(f.Target, folder), "/"),
		Size:     int64(len(content)),
		Mode:     defaultFileMode,
	}
	if f.Mode != nil {
		header.Mode = int64(*f.Mode)
	}
	var err error
	if header.Uid, err = numericID(f.UID); err != nil {
		return fmt.Errorf("uid: %w", err)
	}
	if header.Gid, err = numericID(f.GID); err != nil {
		return fmt.Errorf("gid: %w", err)
	}
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	_, err = archive.Write(content)
	return err
}

// placeOf gives the folder that a file is unpacked in, and whether a volume is
// mounted there for it. An engine writes nothing to a read-only root, not even
// before the start, but it does write to volumes.
func placeOf(spec state.ContainerSpec, f state.File) (folder string, own bool, err error) {
	if !spec.Config.ReadOnly {
		return "/", false, nil
	}
	folder = path.Dir(f.Target)
	for _, v := range spec.Config.Volumes {
		writable := !v.ReadOnly && (v.Type == types.VolumeTypeVolume || v.Type == types.VolumeTypeBind)
		if writable && (v.Target == folder || strings.HasPrefix(folder, strings.TrimSuffix(v.Target, "/")+"/")) {
			return v.Target, false, nil
		}
	}
	for _, entry := range spec.Config.Tmpfs {
		if target, _, _ := strings.Cut(entry, ":"); target == folder {
			return "", false, fmt.Errorf("%s is a tmpfs, which is empty at the start: give the file a folder of its own", folder)
		}
	}
	if folder == "/" {
		return "", false, fmt.Errorf("nothing can be written to a read-only root: give the file a target in a folder, or take read_only away")
	}
	return folder, true, nil
}

// fileFolders gives the folders that get a volume for the files in them.
func fileFolders(spec state.ContainerSpec) ([]string, error) {
	var out []string
	for _, f := range spec.Files {
		if !isCopied(f) {
			continue
		}
		folder, own, err := placeOf(spec, f)
		if err != nil {
			return nil, fmt.Errorf("file at %s: %w", f.Target, err)
		}
		if own && !slices.Contains(out, folder) {
			out = append(out, folder)
		}
	}
	slices.SortFunc(out, cmp.Compare)
	return out, nil
}

func numericID(id string) (int, error) {
	if id == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(id)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number, and names mean nothing outside of the container", id)
	}
	return n, nil
}
