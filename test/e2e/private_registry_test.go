//go:build e2e

package e2e

import (
	"archive/tar"
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/containerd/errdefs"

	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/engine/docker"
)

// The user of the private registry.
const (
	registryUser     = "stackctl"
	registryPassword = "correct-horse"
	// registryHash is what htpasswd -B gives for the password.
	registryHash = "$2y$05$v6UwcpDdoNEvjy1k1h.LP.3LGf46Rss1M3mx2vKWo6tdYSi2XJjse"
)

// privateRegistry is Debian's docker-registry with a password, behind a proxy that
// notes what is asked of it.
type privateRegistry struct {
	address string

	mu    sync.Mutex
	asked []string
}

func newPrivateRegistry(t *testing.T) *privateRegistry {
	t.Helper()
	program, err := exec.LookPath("docker-registry")
	if err != nil {
		t.Skip("docker-registry is not installed: test/engine/packages.sh installs it on Debian")
	}
	dir, port := t.TempDir(), freePorts(t, 1)[0]
	write(t, filepath.Join(dir, "htpasswd"), registryUser+":"+registryHash+"\n", 0o600)
	write(t, filepath.Join(dir, "config.yml"), fmt.Sprintf(`version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: %[1]s/data}}
http: {addr: "127.0.0.1:%[2]s"}
auth: {htpasswd: {realm: test, path: %[1]s/htpasswd}}
`, dir, port), 0o600)
	log := newOutput()
	server := exec.CommandContext(t.Context(), program, "serve", filepath.Join(dir, "config.yml"))
	server.Stdout, server.Stderr = log, log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Wait() // the end of the test has ended it
		if t.Failed() {
			t.Logf("the registry:\n%s", log)
		}
	})
	at := &url.URL{Scheme: "http", Host: "127.0.0.1:" + port}
	(&stage{t: t}).eventually("the registry answers", func() bool {
		response, err := http.Get(at.String() + "/v2/")
		if err == nil {
			response.Body.Close()
		}
		return err == nil && response.StatusCode == http.StatusUnauthorized
	})

	r := &privateRegistry{}
	proxy := &httputil.ReverseProxy{
		// The host stays the proxy's, so that uploads go on through it.
		Rewrite: func(p *httputil.ProxyRequest) { p.Out.URL.Scheme, p.Out.URL.Host = at.Scheme, at.Host },
	}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		r.mu.Lock()
		r.asked = append(r.asked, request.Method+" "+request.URL.Path)
		r.mu.Unlock()
		proxy.ServeHTTP(w, request)
	}))
	t.Cleanup(front.Close)
	r.address = strings.TrimPrefix(front.URL, "http://")
	return r
}

// requests gives what was asked since the last time.
func (r *privateRegistry) requests() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	asked := r.asked
	r.asked = nil
	return asked
}

// publish makes the registry have an image with two layers that no engine has, and
// gives its reference. The engine does not keep it: it was loaded rather than built,
// since a builder keeps layers.
func (r *privateRegistry) publish(s *stage, name string) string {
	s.t.Helper()
	ref := r.address + "/" + s.project + "/" + name + ":1"
	if _, err := s.engine.LoadImage(s.t.Context(), s.enlarged("alpine:latest", ref)); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { s.dropImage(ref) })
	auth, err := json.Marshal(map[string]string{"username": registryUser, "password": registryPassword, "serveraddress": r.address})
	if err != nil {
		s.t.Fatal(err)
	}
	s.push(ref, base64.URLEncoding.EncodeToString(auth))
	s.dropImage(ref)
	r.requests()
	return ref
}

// enlarged gives the archive of an image with two more layers, of 3 and 1 MB that
// cannot be compressed.
func (s *stage) enlarged(image, ref string) io.Reader {
	s.t.Helper()
	files := s.saved(image)
	var list []struct {
		Config           string
		RepoTags, Layers []string
	}
	if err := json.Unmarshal(files["manifest.json"], &list); err != nil {
		s.t.Fatal(err)
	}
	var config map[string]any
	if err := json.Unmarshal(files[list[0].Config], &config); err != nil {
		s.t.Fatal(err)
	}
	var out bytes.Buffer
	archive := tar.NewWriter(&out)
	add := func(w *tar.Writer, name string, content []byte) {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
			s.t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			s.t.Fatal(err)
		}
	}
	for _, name := range list[0].Layers {
		add(archive, name, files[name])
	}
	rootfs := config["rootfs"].(map[string]any)
	for name, size := range map[string]int{"first": 3_000_000, "second": 1_000_000} {
		random := make([]byte, size)
		_, _ = rand.Read(random) // it never fails
		var layer bytes.Buffer
		w := tar.NewWriter(&layer)
		add(w, name, random)
		if err := w.Close(); err != nil {
			s.t.Fatal(err)
		}
		add(archive, name+".tar", layer.Bytes())
		list[0].Layers = append(list[0].Layers, name+".tar")
		rootfs["diff_ids"] = append(rootfs["diff_ids"].([]any), digest(layer.Bytes()))
	}
	list[0].Config, list[0].RepoTags = "config.json", []string{ref}
	delete(config, "history") // which would have to name the layers
	for name, value := range map[string]any{"config.json": config, "manifest.json": list} {
		text, err := json.Marshal(value)
		if err != nil {
			s.t.Fatal(err)
		}
		add(archive, name, text)
	}
	if err := archive.Close(); err != nil {
		s.t.Fatal(err)
	}
	return &out
}

// push sends an image to its registry.
func (s *stage) push(ref, auth string) {
	s.t.Helper()
	at := strings.LastIndex(ref, ":")
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, "http://engine/v1.41/images/"+ref[:at]+"/push?tag="+ref[at+1:], nil)
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("X-Registry-Auth", auth)
	response, err := s.raw.client.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	said, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK || bytes.Contains(said, []byte(`"errorDetail"`)) {
		s.t.Fatalf("push %s: %s, %v\n%s", ref, response.Status, err, said)
	}
}

// dropImage takes an image from the engine.
func (s *stage) dropImage(ref string) {
	s.t.Helper()
	if err := s.engine.RemoveImage(withoutCancel(s.t), ref); err != nil {
		s.t.Errorf("remove image %s: %v", ref, err)
	}
}

func (s *stage) hasImage(ref string) bool {
	s.t.Helper()
	_, err := s.engine.Image(s.t.Context(), ref)
	if err != nil && !errdefs.IsNotFound(err) {
		s.t.Fatal(err)
	}
	return err == nil
}

func write(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

// login has commands of the stage use a docker config of its own.
func (s *stage) login(config string) {
	s.t.Helper()
	dir := s.t.TempDir()
	write(s.t, filepath.Join(dir, "config.json"), config, 0o600)
	write(s.t, filepath.Join(dir, "docker-credential-stackctltest"), fmt.Sprintf(`#!/bin/sh
[ "$1" = get ] || exit 1
read -r server
printf '{"ServerURL": "%%s", "Username": "%s", "Secret": "%s"}' "$server"
`, registryUser, registryPassword), 0o700)
	s.env = slices.DeleteFunc(s.env, func(e string) bool { return strings.HasPrefix(e, "DOCKER_CONFIG=") || strings.HasPrefix(e, "PATH=") })
	s.env = append(s.env, "DOCKER_CONFIG="+dir, "PATH="+dir+string(os.PathListSeparator)+os.Getenv("PATH"))
}

// basic gives a config with a password in it.
func (r *privateRegistry) basic(password string) string {
	auth := base64.StdEncoding.EncodeToString([]byte(registryUser + ":" + password))
	return fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`, r.address, auth)
}

// The credentials of the docker config and of its helpers open a registry; without
// them nothing is made, and the error says what to do. What two services run is
// fetched once.
func TestPrivateRegistry(t *testing.T) {
	s := newStage(t)
	r := newPrivateRegistry(t)
	ref := r.publish(s, "app")
	compose := fmt.Sprintf("services:\n  one: {image: %q, command: [sleep, '600'], stop_signal: SIGKILL}\n  two: {image: %[1]q, command: [sleep, '600'], stop_signal: SIGKILL}\n", ref)
	write(t, filepath.Join(s.dir, "compose.yaml"), compose, 0o600)
	write(t, filepath.Join(s.dir, "gone.yaml"), strings.ReplaceAll(compose, ":1", ":2"), 0o600)

	for _, test := range []struct {
		name, config, file string
		want               []string
	}{
		{"no password", `{}`, "compose.yaml", []string{`error: pull image "` + ref + `": `, "hint: `docker login " + r.address + "` gives the credentials for it"}},
		{"a wrong password", r.basic("wrong"), "compose.yaml", []string{"unauthorized", "hint: `docker login " + r.address + "`"}},
		{"no such helper", `{"credHelpers": {"` + r.address + `": "none-at-all"}}`, "compose.yaml", []string{"credentials for " + r.address, "hint: check credsStore and credHelpers"}},
		{"no such tag", r.basic(registryPassword), "gone.yaml", []string{"not found", "hint: check the image's name and tag"}},
	} {
		s.login(test.config)
		said := s.run(1, "-f", test.file, "up").stderr
		for _, words := range test.want {
			if !strings.Contains(said, words) {
				t.Errorf("%s: it is not said %q", test.name, words)
			}
		}
		if made := s.resources(); len(made) > 0 {
			t.Errorf("%s: made all the same: %v", test.name, made)
		}
	}
	r.requests()

	for _, test := range []struct{ name, config string }{
		{"a password", r.basic(registryPassword)},
		{"a helper of the registry", `{"credHelpers": {"` + r.address + `": "stackctltest"}}`},
		{"a helper for all", `{"auths": {"` + r.address + `": {}}, "credsStore": "stackctltest"}`},
	} {
		s.login(test.config)
		said := s.run(0, "up", "--progress", "json").stderr
		if !s.hasImage(ref) || len(s.containers()) != 2 {
			t.Errorf("%s: containers %v", test.name, s.containers())
		}
		counted := map[string]int{}
		for _, request := range r.requests() {
			if strings.HasPrefix(request, "GET ") && strings.Contains(request, "/blobs/") {
				counted[request]++
			}
		}
		if len(counted) < 2 { // the configuration and at least one layer
			t.Errorf("%s: fetched %v", test.name, counted)
		}
		for blob, times := range counted {
			if times != 1 {
				t.Errorf("%s: %s %d times", test.name, blob, times)
			}
		}
		if last := lastProgress(t, said, ref); last.Layers != 3 || last.LayersDone != 3 || last.Total < 4_000_000 || last.Current != last.Total {
			t.Errorf("%s: the pull was told of as %+v", test.name, last)
		}
		s.run(0, "down")
		s.dropImage(ref)
	}
}

// progressLine is what is looked at of a line of progress.
type progressLine struct {
	Event, Name        string
	Current, Total     int64
	Layers, LayersDone int
}

// UnmarshalJSON reads the names that the JSON form has.
func (p *progressLine) UnmarshalJSON(text []byte) error {
	var line struct {
		Event, Name    string
		Current, Total int64
		Layers         int
		LayersDone     int `json:"layers_done"`
	}
	err := json.Unmarshal(text, &line)
	*p = progressLine{line.Event, line.Name, line.Current, line.Total, line.Layers, line.LayersDone}
	return err
}

// lastProgress gives the last that was told of an image's pull.
func lastProgress(t *testing.T, said, image string) progressLine {
	t.Helper()
	var last progressLine
	for decoder := json.NewDecoder(strings.NewReader(said)); ; {
		var line progressLine
		if err := decoder.Decode(&line); errors.Is(err, io.EOF) {
			return last
		} else if err != nil {
			t.Fatal(err)
		}
		if line.Event == "progress" && line.Name == image {
			last = line
		}
	}
}

// Offline, the registry hears nothing: what is missing is named before anything is
// made, and with all images there both runs and builds go without it.
func TestOfflineAsksNoRegistry(t *testing.T) {
	s := newStage(t)
	r := newPrivateRegistry(t)
	app, base := r.publish(s, "app"), r.publish(s, "base")
	write(t, filepath.Join(s.dir, "compose.yaml"), fmt.Sprintf(`services:
  app: {image: %q, pull_policy: always, command: [sleep, "600"], stop_signal: SIGKILL}
  webapp:
    build: {context: ., pull: true, dockerfile_inline: "FROM %s\nRUN echo built > /built\n"}
    command: [sleep, "600"]
    stop_signal: SIGKILL
`, app, base), 0o600)
	s.login(r.basic(registryPassword))
	said := s.run(1, "up", "--offline").stderr
	for _, words := range []string{
		"error: image " + app + " is not on the engine: service app runs it\n",
		"error: image " + base + " is not on the engine: the build of service webapp starts from it\n",
		"hint: `stackctl bundle`",
	} {
		if !strings.Contains(said, words) {
			t.Errorf("it is not said %q", words)
		}
	}
	if made, asked := s.resources(), r.requests(); len(made) > 0 || len(asked) > 0 {
		t.Errorf("made %v, asked %v", made, asked)
	}

	for _, ref := range []string{app, base} {
		if err := s.pullWith(ref); err != nil {
			t.Fatal(err)
		}
	}
	r.requests()
	s.run(0, "up", "--offline")
	if got := s.containers(); len(got) != 2 {
		t.Errorf("containers %v", got)
	}
	if asked := r.requests(); len(asked) > 0 {
		t.Errorf("asked %v", asked)
	}
	s.run(0, "down", "--rmi", "local")
}

// pullWith fetches an image with the registry's password.
func (s *stage) pullWith(ref string) error {
	dir := ""
	for _, e := range s.env {
		if value, found := strings.CutPrefix(e, "DOCKER_CONFIG="); found {
			dir = value
		}
	}
	e, err := docker.New(docker.Options{ConfigDir: dir, LookupEnv: os.LookupEnv})
	if err != nil {
		return err
	}
	defer e.Close()
	return e.Pull(s.t.Context(), ref, "", func(engine.Progress) {})
}

// A bundle brings a stack to an engine that has none of its images, and no
// registry is asked for any.
func TestBundle(t *testing.T) {
	s := newStage(t)
	r := newPrivateRegistry(t)
	app := r.publish(s, "app")
	write(t, filepath.Join(s.dir, "app.conf"), "from the bundle\n", 0o644)
	write(t, filepath.Join(s.dir, "compose.yaml"), fmt.Sprintf(`services:
  app:
    image: %q
    command: [sh, -c, "cat /app.conf && exec sleep 600"]
    configs: [{source: app, target: /app.conf}]
    stop_signal: SIGKILL
  webapp:
    build: {context: ., dockerfile_inline: "FROM alpine\nRUN echo %s > /built\n"}
    command: [sh, -c, "cat /built && exec sleep 600"]
    stop_signal: SIGKILL
configs: {app: {file: ./app.conf}}
`, app, s.project), 0o600)
	s.login(r.basic(registryPassword))
	s.run(0, "bundle", "-o", "stack.tar")
	if made := s.resources(); len(made) > 0 {
		t.Errorf("a bundle made %v", made)
	}
	s.run(0, "bundle", "-o", "again.tar")
	first, again := read(t, filepath.Join(s.dir, "stack.tar")), read(t, filepath.Join(s.dir, "again.tar"))
	if !bytes.Equal(first, again) {
		t.Error("the same stack gives another bundle")
	}

	// Elsewhere: no compose file, no images, no credentials.
	built := s.project + "-webapp"
	drop := func() {
		for _, ref := range []string{app, built} {
			s.dropImage(ref)
		}
	}
	drop()
	r.requests()
	there := t.TempDir()
	s.dir = there
	s.login(`{}`)
	write(t, filepath.Join(there, "cut.tar"), string(first[:len(first)/2]), 0o600)
	changed := bytes.Clone(first)
	changed[len(changed)/2] ^= 1
	write(t, filepath.Join(there, "changed.tar"), string(changed), 0o600)
	for _, name := range []string{"cut.tar", "changed.tar"} {
		if said := s.run(1, "up", "--bundle", name).stderr; !strings.Contains(said, "it is damaged") {
			t.Errorf("%s: it is not said what is wrong", name)
		}
		if made := s.resources(); len(made) > 0 || s.hasImage(app) {
			t.Errorf("%s: made %v", name, made)
		}
	}
	write(t, filepath.Join(there, "stack.tar"), string(first), 0o600)
	s.run(0, "up", "--bundle", "stack.tar")
	s.eventually("both have read what came along", func() bool {
		said := s.run(0, "logs").stdout
		return strings.Contains(said, "from the bundle") && strings.Contains(said, s.project)
	})
	before := s.runs()
	if said := s.run(0, "up", "--bundle", "stack.tar").stderr; !strings.Contains(said, "up to date") || s.runs()["app"] != before["app"] {
		t.Error("a second up did something")
	}
	s.run(0, "status", "--bundle", "stack.tar")
	s.run(0, "down")
	if asked := r.requests(); len(asked) > 0 {
		t.Errorf("asked %v", asked)
	}

	// It is an archive for docker load, too.
	drop()
	if _, err := s.engine.LoadImage(t.Context(), bytes.NewReader(first)); err != nil {
		t.Fatal(err)
	}
	if !s.hasImage(app) || !s.hasImage(built) {
		t.Error("docker load does not take the images out of it")
	}
	s.dropImage(built)
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}
