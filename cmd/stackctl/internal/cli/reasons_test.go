package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stackctl/stackctl/pkg/runner"
	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/plan"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// What is known of a failure decides on the exit code and on the hint.
func TestJudgeReasons(t *testing.T) {
	t.Parallel()
	web := state.ContainerSpec{Name: "shop-web-1", Service: "web"}
	limited := web
	limited.Config.MemLimit = 64 << 20
	oom := &runner.NotReadyError{Container: "shop-web-1", Condition: state.Healthy, Reason: "it was killed", Exited: true, ExitCode: 137, OOMKilled: true}
	ended := &runner.NotReadyError{Container: "shop-web-1", Condition: state.Healthy, Reason: "it exited with code 1", Exited: true, ExitCode: 1}
	for _, c := range []struct {
		name string
		op   plan.Op
		// verb is the command; empty for up.
		verb string
		err  error
		// engine is why that does not answer any more.
		engine error
		code   int
		lines  int
		hint   string
	}{
		{
			name: "a connection that was lost", op: plan.WaitReady{Container: web},
			err: fmt.Errorf("inspect: %w", &engine.LostError{Err: io.EOF}), engine: &engine.LostError{Err: io.EOF},
			code: 4, lines: 1, hint: "`stackctl up` again goes on from here",
		},
		{
			name: "an engine that was stopped", op: plan.WaitReady{Container: web}, err: ended,
			engine: &engine.UnreachableError{Endpoint: "unix:///x.sock", Lost: true, Err: io.EOF},
			code:   4, lines: 2, hint: "see why the engine has stopped (`sudo journalctl -u docker`, or Docker Desktop), and start it again; then `stackctl up` again goes on from here",
		},
		{
			name: "an engine that was stopped during down", op: plan.RemoveContainer{}, verb: "down",
			err: &engine.LostError{Err: io.EOF}, engine: &engine.LostError{Err: io.EOF},
			code: 4, lines: 1, hint: "`stackctl down` again goes on from here",
		},
		{
			name: "a disk that is full", op: plan.CreateContainer{Container: web}, err: &engine.NoSpaceError{Err: errors.New("no space left on device")},
			code: 1, lines: 1, hint: "free space on the engine's disk: `docker system df`",
		},
		{
			name: "a limit of memory", op: plan.WaitReady{Container: limited}, err: oom,
			code: 6, lines: 1, hint: "let it have more memory than mem_limit: 64m; `stackctl logs web` shows more",
		},
		{
			name: "too little memory without a limit", op: plan.WaitReady{Container: web}, err: oom,
			code: 6, lines: 1, hint: "the engine's machine has too little memory for it; `stackctl logs web` shows more",
		},
		{
			name: "an image for another platform", op: plan.WaitReady{Container: web},
			err:  &runner.ForeignImageError{Image: "web", Platform: "linux/arm64", Engine: "linux/amd64", Err: ended},
			code: 6, lines: 1, hint: "give service web an image for linux/amd64: `platform: linux/amd64` and a pull, or a build for it; or have the engine's machine emulate linux/arm64",
		},
		{
			name: "a subnet of the engine's own network", op: plan.CreateNetwork{},
			err:  &runner.SubnetError{Network: "shop_back", Subnet: "172.17.1.0/24", Other: "bridge", OtherSubnet: "172.17.0.0/16", Free: "10.100.0.0/24"},
			code: 1, lines: 1, hint: "choose another subnet, such as `subnet: 10.100.0.0/24`, or leave the choice to the engine",
		},
		{
			name: "a port that was taken meanwhile", op: plan.StartContainer{Container: web},
			err:  &runner.PortsError{Conflicts: []runner.PortConflict{{Service: "web", Address: "8080", Protocol: "tcp", Holder: "process nc (pid 7)"}}},
			code: 1, lines: 1, hint: "stop what holds the port, or choose another one; `stackctl up` again goes on from here",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := failure(c.op, "web", c.err)
			got := judge(t.Context(), cmp.Or(c.verb, "up"), &runner.FailedError{Failures: []runner.Failure{f}, Engine: c.engine}, nil)
			if got.code != c.code || len(got.lines) != c.lines || !strings.HasPrefix(got.hint, c.hint) {
				t.Errorf("got %+v", got)
			}
		})
	}
}
