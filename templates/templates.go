// Package templates holds the files that stackctl writes for people to edit.
package templates

import (
	_ "embed"
	"strings"
)

var (
	//go:embed env
	env string
	//go:embed compose.yaml
	compose string
	//go:embed stack.go.txt
	program string
)

// Env is the beginning of a new .env: every variable of the built-in stack that
// has a default, commented out. What has none is added by whoever knows it.
func Env() string { return env }

// placeholder is the name of the stack in the templates.
const placeholder = "my-stack"

// Compose is a compose file to start from, for a project of that name.
func Compose(name string) string { return strings.ReplaceAll(compose, placeholder, name) }

// Program is the main.go of a Go program that prints the stack of Compose.
func Program(name string) string { return strings.ReplaceAll(program, placeholder, name) }
