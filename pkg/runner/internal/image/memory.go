package image

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
)

const (
	// memoryFormat is to be raised when what counts as an input changes, so that
	// what other versions remember is not taken for more than it is.
	memoryFormat = "1"
	// maxMemories is how many builds are remembered: one for each package, context
	// and target.
	maxMemories = 100
)

// memory is what is kept of the last build of a Go package. Nothing depends on it:
// without it the package is built.
type memory struct {
	// Settings digests the toolchain and how it is set up.
	Settings string
	// Inputs are what the build read.
	Inputs inputs
	// State is the one that they had; empty when they changed meanwhile.
	State inputState
	// Layer is the layer that came out.
	Layer digest.Digest
}

// recollection is what is known before a build: what the inputs are and their
// state, and the layer if they gave one earlier.
type recollection struct {
	memory
	toolchain *toolchain
	file      string // of the memory; empty when nothing can be remembered
}

// recall looks whether the inputs of a package have changed since it was built.
// Their state is taken before anything is compiled: when it is the same one
// afterwards, it is that of what was compiled.
func (b *Builder) recall(ctx context.Context, t *toolchain, program string) *recollection {
	r := &recollection{toolchain: t}
	settings := t.settings()
	if b.Cache == "" || settings == "" {
		return r
	}
	file, err := b.memoryFile(t, program)
	if err != nil {
		return r
	}
	var last memory
	if text, err := os.ReadFile(file); err != nil || json.Unmarshal(text, &last) != nil || last.Settings != settings {
		last = memory{Settings: settings}
	}
	now := last.Inputs.state()
	if now != last.State {
		last.Layer = ""
	}
	if now.Names != last.State.Names { // with other names, they may be others
		if last.Inputs, err = t.inputs(ctx); err != nil {
			return r // the compiler will tell why
		}
		now = last.Inputs.state()
	}
	last.State = now
	r.memory, r.file = last, file
	return r
}

// memoryFile names the file by all that is known of a build beforehand. An empty
// layer stands for the way in which layers are packed.
func (b *Builder) memoryFile(t *toolchain, program string) (string, error) {
	dir, err := filepath.Abs(t.dir)
	if err != nil {
		return "", err
	}
	layer, err := packOne(program, 0o755, nil)
	if err != nil {
		return "", err
	}
	key, err := json.Marshal([]any{memoryFormat, dir, t.target.environ(), buildFlags, layer})
	if err != nil {
		return "", err
	}
	return filepath.Join(b.Cache, "builds", digest.FromBytes(key).Encoded()+".json"), nil
}

// remember keeps the layer that came out of the build. It looks at the inputs
// again, for they may have changed meanwhile, or be others. Where it fails, the
// package is built again next time.
func (r *recollection) remember(ctx context.Context, layer digest.Digest) {
	if r.file == "" {
		return
	}
	listed, err := r.toolchain.inputs(ctx)
	if err != nil {
		return
	}
	next := memory{Settings: r.Settings, Inputs: listed, Layer: layer}
	if listed.equal(r.Inputs) && listed.state() == r.State {
		next.State = r.State
	}
	text, err := json.Marshal(next)
	if err != nil {
		return
	}
	folder := filepath.Dir(r.file)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return
	}
	// Through a second file, for another stackctl may read or write it now.
	temp, err := os.CreateTemp(folder, "new-*")
	if err != nil {
		return
	}
	_, err = temp.Write(text)
	if closeErr := temp.Close(); err != nil || closeErr != nil || os.Rename(temp.Name(), r.file) != nil {
		_ = os.Remove(temp.Name())
		return
	}
	forget(folder)
}

// forget removes the oldest memories when there are too many.
func forget(folder string) {
	entries, err := os.ReadDir(folder)
	if err != nil || len(entries) <= maxMemories {
		return
	}
	age := map[string]int64{}
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil {
			age[entry.Name()] = info.ModTime().UnixNano()
		}
	}
	names := slices.SortedFunc(maps.Keys(age), func(a, b string) int { return cmp.Compare(age[a], age[b]) })
	for _, name := range names[:max(0, len(names)-maxMemories)] {
		_ = os.Remove(filepath.Join(folder, name))
	}
}

// settings digests everything that the binary depends on beside the inputs; empty
// when that is not all that it depends on.
func (t *toolchain) settings() string {
	// One under development can change and keep its name.
	if !strings.HasPrefix(t.vars["GOVERSION"], "go1.") || !plainFlags(t.vars["GOFLAGS"]) {
		return ""
	}
	if mod := t.vars["GOMOD"]; mod == "" || mod == os.DevNull {
		return "" // no module says what is local and what never changes
	}
	// A packager may mend a version, and then these are new.
	tools, err := os.Stat(t.vars["GOTOOLDIR"])
	if err != nil {
		return ""
	}
	vars := maps.Clone(t.vars)
	delete(vars, "GOGCCFLAGS") // names a folder of this one call; nothing is built with a C compiler
	delete(vars, "GOPROXY")    // says where modules come from, and go.sum what they are
	text, err := json.Marshal(vars)
	if err != nil {
		return ""
	}
	return digest.FromString(fmt.Sprintf("%s %d", text, tools.ModTime().UnixNano())).Encoded()
}

// plainFlags says that none of the flags in GOFLAGS can name a further input.
func plainFlags(flags string) bool {
	for flag := range strings.FieldsSeq(flags) {
		name, _, _ := strings.Cut(strings.TrimLeft(flag, "-"), "=")
		if !slices.Contains([]string{"buildvcs", "mod", "modcacherw", "p", "tags", "trimpath", "v"}, name) {
			return false
		}
	}
	return true
}
