package spec

import (
	"fmt"
	"os"
)

// Main prints the stack's compose file on the standard output, or what is wrong
// with it on the standard error and ends with exit code 1: it is the whole of a
// Go program that is a stack.
func Main(s *Stack) {
	text, err := s.Compose()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if _, err := os.Stdout.Write(text); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
