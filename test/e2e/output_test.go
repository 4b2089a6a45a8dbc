//go:build e2e

package e2e

import (
	"bytes"
	"strings"
	"sync"
)

// output collects what a command writes while it runs.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func newOutput() *output { return &output{} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func (o *output) contains(text string) bool { return strings.Contains(o.String(), text) }
