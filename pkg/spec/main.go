package spec

import (
	"fmt"
	"io"
	"os"
)

// Main is the whole main function of a program that is a stack:
//
//	func main() { spec.Main(shop()) }
//
// It prints the stack as a compose file on the standard output and ends the
// process. `stackctl -f DIR` runs such a program and takes what it prints; run by
// hand, its output is a file for Docker Compose. A stack with faults is printed
// as those, one a line, on the standard error, and the exit code is 1.
//
// It is the one function of this package that touches the process: call
// [Stack.Compose] to decide for yourself.
func Main(stack *Stack) {
	os.Exit(printStack(stack, os.Stdout, os.Stderr)) //nolint:forbidigo // it stands in for a program's main
}

// printStack writes a stack or its faults, and gives the exit code.
func printStack(stack *Stack, stdout, stderr io.Writer) int {
	if stack == nil {
		fmt.Fprintln(stderr, "there is no stack: spec.Main was given nil")
		return 1
	}
	text, err := stack.Compose()
	if err == nil {
		_, err = stdout.Write(text)
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	return 0
}
