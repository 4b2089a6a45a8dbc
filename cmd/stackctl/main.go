// Command stackctl brings a stack of containers up on a Docker Engine.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"

	"github.com/stackctl/stackctl/cmd/stackctl/internal/cli"
)

// version is stamped by the linker: -X main.version=1.2.3.
var version = "dev"

func main() {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	// Asked for so that a closed pipe is an error of the write and does not kill
	// the process in the middle of a run. Nobody has to read it.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	keys := &terminal{in: os.Stdin}
	go obey(signals, cancel, keys.restore)
	streams := cli.Streams{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr,
		InTTY: term.IsTerminal(int(os.Stdin.Fd())), OutTTY: isTerminal(os.Stdout), ErrTTY: isTerminal(os.Stderr),
		Size: size, Raw: keys.raw, Resizes: resizes,
	}
	os.Exit(cli.Main(ctx, streams, os.Args[1:], os.Environ(), version))
}

// obey ends the command with the first signal and the process with the second,
// after last.
func obey(signals <-chan os.Signal, cancel context.CancelCauseFunc, last func()) {
	cancel(&cli.SignalError{Signal: number(<-signals)})
	second := number(<-signals)
	last()
	os.Exit(128 + int(second))
}

// number gives the signal's number, which is its value wherever we run.
func number(s os.Signal) syscall.Signal {
	n, _ := s.(syscall.Signal)
	return n
}
