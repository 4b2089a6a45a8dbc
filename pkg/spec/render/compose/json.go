package compose

import (
	"bytes"
	"encoding/json"
	"fmt"

	"gopkg.in/yaml.v3"
)

// FormatJSON prints the document of Format as JSON, in the same order.
func FormatJSON(tree *yaml.Node) ([]byte, error) {
	root, err := arrange(tree)
	if err != nil {
		return nil, err
	}
	compact, err := appendJSON(nil, root)
	if err != nil {
		return nil, fmt.Errorf("print compose file: %w", err)
	}
	var text bytes.Buffer
	if err := json.Indent(&text, compact, "", "  "); err != nil {
		return nil, fmt.Errorf("print compose file: %w", err)
	}
	text.WriteByte('\n')
	return text.Bytes(), nil
}

func appendJSON(b []byte, n *yaml.Node) ([]byte, error) {
	var err error
	switch n.Kind {
	case yaml.MappingNode:
		b = append(b, '{')
		for i := 0; i < len(n.Content); i += 2 {
			if i > 0 {
				b = append(b, ',')
			}
			if b, err = appendValue(b, n.Content[i].Value); err != nil {
				return nil, err
			}
			b = append(b, ':')
			if b, err = appendJSON(b, n.Content[i+1]); err != nil {
				return nil, err
			}
		}
		return append(b, '}'), nil
	case yaml.SequenceNode:
		b = append(b, '[')
		for i, item := range n.Content {
			if i > 0 {
				b = append(b, ',')
			}
			if b, err = appendJSON(b, item); err != nil {
				return nil, err
			}
		}
		return append(b, ']'), nil
	default:
		var value any
		if err := n.Decode(&value); err != nil {
			return nil, err
		}
		return appendValue(b, value)
	}
}

func appendValue(b []byte, value any) ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	// The document is for compose, not for a page: & and < stay readable.
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, err
	}
	return append(b, bytes.TrimSpace(text.Bytes())...), nil
}
