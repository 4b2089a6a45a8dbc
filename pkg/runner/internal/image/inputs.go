package image

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
)

// inputs are the files and folders that the build of a Go package depends on,
// beside the toolchain and the module cache, where nothing ever changes.
type inputs struct {
	// Files are those whose content counts, and that they are not there.
	Files []string
	// Folders are those in which every name counts.
	Folders []string
	// Trees are those in which every name counts, in the folders below, too.
	Trees []string
}

// listedPackage is a package as `go list` describes it.
type listedPackage struct {
	Dir                                                                   string
	Standard                                                              bool
	GoFiles, IgnoredGoFiles, IgnoredOtherFiles, SFiles, HFiles, SysoFiles []string
	EmbedFiles, EmbedPatterns                                             []string
	Module                                                                *struct{ Dir, GoMod string }
}

// inputs asks the go command what the package is made of.
func (t *toolchain) inputs(ctx context.Context) (inputs, error) {
	var in inputs
	modules, err := t.moduleFiles(ctx)
	if err != nil {
		return inputs{}, err
	}
	in.Files = modules
	out, err := t.run(ctx, "list", "-deps",
		"-json=Dir,Standard,GoFiles,IgnoredGoFiles,IgnoredOtherFiles,SFiles,HFiles,SysoFiles,EmbedFiles,EmbedPatterns,Module", ".").Output()
	if err != nil {
		return inputs{}, err
	}
	cache := t.vars["GOMODCACHE"]
	for packages := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listedPackage
		if err := packages.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return inputs{}, err
		}
		if !p.Standard && !within(cache, p.Dir) {
			in.add(p)
		}
	}
	for _, list := range []*[]string{&in.Files, &in.Folders, &in.Trees} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	return in, nil
}

// add adds a package that is in neither the toolchain nor the module cache.
func (in *inputs) add(p listedPackage) {
	in.Folders = append(in.Folders, p.Dir)
	for _, names := range [][]string{p.GoFiles, p.IgnoredGoFiles, p.IgnoredOtherFiles, p.SFiles, p.HFiles, p.SysoFiles, p.EmbedFiles} {
		for _, name := range names {
			in.Files = append(in.Files, filepath.Join(p.Dir, name))
		}
	}
	// Of the package that is built, for the compiler to optimise by.
	in.Files = append(in.Files, filepath.Join(p.Dir, "default.pgo"))
	if p.Module != nil {
		if p.Module.GoMod != "" {
			in.Files = append(in.Files, p.Module.GoMod, filepath.Join(filepath.Dir(p.Module.GoMod), "go.sum"))
		}
		// A go.mod on the way down takes the package out of its module.
		for dir := p.Dir; within(p.Module.Dir, dir) && dir != p.Module.Dir; dir = filepath.Dir(dir) {
			in.Files = append(in.Files, filepath.Join(dir, "go.mod"))
		}
	}
	for _, pattern := range p.EmbedPatterns {
		in.addPattern(p.Dir, strings.TrimPrefix(pattern, "all:"))
	}
}

// addPattern adds the folders in which a new file can match a pattern of
// //go:embed. One that is matched itself is embedded with all that is below.
func (in *inputs) addPattern(dir, pattern string) {
	parts := strings.Split(pattern, "/")
	for i, part := range parts {
		if strings.ContainsAny(part, `*?[\`) {
			in.Folders = append(in.Folders, matches(dir, parts[:i])...)
		}
	}
	in.Trees = append(in.Trees, matches(dir, parts)...)
}

// matches gives the folders that a pattern matches.
func matches(dir string, parts []string) []string {
	found, err := fs.Glob(os.DirFS(dir), cmp.Or(strings.Join(parts, "/"), "."))
	if err != nil {
		return nil // go build takes no such pattern
	}
	var out []string
	for _, name := range found {
		name = filepath.Join(dir, filepath.FromSlash(name))
		if info, err := os.Stat(name); err == nil && info.IsDir() {
			out = append(out, name)
		}
	}
	return out
}

// moduleFiles gives the files that say which modules are taken: those of the
// module or the workspace, and the go.mod of every module that is in a folder of
// this machine, for its requirements count even where no package of it does.
func (t *toolchain) moduleFiles(ctx context.Context) ([]string, error) {
	main := []string{t.vars["GOMOD"]}
	files := []string{}
	type replace struct {
		New struct{ Path, Version string }
	}
	local := func(from string, replaced []replace) {
		for _, r := range replaced {
			if r.New.Version == "" {
				files = append(files, filepath.Join(under(filepath.Dir(from), r.New.Path), "go.mod"))
			}
		}
	}
	root := main[0]
	if work := t.vars["GOWORK"]; work != "" && work != "off" {
		root = work
		files = append(files, work, work+".sum")
		var w struct {
			Use     []struct{ DiskPath string }
			Replace []replace
		}
		if err := t.tell(ctx, &w, "work", "edit", "-json", work); err != nil {
			return nil, err
		}
		local(work, w.Replace)
		for _, use := range w.Use {
			main = append(main, filepath.Join(under(filepath.Dir(work), use.DiskPath), "go.mod"))
		}
	}
	files = append(files, filepath.Join(filepath.Dir(root), "vendor", "modules.txt"))
	slices.Sort(main)
	for _, mod := range slices.Compact(main) {
		files = append(files, mod, filepath.Join(filepath.Dir(mod), "go.sum"))
		var m struct{ Replace []replace }
		if err := t.tell(ctx, &m, "mod", "edit", "-json", mod); err != nil {
			return nil, err
		}
		local(mod, m.Replace)
	}
	return files, nil
}

// under gives a path that may be relative to a folder.
func under(dir, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(dir, filepath.FromSlash(path))
}

// within says that a path is a folder or below it.
func within(dir, path string) bool {
	rest, ok := strings.CutPrefix(path, dir)
	return ok && dir != "" && (rest == "" || os.IsPathSeparator(rest[0]))
}

func (in inputs) equal(other inputs) bool {
	return slices.Equal(in.Files, other.Files) && slices.Equal(in.Folders, other.Folders) && slices.Equal(in.Trees, other.Trees)
}

// inputState digests what inputs are like at a time.
type inputState struct {
	// Names is of the folders, Contents of the files.
	Names, Contents string
}

// state gives the state that the inputs have now. What cannot be read is as good
// as not there: no build that needs it gives anything to remember.
func (in inputs) state() inputState {
	var (
		states = make([][sha256.Size]byte, len(in.Files)+len(in.Folders)+len(in.Trees))
		next   = make(chan int)
		work   sync.WaitGroup
	)
	for range min(len(states), runtime.GOMAXPROCS(0)) {
		work.Go(func() {
			for i := range next {
				switch folders := i - len(in.Files); {
				case folders < 0:
					states[i] = digestFile(in.Files[i])
				case folders < len(in.Folders):
					states[i] = digestNames(in.Folders[folders], false)
				default:
					states[i] = digestNames(in.Trees[folders-len(in.Folders)], true)
				}
			}
		})
	}
	for i := range states {
		next <- i
	}
	close(next)
	work.Wait()
	join := func(states [][sha256.Size]byte) string {
		all := sha256.New()
		for _, state := range states {
			all.Write(state[:])
		}
		return hex.EncodeToString(all.Sum(nil))
	}
	return inputState{Contents: join(states[:len(in.Files)]), Names: join(states[len(in.Files):])}
}

func digestFile(name string) (sum [sha256.Size]byte) {
	file, err := os.Open(name)
	if err != nil {
		return sum
	}
	defer file.Close()
	text := sha256.New()
	if _, err := io.Copy(text, file); err == nil {
		text.Sum(sum[:0])
	}
	return sum
}

// digestNames is of the names in a folder, and of what kind each is: go build
// takes a link for what it leads to.
func digestNames(dir string, below bool) (sum [sha256.Size]byte) {
	names := sha256.New()
	dir += string(os.PathSeparator) // the folder, if it is a link to one
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		kind := entry.Type()
		if kind&fs.ModeSymlink != 0 {
			if info, err := os.Stat(path); err == nil {
				kind |= info.Mode().Type()
			}
		}
		fmt.Fprintf(names, "%q %s\n", path, kind)
		if entry.IsDir() && !below {
			return fs.SkipDir
		}
		return nil
	})
	if err == nil {
		names.Sum(sum[:0])
	}
	return sum
}
