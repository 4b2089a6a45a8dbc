package runner_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackctl/stackctl/pkg/runner"
	"github.com/stackctl/stackctl/pkg/runner/engine/enginetest"
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
