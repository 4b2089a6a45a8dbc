//go:build linux

package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSummarise(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   summary
	}{
		{nil, summary{}},
		{[]float64{7}, summary{7, 7, 0}},
		{[]float64{9, 1, 5}, summary{5, 1, 8}},
		{[]float64{4, 1, 2, 10}, summary{3, 1, 9}},
	} {
		if got := summarise(test.values); got != test.want {
			t.Errorf("%v: got %+v, want %+v", test.values, got, test.want)
		}
	}
}

func TestCallName(t *testing.T) {
	for _, test := range []struct{ method, path, want string }{
		{"HEAD", "/_ping", "HEAD /_ping"},
		{"GET", "/v1.41/containers/json", "GET /containers/json"},
		{"POST", "/v1.45/containers/create", "POST /containers/create"},
		{"POST", "/v1.45/containers/shop-web-1/start", "POST /containers/*/start"},
		{"DELETE", "/v1.41/containers/0123abcd", "DELETE /containers/*"},
		{"GET", "/v1.41/networks", "GET /networks"},
		{"GET", "/v1.41/images/127.0.0.1:5000/team/app:1/json", "GET /images/*/json"},
		{"DELETE", "/v1.41/images/127.0.0.1:5000/team/app:1", "DELETE /images/*"},
		{"POST", "/v1.41/exec/0123/start", "POST /exec/*/start"},
	} {
		if got := callName(test.method, test.path); got != test.want {
			t.Errorf("%s %s: got %q, want %q", test.method, test.path, got, test.want)
		}
	}
}

// The counter passes on what it counts, streams that take over the connection too.
func TestCounter(t *testing.T) {
	dir := t.TempDir()
	engine := filepath.Join(dir, "engine.sock")
	listener, err := net.Listen("unix", engine)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			_, _ = io.WriteString(w, "said "+r.URL.Path)
			return
		}
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nraw")
	})}
	go func() { _ = server.Serve(listener) }()
	defer server.Close()
	c, err := newCounter(t.Context(), engine, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.server.Close()

	body, err := newAPI(c.socket, "1.41").open(t.Context(), http.MethodGet, "/containers/a/json", nil)
	if err != nil {
		t.Fatal(err)
	}
	said, _ := io.ReadAll(body)
	body.Close()
	if string(said) != "said /v1.41/containers/a/json" {
		t.Errorf("got %q", said)
	}

	conn, err := net.Dial("unix", c.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "POST /exec/1/start HTTP/1.1\r\nHost: engine\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
	answer, _ := io.ReadAll(conn)
	if !bytes.HasPrefix(answer, []byte("HTTP/1.1 101")) || !bytes.HasSuffix(answer, []byte("raw")) {
		t.Errorf("got %q", answer)
	}
	want := map[string]int{"GET /containers/*/json": 1, "POST /exec/*/start": 1}
	if diff := cmp.Diff(want, c.take()); diff != "" {
		t.Error(diff)
	}
	if again := c.take(); len(again) != 0 {
		t.Errorf("taken twice: %v", again)
	}
}

func TestParseStat(t *testing.T) {
	pid, name, spent, ok := parseStat("42 (containerd) shim) S 1 42 42 0 -1 4 0 0 0 0 100 20 3 4 20 0 9 0 5 6 7")
	if !ok || pid != 42 || name != "containerd) shim" || spent != 1270*time.Millisecond {
		t.Errorf("got %d %q %s %t", pid, name, spent, ok)
	}
	if _, _, _, ok := parseStat("42 (short) S 1"); ok {
		t.Error("a short line was taken")
	}
}

// A process that began counts whole, one that went does not count.
func TestSpent(t *testing.T) {
	before := map[int]time.Duration{1: 5, 2: 7}
	if got := spent(before, map[int]time.Duration{1: 8, 3: 4}); got != 7 {
		t.Errorf("got %d", got)
	}
}

// What is downloaded shares the rate, what is uploaded does not, and both are late.
func TestLine(t *testing.T) {
	var l line
	if due := l.due(1<<20, true); time.Until(due) > 0 {
		t.Error("a line that is not slow delays")
	}
	l.setSlow(true)
	first, second := l.due(lineRate, true), l.due(lineRate, true)
	if got := second.Sub(first); got != time.Second {
		t.Errorf("a second's worth of bytes takes %s", got)
	}
	if up := l.due(lineRate, false); !up.Before(first) {
		t.Error("an upload waits for downloads")
	}
}

func TestNeedsOf(t *testing.T) {
	got := needsOf("db:service_healthy:false,cache:service_started:true")
	if diff := cmp.Diff([]need{{"db", true}, {"cache", false}}, got); diff != "" {
		t.Error(diff)
	}
	if got := needsOf(""); got != nil {
		t.Errorf("got %v for nothing", got)
	}
}

// The copy of an image has a layer of its own below the others, each time another.
func TestWithOwnLayers(t *testing.T) {
	files := map[string][]byte{
		"manifest.json": []byte(`[{"Config":"c.json","RepoTags":["app:1"],"Layers":["a/layer.tar"]}]`),
		"c.json":        []byte(`{"config":{"Cmd":["run"]},"history":[{}],"rootfs":{"type":"layers","diff_ids":["sha256:aa"]}}`),
		"a/layer.tar":   []byte("layer"),
	}
	copied := func() map[string][]byte {
		archive, err := withOwnLayers(files, "there/app:bench")
		if err != nil {
			t.Fatal(err)
		}
		out, err := readTar(archive)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	one, two := copied(), copied()
	if got, want := string(one["manifest.json"]), `[{"Config":"config.json","RepoTags":["there/app:bench"],"Layers":["own.tar","a/layer.tar"]}]`; got != want {
		t.Errorf("manifest: got %s, want %s", got, want)
	}
	want := `{"config":{"Cmd":["run"]},"rootfs":{"diff_ids":["` + digestOf(one["own.tar"]) + `","sha256:aa"],"type":"layers"}}`
	if got := string(one["config.json"]); got != want {
		t.Errorf("config: got %s, want %s", got, want)
	}
	if bytes.Equal(one["own.tar"], two["own.tar"]) {
		t.Error("two copies share their own layer")
	}
	if string(one["a/layer.tar"]) != "layer" {
		t.Error("the image's layer is not as it was")
	}
}

// Engines before 25 save a layer that two images share as a link.
func TestReadTarLinks(t *testing.T) {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, err := range []error{
		w.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: "b/layer.tar", Linkname: "../a/layer.tar"}),
		w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "a/layer.tar", Size: 0, Mode: 0o600}),
		w.Close(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	files, err := readTar(&archive)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := files["b/layer.tar"]; !ok || len(files) != 2 {
		t.Errorf("got %v", files)
	}
}

// An edit that does not fit any more is an error rather than another benchmark.
func TestApply(t *testing.T) {
	seed := "services:\n  web:\n    build:\n      context: .\n      x: y\n    environment:\n      REDIS_HOST: cache\n    healthcheck:\n      interval: 10s\n      start_period: 30s\n      start_interval: 250ms\n"
	got, err := apply(seed, withoutStartInterval, withImage("app:1"), oneChange)
	if err != nil {
		t.Fatal(err)
	}
	want := "services:\n  web:\n    image: app:1\n    environment:\n      REDIS_HOST: cache\n      BENCH_CHANGE: \"1\"\n    healthcheck:\n      interval: 10s\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := apply(seed, replaceImage("postgres", "x")); err == nil {
		t.Error("an edit that fits nothing went through")
	}
}

// measured is results with one case of three contestants.
func measured(name string, ours, theirs, least float64) *results {
	r := &results{
		Engine: engineInfo{Version: "26.1.5", API: "1.45"}, Cases: map[string]map[string]*row{},
		Programs: map[string]program{stackctl: {"stackctl dev", 10e6}, compose: {"Compose 2", 60e6}},
	}
	for who, ms := range map[string]float64{stackctl: ours, compose: theirs, theFloor: least} {
		r.row(name, who).add(usage{Wall: time.Duration(ms * 1e6), RSS: int64(ms) << 20}, time.Second)
	}
	return r
}

// What has not been measured is said, and what is too slow, but not what is well.
func TestShortfalls(t *testing.T) {
	about := func(r *results, name string) []string {
		return slices.DeleteFunc(r.shortfalls(), func(line string) bool { return !strings.HasPrefix(line, name+":") })
	}
	if got := about(measured("cold", 300, 1000, 290), "cold"); len(got) != 0 {
		t.Errorf("good results: %v", got)
	}
	want := []string{
		"cold: the time is 0.35 of Docker Compose's, and should be at most 0.30",
		"cold: the time is 1.40 of the floor's, and should be at most 1.10",
	}
	if diff := cmp.Diff(want, about(measured("cold", 350, 1000, 250), "cold")); diff != "" {
		t.Error(diff)
	}
	old := measured("cold", 350, 1000, 340)
	old.Engine.API = "1.41"
	if got := about(old, "cold"); len(got) != 0 {
		t.Errorf("an engine without start_interval: %v", got)
	}
	if got := about(old, "cold, tuned"); len(got) != 0 {
		t.Errorf("a case that the engine cannot run: %v", got)
	}
	if diff := cmp.Diff([]string{"warm: not measured"}, about(old, "warm")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"version: it takes 11.0 ms, and should take at most 10"}, about(measured("version", 11, 100, 0), "version")); diff != "" {
		t.Error(diff)
	}
	heavy := measured("status", 45, 100, 0)
	if diff := cmp.Diff([]string{"status: peak memory is 0.45 of Docker Compose's, and should be at most 0.40"}, about(heavy, "status")); diff != "" {
		t.Error(diff)
	}
	heavy.Programs[stackctl] = program{"stackctl dev", 30e6}
	if diff := cmp.Diff([]string{"binary: its size is 0.50 of Docker Compose's, and should be at most 0.30"}, about(heavy, "binary")); diff != "" {
		t.Error(diff)
	}
}

// Results are read back as they were written, and every engine gets its table.
func TestResults(t *testing.T) {
	dir := t.TempDir()
	r := measured("cold", 300, 1000, 250)
	r.row("cold", stackctl).Calls = map[string]int{"GET /info": 2, "HEAD /_ping": 1}
	file := filepath.Join(dir, "results-26.1.json")
	if err := r.write(file); err != nil {
		t.Fatal(err)
	}
	back, err := readResults(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r, back); diff != "" {
		t.Error(diff)
	}
	if err := writeTable(dir); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "RESULTS.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"## Engine 26.1.5\n",
		"| cold | 1 | 300 (300, 0) | 1000 (1000, 0) | 250 (250, 0) | 0.30 | 1.20 |\n",
		"| cold | 300 / 1000 / 250 | 0 / 0 / 0 | 1000 / 1000 / 1000 | 3 / 0 / 0 |\n",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the table lacks %q:\n%s", want, text)
		}
	}
}

// Every case that is measured has a line in the table, and the other way round.
func TestTargetsAreTheCases(t *testing.T) {
	var measured []string
	for _, s := range scenarios(200) {
		for _, step := range s.steps(&bench{}, scenarioFiles{}) {
			if step.name != "" {
				measured = append(measured, step.name)
			}
			if step.verb != verbBuild && words[step.verb][compose] == "" {
				t.Errorf("no words for %s", step.verb)
			}
		}
	}
	listed := caseNames()
	slices.Sort(measured)
	slices.Sort(listed)
	if diff := cmp.Diff(listed, measured); diff != "" {
		t.Error(diff)
	}
}

// A chain waits for one, a diamond for all of the layer before.
func TestLayers(t *testing.T) {
	if got := strings.Count(layers(20, 1), "service_healthy"); got != 19 {
		t.Errorf("the chain has %d waits", got)
	}
	if got := strings.Count(layers(5, 8), "service_healthy"); got != 4*8*8 {
		t.Errorf("the diamond has %d waits", got)
	}
}

// A recipe survives the file through which the floor gets it.
func TestRecipeJSON(t *testing.T) {
	c := containerRecipe{Service: "db", Create: createBody{"Healthcheck": json.RawMessage(`{"Test":["CMD-SHELL","ready"],"StartPeriod":1,"StartInterval":1}`)}}
	if err := c.readHealth(engineInfo{API: "1.45"}); err != nil {
		t.Fatal(err)
	}
	if !c.EngineProbes || !slices.Equal(c.Test, []string{"/bin/sh", "-c", "ready"}) {
		t.Errorf("got %+v", c)
	}
	if err := c.readHealth(engineInfo{API: "1.41"}); err != nil || c.EngineProbes {
		t.Errorf("an engine without start_interval: %+v, %v", c, err)
	}
	text, err := json.Marshal(recipe{Containers: []containerRecipe{c}})
	if err != nil {
		t.Fatal(err)
	}
	var back recipe
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]containerRecipe{c}, back.Containers); diff != "" {
		t.Error(diff)
	}
}
