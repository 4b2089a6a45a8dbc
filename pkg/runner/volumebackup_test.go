package runner_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackctl/stackctl/pkg/runner"
	"github.com/stackctl/stackctl/pkg/runner/engine/enginetest"
	"github.com/stackctl/stackctl/pkg/runner/plan"
)

// What lives in the network of a container that stops for a backup has none any more
// when that one starts again, so it stops and starts with it; the rest stays.
func TestBackupTakesWhatSharesNamespaces(t *testing.T) {
	const stack = `
name: shop
services:
  db: {image: db, volumes: ["data:/data"]}
  side: {image: web, network_mode: "service:db"}
  trace: {image: web, pid: "service:side"}
  web: {image: web, depends_on: [db]}
volumes: {data: {}}
`
	e := newEngine()
	r := runner.New(e)
	if _, err := r.Up(t.Context(), project(t, stack), runner.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	e.ForgetCalls()
	if _, err := r.BackupVolumes(t.Context(), "shop", runner.BackupOptions{Dir: t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range e.Calls() {
		if c.Method == "StopContainer" || c.Method == "StartContainer" {
			got = append(got, c.String())
		}
	}
	want := []string{
		"StopContainer shop-trace-1", "StopContainer shop-side-1", "StopContainer shop-db-1",
		"StartContainer shop-db-1", "StartContainer shop-side-1", "StartContainer shop-trace-1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("stops and starts (-want +got):\n%s", diff)
	}

	// Where that one stays stopped, since its volume holds a part of its data, the
	// others do, too.
	dir := t.TempDir()
	if _, err := r.BackupVolumes(t.Context(), "shop", runner.BackupOptions{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	e.FailWith(func(c enginetest.Call) error {
		if c.Method == "WriteFolder" {
			return errors.New("broken")
		}
		return nil
	})
	report, err := r.RestoreVolumes(t.Context(), "shop", runner.RestoreOptions{From: dir})
	if err == nil {
		t.Fatal("no error")
	}
	for _, out := range report.Outcomes {
		if _, start := out.Node.Op.(plan.StartContainer); start {
			t.Errorf("%s is started: %s, %v", out.Node.Op.Ref(), out.Status, out.Err)
		}
	}
}
