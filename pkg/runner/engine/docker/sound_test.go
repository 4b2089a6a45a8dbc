package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// player answers as an engine once has, from testdata/answers, with one answer in
// another form.
type player struct {
	answers map[string][]byte // by the names of the files
	changed atomic.Pointer[changedAnswer]
	api     string
}

type changedAnswer struct {
	name string
	body []byte
}

// files names the answer to each path, by how it ends.
var answerFiles = []struct{ suffix, name string }{
	{"/containers/json", "containers.json"},
	{"/exec", "exec-create.json"},
	{"/info", "info.json"},
	{"/version", "version.json"},
	{"/networks", "networks.json"},
	{"/volumes", "volumes.json"},
	{"/events", "events.json"},
}

func (p *player) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Api-Version", p.api)
	w.Header().Set("Content-Type", "application/json")
	path, name := r.URL.Path, ""
	switch {
	case strings.HasSuffix(path, "/_ping"):
		return
	case strings.Contains(path, "/images/"):
		name = "image.json"
	case strings.Contains(path, "/exec/"):
		name = "exec.json"
	case strings.Contains(path, "/networks/"):
		name = "network.json"
	case strings.Contains(path, "/containers/") && strings.HasSuffix(path, "/json") && !strings.HasSuffix(path, "/containers/json"):
		name = "container.json"
	}
	for _, f := range answerFiles {
		if name == "" && strings.HasSuffix(path, f.suffix) {
			name = f.name
		}
	}
	body := p.answers[name]
	if changed := p.changed.Load(); changed != nil && changed.name == name {
		body = changed.body
	}
	if body == nil {
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"message":"no such thing"}`)
		return
	}
	_, _ = w.Write(body)
}

func play(t *testing.T, folder string) (*player, *Engine) {
	t.Helper()
	p := &player{answers: map[string][]byte{}, api: "1.41"}
	files, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatal("no answers in ", folder, err)
	}
	for _, file := range files {
		if p.answers[filepath.Base(file)], err = os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
	}
	return p, serve(t, p)
}

func serve(t *testing.T, h http.Handler) *Engine {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	e, err := New(Options{Host: "tcp://" + server.Listener.Addr().String(), ConfigDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

// someService is what a container is compared with: one whose network and whose
// volumes are another service's container's.
func someService() engine.CreateContainer {
	var config types.ServiceConfig
	config.Name, config.Image = "web", "alpine:latest"
	config.Pid, config.VolumesFrom = "service:web", []string{"web:ro"}
	config.HealthCheck = &types.HealthCheckConfig{Test: []string{"CMD", "true"}}
	return engine.CreateContainer{Spec: state.ContainerSpec{
		Name: "input-web-1", Image: "alpine:latest", Config: config,
		Labels:   map[string]string{state.LabelProject: "input", state.LabelService: "web"},
		Networks: []state.Attachment{{Network: "input-net", Aliases: []string{"web"}}},
	}}
}

// readers are the calls that make something of each answer.
var readers = map[string][]func(context.Context, *Engine) error{
	"containers.json": {
		func(ctx context.Context, e *Engine) error { _, err := e.Containers(ctx, "input"); return err },
		func(ctx context.Context, e *Engine) error {
			_, err := e.Compare(ctx, "input-web-1", someService())
			return err
		},
	},
	"container.json": {
		func(ctx context.Context, e *Engine) error { _, err := e.Inspect(ctx, "input-web-1"); return err },
		func(ctx context.Context, e *Engine) error {
			_, err := e.Compare(ctx, "input-web-1", someService())
			return err
		},
	},
	"network.json": {
		func(ctx context.Context, e *Engine) error { return e.Disconnect(ctx, "input-web-1", "input-net") },
		func(ctx context.Context, e *Engine) error { return e.RemoveNetwork(ctx, "input-net") },
	},
	"networks.json": {func(ctx context.Context, e *Engine) error { _, err := e.Networks(ctx); return err }},
	"volumes.json":  {func(ctx context.Context, e *Engine) error { _, err := e.Volumes(ctx); return err }},
	"image.json": {
		func(ctx context.Context, e *Engine) error { _, err := e.Image(ctx, "alpine"); return err },
		func(ctx context.Context, e *Engine) error {
			_, err := e.Compare(ctx, "input-web-1", someService())
			return err
		},
	},
	"info.json": {
		func(ctx context.Context, e *Engine) error {
			e.systemAnswer = nil
			_, err := e.Compare(ctx, "input-web-1", someService())
			return err
		},
	},
	"version.json": {func(ctx context.Context, e *Engine) error { _, err := e.Platform(ctx); return err }},
	"exec.json": {func(ctx context.Context, e *Engine) error {
		_, err := e.exitCode(ctx, "x")
		return failed("exec in", "container", "x", err)
	}},
	"exec-create.json": {func(ctx context.Context, e *Engine) error {
		return e.ExecDetached(ctx, "input-web-1", engine.Command{Args: []string{"true"}})
	}},
	"events.json": {func(ctx context.Context, e *Engine) error {
		return e.AllEvents(ctx, engine.EventOptions{Until: time.Unix(1, 0)}, func(engine.Event) {})
	}},
}

// Whatever is missing, null or of another type in what an engine answers: no call
// panics or waits for ever, and an error says what could not be done.
func TestOddAnswers(t *testing.T) {
	t.Parallel()
	folders, err := filepath.Glob("testdata/answers/*")
	if err != nil || len(folders) == 0 {
		t.Fatal("no answers", err)
	}
	for _, folder := range folders {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			t.Parallel()
			p, e := play(t, folder)
			count := 0
			for _, name := range slices.Sorted(maps.Keys(readers)) {
				for _, read := range readers[name] {
					for where, body := range variants(t, p.answers[name]) {
						p.changed.Store(&changedAnswer{name, body})
						count++
						oddAnswer(t, name+" with "+where, func(ctx context.Context) error { return read(ctx, e) })
					}
				}
				p.changed.Store(nil)
			}
			t.Logf("%d variants", count)
			if count < 500 {
				t.Errorf("only %d variants were tried", count)
			}
		})
	}
}

// oddAnswer calls what reads an odd answer.
func oddAnswer(t *testing.T, what string, call func(context.Context) error) {
	t.Helper()
	defer func() {
		if r := recover(); r != nil {
			t.Errorf("%s: panic: %v\n%s", what, r, debug.Stack())
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	err := call(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%s: waits for ever", what)
	}
	if err != nil && (strings.Contains(err.Error(), "Go struct") || strings.Contains(err.Error(), "Go value")) {
		t.Errorf("%s: not in people's words: %v", what, err)
	}
}

// variants gives a document with each of its nodes missing, null, and of each other
// type, by what was done.
func variants(t *testing.T, document []byte) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	var root any
	add := func(what string) {
		body, err := json.Marshal(root)
		if err != nil {
			t.Fatal(err)
		}
		out[what] = body
	}
	others := []any{nil, "odd", -1e19, []any{nil}, map[string]any{"odd": nil}}
	var visit func(path string, node any, set func(any))
	visit = func(path string, node any, set func(any)) {
		for _, other := range others {
			set(other)
			add(fmt.Sprintf("%s = %v (%T)", path, other, other))
		}
		set(node)
		switch node := node.(type) {
		case map[string]any:
			for _, key := range slices.Sorted(maps.Keys(node)) {
				value := node[key]
				delete(node, key)
				add(path + "." + key + " missing")
				visit(path+"."+key, value, func(v any) { node[key] = v })
				node[key] = value
			}
		case []any:
			for i, value := range node {
				visit(fmt.Sprintf("%s[%d]", path, i), value, func(v any) { node[i] = v })
			}
		}
	}
	if err := json.Unmarshal(document, &root); err != nil {
		t.Fatal(err)
	}
	visit("", root, func(v any) { root = v })
	return out
}

// An engine that is too old says so with what it speaks; a newer one than we know is
// spoken to as of the version that both know; what is no engine is told by name.
func TestVersionsOfEngines(t *testing.T) {
	for api, want := range map[string]string{"1.40": "", "1.41": "1.41", "1.45": "1.45", "1.52": "1.51", "2.0": "1.51"} {
		e := serve(t, &player{api: api})
		info, err := e.Info(t.Context())
		var old *engine.VersionError
		switch {
		case want == "" && (!errors.As(err, &old) || old.APIVersion != api):
			t.Errorf("API %s: got %v, want a VersionError", api, err)
		case want != "" && (err != nil || info.APIVersion != want):
			t.Errorf("API %s: got %s and %v, want %s", api, info.APIVersion, err, want)
		}
	}
}

// What comes in place of an engine's answer is told as such, with the call and the
// address, and never as a success.
func TestNoEngine(t *testing.T) {
	page := "<html><body>" + strings.Repeat("Bad gateway. ", 1000) + "</body></html>"
	for _, tt := range []struct {
		name, kind, body, location string
		status                     int
		want                       string
	}{
		{"a page", "text/html", page, "", 200, "GET /v1.41/containers/json makes no sense: it is text/html and no JSON"},
		{"nothing", "application/json", "", "", 200, "it is empty"},
		{"half of it", "application/json", `[{"Id":`, "", 200, "no JSON"},
		{"a redirect", "text/html", "", "https://login.example", 302, `302 Found to "https://login.example"`},
		{"a proxy's error", "text/html", page, "", 502, "502 Bad Gateway: a page came in place of an engine's answer; does a proxy stand between?"},
		{"an error without a word", "", "", "", 500, "500 Internal Server Error: no reason is given"},
		{"an error without an end", "text/plain", strings.Repeat("no ", 1<<20), "", 500, "500 Internal Server Error: no no no"},
		{"an error of null", "application/json", "null", "", 500, "no reason is given"},
		{"an error of the engine", "application/json", `{"message":"out of luck"}`, "", 500, `list containers of "input": out of luck`},
		{"a list of numbers", "application/json", `[1, 2]`, "", 200, "the engine's answer cannot be read"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Api-Version", "1.41")
				if strings.HasSuffix(r.URL.Path, "/_ping") {
					return
				}
				w.Header().Set("Content-Type", tt.kind)
				if tt.location != "" {
					w.Header().Set("Location", tt.location)
				}
				w.WriteHeader(tt.status)
				_, _ = w.Write([]byte(tt.body))
			}))
			_, err := e.Containers(t.Context(), "input")
			if err == nil || !strings.Contains(err.Error(), tt.want) || len(err.Error()) > maxMessage+200 {
				t.Errorf("got %.300v, want %q", err, tt.want)
			}
		})
	}
	e := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }))
	var odd *engine.AnswerError
	if _, err := e.Info(t.Context()); !errors.As(err, &odd) {
		t.Errorf("a web server: got %v, want an AnswerError", err)
	}
}
