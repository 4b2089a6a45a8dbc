package display

import (
	"encoding/json"
	"io"
	"strings"
	"time"

	"github.com/stackctl/stackctl/pkg/runner/event"
)

// record is one line of the JSON form. It is a promise to those who read it:
// fields are added, never renamed or removed, whatever becomes of event.Event.
type record struct {
	Time time.Time `json:"time"`
	// Event is source, started, progress, done, failed, skipped, warning, info or
	// error.
	Event string `json:"event"`
	// Node is the number of the plan's node; left out for none.
	Node int `json:"node,omitempty"`
	// Kind and Name are the resource's: container, web-1.
	Kind    string `json:"kind,omitempty"`
	Name    string `json:"name,omitempty"`
	Action  string `json:"action,omitempty"`
	Message string `json:"message,omitempty"`
	// Current and Total are bytes.
	Current int64 `json:"current,omitempty"`
	Total   int64 `json:"total,omitempty"`
	// LayersDone and Layers are those of an image that is pulled.
	LayersDone int   `json:"layers_done,omitempty"`
	Layers     int   `json:"layers,omitempty"`
	ElapsedMS  int64 `json:"elapsed_ms,omitempty"`
	// Error says why, in failed and error.
	Error string `json:"error,omitempty"`
	// Hint says what to do, in error.
	Hint string `json:"hint,omitempty"`
	// ExitCode is the process's, in error.
	ExitCode int `json:"exit_code,omitempty"`
	// Log holds the last lines of the container that failed, in error.
	Log []string `json:"log,omitempty"`
	// Files and Profiles say where the stack comes from, in source.
	Files    []string `json:"files,omitempty"`
	Profiles []string `json:"profiles,omitempty"`
}

// Failure is the end of a command that failed.
type Failure struct {
	Error, Hint string
	ExitCode    int
	Log         []string
}

// WriteFailure writes the last line of the JSON form.
func WriteFailure(w io.Writer, now time.Time, f Failure) {
	encode(w, record{Time: now, Event: "error", Error: f.Error, Hint: f.Hint, ExitCode: f.ExitCode, Log: f.Log})
}

func showJSON(sub *event.Subscription, o Options) {
	for {
		e, ok := sub.Next()
		if !ok {
			return
		}
		writeJSON(o.W, e)
	}
}

func writeJSON(w io.Writer, e event.Event) {
	r := record{
		Time: e.Time, Event: string(e.Kind), Node: e.Node, Action: e.Action, Message: e.Message,
		Current: e.Current, Total: e.Total, LayersDone: e.LayersDone, Layers: e.Layers, ElapsedMS: e.Elapsed.Milliseconds(),
	}
	r.Kind, r.Name, _ = strings.Cut(e.Resource, " ")
	if e.Err != nil {
		r.Error = e.Err.Error()
	}
	encode(w, r)
}

// encode writes a line at once, so that two writers never mix theirs.
func encode(w io.Writer, r record) {
	line, err := json.Marshal(r)
	if err != nil {
		return // strings and numbers always can be written
	}
	_, _ = w.Write(append(line, '\n'))
}
