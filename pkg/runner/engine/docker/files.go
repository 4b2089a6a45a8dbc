package docker

import (
	"archive/tar"
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/stackctl/stackctl/pkg/runner/state"
)

// defaultFileMode is what configs and secrets get that name no mode.
const defaultFileMode = 0o444

// filesArchive packs the configs and secrets that come from text; nil when
// there are none.
func filesArchive(spec state.ContainerSpec) ([]byte, error) {
	var out bytes.Buffer
	archive := tar.NewWriter(&out)
	for _, f := range spec.Files {
		if f.Source != "" {
			continue
		}
		if spec.Config.ReadOnly {
			return nil, fmt.Errorf("file at %s: nothing can be written to a container with a read-only root: give the config or secret as a file, which is mounted, or take read_only away", f.Target)
		}
		header := &tar.Header{
			Typeflag: tar.TypeReg,
			Name:     strings.TrimPrefix(f.Target, "/"),
			Size:     int64(len(f.Content)),
			Mode:     defaultFileMode,
		}
		if f.Mode != nil {
			header.Mode = int64(*f.Mode)
		}
		var err error
		if header.Uid, err = numericID(f.UID); err != nil {
			return nil, fmt.Errorf("file at %s: uid: %w", f.Target, err)
		}
		if header.Gid, err = numericID(f.GID); err != nil {
			return nil, fmt.Errorf("file at %s: gid: %w", f.Target, err)
		}
		if err := archive.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("file at %s: %w", f.Target, err)
		}
		if _, err := archive.Write([]byte(f.Content)); err != nil {
			return nil, fmt.Errorf("file at %s: %w", f.Target, err)
		}
	}
	if out.Len() == 0 {
		return nil, nil
	}
	if err := archive.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
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
