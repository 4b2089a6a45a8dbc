package display

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stackctl/stackctl/pkg/runner/event"
)

// tracker folds events into one item for each resource: that a container is
// created, started and waited for is one story to whoever looks on.
type tracker struct {
	project string
	items   []*item
	byName  map[string]*item // by event.Event.Resource
}

// status is how an item stands.
type status int

const (
	// waiting: something was done, and there may be more to do.
	waiting status = iota
	active
	done
	failed
	skipped
)

// item is one resource in a run.
type item struct {
	kind, name string
	status     status
	// action is what is done now, or was done last.
	action string
	// finished is the last action that was done; empty for none.
	finished string
	began    time.Time
	// spent is the time that finished actions took; what the resource had to wait
	// for others is not in it.
	spent    time.Duration
	progress string
	// step is the step of a build that was shown last.
	step string
	note string
}

func newTracker(project string) *tracker {
	return &tracker{project: project, byName: map[string]*item{}}
}

// apply takes an event in and gives the item that it belongs to; nil when it
// belongs to none. settled says that the item is finished with this event.
func (t *tracker) apply(e event.Event) (it *item, settled bool) {
	if e.Resource == "" {
		return nil, false
	}
	it = t.byName[e.Resource]
	if it == nil {
		it = &item{}
		it.kind, it.name, _ = strings.Cut(e.Resource, " ")
		it.name = shorten(t.project, it.name)
		t.byName[e.Resource] = it
		t.items = append(t.items, it)
	}
	if it.status == failed {
		return it, false // the rest of its story is that it was skipped
	}
	it.action = e.Action
	switch e.Kind {
	case event.Started:
		if it.status == done { // another story of the same resource
			it.spent, it.note = 0, ""
		}
		it.status, it.began, it.progress = active, e.Time, ""
		if e.Action == "replace" {
			it.note = e.Message // why it is worth a replacement
		}
	case event.Progress:
		it.advance(e)
	case event.Done:
		it.status, it.finished, it.progress = waiting, e.Action, ""
		it.spent += e.Elapsed
		if !strings.HasPrefix(e.Action, waitPrefix) { // how it was found out is a detail
			it.note = cmp.Or(e.Message, it.note)
		}
		if isLast(it.kind, e.Action) {
			it.status = done
			return it, true
		}
	case event.Failed:
		it.status = failed
		it.spent += e.Elapsed
		return it, true
	case event.Skipped:
		it.status = skipped
	case event.Warning, event.Info: // they stand alone
	}
	return it, false
}

// rest gives what has not been settled when the events end.
func (t *tracker) rest() []*item {
	var out []*item
	for _, it := range t.items {
		switch it.status {
		case waiting:
			it.status = done
			out = append(out, it)
		case active, skipped:
			it.status = skipped
			out = append(out, it)
		case done, failed: // settled
		}
	}
	return out
}

// isLast says that nothing follows an action on a resource of that kind.
// Containers are started after they are made, waited for after they are
// started, and removed after they are stopped.
func isLast(kind, action string) bool {
	return kind != "container" || action == "remove" || strings.HasPrefix(action, waitPrefix)
}

// waitPrefix begins the action of a wait; the state that is waited for follows.
const waitPrefix = "wait until "

// shorten leaves the project out of the name of one of its resources.
func shorten(project, name string) string {
	if project == "" {
		return name
	}
	for _, separator := range []string{"-", "_"} {
		if short, found := strings.CutPrefix(name, project+separator); found && short != "" {
			return short
		}
	}
	return name
}

// ShortName gives the name of a project's container as it is shown: without the
// project in front.
func ShortName(project, container string) string { return shorten(project, container) }

func (it *item) advance(e event.Event) {
	text, bytes := oneLine(e.Message), ""
	if e.Total > 0 {
		bytes = fmt.Sprintf("%s/%s", size(e.Current), size(e.Total))
	} else if e.Current > 0 {
		bytes = size(e.Current)
	}
	if e.Layers == 0 {
		it.progress = strings.TrimSpace(text + " " + bytes)
		return
	}
	if text == "downloading" { // which the numbers say
		text = ""
	}
	parts := []string{bytes, fmt.Sprintf("%d/%d layers", e.LayersDone, e.Layers), text}
	it.progress = strings.Join(slices.DeleteFunc(parts, func(part string) bool { return part == "" }), ", ")
}

// words gives an action as it goes on, when it is done, and when it failed.
func words(action string) (going, gone, not string) {
	if goal, wait := strings.CutPrefix(action, waitPrefix); wait {
		return "waiting", goal, "not " + goal
	}
	switch action {
	case "create", "replace", "rename", "remove", "save", "restore":
		gone = action + "d"
	case "verify":
		gone = "verified"
	case "back up":
		return "backing up", "backed up", "not backed up"
	case "build":
		gone = "built"
	case "stop":
		gone = "stopped"
	default:
		gone = action + "ed"
	}
	stem := strings.TrimSuffix(action, "e")
	if action == "stop" {
		stem = "stopp"
	}
	return stem + "ing", gone, "not " + gone
}

// state says in words how the item stands.
func (it *item) state() string {
	going, _, not := words(it.action)
	switch {
	case it.status == active:
		return going
	case it.status == failed:
		return not
	case it.finished != "":
		_, gone, _ := words(it.finished)
		return gone
	case it.status == skipped:
		return "skipped"
	}
	return ""
}
