package docker

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/pkg/stdcopy"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

const stamp = "2026-03-04T05:06:07.000000008Z"

var stamped = time.Date(2026, 3, 4, 5, 6, 7, 8, time.UTC)

func TestFramedLog(t *testing.T) {
	long := strings.Repeat("x", 16<<10)
	var frames bytes.Buffer
	stdout := stdcopy.NewStdWriter(&frames, stdcopy.Stdout)
	stderr := stdcopy.NewStdWriter(&frames, stdcopy.Stderr)
	for _, frame := range []struct {
		to   io.Writer
		text string
	}{
		{stdout, stamp + " one\n"},
		{stdout, stamp + " " + long}, // a piece of a line
		{stderr, stamp + " between\r\n"},
		{stdout, "2026-03-04T05:06:09Z " + long},
		{stdout, "2026-03-04T05:06:10Z end\n"},
		{stdout, stamp + " \n"},
		{stdout, "no time\n"},
		{stdout, stamp + " open"},
	} {
		if _, err := io.WriteString(frame.to, frame.text); err != nil {
			t.Fatal(err)
		}
	}
	var got []engine.LogLine
	each := func(l engine.LogLine) { got = append(got, l) }
	out, errs := &lineWriter{each: each}, &lineWriter{each: each, stderr: true}
	if err := demultiplex(out, errs, &frames); err != nil {
		t.Fatal(err)
	}
	out.flush()
	errs.flush()
	want := []engine.LogLine{
		{Time: stamped, Text: "one"},
		{Time: stamped, Text: "between", Stderr: true},
		{Time: stamped, Text: long + long + "end"},
		{Time: stamped, Text: ""},
		{Text: "no time"},
		{Time: stamped, Text: "open"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%.2000s", diff)
	}
}

func TestUnframedLogInAnyPieces(t *testing.T) {
	text := stamp + " one\r\n" + stamp + " \r\n" + stamp + " two words\r\n" + stamp + " open"
	want := []engine.LogLine{
		{Time: stamped, Text: "one"},
		{Time: stamped, Text: ""},
		{Time: stamped, Text: "two words"},
		{Time: stamped, Text: "open"},
	}
	for size := 1; size <= len(text); size++ {
		var got []engine.LogLine
		w := &lineWriter{unframed: true, each: func(l engine.LogLine) { got = append(got, l) }}
		for rest := []byte(text); len(rest) > 0; rest = rest[min(size, len(rest)):] {
			if n, err := w.Write(rest[:min(size, len(rest))]); err != nil || n != min(size, len(rest)) {
				t.Fatal(n, err)
			}
		}
		w.flush()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("in pieces of %d (-want +got):\n%s", size, diff)
		}
	}
}

func TestStatusText(t *testing.T) {
	for status, want := range map[string]struct {
		health string
		code   int
	}{
		"Up 5 minutes":                     {},
		"Up 5 minutes (healthy)":           {health: "healthy"},
		"Up 1 second (health: starting)":   {health: "starting"},
		"Up 2 hours (unhealthy)":           {health: "unhealthy"},
		"Up 5 minutes (Paused)":            {},
		"Exited (137) About an hour ago":   {code: 137},
		"Restarting (1) 5 seconds ago":     {code: 1},
		"Created":                          {},
		"Removal In Progress":              {},
		"Dead":                             {},
		"Exited (4294967295) a moment ago": {code: 4294967295},
	} {
		if health, code := healthFromStatus(status), exitCodeFromStatus(status); health != want.health || code != want.code {
			t.Errorf("%q is %q, %d", status, health, code)
		}
	}
}

func TestContainerFromSummary(t *testing.T) {
	got := containerFromSummary(container.Summary{
		ID: "id", Names: []string{"/other/alias", "/shop-web-1"}, Image: "app", ImageID: "sha256:1",
		State: "exited", Status: "Exited (3) 5 seconds ago", Created: 1_700_000_000,
		Labels: map[string]string{
			state.LabelProject: "shop", state.LabelService: "web", state.LabelNumber: "1", state.LabelHash: "v1:x",
			state.LabelComposeHash: "y", state.LabelOneOff: "True", state.LabelDependsOn: "db:service_healthy:true",
		},
		Ports: []container.Port{
			{IP: "::", PrivatePort: 80, PublicPort: 8080, Type: "tcp"},
			{IP: "0.0.0.0", PrivatePort: 80, PublicPort: 8080, Type: "tcp"},
			{PrivatePort: 53, Type: "udp"},
		},
		NetworkSettings: &container.NetworkSettingsSummary{Networks: map[string]*network.EndpointSettings{
			"shop_back": {NetworkID: "n1"}, "shop_front": nil,
		}},
		Mounts: []container.MountPoint{
			{Type: mount.TypeVolume, Name: "v", Destination: "/b"}, {Type: mount.TypeBind, Destination: "/a"},
		},
	})
	want := state.Container{
		ID: "id", Name: "shop-web-1", Project: "shop", Service: "web", Number: 1, OneOff: true,
		Image: "app", ImageID: "sha256:1", State: "exited", ExitCode: 3, Status: "Exited (3) 5 seconds ago",
		Created: time.Unix(1_700_000_000, 0), Hash: "v1:x", ComposeHash: "y",
		DependsOn: state.ParseDependsOn("db:service_healthy:true"),
		Ports: []state.Port{
			{ContainerPort: 53, Protocol: "udp"},
			{HostIP: "0.0.0.0", HostPort: 8080, ContainerPort: 80, Protocol: "tcp"},
			{HostIP: "::", HostPort: 8080, ContainerPort: 80, Protocol: "tcp"},
		},
		Networks: map[string]string{"shop_back": "n1", "shop_front": ""},
		Mounts:   []state.Mount{{Type: "bind", Target: "/a"}, {Type: "volume", Name: "v", Target: "/b"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEffectiveHealthcheck(t *testing.T) {
	for _, test := range []struct {
		name   string
		config container.Config
		want   []string
	}{
		{"none at all", container.Config{}, nil},
		{"switched off", container.Config{Healthcheck: &container.HealthConfig{Test: []string{"NONE"}}}, nil},
		{"no command", container.Config{Healthcheck: &container.HealthConfig{Interval: time.Second}}, nil},
		{"command", container.Config{Healthcheck: &container.HealthConfig{Test: []string{"CMD", "a", "b"}}}, []string{"a", "b"}},
		{"shell", container.Config{Healthcheck: &container.HealthConfig{Test: []string{"CMD-SHELL", "a b"}}}, []string{"/bin/sh", "-c", "a b"}},
		{
			"shell of the image",
			container.Config{Shell: []string{"/bin/bash", "-lc"}, Healthcheck: &container.HealthConfig{Test: []string{"CMD-SHELL", "a b"}}},
			[]string{"/bin/bash", "-lc", "a b"},
		},
	} {
		var got []string
		if h := healthcheckFrom(&test.config); h != nil {
			got = h.Command
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

func TestEventWords(t *testing.T) {
	message := func(action string, more ...string) events.Message {
		m := events.Message{Type: events.ContainerEventType, Action: events.Action(action), TimeNano: 5}
		m.Actor.ID = "id"
		m.Actor.Attributes = map[string]string{"name": "shop-web-1", state.LabelService: "web"}
		for i := 0; i < len(more); i += 2 {
			m.Actor.Attributes[more[i]] = more[i+1]
		}
		return m
	}
	base := engine.Event{Time: time.Unix(0, 5), ID: "id", Name: "shop-web-1", Service: "web"}
	with := func(change func(*engine.Event)) *engine.Event {
		e := base
		change(&e)
		return &e
	}
	image := message("tag")
	image.Type = events.ImageEventType
	for _, test := range []struct {
		message events.Message
		want    *engine.Event
	}{
		{message("start"), with(func(e *engine.Event) { e.Action = "start" })},
		{message("die", "exitCode", "137"), with(func(e *engine.Event) { e.Action, e.ExitCode = "die", 137 })},
		{message("health_status: unhealthy"), with(func(e *engine.Event) { e.Action, e.Detail, e.Health = "health_status", "unhealthy", "unhealthy" })},
		{message("exec_start: sh -c true"), with(func(e *engine.Event) { e.Action, e.Detail = "exec_start", "sh -c true" })},
		{image, nil},
	} {
		got, ok := eventFrom(test.message)
		if ok != (test.want != nil) {
			t.Errorf("%s: %v", test.message.Action, ok)
		} else if ok {
			if diff := cmp.Diff(*test.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", test.message.Action, diff)
			}
		}
	}
}

// The engine's memory and its live stream may bring one event twice, and the end
// of the stream is an event too.
func TestEventStreamOfAnEngine(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
	var since string
	e := fake(t, speaking("1.44", func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/info") {
			// An hour behind the client's clock, which must not matter.
			_ = json.NewEncoder(w).Encode(map[string]string{"SystemTime": "2026-03-04T05:06:07.000000008+01:00"})
			return
		}
		since = r.URL.Query().Get("since")
		for _, action := range []string{"create", "create", "exec_start: true", "start"} {
			_ = json.NewEncoder(w).Encode(map[string]any{
				"Type": "container", "Action": action, "timeNano": 7, "Actor": map[string]any{"ID": "id"},
			})
		}
	}))
	stream, err := e.Events(t.Context(), "shop")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for event := range stream {
		if event.Err != nil {
			got = append(got, event.Err.Error())
			continue
		}
		got = append(got, event.Action)
	}
	want := []string{"create", "start", "the connection to the engine was lost: unexpected EOF"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if want := fmt.Sprintf("%d.000000008", stamped.Add(-time.Hour).Unix()); since != want {
		t.Errorf("since is %s, want %s", since, want)
	}
}

func TestExecEndsWithItsContextThoughTheEngineIsSilent(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("enough")
	e := fake(t, speaking("1.44", func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/start") {
			_, _ = io.Copy(io.Discard, r.Body)
			cancel(cause)
			<-r.Context().Done() // and no answer
			return
		}
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"Id": "exec"}`)
	}))
	if _, err := e.Exec(ctx, "web", engine.Command{Args: []string{"true"}}); !errors.Is(err, cause) {
		t.Errorf("error is %v", err)
	}
}

func TestErrorsKeepTheirClass(t *testing.T) {
	for status, is := range map[int]func(error) bool{
		http.StatusNotFound:            errdefs.IsNotFound,
		http.StatusConflict:            errdefs.IsConflict,
		http.StatusForbidden:           errdefs.IsPermissionDenied,
		http.StatusInternalServerError: errdefs.IsInternal,
	} {
		e := fake(t, speaking("1.44", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, `{"message": "because"}`)
		}))
		err := e.RenameContainer(t.Context(), "web-1", "web-2")
		if err == nil || err.Error() != `rename container "web-1": because` || !is(err) {
			t.Errorf("status %d: error is %v", status, err)
		}
	}
}

func TestPullStream(t *testing.T) {
	answer := `{"status": "Pulling from library/app", "id": "1"}
{"status": "Downloading", "id": "layer", "progressDetail": {"current": 5, "total": 10}}
`
	e := fake(t, speaking("1.44", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("tag") == "broken" {
			answer += `{"error": "no space left", "errorDetail": {"message": "no space left"}}`
		}
		_, _ = io.WriteString(w, answer)
	}))
	var got []engine.Progress
	if err := e.Pull(t.Context(), "app:1", "", func(p engine.Progress) { got = append(got, p) }); err != nil {
		t.Fatal(err)
	}
	want := []engine.Progress{{ID: "1", Text: "Pulling from library/app"}, {ID: "layer", Text: "Downloading", Phase: engine.PhaseDownloading, Current: 5, Total: 10}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	err := e.Pull(t.Context(), "app:broken", "", nil)
	if err == nil || err.Error() != `pull image "app:broken": no space left` {
		t.Errorf("error is %v", err)
	}
}

func TestPullSendsStoredCredentials(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "config.json"), []byte(`{"auths": {
		"https://index.docker.io/v1/": {"auth": "`+base64.StdEncoding.EncodeToString([]byte("me:hub"))+`"},
		"registry.test:5000": {"auth": "`+base64.StdEncoding.EncodeToString([]byte("me:own"))+`"}}}`))
	e, err := New(Options{Host: "unix:///none", ConfigDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	for domain, want := range map[string]string{"docker.io": "hub", "registry.test:5000": "own", "elsewhere.test": ""} {
		encoded, err := e.registryAuth(domain)
		if err != nil {
			t.Fatal(err)
		}
		var got struct{ Username, Password string }
		if encoded != "" {
			text, err := base64.URLEncoding.DecodeString(encoded)
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(text, &got); err != nil {
				t.Fatal(err)
			}
		}
		if got.Password != want {
			t.Errorf("%s: %q, want %q", domain, got.Password, want)
		}
	}
}

func TestLoadAnswers(t *testing.T) {
	for answer, want := range map[string]string{
		`{"stream": "Loaded image: app:1\n"}`:           "app:1",
		`{"stream": "Loaded image ID: sha256:12\n"}`:    "sha256:12",
		`{"errorDetail": {"message": "no space left"}}`: "",
		`{}`: "",
	} {
		var asked string
		e := fake(t, speaking("1.44", func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/images/load") {
				_, _ = io.WriteString(w, answer)
				return
			}
			asked = strings.TrimSuffix(strings.SplitN(r.URL.Path, "/images/", 2)[1], "/json")
			_, _ = io.WriteString(w, `{"Id": "sha256:id"}`)
		}))
		id, err := e.LoadImage(t.Context(), strings.NewReader("archive"))
		if (err == nil) != (want != "") || asked != want || (err == nil) != (id == "sha256:id") {
			t.Errorf("%s: asked for %q, id %q, error %v", answer, asked, id, err)
		}
	}
}

// pb writes a protobuf message of strings and numbers.
func pb(fields ...any) []byte {
	var out []byte
	for i := 0; i < len(fields); i += 2 {
		number := protowire.Number(fields[i].(int))
		switch value := fields[i+1].(type) {
		case string:
			out = protowire.AppendString(protowire.AppendTag(out, number, protowire.BytesType), value)
		case []byte:
			out = protowire.AppendBytes(protowire.AppendTag(out, number, protowire.BytesType), value)
		case int:
			out = protowire.AppendVarint(protowire.AppendTag(out, number, protowire.VarintType), uint64(value))
		}
	}
	return out
}

func TestBuildKitTrace(t *testing.T) {
	var answer bytes.Buffer
	trace := func(record []byte) {
		aux, err := json.Marshal(record)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&answer, `{"id": "moby.buildkit.trace", "aux": %s}`+"\n", aux)
	}
	trace(pb(1, pb(1, "d1", 3, "FROM app", 4, 1), 1, pb(1, "d2", 3, "RUN make", 5, pb(1, 1))))
	trace(pb(2, pb(1, "extracting sha256:"+strings.Repeat("0a", 32), 2, "d1", 4, 5, 5, 10)))
	for i := range 30 {
		trace(pb(3, pb(1, "d2", 3, 1, 4, fmt.Sprintf("line %d\n", i))))
	}
	trace(pb(1, pb(1, "d3", 3, "COPY", 7, "context canceled")))
	trace(pb(1, pb(1, "d2", 6, pb(1, 1), 7, "exit code: 2")))
	success := answer.String() + `{"id": "moby.image.id", "aux": {"ID": "sha256:built"}}`
	answer.WriteString(`{"errorDetail": {"message": "exit code: 2"}}`)

	var got []engine.Progress
	id, err := readBuild(strings.NewReader(success), func(p engine.Progress) { got = append(got, p) })
	if err != nil || id != "sha256:built" {
		t.Errorf("id %q, error %v", id, err)
	}
	want := []engine.Progress{
		{ID: "d1", Text: "CACHED FROM app"},
		{ID: "d2", Text: "RUN make"},
		{ID: "d1", Text: "extracting 0a0a0a0a0a0a", Current: 5, Total: 10},
		{ID: "d2", Text: "line 0"},
	}
	if diff := cmp.Diff(want, got[:4]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	_, err = readBuild(&answer, func(engine.Progress) {})
	if err == nil {
		t.Fatal("no error")
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != keptLines+1 || lines[0] != "RUN make: exit code: 2" || lines[1] != "  | line 10" || lines[keptLines] != "  | line 29" {
		t.Errorf("error is %v", err)
	}
	if _, err := readBuild(strings.NewReader(`{"id": "moby.buildkit.trace", "aux": "/w=="}`), func(engine.Progress) {}); err == nil {
		t.Error("a broken record is taken")
	}
}

func TestClassicBuilderAnswer(t *testing.T) {
	answer := `{"stream": "Step 1/2 : FROM app"}
{"stream": "\n"}
{"aux": {"ID": "sha256:built"}}
{"stream": "Successfully built 12\n"}
`
	var got []string
	id, err := readBuild(strings.NewReader(answer), func(p engine.Progress) { got = append(got, p.Text) })
	if err != nil || id != "sha256:built" {
		t.Errorf("id %q, error %v", id, err)
	}
	if diff := cmp.Diff([]string{"Step 1/2 : FROM app", "Successfully built 12"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	_, err = readBuild(strings.NewReader(`{"stream": "make: nothing to do\n"}{"error": "returned a non-zero code: 2"}`), func(engine.Progress) {})
	if err == nil || err.Error() != "returned a non-zero code: 2\n  | make: nothing to do" {
		t.Errorf("error is %v", err)
	}
}

func TestBuildFallsBackToTheClassicBuilder(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "Dockerfile"), []byte("FROM scratch\n"))
	var versions []string
	e := fake(t, speaking("1.44", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		version := r.URL.Query().Get("version")
		versions = append(versions, version)
		if version == "2" {
			w.WriteHeader(http.StatusNotImplemented)
			_, _ = io.WriteString(w, `{"message": "no BuildKit here"}`)
			return
		}
		_, _ = io.WriteString(w, `{"aux": {"ID": "sha256:built"}}`)
	}))
	id, err := e.Build(t.Context(), engine.BuildRequest{Context: dir}, nil)
	if err != nil || id != "sha256:built" {
		t.Errorf("id %q, error %v", id, err)
	}
	if diff := cmp.Diff([]string{"2", "1"}, versions); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// An engine that refuses at once does not leave the packing behind.
func TestRefusedBuildLeavesNoGoroutine(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
	dir := t.TempDir()
	write(t, filepath.Join(dir, "Dockerfile"), []byte("FROM scratch\n"))
	if err := os.Truncate(filepath.Join(dir, "Dockerfile"), 8<<20); err != nil {
		t.Fatal(err)
	}
	e := fake(t, speaking("1.44", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = io.WriteString(w, `{"message": "no"}`)
	}))
	if _, err := e.Build(t.Context(), engine.BuildRequest{Context: dir, Tags: []string{"app"}}, nil); err == nil {
		t.Error("no error")
	}
}
