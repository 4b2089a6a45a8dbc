package runner_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stackctl/stackctl/pkg/runner"
	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/engine/enginetest"
)

// An engine that is gone is the reason of a failure, whether it says so itself or
// takes no connection any more.
func TestUpLosesItsEngine(t *testing.T) {
	t.Parallel()
	unreachable := &engine.UnreachableError{Endpoint: "unix:///x.sock", Lost: true, Err: io.EOF}
	for name, fail := range map[string]func(c enginetest.Call) error{
		"in a call": func(c enginetest.Call) error {
			if c.Method == "StartContainer" {
				return &engine.LostError{Err: io.EOF}
			}
			return nil
		},
		"after its containers": func(c enginetest.Call) error {
			switch c.Method {
			case "StartContainer":
				return errors.New("it is being removed")
			case "Now":
				return unreachable
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEngine()
			e.FailWith(fail)
			_, err := runner.New(e).Up(t.Context(), project(t, shop), runner.UpOptions{})
			var failed *runner.FailedError
			if !errors.As(err, &failed) || failed.Engine == nil {
				t.Fatalf("got %v", err)
			}
			if failed.Failures[0].Log != nil {
				t.Error("an engine that is gone was asked for a log")
			}
		})
	}
}

// A container that got ready and ended while the rest was on its way fails the run.
func TestUpOfWhatHasEndedSince(t *testing.T) {
	t.Parallel()
	e := newEngine()
	lists := 0
	e.FailWith(func(c enginetest.Call) error {
		if c.Method == "Containers" && c.Name == "shop" {
			if lists++; lists == 2 { // the one at the end
				return e.Kill("shop-web-1", 3)
			}
		}
		return nil
	})
	_, err := runner.New(e).Up(t.Context(), project(t, shop), runner.UpOptions{})
	var notReady *runner.NotReadyError
	if !errors.As(err, &notReady) || !notReady.Exited || notReady.ExitCode != 3 {
		t.Fatalf("got %v", err)
	}
	if want := "container shop-web-1 is not running: it had been, and has ended since with exit code 3"; err.Error() != want {
		t.Errorf("error %q, want %q", err, want)
	}
}

// What ends and has an image for another platform says so; what runs does not.
func TestUpOfAForeignImage(t *testing.T) {
	t.Parallel()
	e := newEngine()
	e.SetPlatform(engine.Platform{OS: "linux", Arch: "riscv64"})
	if _, err := runner.New(e).Up(t.Context(), project(t, shop), runner.UpOptions{}); err != nil {
		t.Fatalf("an image that runs under emulation: %v", err)
	}
	e = newEngine()
	e.SetPlatform(engine.Platform{OS: "linux", Arch: "riscv64"})
	e.Behave("web", enginetest.Behaviour{Exits: true, ExitCode: 1})
	_, err := runner.New(e).Up(t.Context(), project(t, shop), runner.UpOptions{})
	var (
		foreign  *runner.ForeignImageError
		notReady *runner.NotReadyError
	)
	if !errors.As(err, &foreign) || !errors.As(err, &notReady) || foreign.Engine != "linux/riscv64" || foreign.Image != "web" {
		t.Errorf("got %v", err)
	}
}

// A subnet that another network has is named with it, beside one that is free.
func TestUpOfASubnetThatIsTaken(t *testing.T) {
	t.Parallel()
	const text = `
services: {web: {image: web, networks: [back]}}
networks: {back: {name: NAME, ipam: {config: [{subnet: SUBNET}]}}}
`
	stack := func(network, subnet string) *types.Project {
		return project(t, strings.NewReplacer("NAME", network, "SUBNET", subnet).Replace(text))
	}
	e := newEngine()
	other := stack("other", "10.100.0.0/16")
	other.Name = "other"
	if _, err := runner.New(e).Up(t.Context(), other, runner.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	e.FailWith(func(c enginetest.Call) error {
		if c.Method == "CreateNetwork" {
			return errors.New("pool overlaps")
		}
		return nil
	})
	_, err := runner.New(e).Up(t.Context(), stack("mine", "10.100.7.0/24"), runner.UpOptions{})
	var subnet *runner.SubnetError
	if !errors.As(err, &subnet) || subnet.Subnet != "10.100.7.0/24" || subnet.OtherSubnet != "10.100.0.0/16" || subnet.Free != "10.101.0.0/24" {
		t.Errorf("got %v, %+v", err, subnet)
	}
	_, err = runner.New(e).Up(t.Context(), stack("mine", "10.7.7.0/24"), runner.UpOptions{})
	if errors.As(err, &subnet) || err == nil {
		t.Errorf("of a subnet that is free: %v", err)
	}
}
