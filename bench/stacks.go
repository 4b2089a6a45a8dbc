//go:build linux

package main

import (
	"fmt"
	"regexp"
	"strings"
)

// changedVariable is the environment variable that "one change" adds.
const changedVariable = "BENCH_CHANGE"

// edit is one change of a compose file's text, which has to fit.
type edit struct{ pattern, to string }

// The built-in stack as `render` prints it is the seed; these turn it into what a
// case needs.
var (
	// Without these the engine's first probe comes after a whole interval, on every
	// engine and for every tool.
	withoutStartInterval = edit{`(?m)^ *start_(period|interval): .*\n`, ""}
	oneChange            = edit{`(?m)^( *)REDIS_HOST: cache\n`, "${0}${1}" + changedVariable + `: "1"` + "\n"}
)

// withImage makes the web app a service with an image that is there.
func withImage(ref string) edit {
	return edit{`(?m)^    build:\n(      .*\n)+`, "    image: " + ref + "\n"}
}

// replaceImage takes an image from elsewhere.
func replaceImage(from, to string) edit {
	return edit{`(?m)^( *)image: ` + regexp.QuoteMeta(from) + `\n`, "${1}image: " + to + "\n"}
}

func apply(text string, edits ...edit) (string, error) {
	for _, e := range edits {
		pattern := regexp.MustCompile(e.pattern)
		if !pattern.MatchString(text) {
			return "", fmt.Errorf("the seed stack has nothing that fits %s: the benchmark has to follow it", e.pattern)
		}
		text = pattern.ReplaceAllString(text, e.to)
	}
	return text, nil
}

// sleeper is a small service. It does nothing, and SIGKILL ends it at once.
const sleeper = `  %s:
    image: alpine:latest
    command: ["sleep", "100000"]
    stop_signal: SIGKILL
`

// ready is a probe that succeeds at once; the others wait for it. The interval is
// a second, as one would write it who wants to be fast on any engine.
const ready = `    healthcheck:
      test: ["CMD", "true"]
      interval: 1s
`

// wide is n services that know nothing of each other.
func wide(n int) string {
	var out strings.Builder
	out.WriteString("services:\n")
	for i := range n {
		fmt.Fprintf(&out, sleeper, fmt.Sprintf("s%03d", i))
	}
	return out.String()
}

// layers is services in layers, each needing all of the layer before.
func layers(depth, width int) string {
	var out strings.Builder
	out.WriteString("services:\n")
	for layer := range depth {
		for i := range width {
			fmt.Fprintf(&out, sleeper, fmt.Sprintf("l%02d-%d", layer, i))
			out.WriteString(ready)
			if layer == 0 {
				continue
			}
			out.WriteString("    depends_on:\n")
			for j := range width {
				fmt.Fprintf(&out, "      l%02d-%d: {condition: service_healthy}\n", layer-1, j)
			}
		}
	}
	return out.String()
}
