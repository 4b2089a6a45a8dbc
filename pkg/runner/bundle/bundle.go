// Package bundle is the form of a stack that travels to a machine without a
// registry: one file with the compose text, the files that it needs and its
// images.
//
// The file is an archive such as `docker save` writes, so `docker load` takes it,
// with more entries in it under stackctl/:
//
//	stackctl/bundle.json   what is in it; the first entry
//	stackctl/compose.yml   the stack, with its variables as they are
//	stackctl/files/...     what the stack refers to
//	...                    images, as the engine saved them
//	manifest.json          which image is made of which of them
//	stackctl/sums.json     the SHA-256 of every entry before; the last entry
//
// Nothing in it depends on when or where it was written: the same stack with the
// same images gives the same bytes on the same engine.
package bundle

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/distribution/reference"
)

// Version is the version of the form; it grows when a reader of the one before
// would misread it.
const Version = 1

// Where things are in a bundle.
const (
	folder        = "stackctl/"
	manifestEntry = folder + "bundle.json"
	sumsEntry     = folder + "sums.json"
	imagesEntry   = "manifest.json"
	// ComposeFile is the name of the compose text.
	ComposeFile = "compose.yml"
)

// Manifest says what is in a bundle.
type Manifest struct {
	// Version is the form's; it is set by [Write].
	Version int `json:"version"`
	// Project is the name of the project that the bundle was made of.
	Project string `json:"project"`
	// Sources say in words where the stack came from.
	Sources []string `json:"sources"`
	// Services limit the bundle to these and what they depend on; none means all.
	Services []string `json:"services,omitempty"`
	// Profiles were active.
	Profiles []string `json:"profiles,omitempty"`
	// Platform is that of the engine: "linux/amd64".
	Platform string  `json:"platform"`
	Images   []Image `json:"images"`
}

// Image is one image of a bundle.
type Image struct {
	// Ref is the reference as the stack names it.
	Ref string `json:"ref"`
	ID  string `json:"id"`
	// Platform is as in state.Image.
	Platform string `json:"platform,omitempty"`
	// Digests are as in state.Image.
	Digests []string `json:"digests,omitempty"`
	// Size is what it takes on the engine, in bytes.
	Size int64 `json:"size"`
}

// File is a file beside the images.
type File struct {
	// Name is its path below stackctl/.
	Name string
	// Mode has the permission bits only.
	Mode    fs.FileMode
	Content []byte
}

// DamagedError says that a file is no whole bundle.
type DamagedError struct {
	Path, Why string
	Err       error
}

func (e *DamagedError) Error() string {
	text := fmt.Sprintf("bundle %s: %s", e.Path, e.Why)
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

func (e *DamagedError) Unwrap() error { return e.Err }

// PlatformError says that the images of a bundle are for other engines.
type PlatformError struct{ Bundle, Engine string }

func (e *PlatformError) Error() string {
	return fmt.Sprintf("the bundle's images are for %s, and the engine runs %s", e.Bundle, e.Engine)
}

// ErrDigest is wrapped by the error for an image that is named by its digest,
// which an archive does not keep.
var ErrDigest = errors.New("an archive keeps tags only")

// Tag gives a reference as archives write it: short, with a tag.
func Tag(ref string) (string, error) {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return "", fmt.Errorf("image %q: %w", ref, err)
	}
	if _, digested := named.(reference.Digested); digested {
		return "", fmt.Errorf("image %q is named by its digest: %w", ref, ErrDigest)
	}
	return reference.FamiliarString(reference.TagNameOnly(named)), nil
}

// saved is an entry of manifest.json, in the engine's words.
type saved struct {
	Config   string
	RepoTags []string
	Layers   []string
}
