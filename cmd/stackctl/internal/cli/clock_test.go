package cli_test

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stackctl/stackctl/pkg/runner/engine/enginetest"
)

// The engine's clock is meant by what lasts so long, not this machine's: an hour
// between the two changes nothing of what is shown.
func TestClockOfTheEngine(t *testing.T) {
	t.Parallel()
	s := newSession(t)
	s.Behave("cache", enginetest.Behaviour{Log: []string{"ready to accept"}})
	var shown [][]string
	for _, skew := range []time.Duration{0, time.Hour, -time.Hour} {
		var outputs []string
		for _, command := range []string{"up", "status", "logs --since 10m cache", "events --since 10m --until 0s cache"} {
			var out, messages bytes.Buffer
			app := newApp(s.Engine, s.dir, &out, &messages)
			app.Environ = []string{"POSTGRES_PASSWORD=x"}
			app.Now = func() time.Time { return theTime.Add(skew) }
			if code := app.Run(context.Background(), strings.Fields(command)); code != 0 {
				t.Fatalf("%s, %s: exit code %d\n%s", command, skew, code, messages.String())
			}
			outputs = append(outputs, out.String())
		}
		shown = append(shown, outputs)
	}
	if !strings.Contains(shown[0][2], "ready to accept") || !strings.Contains(shown[0][3], " start ") {
		t.Errorf("nothing of the last ten minutes is shown: %q", shown[0])
	}
	for i := range shown[0] {
		if shown[1][i] != shown[0][i] || shown[2][i] != shown[0][i] {
			t.Errorf("with clocks that differ: %q, %q, %q", shown[0][i], shown[1][i], shown[2][i])
		}
	}
}
