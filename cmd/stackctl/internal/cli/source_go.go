package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// programDelay is what a Go program gets to end after an interrupt.
const programDelay = 5 * time.Second

// folderName is what a folder is called in a sentence.
func folderName(dir string) string {
	if dir == "." {
		return "this folder"
	}
	return dir
}

// isProgramFolder says that a folder holds a Go command.
func isProgramFolder(dir string) bool {
	paths, err := filepath.Glob(filepath.Join(globEscaper.Replace(dir), "*.go"))
	if err != nil {
		return false
	}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.PackageClauseOnly)
		if err == nil && file.Name.Name == "main" {
			return true
		}
	}
	return false
}

// globEscaper makes a pattern that fits a path only.
var globEscaper = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`)

// runProgram runs the Go command in a folder and gives the compose file that it
// prints. What it writes on the standard error beside that is a warning.
func (g *globalOptions) runProgram(ctx context.Context, dir string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", "run", ".")
	cmd.Dir, cmd.Env = dir, append(g.app.Environ[:len(g.app.Environ):len(g.app.Environ)], "PWD="+dir)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = programDelay
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.As(err, &exit):
		return nil, &programError{dir: shown(g.app.Dir, dir), output: stderr.String(), err: err}
	case err != nil:
		return nil, &programError{dir: shown(g.app.Dir, dir), err: err}
	}
	for line := range strings.Lines(stderr.String()) {
		if line = strings.TrimSpace(line); line != "" {
			g.warn(line)
		}
	}
	if len(bytes.TrimSpace(stdout.Bytes())) == 0 {
		return nil, &programError{dir: shown(g.app.Dir, dir), err: errNoStack}
	}
	return stdout.Bytes(), nil
}

var errNoStack = errors.New("it printed nothing")

// programError says that a Go program gave no stack.
type programError struct {
	dir string
	// output is what the toolchain, or the program, has to say; empty when it did
	// not come to that.
	output string
	err    error
}

// Error tells what was written rather than that the exit code was not 0: it holds
// the compiler's errors, or the faults of the stack.
func (e *programError) Error() string {
	text := "the Go program in " + folderName(e.dir) + " gave no stack"
	if errors.Is(e.err, exec.ErrNotFound) {
		return text + ": there is no go command to run it with"
	}
	lines := strings.Split(strings.TrimSpace(e.output), "\n")
	// The go command's last word is the exit code of what it ran.
	if last := len(lines) - 1; last > 0 && strings.HasPrefix(lines[last], "exit status ") {
		lines = lines[:last]
	}
	if output := strings.Join(lines, "\n"); output != "" {
		return text + ":\n" + output
	}
	return fmt.Sprintf("%s: %v", text, e.err)
}

func (e *programError) Unwrap() error { return e.err }

// hint says what to do.
func (e *programError) hint() string {
	switch {
	case errors.Is(e.err, exec.ErrNotFound):
		return "install Go (https://go.dev/dl), or take a compose file that `stackctl -f " + e.dir + " render` gives on a machine that has it"
	case errors.Is(e.err, errNoStack):
		return "end its main function with spec.Main(stack)"
	}
	return ""
}
