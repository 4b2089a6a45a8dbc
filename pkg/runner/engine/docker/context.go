package docker

import (
	"archive/tar"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/patternmatcher"

	"github.com/stackctl/stackctl/internal/dockerignore"
	"github.com/stackctl/stackctl/pkg/runner/engine"
)

// buildContext is what a build sends.
//
// BuildKit takes the body of the request as it is: it applies no .dockerignore to
// it and looks for the Dockerfile in it (measured on 20.10 and 26.1). So what is
// ignored is left out here, and the Dockerfile is always in: `COPY . .` copies
// it too, even one that is ignored, inline or from another folder.
type buildContext struct {
	root string
	// dockerfile is the path in the archive that the engine is told.
	dockerfile string
	// extra are files that are sent besides those of the folder, by path.
	extra  map[string][]byte
	ignore *patternmatcher.PatternMatcher
}

// openContext finds the Dockerfile and what is not to be sent.
func openContext(b engine.BuildRequest) (*buildContext, error) {
	if info, err := os.Stat(b.Context); err != nil {
		return nil, fmt.Errorf("build context: %w", err)
	} else if !info.IsDir() {
		return nil, fmt.Errorf("build context %s is not a folder", b.Context)
	}
	source := &buildContext{root: b.Context, extra: map[string][]byte{}}
	text := []byte(b.Inline)
	location := ""
	if b.Inline == "" {
		location = cmp.Or(b.Dockerfile, "Dockerfile")
		if !filepath.IsAbs(location) {
			location = filepath.Join(b.Context, location)
		}
		var err error
		if text, err = os.ReadFile(location); err != nil {
			return nil, fmt.Errorf("read the Dockerfile: %w", err)
		}
		if inside, err := filepath.Rel(b.Context, location); err == nil && filepath.IsLocal(inside) {
			source.dockerfile = filepath.ToSlash(inside)
		}
	}
	var err error
	if source.ignore, err = dockerignore.Read(b.Context, location); err != nil {
		return nil, err
	}
	if source.dockerfile == "" {
		// A name that only the text decides, so that the archive stays the same.
		sum := sha256.Sum256(text)
		source.dockerfile = ".stackctl." + hex.EncodeToString(sum[:8]) + ".Dockerfile"
		source.extra[source.dockerfile] = text
	}
	return source, nil
}

// pack writes the archive: paths in order, owned by root, with the times of the
// files. These go into the image, where web servers make ETags of them; the
// build cache of either builder does not look at them.
func (c *buildContext) pack(ctx context.Context, w io.Writer) error {
	archive := tar.NewWriter(w)
	// Whether a folder matched decides for what is in it.
	parents := map[string]patternmatcher.MatchInfo{}
	err := filepath.WalkDir(c.root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		inside, err := filepath.Rel(c.root, name)
		if err != nil || inside == "." {
			return err
		}
		ignored, match, err := c.ignore.MatchesUsingParentResults(inside, parents[filepath.Dir(inside)])
		if err != nil {
			return err
		}
		if entry.IsDir() {
			parents[inside] = match
			if ignored {
				if !c.mayHoldMore(inside) {
					return filepath.SkipDir
				}
				return nil
			}
		}
		if ignored && filepath.ToSlash(inside) != c.dockerfile {
			return nil
		}
		return writeEntry(archive, name, filepath.ToSlash(inside), entry)
	})
	if err != nil {
		return fmt.Errorf("build context: %w", err)
	}
	for _, name := range sortedKeys(c.extra) {
		if err := archive.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(c.extra[name]))}); err != nil {
			return err
		}
		if _, err := archive.Write(c.extra[name]); err != nil {
			return err
		}
	}
	return archive.Close()
}

// mayHoldMore says that an ignored folder can hold something to send: the
// Dockerfile, or what a pattern with "!" takes back.
func (c *buildContext) mayHoldMore(dir string) bool {
	return strings.HasPrefix(c.dockerfile, filepath.ToSlash(dir)+"/") || c.ignore.Exclusions()
}

func writeEntry(archive *tar.Writer, name, inside string, entry fs.DirEntry) error {
	info, err := entry.Info()
	if err != nil {
		return err
	}
	var target string
	switch mode := info.Mode(); {
	case mode.IsRegular(), mode.IsDir():
	case mode&fs.ModeSymlink != 0:
		if target, err = os.Readlink(name); err != nil {
			return err
		}
	default:
		return nil // sockets, pipes and devices mean nothing elsewhere
	}
	header, err := tar.FileInfoHeader(info, filepath.ToSlash(target))
	if err != nil {
		return err
	}
	header.Name = inside
	if info.IsDir() {
		header.Name = path.Clean(inside) + "/"
	}
	header.Uid, header.Gid, header.Uname, header.Gname = 0, 0, "", ""
	header.Format = tar.FormatUnknown
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return nil
	}
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	if n, err := io.CopyN(archive, file, info.Size()); err != nil {
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("%s became shorter (%d of %d bytes) while it was sent", inside, n, info.Size())
		}
		return err
	}
	return nil
}

func sortedKeys[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}
