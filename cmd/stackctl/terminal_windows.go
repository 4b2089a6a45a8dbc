package main

import (
	"os"

	"golang.org/x/sys/windows"
)

// isTerminal says that a person looks at the file, on a console that understands
// control sequences. Consoles have to be asked to.
func isTerminal(f *os.File) bool {
	console := windows.Handle(f.Fd())
	var mode uint32
	if windows.GetConsoleMode(console, &mode) != nil {
		return false
	}
	return windows.SetConsoleMode(console, mode|windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING) == nil
}
