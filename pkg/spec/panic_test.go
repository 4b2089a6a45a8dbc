package spec_test

import (
	"fmt"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stackctl/stackctl/pkg/spec"
)

// A program that holds a stack and ends with a panic, or prints the stack, tells the
// names of its variables and nothing of what is in them.
func TestPanicTellsNoPassword(t *testing.T) {
	const canary = "Kanarienvogel"
	t.Setenv("POSTGRES_PASSWORD", canary)
	stack := spec.WebStack(spec.WebStackOptions{})
	project, err := stack.Project(t.Context(), spec.WithEnv(map[string]string{"POSTGRES_PASSWORD": canary}), spec.WithWorkingDir(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	if project.Environment["POSTGRES_PASSWORD"] != canary {
		t.Fatal("the loaded project does not have the password, so nothing can tell it")
	}
	said := fmt.Sprintf("%v\n%+v\n%#v\n", stack, stack, spec.FromEnv("POSTGRES_PASSWORD"))
	for _, s := range stack.Services {
		said += fmt.Sprintf("%v\n%+v\n%#v\n", s, s, s)
	}
	func() {
		defer func() { said += fmt.Sprint(recover()) + string(debug.Stack()) }()
		crash(len(stack.Services), stack, project, canary)
	}()
	if !strings.Contains(said, "POSTGRES_PASSWORD") || !strings.Contains(said, "out of range") {
		t.Errorf("the stack or the panic is not in what was printed:\n%s", said)
	}
	if strings.Contains(said, canary) {
		t.Errorf("the password is in what was printed:\n%s", said)
	}
}

// crash ends with a panic while it holds a password.
//
//go:noinline
func crash(beyond int, stack *spec.Stack, _ *types.Project, _ string) string {
	return stack.Services[beyond].Name
}
