//go:build e2e

package e2e

import (
	"archive/tar"
	"bytes"
	"encoding/base64"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// canary is a password that is found again wherever it gets to.
const canary = `Kanarienvogel+7/&x="y z`

// sightings gives the forms in which the canary is in a text.
func sightings(text []byte) []string {
	forms := map[string]string{
		"as it is":    canary,
		"URL-encoded": url.QueryEscape(canary), "in a URL's path": url.PathEscape(canary),
		"quoted":        strings.ReplaceAll(canary, `"`, `\"`),
		"its beginning": "Kanarienvogel",
	}
	// In base64 it looks different at each of the three places of a group.
	for shift := range 3 {
		coded := base64.StdEncoding.EncodeToString([]byte(strings.Repeat(" ", shift) + canary))
		whole := coded[4 : len(coded)-4]
		forms["in base64 "+strings.Repeat("+", shift)] = whole
		forms["in base64 for URLs "+strings.Repeat("+", shift)] = strings.NewReplacer("+", "-", "/", "_").Replace(whole)
	}
	var out []string
	for name, form := range forms {
		if bytes.Contains(text, []byte(form)) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// A check that finds nothing has to be able to.
func TestSightings(t *testing.T) {
	for _, text := range []string{
		canary, url.QueryEscape(canary), `{"a":"` + strings.ReplaceAll(canary, `"`, `\"`) + `"}`,
		base64.StdEncoding.EncodeToString([]byte("x" + canary)), base64.URLEncoding.EncodeToString([]byte("ab" + canary)),
		base64.StdEncoding.EncodeToString([]byte(`{"p":"` + canary + `"}`)),
	} {
		if len(sightings([]byte(text))) == 0 {
			t.Errorf("the canary is not seen in %q", text)
		}
	}
	if seen := sightings([]byte("postgres")); seen != nil {
		t.Errorf("seen where it is not: %v", seen)
	}
}

// The password of the built-in stack is nowhere but in .env and in the two files of
// the containers.
func TestCanary(t *testing.T) {
	s := newStage(t)
	s.write(".env", "POSTGRES_PASSWORD='"+canary+"'\n")
	check := func(where string, text []byte) {
		t.Helper()
		if seen := sightings(text); seen != nil {
			t.Errorf("%s: the password is there, %s", where, strings.Join(seen, ", "))
		}
	}
	stopWatching := watchProcesses(check)
	defer stopWatching()
	run := func(args ...string) result {
		t.Helper()
		r := s.exec(binary, append([]string{"-p", s.project}, args...)...)
		check("stackctl "+strings.Join(args, " "), []byte(r.stdout+r.stderr))
		return r
	}
	fails := func(code int, args ...string) {
		t.Helper()
		if r := run(args...); r.code != code {
			t.Errorf("stackctl %s: exit code %d, want %d", strings.Join(args, " "), r.code, code)
		}
	}

	run("up", "--dry-run")
	run("plan", "--format", "json")
	run("--progress", "json", "up")
	healthy, _ := s.get("/health")
	if healthy != http.StatusOK {
		t.Fatalf("GET /health: %d", healthy) // else nothing has the password
	}
	run("up", "--force-recreate", "--progress", "plain")
	for _, args := range [][]string{
		{"status"},
		{"status", "--format", "json"},
		{"plan"},
		{"logs"},
		{"events", "--since", "1h", "--until", "0s"},
		{"--progress", "json", "events", "--since", "1h", "--until", "0s"},
		{"render"},
		{"render", "--resolve"},
		{"render", "--format", "json"},
		{"render", "--format", "go", "--resolve"},
		{"config", "--images"},
		{"validate"},
		{"ls", "--format", "json"},
		{"version", "--format", "json"},
		{"bundle", "-o", "stack.tar"},
		{"exec", "database", "env"},
		{"run", "--rm", "--no-deps", "cache", "env"},
	} {
		run(args...)
	}
	for _, name := range []string{"stack.tar"} {
		content, err := os.ReadFile(filepath.Join(s.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		check(name, content)
	}

	// What fails tells no more.
	s.write("broken.yaml", "services: {db: {image: postgres, environment: {POSTGRES_PASSWORD: \"${POSTGRES_PASSWORD}\"}, ports: [x]}}")
	fails(3, "-f", "broken.yaml", "up")
	s.write("syntax.env", "POSTGRES_PASSWORD='"+canary+"\n")
	fails(2, "--env-file", "syntax.env", "up")
	fails(4, "-H", "unix:///nowhere/docker.sock", "up")
	s.write("failing.yaml", `services:
  a:
    image: alpine
    command: [sh, -c, "exit 1"]
    environment: {POSTGRES_PASSWORD: "${POSTGRES_PASSWORD}", URL: "postgres://u:${POSTGRES_PASSWORD}@db/x"}
    healthcheck: {test: ["CMD", "false"], interval: 1s, retries: 1}
    secrets: [password]
secrets: {password: {environment: POSTGRES_PASSWORD}}
`)
	fails(6, "-f", "failing.yaml", "-p", s.project+"-failing", "up")
	fails(0, "-f", "failing.yaml", "-p", s.project+"-failing", "down", "--volumes", "--yes")
	s.write("build.yaml", `services:
  a:
    build: {context: ., dockerfile_inline: "FROM alpine\nARG PASSWORD\nRUN false\n", args: {PASSWORD: "${POSTGRES_PASSWORD}"}}
    environment: {POSTGRES_PASSWORD: "${POSTGRES_PASSWORD}"}
    secrets: [password]
secrets: {password: {environment: POSTGRES_PASSWORD}}
`)
	fails(1, "-f", "build.yaml", "-p", s.project+"-failing", "up")
	fails(1, "-f", "build.yaml", "-p", s.project+"-failing", "--progress", "json", "build")
	fails(0, "-f", "build.yaml", "-p", s.project+"-failing", "down")
	s.write("wrong.env", "POSTGRES_PASSWORD='"+canary+"2'\n")
	fails(5, "--env-file", "wrong.env", "up")

	// What the engine tells.
	volumes := map[string]bool{}
	for service, c := range s.containers() {
		for _, path := range []string{"/containers/" + c.ID + "/json", "/containers/" + c.ID + "/logs?stdout=1&stderr=1"} {
			check(service+" "+path, s.read(path))
		}
		for _, m := range c.Mounts {
			if m.Target == "/run/secrets" {
				volumes[m.Name] = true
			}
		}
	}
	if len(volumes) != 2 {
		t.Errorf("volumes of secrets: %v", volumes)
	}
	check("networks", s.read("/networks"))
	check("volumes", s.read("/volumes"))
	check("the app's image", s.read("/images/"+s.project+"-webapp/get"))
	check("the image's history", s.read("/images/"+s.project+"-webapp/history"))
	files := tar.NewReader(bytes.NewReader(s.read("/images/" + s.project + "-webapp/get")))
	for {
		header, err := files.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(filepath.Base(header.Name), ".env") {
			t.Errorf("the image has %s", header.Name)
		}
	}
	for _, path := range []string{"/", "/metrics", "/health", "/nowhere", "/users", "/users/x"} {
		response, err := http.Get(s.url(path))
		if err != nil {
			t.Fatal(err)
		}
		page, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		check("page "+path, page)
	}

	// And after it: no volume with the files is left, though the data is.
	run("down")
	for volume := range volumes {
		if err := s.raw.do(t.Context(), http.MethodGet, "/volumes/"+volume, nil, nil); err == nil {
			t.Errorf("down left volume %s, which holds a secret", volume)
		}
	}
	fails(0, "up", "--no-wait")
	fails(0, "down", "--volumes", "--yes")
	if left := s.resources(); len(left) > 0 {
		t.Errorf("down --volumes left %v", left)
	}
}

// read gives an answer of the engine as it is.
func (s *stage) read(path string) []byte {
	s.t.Helper()
	body, err := s.raw.open(s.t.Context(), http.MethodGet, path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	defer body.Close()
	text, err := io.ReadAll(body)
	if err != nil {
		s.t.Fatal(err)
	}
	return text
}

// watchProcesses looks at the arguments of all processes until it is told to stop, and
// checks them then.
func watchProcesses(check func(where string, text []byte)) (stop func()) {
	seen := map[string]bool{}
	end := make(chan struct{})
	var work sync.WaitGroup
	work.Go(func() {
		for {
			select {
			case <-end:
				return
			default:
			}
			lines, _ := filepath.Glob("/proc/[0-9]*/cmdline") // the pattern is a good one
			for _, line := range lines {
				text, err := os.ReadFile(line)
				if err == nil { // else it has ended
					seen[string(text)] = true
				}
			}
		}
	})
	return sync.OnceFunc(func() {
		close(end)
		work.Wait()
		for text := range maps.Keys(seen) {
			check("process "+strings.ReplaceAll(text, "\x00", " "), []byte(text))
		}
	})
}

// A password that PostgreSQL does not have stops `up` before anything is changed, or
// before the app starts; what docs/security.md says changes it.
func TestPasswordRotation(t *testing.T) {
	s := newStage(t)
	s.run(0, "up")
	s.addUser("ada")
	s.waitHealthy()
	env, err := os.ReadFile(filepath.Join(s.dir, ".env"))
	if err != nil {
		t.Fatal(err)
	}
	const fresh = "another one"
	old, before := string(env), s.runs()
	edited := old[:strings.LastIndex(old, "POSTGRES_PASSWORD=")] + "POSTGRES_PASSWORD='" + fresh + "'\n"
	s.write(".env", edited)
	const why = "is not the one that PostgreSQL has for user postgres: volume "
	if refused := s.run(5, "up"); !strings.Contains(refused.stderr, why) {
		t.Error("the refusal does not say why")
	}
	if diff := cmp.Diff(before, s.runs()); diff != "" {
		t.Errorf("a refused up changed containers (-before +after):\n%s", diff)
	}
	s.run(0, "down")
	if refused := s.run(5, "up"); !strings.Contains(refused.stderr, why) {
		t.Error("the refusal does not say why")
	}
	if app := s.containers()["webapp"]; app.State == "running" {
		t.Error("the app was started with a password that does not work")
	}
	s.write(".env", old)
	s.run(0, "up")

	// The commands of the document, with the shell's stackctl and editor.
	bin := t.TempDir()
	scripts := map[string]string{
		"stackctl": "#!/bin/sh\nexec '" + binary + "' -p '" + s.project + "' \"$@\"\n",
		"editor":   "#!/bin/sh\ncp new.env \"$1\"\n",
	}
	for name, text := range scripts {
		if err := os.WriteFile(filepath.Join(bin, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	s.write("new.env", edited)
	document, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(document), "## Changing the password")
	_, section, _ = strings.Cut(section, "```sh\n")
	commands, _, found := strings.Cut(section, "```")
	if !found {
		t.Fatal("docs/security.md shows no commands that change the password")
	}
	shell := s.command("sh", "-ec", commands)
	shell.Env = append(shell.Env, "PATH="+bin+":"+os.Getenv("PATH"), "EDITOR=editor")
	shell.Stdin = strings.NewReader(fresh + "\n" + fresh + "\n")
	out, err := shell.CombinedOutput()
	t.Logf("%s%s", commands, out)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"ada"}, s.users()); diff != "" {
		t.Errorf("users with the new password (-want +got):\n%s", diff)
	}
	s.waitHealthy()
	s.run(0, "plan", "--exit-code")
	s.write(".env", old)
	s.run(5, "up")
}
