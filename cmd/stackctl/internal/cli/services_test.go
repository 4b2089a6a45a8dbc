package cli

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stackctl/stackctl/pkg/runner/engine/enginetest"
	"github.com/stackctl/stackctl/pkg/runner/event"
)

type messages []string

func (m *messages) Emit(e event.Event) { *m = append(*m, string(e.Kind)+" "+e.Message) }

// Without a cache folder no command waits for another, which is said.
func TestNoFolderForLocks(t *testing.T) {
	for _, test := range []struct {
		dir  func() (string, error)
		want string
	}{
		{noCache, "warning there is no folder for locks, so another command at work on the same stack would not be noticed: " + os.ErrNotExist.Error()},
		{func() (string, error) { return t.TempDir(), nil }, ""},
	} {
		var got messages
		g := &globalOptions{app: &App{CacheDir: test.dir, Now: time.Now}}
		g.newRunner(enginetest.New(), &got)
		if strings.Join(got, "\n") != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
}
