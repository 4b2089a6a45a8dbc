package plan_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stackctl/stackctl/pkg/runner/plan"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// A volume without a name is in no backup and stays, and is told of; one of secrets goes
// with its container, and there is nothing to tell.
func TestTeardownWithBackupTellsWhatStays(t *testing.T) {
	data, secrets := strings.Repeat("a", 64), strings.Repeat("b", 64)
	todo, err := plan.Teardown(state.Observed{Project: "shop", Containers: []state.Container{{
		ID: "1", Name: "shop-web-1", Service: "web", Number: 1,
		Mounts: []state.Mount{{Type: "volume", Name: data, Target: "/data"}, {Type: "volume", Name: secrets, Target: "/run/secrets"}},
		Files:  []string{"/run/secrets/token"},
	}}}, plan.DownOptions{Volumes: true, Backup: true})
	if err != nil {
		t.Fatal(err)
	}
	want := "volume " + data + " stays: it is anonymous, and in no backup; shop-web-1 has it at /data"
	if got := strings.Join(todo.Warnings, "\n"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// What goes with a container and may hold data is told of and asked about, as what has
// a name is.
func TestTeardownOfAnonymousVolumesIsDestructive(t *testing.T) {
	web := state.Container{ID: "1", Name: "shop-web-1", Service: "web", Number: 1, Files: []string{"/run/secrets/token"}}
	for target, want := range map[string]bool{"/data": true, "/run/secrets": false} {
		web.Mounts = []state.Mount{{Type: "volume", Name: strings.Repeat("a", 64), Target: target}}
		todo, err := plan.Teardown(state.Observed{Project: "shop", Containers: []state.Container{web}}, plan.DownOptions{Volumes: true})
		if err != nil {
			t.Fatal(err)
		}
		if got := todo.Nodes[0].Destructive; got != want {
			t.Errorf("%s: got %v, want %v", target, got, want)
		}
	}
}

// The sign of a restore that was cut goes with its volume, after all else, and stays
// where that stays. Such a volume is in no backup.
func TestTeardownOfACutRestore(t *testing.T) {
	data := state.Volume{Name: "shop_data", Key: "data", Project: "shop"}
	sign := state.Container{
		ID: "2", Name: "shop-restore-1", OneOff: true, Helper: state.HelperRestore,
		Mounts: []state.Mount{{Type: "volume", Name: "shop_data", Target: "/stackctl-volume"}},
	}
	web := state.Container{ID: "1", Name: "shop-web-1", Service: "web", Number: 1, State: "running"}
	o := state.Observed{Project: "shop", Containers: []state.Container{web}, OneOffs: []state.Container{sign}, Volumes: []state.Volume{data}}
	todo, err := plan.Teardown(o, plan.DownOptions{Volumes: true})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, n := range todo.Nodes {
		got = append(got, strings.TrimPrefix(fmt.Sprintf("%T", n.Op), "plan."))
	}
	want := "StopContainer, RemoveContainer, RemoveContainer, RemoveVolume"
	if strings.Join(got, ", ") != want {
		t.Errorf("got %s, want %s: the sign after the container, the volume after the sign\n%s", got, want, todo)
	}
	if _, err := plan.Teardown(o, plan.DownOptions{Volumes: true, Backup: true}); !errors.Is(err, plan.ErrKeepsData) {
		t.Errorf("a part of a backup was backed up: %v", err)
	}
	o.Volumes[0].Project, o.Volumes[0].Key = "", ""
	todo, err = plan.Teardown(o, plan.DownOptions{Volumes: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range todo.Nodes {
		if remove, ok := n.Op.(plan.RemoveContainer); ok && remove.Container.Helper != "" {
			t.Error("the sign goes, and its volume stays")
		}
	}
}
