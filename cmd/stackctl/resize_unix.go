//go:build !windows

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// resizes tells of each change of the terminal's size until stop is called.
func resizes() (changes <-chan struct{}, stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGWINCH)
	out, end := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(out)
		for {
			select {
			case <-signals:
			case <-end:
				return
			}
			select {
			case out <- struct{}{}:
			case <-end:
				return
			}
		}
	}()
	return out, func() {
		signal.Stop(signals)
		close(end)
	}
}
