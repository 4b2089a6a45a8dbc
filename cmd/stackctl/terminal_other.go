//go:build !windows

package main

import (
	"os"

	"golang.org/x/term"
)

// isTerminal says that a person looks at the file.
func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }
