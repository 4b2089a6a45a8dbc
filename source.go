// Package stackctl holds the source of the built-in stack's web app, so that
// the command can build it where there is no checkout of this module. It stands
// at the module's root because go:embed reaches only what lies below it, and
// what builds the app is both webapp and the module's go.mod.
package stackctl

import (
	"embed"
	"io/fs"
	"strings"
)

//go:embed go.mod go.sum webapp/*.go webapp/*.html webapp/*.css webapp/migrations webapp/Dockerfile
var source embed.FS

// Source gives the files from which webapp is built, laid out as in the module
// and without its tests.
func Source() fs.FS { return untested{source} }

// untested is a file system without Go tests, which go:embed cannot leave out.
type untested struct{ embed.FS }

// ReadDir implements fs.ReadDirFS.
func (u untested) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := u.FS.ReadDir(name)
	kept := entries[:0:0]
	for _, e := range entries {
		if !isTest(e.Name()) {
			kept = append(kept, e)
		}
	}
	return kept, err
}

// Open implements fs.FS.
func (u untested) Open(name string) (fs.File, error) {
	if isTest(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return u.FS.Open(name)
}

// ReadFile implements fs.ReadFileFS.
func (u untested) ReadFile(name string) ([]byte, error) {
	if isTest(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return u.FS.ReadFile(name)
}

func isTest(name string) bool { return strings.HasSuffix(name, "_test.go") }
