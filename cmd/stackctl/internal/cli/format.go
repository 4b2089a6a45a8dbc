package cli

import (
	"encoding/json"
	"fmt"
	"io"

	"gopkg.in/yaml.v3"
)

// format is how a command prints its result.
type format string

const (
	formatText  format = "text"
	formatTable format = "table"
	formatJSON  format = "json"
	formatYAML  format = "yaml"
	formatGo    format = "go"
)

// writeJSON prints a value for programs that people look over the shoulder of.
func writeJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}

func writeYAML(w io.Writer, v any) error {
	encoder := yaml.NewEncoder(w)
	encoder.SetIndent(2)
	if err := encoder.Encode(v); err != nil {
		return fmt.Errorf("print as yaml: %w", err)
	}
	return encoder.Close()
}
