package docker

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"

	"github.com/stackctl/stackctl/pkg/runner/engine"
)

// The answers are those of Docker 20.10 and 26.1.
func TestPullReasons(t *testing.T) {
	for _, test := range []struct {
		status int
		said   string
		want   engine.PullReason
	}{
		{http.StatusInternalServerError, `Head "http://127.0.0.1:5000/v2/app/manifests/1": no basic auth credentials`, engine.PullUnauthorized},
		{http.StatusInternalServerError, "unauthorized: authentication required", engine.PullUnauthorized},
		{http.StatusNotFound, "manifest for app:1 not found: manifest unknown: manifest unknown", engine.PullNotFound},
		{http.StatusNotFound, "pull access denied for app, repository does not exist or may require 'docker login'", engine.PullNotFound},
		{http.StatusInternalServerError, `Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused`, engine.PullNoAnswer},
		{http.StatusInternalServerError, `Get "https://no.such/v2/": dial tcp: lookup no.such on 10.0.0.1:53: no such host`, engine.PullNoHost},
		{http.StatusInternalServerError, `Get "https://10.0.0.9:5000/v2/": http: server gave HTTP response to HTTPS client`, engine.PullPlainHTTP},
		{http.StatusInternalServerError, "toomanyrequests: You have reached your pull rate limit", engine.PullLimited},
		{http.StatusInternalServerError, "no space left on device", engine.PullFailed},
		// What fails once layers are on their way has no status.
		{http.StatusOK, "unauthorized: authentication required", engine.PullUnauthorized},
	} {
		e := fake(t, speaking("1.44", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(test.status)
			answer := map[string]any{"message": test.said}
			if test.status == http.StatusOK {
				answer = map[string]any{"errorDetail": map[string]string{"message": test.said}}
			}
			_ = json.NewEncoder(w).Encode(answer)
		}))
		err := e.Pull(t.Context(), "127.0.0.1:5000/app:1", "", nil)
		var pull *engine.PullError
		if !errors.As(err, &pull) || pull.Reason != test.want || pull.Registry != "127.0.0.1:5000" {
			t.Errorf("%d %s: %#v, want the reason %q", test.status, test.said, err, test.want)
			continue
		}
		if want := `pull image "127.0.0.1:5000/app:1": ` + test.said; err.Error() != want {
			t.Errorf("error is %v, want %s", err, want)
		}
	}
}
