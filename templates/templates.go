// Package templates holds the files that stackctl writes for people to edit.
package templates

import _ "embed"

//go:embed env
var env string

// Env is the beginning of a new .env: every variable of the built-in stack that
// has a default, commented out. What has none is added by whoever knows it.
func Env() string { return env }
