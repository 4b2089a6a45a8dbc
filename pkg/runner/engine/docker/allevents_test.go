package docker

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/go-connections/nat"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/stackctl/stackctl/pkg/runner/engine"
)

func TestAllEventsOfAnEngine(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
	var query map[string][]string
	e := fake(t, speaking("1.44", func(w http.ResponseWriter, r *http.Request) {
		query = r.URL.Query()
		for _, action := range []string{"exec_create: sh -c true", "health_status: healthy"} {
			_ = json.NewEncoder(w).Encode(map[string]any{
				"Type": "container", "Action": action, "timeNano": 7,
				"Actor": map[string]any{"ID": "id", "Attributes": map[string]string{"name": "web", "image": "alpine"}},
			})
		}
	}))
	var got []engine.Event
	until := time.Unix(9, 10)
	err := e.AllEvents(t.Context(), engine.EventOptions{Project: "shop", Since: time.Unix(5, 6), Until: until}, func(e engine.Event) { got = append(got, e) })
	if err != nil {
		t.Fatal(err)
	}
	attributes := map[string]string{"name": "web", "image": "alpine"}
	want := []engine.Event{
		{Time: time.Unix(0, 7), ID: "id", Name: "web", Action: "exec_create", Detail: "sh -c true", Attributes: attributes},
		{Time: time.Unix(0, 7), ID: "id", Name: "web", Action: "health_status", Detail: "healthy", Health: "healthy", Attributes: attributes},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	delete(query, "filters")
	if diff := cmp.Diff(map[string][]string{"since": {"5.000000006"}, "until": {"9.000000010"}}, query); diff != "" {
		t.Errorf("query (-want +got):\n%s", diff)
	}
	// Without an end that was asked for, the end is an error.
	if err := e.AllEvents(t.Context(), engine.EventOptions{}, func(engine.Event) {}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("an end too soon: %v", err)
	}
}

// An engine that stops while it is watched is one that cannot be reached.
func TestAllEventsOfAnEngineThatStops(t *testing.T) {
	var answered atomic.Bool
	server := httptest.NewUnstartedServer(nil)
	server.Config.Handler = speaking("1.44", func(http.ResponseWriter, *http.Request) {
		answered.Store(true)
		_ = server.Listener.Close()
		panic(http.ErrAbortHandler)
	})
	server.Start()
	t.Cleanup(server.Close)
	e, err := New(Options{Host: "tcp://" + strings.TrimPrefix(server.URL, "http://")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	err = e.AllEvents(t.Context(), engine.EventOptions{Until: time.Unix(1, 0)}, func(engine.Event) {})
	var unreachable *engine.UnreachableError
	if !errors.As(err, &unreachable) || !answered.Load() {
		t.Errorf("%v, answered %t", err, answered.Load())
	}
}

func TestPublishedPorts(t *testing.T) {
	c := container.InspectResponse{ContainerJSONBase: &container.ContainerJSONBase{HostConfig: &container.HostConfig{
		PortBindings: nat.PortMap{
			"80/tcp": {{HostPort: "8000-8010"}, {HostIP: "::", HostPort: "8000-8010"}},
			"81/tcp": {{HostPort: ""}},
			"82/tcp": {{HostPort: "0"}},
			"53/udp": {{HostPort: "53"}},
		},
	}}}
	if diff := cmp.Diff([]string{"53", "8000-8010"}, inspectionFrom(c).Published); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
