package runner_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackctl/stackctl/pkg/runner"
	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/engine/enginetest"
	"github.com/stackctl/stackctl/pkg/runner/plan"
)

const twoVolumes = `
name: shop
services:
  db: {image: db, volumes: ["data:/data", "more:/more"]}
volumes: {data: {}, more: {}}
`

// A restore that ends before anything is in a volume leaves no volume that was made
// for it, and all that were there before.
func TestRestoreThatEndsEarly(t *testing.T) {
	broken := errors.New("broken")
	fail := func(when func(enginetest.Call) bool) func(string, context.CancelFunc) func(enginetest.Call) error {
		return func(string, context.CancelFunc) func(enginetest.Call) error {
			return func(c enginetest.Call) error {
				if when(c) {
					return broken
				}
				return nil
			}
		}
	}
	helper := func(c enginetest.Call) bool {
		return c.Method == "CreateContainer" && strings.Contains(c.Name, "shop-restore-")
	}
	for _, test := range []struct {
		name string
		// there are the volumes that are there before, empty.
		there []string
		fault func(dir string, cancel context.CancelFunc) func(enginetest.Call) error
	}{
		{"no helper can be made", nil, fail(helper)},
		{"no helper can be made for a volume that was there", []string{"shop_data"}, fail(helper)},
		{"what is in the volume cannot be read", nil, fail(func(c enginetest.Call) bool { return c.Method == "ReadFolder" })},
		{"the other volume cannot be made", []string{"shop_more"}, fail(func(c enginetest.Call) bool { return c.Method == "CreateVolume" })},
		{"the archive is gone", nil, func(dir string, _ context.CancelFunc) func(enginetest.Call) error {
			return func(c enginetest.Call) error {
				if c.Method == "CreateVolume" {
					return os.Remove(filepath.Join(dir, strings.Fields(c.Name)[0]+".tar.gz"))
				}
				return nil
			}
		}},
		{"interrupted after the volume was made", nil, func(_ string, cancel context.CancelFunc) func(enginetest.Call) error {
			return func(c enginetest.Call) error {
				if c.Method == "CreateVolume" {
					cancel()
				}
				return nil
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			e, dir := newEngine(), t.TempDir()
			r := runner.New(e)
			if _, err := r.Up(t.Context(), project(t, twoVolumes), runner.UpOptions{}); err != nil {
				t.Fatal(err)
			}
			if _, err := r.BackupVolumes(t.Context(), "shop", runner.BackupOptions{Dir: dir}); err != nil {
				t.Fatal(err)
			}
			if _, err := r.Down(t.Context(), "shop", runner.DownOptions{Volumes: true}); err != nil {
				t.Fatal(err)
			}
			for _, name := range test.there {
				e.AddVolume(name, "shop")
			}
			before := e.Dump()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			e.FailWith(test.fault(dir, cancel))
			if _, err := r.RestoreVolumes(ctx, "shop", runner.RestoreOptions{From: dir, Images: []string{"db"}}); err == nil {
				t.Error("no error")
			}
			if diff := cmp.Diff(before, e.Dump()); diff != "" {
				t.Errorf("left behind (-before +after):\n%s", diff)
			}
		})
	}
}

// What stops before a restore stops before a volume is made for it: a container that
// does not stop leaves none.
func TestRestoreMakesVolumesLast(t *testing.T) {
	e, dir := newEngine(), t.TempDir()
	r := runner.New(e)
	if _, err := r.Up(t.Context(), project(t, twoVolumes), runner.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.BackupVolumes(t.Context(), "shop", runner.BackupOptions{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Down(t.Context(), "shop", runner.DownOptions{Volumes: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Up(t.Context(), project(t, strings.ReplaceAll(twoVolumes, `, "more:/more"`, "")), runner.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	before := e.Dump()
	e.FailWith(func(c enginetest.Call) error {
		if c.Method == "StopContainer" && c.Name == "shop-db-1" {
			return errors.New("it does not stop")
		}
		return nil
	})
	if _, err := r.RestoreVolumes(t.Context(), "shop", runner.RestoreOptions{From: dir}); err == nil {
		t.Error("no error")
	}
	if diff := cmp.Diff(before, e.Dump()); diff != "" {
		t.Errorf("left behind (-before +after):\n%s", diff)
	}
}

// deaf is an engine whose work is done, and whose answers to some calls are lost.
type deaf struct {
	*enginetest.Engine
	lost func(enginetest.Call) bool
}

func (d *deaf) after(method, name string, err error) error {
	if err == nil && d.lost(enginetest.Call{Method: method, Name: name}) {
		return &engine.LostError{Call: method, Err: errors.New("EOF")}
	}
	return err
}

func (d *deaf) CreateContainer(ctx context.Context, c engine.CreateContainer) (string, error) {
	id, err := d.Engine.CreateContainer(ctx, c)
	return id, d.after("CreateContainer", c.Spec.Name, err)
}

func (d *deaf) RemoveContainer(ctx context.Context, name string, volumes bool) error {
	there, _ := d.Inspect(ctx, name)
	return d.after("RemoveContainer", there.Name, d.Engine.RemoveContainer(ctx, name, volumes))
}

func (d *deaf) RemoveVolume(ctx context.Context, name string) error {
	return d.after("RemoveVolume", name, d.Engine.RemoveVolume(ctx, name))
}

// backedUp has two volumes with data in a backup, and gives the folder.
func backedUp(t *testing.T, e *enginetest.Engine) string {
	t.Helper()
	dir, r := t.TempDir(), runner.New(e)
	if _, err := r.Up(t.Context(), project(t, twoVolumes), runner.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	e.FillVolume("shop_data", map[string]string{"a": "1"})
	e.FillVolume("shop_more", map[string]string{"b": "2"})
	if _, err := r.BackupVolumes(t.Context(), "shop", runner.BackupOptions{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	return dir
}

// What an engine has done without an answer is found out: after an error the same
// restore again brings all of the data, whichever call it was.
func TestRestoreWithLostAnswers(t *testing.T) {
	helper := func(c enginetest.Call) bool { return strings.HasPrefix(c.Name, "shop-restore-") }
	for _, test := range []struct {
		name string
		// fails is a call that the engine does not carry out; lost is one that it does.
		fails, lost func(enginetest.Call) bool
		// there says that the volumes are there before, empty and in use.
		there bool
	}{
		{name: "a helper was made", lost: func(c enginetest.Call) bool { return c.Method == "CreateContainer" && helper(c) }},
		{name: "a helper was made for a volume in use", there: true, lost: func(c enginetest.Call) bool { return c.Method == "CreateContainer" && helper(c) }},
		{name: "a helper was removed", lost: func(c enginetest.Call) bool { return c.Method == "RemoveContainer" && helper(c) }},
		{name: "a helper was removed from a volume in use", there: true, lost: func(c enginetest.Call) bool { return c.Method == "RemoveContainer" && helper(c) }},
		{
			name:  "a volume was removed that holds a part",
			fails: func(c enginetest.Call) bool { return c.Method == "WriteFolder" },
			lost:  func(c enginetest.Call) bool { return c.Method == "RemoveVolume" },
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := newEngine()
			dir := backedUp(t, e)
			if test.there {
				e.FillVolume("shop_data", nil)
				e.FillVolume("shop_more", nil)
			} else if _, err := runner.New(e).Down(t.Context(), "shop", runner.DownOptions{Volumes: true}); err != nil {
				t.Fatal(err)
			}
			once := func(when func(enginetest.Call) bool) func(enginetest.Call) bool {
				var seen atomic.Bool // calls come at one time
				return func(c enginetest.Call) bool {
					return when != nil && when(c) && seen.CompareAndSwap(false, true)
				}
			}
			fails := once(test.fails)
			e.FailWith(func(c enginetest.Call) error {
				if fails(c) {
					return errors.New("broken")
				}
				return nil
			})
			r := runner.New(&deaf{e, once(test.lost)})
			o := runner.RestoreOptions{From: dir, Images: []string{"db"}}
			if _, err := r.RestoreVolumes(t.Context(), "shop", o); err != nil {
				if _, err := r.RestoreVolumes(t.Context(), "shop", o); err != nil {
					t.Fatalf("once more: %v", err)
				}
			}
			if diff := cmp.Diff(map[string]string{"a": "1"}, e.VolumeContents("shop_data")); diff != "" {
				t.Errorf("shop_data (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(map[string]string{"b": "2"}, e.VolumeContents("shop_more")); diff != "" {
				t.Errorf("shop_more (-want +got):\n%s", diff)
			}
			if _, err := r.Up(t.Context(), project(t, twoVolumes), runner.UpOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
}

// A volume that holds a part of its backup is never used, whatever becomes of its
// removal: the sign goes before it, and comes back.
func TestCutRestoreKeepsItsSign(t *testing.T) {
	broken := errors.New("broken")
	again := map[string]func(ctx context.Context, r *runner.Runner, dir string) error{
		"restore": func(ctx context.Context, r *runner.Runner, dir string) error {
			_, err := r.RestoreVolumes(ctx, "shop", runner.RestoreOptions{From: dir, Images: []string{"db"}})
			return err
		},
		"down": func(ctx context.Context, r *runner.Runner, _ string) error {
			_, err := r.Down(ctx, "shop", runner.DownOptions{Volumes: true})
			return err
		},
	}
	for verb, command := range again {
		for _, interrupted := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s interrupted %t", verb, interrupted), func(t *testing.T) {
				e := newEngine()
				dir := backedUp(t, e)
				r := runner.New(e)
				if _, err := r.Down(t.Context(), "shop", runner.DownOptions{Volumes: true}); err != nil {
					t.Fatal(err)
				}
				e.FailWith(func(c enginetest.Call) error {
					if c.Method == "WriteFolder" || c.Method == "RemoveVolume" {
						return broken
					}
					return nil
				})
				if err := again["restore"](t.Context(), r, dir); err == nil {
					t.Fatal("no error")
				}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				e.FailWith(func(c enginetest.Call) error {
					switch {
					case interrupted && c.Method == "RemoveContainer":
						cancel()
					case !interrupted && c.Method == "RemoveVolume":
						return broken
					}
					return nil
				})
				if err := command(ctx, r, dir); err == nil {
					t.Fatal("no error")
				}
				e.FailWith(nil)
				if _, err := r.Up(t.Context(), project(t, twoVolumes), runner.UpOptions{}); !errors.Is(err, plan.ErrKeepsData) {
					t.Errorf("up with %s:\n%s%v", e.VolumeContents("shop_data"), e.Dump(), err)
				}
				if err := again["restore"](t.Context(), r, dir); err != nil {
					t.Errorf("restore once more: %v", err)
				}
			})
		}
	}
}

// A volume whose data outlives its removal, since it is somebody else's or is only
// mounted from elsewhere, is not used after a restore that was cut either. Its owner
// empties it, and the next restore completes it.
func TestCutRestoreOfDataThatStays(t *testing.T) {
	const stack = `
name: shop
services:
  db: {image: db, volumes: ["data:/data"]}
volumes: {data: {%s}}
`
	for _, test := range []struct {
		name, volume, config string
		// missing says that the restore makes the volume.
		missing bool
	}{
		{name: "external", volume: "theirs", config: "external: true, name: theirs"},
		{name: "mounted", volume: "shop_data", config: `driver_opts: {type: nfs, o: addr=10.0.0.9, device: ":/data"}`},
		{name: "mounted anew", volume: "shop_data", config: `driver_opts: {type: nfs, o: addr=10.0.0.9, device: ":/data"}`, missing: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			e, dir := newEngine(), t.TempDir()
			e.AddVolume("theirs", "")
			r, p := runner.New(e), project(t, fmt.Sprintf(stack, test.config))
			all := map[string]string{"a": "1", "b": "2"}
			e.FillVolume(test.volume, all)
			if _, err := r.Up(t.Context(), p, runner.UpOptions{}); err != nil {
				t.Fatal(err)
			}
			if _, err := r.BackupVolumes(t.Context(), "shop", runner.BackupOptions{Dir: dir}); err != nil {
				t.Fatal(err)
			}
			if test.missing {
				if _, err := r.Down(t.Context(), "shop", runner.DownOptions{Volumes: true}); err != nil {
					t.Fatal(err)
				}
			}
			e.FillVolume(test.volume, nil)
			e.FailWith(func(c enginetest.Call) error {
				if c.Method == "WriteFolder" {
					return errors.New("broken")
				}
				return nil
			})
			o := runner.RestoreOptions{From: dir, Images: []string{"db"}}
			if _, err := r.RestoreVolumes(t.Context(), "shop", o); err == nil {
				t.Fatal("no error")
			}
			e.FailWith(nil)
			upRefuses := func() {
				t.Helper()
				if _, err := r.Up(t.Context(), p, runner.UpOptions{}); !errors.Is(err, plan.ErrKeepsData) {
					t.Errorf("up on a part: %v", err)
				}
			}
			upRefuses()
			var notEmpty *runner.NotEmptyError
			if _, err := r.RestoreVolumes(t.Context(), "shop", o); !errors.As(err, &notEmpty) {
				t.Errorf("a restore over a part of the data: %v", err)
			}
			upRefuses()
			e.FillVolume(test.volume, nil)
			if _, err := r.RestoreVolumes(t.Context(), "shop", o); err != nil {
				t.Errorf("after the volume was emptied: %v", err)
			}
			if _, err := r.Up(t.Context(), p, runner.UpOptions{}); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(all, e.VolumeContents(test.volume)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
