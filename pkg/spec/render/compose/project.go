package compose

import (
	"errors"
	"fmt"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"gopkg.in/yaml.v3"
)

// Project prints a loaded project with the values that its variables had, so
// the text can hold secrets. Loading it again gives the same project.
//
// It fails for values that are not valid UTF-8, which YAML cannot hold as text.
//
// Left out is what the loader adds to any file: the names of networks and
// volumes that follow from the project's, and the default network.
func Project(p *types.Project) ([]byte, error) {
	tree, err := projectTree(p)
	if err != nil {
		return nil, err
	}
	return Format(tree)
}

// ProjectJSON prints the document of Project as JSON.
func ProjectJSON(p *types.Project) ([]byte, error) {
	tree, err := projectTree(p)
	if err != nil {
		return nil, err
	}
	return FormatJSON(tree)
}

func projectTree(p *types.Project) (*yaml.Node, error) {
	// Printed in flow style, because the encoder prints some texts of several
	// lines as block scalars that no parser reads back: MarshalYAML does so.
	var document yaml.Node
	err := document.Encode(struct {
		Project *types.Project `yaml:",flow"`
	}{p})
	if err != nil {
		return nil, fmt.Errorf("print compose file: %w", err)
	}
	root := asObject(document.Content[1])
	binary := false
	walkValues(root.node, func(n *yaml.Node) {
		binary = binary || n.ShortTag() == "!!binary"
		// Loading has turned $$ into $, and nothing else turns it back.
		n.Value = strings.ReplaceAll(n.Value, "$", "$$")
	})
	if binary {
		return nil, errors.New("print compose file: a variable's value is not valid UTF-8")
	}
	dropImplied(root, p.Name)
	return root.node, nil
}

// dropImplied removes what loading the rest adds again.
func dropImplied(root object, project string) {
	for _, section := range []string{"networks", "volumes", "secrets", "configs"} {
		resources := root.object(section)
		for _, key := range resources.keys() {
			resource := resources.object(key)
			implied := project + "_" + key
			if isTrue(resource.get("external")) {
				implied = key
			}
			if resource.text("name") == implied {
				resource.remove("name")
			}
		}
	}
	networks := root.object("networks")
	if networks.get("default") == nil || !isBlank(networks.get("default")) {
		return
	}
	networks.remove("default")
	services := root.object("services")
	for _, name := range services.keys() {
		service := services.object(name)
		if joined := service.object("networks"); joined.only("default") && allBlank(joined) {
			service.remove("networks")
		}
	}
}
