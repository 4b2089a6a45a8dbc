package spec

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/compose-spec/compose-go/v2/template"
	"gopkg.in/yaml.v3"

	"github.com/stackctl/stackctl/pkg/spec/render/compose"
)

// PortableOptions say how [Portable] finds the files that a compose text names.
type PortableOptions struct {
	// WorkingDir is what relative paths start from.
	WorkingDir string
	// Env holds the variables that paths may refer to.
	Env map[string]string
	// Prefix is what the paths get in front, instead of the folder that they are in:
	// "${BUNDLE:-.}/files".
	Prefix string
	// Secrets takes the files of secrets and of env_file along, too.
	Secrets bool
	// Project gives the images that are built and have no name of their own the one
	// that this project gives them, so that they have it in any. Empty: they get none.
	Project string
	// Services and the configs and secrets that they use are looked at, no others;
	// nil for all.
	Services []string
}

// PortableFile is a file that a compose text names, under the name that it has
// below the prefix.
type PortableFile struct {
	Name    string
	Mode    fs.FileMode
	Content []byte
}

// Left is a file that was not taken along.
type Left struct {
	// Path is as the text names it, Use what names it: "secret token".
	Path, Use string
}

// Portable makes a compose text fit for another machine: the files of its configs
// and labels are given back under names that only their contents decide, and the
// text names them there. Files that hold secrets stay where they are, unless they
// are asked for, and are given as left.
func Portable(text []byte, o PortableOptions) (portable []byte, files []PortableFile, left []Left, err error) {
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, nil, nil, fmt.Errorf("read the compose text: %w", err)
	}
	if len(document.Content) == 0 {
		return nil, nil, nil, errors.New("the compose text is empty")
	}
	m := &mover{PortableOptions: o}
	root := document.Content[0]
	used := map[string]map[string]bool{"configs": {}, "secrets": {}}
	for name, service := range pairs(lookup(root, "services")) {
		if o.Services != nil && !slices.Contains(o.Services, name) {
			continue
		}
		if o.Project != "" && lookup(service, "build") != nil && lookup(service, "image") == nil {
			image := &yaml.Node{Kind: yaml.ScalarNode, Value: o.Project + "-" + name}
			service.Content = append(service.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: "image"}, image)
		}
		m.paths(lookup(service, "env_file"), "env_file of service "+name, o.Secrets)
		m.paths(lookup(service, "label_file"), "label_file of service "+name, true)
		for section, names := range used {
			for _, item := range contents(lookup(service, section)) {
				if source := lookup(item, "source"); source != nil {
					item = source
				}
				names[item.Value] = true
			}
		}
	}
	for _, section := range []string{"configs", "secrets"} {
		for name, object := range pairs(lookup(root, section)) {
			if file := lookup(object, "file"); file != nil && used[section][name] {
				m.move(file, section[:len(section)-1]+" "+name, section == "configs" || o.Secrets, true)
			}
		}
	}
	if len(m.faults) > 0 {
		return nil, nil, nil, errors.Join(m.faults...)
	}
	slices.SortFunc(m.files, func(a, b PortableFile) int { return bytes.Compare([]byte(a.Name), []byte(b.Name)) })
	portable, err = compose.Format(root)
	return portable, m.files, m.left, err
}

// mover collects files and changes the nodes that name them.
type mover struct {
	PortableOptions
	files  []PortableFile
	left   []Left
	faults []error
}

// paths moves what an env_file or label_file names: a path, or a list of paths and
// of mappings with one.
func (m *mover) paths(node *yaml.Node, use string, take bool) {
	if node == nil {
		return
	}
	if node.Kind == yaml.ScalarNode {
		m.move(node, use, take, true)
		return
	}
	for _, item := range node.Content {
		required := true
		if path := lookup(item, "path"); path != nil {
			if flag := lookup(item, "required"); flag != nil {
				required = flag.Value != "false"
			}
			item = path
		}
		if item.Kind == yaml.ScalarNode {
			m.move(item, use, take, required)
		}
	}
}

// move takes one file along and makes its node name the place where it will be.
func (m *mover) move(node *yaml.Node, use string, take, required bool) {
	if !take {
		m.left = append(m.left, Left{node.Value, use})
		return
	}
	name, err := template.Substitute(node.Value, func(name string) (string, bool) {
		value, there := m.Env[name]
		return value, there
	})
	if err != nil {
		m.faults = append(m.faults, fmt.Errorf("%s: path %s: %w", use, node.Value, err))
		return
	}
	if !filepath.IsAbs(name) {
		name = filepath.Join(m.WorkingDir, name)
	}
	content, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) && !required {
		return
	}
	info, statErr := os.Stat(name)
	if err := errors.Join(err, statErr); err != nil {
		m.faults = append(m.faults, fmt.Errorf("%s: %w", use, err))
		return
	}
	sum := sha256.Sum256(content)
	file := PortableFile{
		Name: hex.EncodeToString(sum[:6]) + "/" + filepath.Base(name), Mode: info.Mode().Perm(), Content: content,
	}
	if !slices.ContainsFunc(m.files, func(f PortableFile) bool { return f.Name == file.Name }) {
		m.files = append(m.files, file)
	}
	node.Value, node.Tag, node.Style = m.Prefix+"/"+file.Name, "!!str", 0
}

// pairs gives the keys and values of a mapping; none for anything else.
func pairs(node *yaml.Node) func(yield func(string, *yaml.Node) bool) {
	return func(yield func(string, *yaml.Node) bool) {
		if node == nil || node.Kind != yaml.MappingNode {
			return
		}
		for i := 0; i+1 < len(node.Content); i += 2 {
			if !yield(node.Content[i].Value, node.Content[i+1]) {
				return
			}
		}
	}
}

// contents gives the items of a sequence; none for anything else.
func contents(node *yaml.Node) []*yaml.Node {
	if node == nil || node.Kind != yaml.SequenceNode {
		return nil
	}
	return node.Content
}
