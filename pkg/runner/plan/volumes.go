package plan

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stackctl/stackctl/pkg/runner/state"
)

// ErrInUse is wrapped by the error about a volume that a container uses which is
// not stopped for it.
var ErrInUse = errors.New("in use")

// VolumeOptions change what [Backup] and [Restore] decide.
type VolumeOptions struct {
	// Grace is the time between stop signal and kill; nil for each container's own.
	Grace *time.Duration
	// Hooks are those of each service; nil runs none.
	Hooks map[string]Hooks
}

// Backup decides what has to happen so that volumes can be read while nobody
// writes to them: the project's containers that use one stop, each after those
// that depend on it, and what has to start again with one stops, too. To start them
// again is another plan, [StartAgain], which is carried out whatever becomes of this
// one. The error wraps [ErrInUse] where another project's container, or one for one
// command, uses a volume.
func Backup(o state.Observed, volumes []state.Volume, opts VolumeOptions) (*Plan, error) {
	var problems []error
	var names []string
	for _, v := range volumes {
		names = append(names, v.Name)
		if len(cutRestores(o, v.Name)) > 0 {
			problems = append(problems, problemf(ErrKeepsData, "volume %s holds a part of a backup only: %s", v.Name, cutHint))
		}
	}
	p, stops, inUse := quiet(o, names, opts)
	if err := errors.Join(append(problems, inUse)...); err != nil {
		return nil, err
	}
	p.backUp(volumes, stops)
	return p, nil
}

// cutHint says what to do about a volume whose restore was cut.
const cutHint = "a restore was cut; `stackctl volume restore` writes it again"

// Restore decides what has to happen so that volumes can be written: those that
// are missing are made, and the project's containers that use one stop. A volume
// that holds a part of a backup, since a restore was cut, is made anew. External
// ones have to be there, and are never made or removed. As for [Backup], the start
// of what is stopped is [StartAgain].
func Restore(o state.Observed, volumes []state.VolumeSpec, opts VolumeOptions) (*Plan, error) {
	var problems []error
	var names []string
	for _, v := range volumes {
		names = append(names, v.Name)
		if err := checkRestore(o, v); err != nil {
			problems = append(problems, err)
		}
	}
	p, needs, inUse := quiet(o, names, opts)
	if err := errors.Join(append(problems, inUse)...); err != nil {
		return nil, err
	}
	for _, v := range volumes {
		seen, exists := o.Volume(v.Name)
		made := 0
		signs := cutRestores(o, v.Name)
		before := slices.Clone(needs)
		for _, sign := range signs { // just before what is of no use with one
			before = append(before, p.add(RemoveContainer{Container: sign, Volumes: true}, "left by a run that was cut", needs...))
		}
		switch {
		case v.External(), exists && seen.KeepsData():
		case exists && len(signs) > 0:
			remove := p.add(RemoveVolume{seen}, "holds a part of a backup only, since a restore was cut", before...)
			made = p.add(CreateVolume{v}, "made anew", remove)
		case !exists:
			// After all that could keep the restore from beginning: it would be left empty.
			made = p.add(CreateVolume{v}, "does not exist", needs...)
		}
		id := p.add(RestoreVolume{Volume: v, Made: made != 0}, "restore", append(before, made)...)
		needs = []int{id} // one at a time: the disk is what they wait for
	}
	return p, nil
}

// checkRestore says why a volume cannot be restored.
func checkRestore(o state.Observed, v state.VolumeSpec) error {
	seen, exists := o.Volume(v.Name)
	var users []string
	for _, c := range slices.Concat(o.Containers, o.OneOffs, o.Strangers) {
		if c.Helper == "" && c.MountsVolume(v.Name) {
			users = append(users, c.Name)
		}
	}
	switch cut := len(cutRestores(o, v.Name)) > 0; {
	case v.External() && !exists:
		return problemf(ErrMissing, "volume %s is external and does not exist; `docker volume create %s` makes it", v.Name, v.Name)
	case exists && !v.External() && seen.Project != o.Project:
		return problemf(ErrConflict, "volume %s exists and %s; remove it, or restore into another project with -p", v.Name, owner(seen.Project))
	case cut && !v.External() && !seen.KeepsData() && len(users) > 0:
		return problemf(ErrKeepsData, "volume %s holds a part of a backup only, since a restore was cut, and cannot be made anew while %s uses it: `stackctl down` first, then restore again", v.Name, strings.Join(users, ", "))
	}
	return nil
}

// StartAgain starts the containers that a plan has stopped, each after those among
// them that it depends on, and waits until they are ready. What would run on one of
// the volumes in partial, which hold a part of their data, stays as it is, and so does
// what has to start with it.
func StartAgain(o state.Observed, stopped *Plan, partial []string, details map[string]Detail, hooks map[string]Hooks) (*Plan, error) {
	again := state.Observed{Project: o.Project}
	var services []string
	var all []state.Container
	stays := map[string]string{}
	for _, n := range stopped.Nodes {
		if stop, ok := n.Op.(StopContainer); ok {
			all = append(all, stop.Container)
			if slices.ContainsFunc(partial, stop.Container.MountsVolume) {
				stays[stop.Container.ID] = "its data is not whole"
			}
		}
	}
	goWith(all, stays)
	for _, c := range all {
		if stays[c.ID] != "" {
			continue
		}
		c.State = "exited"
		again.Containers = append(again.Containers, c)
		services = append(services, c.Service)
	}
	if len(services) == 0 {
		return &Plan{Project: o.Project}, nil
	}
	for i := range again.Containers {
		c := &again.Containers[i]
		c.DependsOn = slices.DeleteFunc(slices.Clone(c.DependsOn), func(d state.Dependency) bool { return !slices.Contains(services, d.Service) })
	}
	p, err := Start(again, StartOptions{Services: services, Wait: true, Details: details, Hooks: hooks})
	if err != nil {
		return nil, err
	}
	for i, n := range p.Nodes {
		if _, start := n.Op.(StartContainer); start {
			p.Nodes[i].Cause = "ran before"
		}
	}
	return p, nil
}

// quiet stops the project's containers that use volumes and removes helpers of backups
// that a run before has left. It gives the nodes that have to be done before the volumes
// are touched.
func quiet(o state.Observed, volumes []string, opts VolumeOptions) (*Plan, []int, error) {
	uses := func(c state.Container) bool { return slices.ContainsFunc(volumes, c.MountsVolume) }
	var problems []error
	for _, c := range o.Strangers {
		if c.Running() && uses(c) {
			problems = append(problems, problemf(ErrInUse, "container %s, which is not of project %s, uses %s: stop it first", c.Name, o.Project, used(c, volumes)))
		}
	}
	for _, c := range o.OneOffs {
		if c.Running() && uses(c) {
			problems = append(problems, problemf(ErrInUse, "container %s, which was made for one command, uses %s: end it first", c.Name, used(c, volumes)))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return nil, nil, err
	}
	causes := map[string]string{} // of containers, by id
	for _, c := range o.Containers {
		if c.Running() && uses(c) {
			causes[c.ID] = "uses " + used(c, volumes)
		}
	}
	goWith(o.Containers, causes)
	stops := state.Observed{Project: o.Project}
	for _, c := range o.Containers {
		if causes[c.ID] != "" {
			stops.Containers = append(stops.Containers, c)
		}
	}
	p := Stop(stops, StopOptions{Grace: opts.Grace, Hooks: opts.Hooks})
	var needs []int
	for i := range p.Nodes {
		if stop, ok := p.Nodes[i].Op.(StopContainer); ok {
			p.Nodes[i].Cause = causes[stop.Container.ID]
		}
		needs = append(needs, p.Nodes[i].ID)
	}
	for _, c := range o.OneOffs {
		if c.Helper == state.HelperBackup {
			needs = append(needs, p.removeHelper(c))
		}
	}
	return p, needs, nil
}

// goWith adds the containers to those that stop, by id and with the reason, which have
// to start again with one of them: what shares its namespaces, which are new with each
// start, and what its labels say that of.
func goWith(containers []state.Container, causes map[string]string) {
	for more := true; more; {
		more = false
		for _, c := range containers {
			i := slices.IndexFunc(containers, func(other state.Container) bool {
				return causes[other.ID] != "" && (sharesNetwork(c, other) || other.ID != c.ID &&
					slices.ContainsFunc(c.DependsOn, func(d state.Dependency) bool { return d.Restart && d.Service == other.Service }))
			})
			if i >= 0 && c.Running() && causes[c.ID] == "" {
				causes[c.ID] = "restarts with " + containers[i].Service
				more = true
			}
		}
	}
}

// used names those of the volumes that a container uses.
func used(c state.Container, volumes []string) string {
	var out []string
	for _, v := range volumes {
		if c.MountsVolume(v) {
			out = append(out, "volume "+v)
		}
	}
	return strings.Join(out, ", ")
}

// backUp adds the nodes that write volumes to backups, and gives them. They go one
// after the other: the disk is what they wait for.
func (p *Plan) backUp(volumes []state.Volume, needs []int) []int {
	var out []int
	for _, v := range volumes {
		id := p.add(BackupVolume{v}, "backup", needs...)
		out = append(out, id)
		needs = []int{id}
	}
	return out
}

// removeHelper removes a container that a run has left which was killed. That of a
// restore is the sign that its volume is not to be used, and stays while that does.
func (p *Plan) removeHelper(c state.Container) int {
	if c.Helper == state.HelperRestore {
		p.warn("%s stays: volume %s holds a part of a backup only; %s, and `stackctl down -v` removes both", c.Name, restored(c), cutHint)
		return 0
	}
	return p.add(RemoveContainer{Container: c, Volumes: true}, "left by a run that was cut")
}

// cutRestores gives the helpers of restores into a volume that did not come to
// their end; of all volumes when none is named.
func cutRestores(o state.Observed, volume string) []state.Container {
	var out []state.Container
	for _, c := range o.OneOffs {
		if c.Helper == state.HelperRestore && (volume == "" || c.MountsVolume(volume)) {
			out = append(out, c)
		}
	}
	return out
}

// restored names the volume that a helper is for: the one that somebody has named.
func restored(helper state.Container) string {
	for _, m := range helper.Mounts {
		if m.Type == "volume" && !m.Anonymous() {
			return m.Name
		}
	}
	return ""
}

// removeRemnants finishes what a run began that was cut. Of a container that is still
// there the note alone goes.
func (p *Plan) removeRemnants(o state.Observed) {
	for _, r := range o.Remnants {
		if slices.ContainsFunc(slices.Concat(o.Containers, o.OneOffs), func(c state.Container) bool { return c.ID == r.Container }) {
			r.Volumes = nil
		}
		p.add(RemoveRemnants{r}, "left by a run that was cut")
	}
}

// checkRestores refuses to start anything on a part of a backup.
func checkRestores(o state.Observed) error {
	var problems []error
	for _, c := range cutRestores(o, "") {
		problems = append(problems, problemf(ErrKeepsData, "volume %s holds a part of a backup only: %s, and `stackctl down -v` removes it", restored(c), cutHint))
	}
	return errors.Join(problems...)
}

func problemf(class error, format string, args ...any) error {
	return fmt.Errorf("%w: %s", class, fmt.Sprintf(format, args...))
}
