package docker

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/stackctl/stackctl/pkg/runner/engine"
)

// Logs reads a container's log.
func (e *Engine) Logs(ctx context.Context, name string, o engine.LogOptions, each func(engine.LogLine)) error {
	fail := func(err error) error {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return failed("read log of", "container", name, err)
	}
	c, err := e.api.ContainerInspect(ctx, name)
	if err != nil {
		return fail(err)
	}
	options := container.LogsOptions{ShowStdout: true, ShowStderr: true, Timestamps: true, Follow: o.Follow}
	if !o.Since.IsZero() {
		options.Since = o.Since.UTC().Format(time.RFC3339Nano)
	}
	if o.Tail != nil {
		options.Tail = strconv.Itoa(*o.Tail)
	}
	body, err := e.api.ContainerLogs(ctx, name, options)
	if err != nil {
		return fail(err)
	}
	defer body.Close()
	stdout, stderr := &lineWriter{each: each}, &lineWriter{each: each, stderr: true}
	if c.Config != nil && c.Config.Tty {
		// The log of a TTY has no frames: the start of each line has the time.
		stdout.unframed = true
		_, err = io.Copy(stdout, body)
	} else {
		err = demultiplex(stdout, stderr, body)
	}
	stdout.flush()
	stderr.flush()
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) || ctx.Err() != nil {
		return fail(err)
	}
	return nil
}

// lineLimit bounds what is kept of a line: what is longer comes as several.
const lineLimit = 1 << 20

// lineWriter cuts a stream of log entries into lines.
//
// In a framed stream each Write is one entry: a time, a space and a line, or a
// piece of one without its line end, for the engine cuts lines at 16 KiB. The
// pieces have times of their own, which do not belong to the text.
type lineWriter struct {
	each     func(engine.LogLine)
	stderr   bool
	unframed bool

	line    bytes.Buffer
	started time.Time
	open    bool
}

func (w *lineWriter) Write(p []byte) (int, error) {
	at, text := time.Time{}, p
	if !w.unframed {
		at, text = splitTime(p)
	}
	for {
		if !w.open {
			w.started, w.open = at, true
		}
		piece, rest, found := bytes.Cut(text, []byte("\n"))
		w.line.Write(piece)
		if found || w.line.Len() >= lineLimit {
			w.flush()
		}
		if len(rest) == 0 {
			return len(p), nil
		}
		text = rest
	}
}

// flush sends the line that has no end.
func (w *lineWriter) flush() {
	if !w.open {
		return
	}
	text := w.line.Bytes()
	if w.unframed {
		w.started, text = splitTime(text)
	}
	w.send(w.started, text)
	w.line.Reset()
	w.open = false
}

func (w *lineWriter) send(at time.Time, text []byte) {
	w.each(engine.LogLine{Time: at, Stderr: w.stderr, Text: strings.TrimSuffix(string(text), "\r")})
}

// splitTime takes the time from the front of an entry.
func splitTime(entry []byte) (time.Time, []byte) {
	stamp, text, found := bytes.Cut(entry, []byte(" "))
	if !found {
		// The time of an empty line may be all there is.
		stamp, text = bytes.TrimRight(entry, "\r\n"), entry[len(bytes.TrimRight(entry, "\r\n")):]
	}
	at, err := time.Parse(time.RFC3339Nano, string(stamp))
	if err != nil {
		return time.Time{}, entry
	}
	return at, text
}
