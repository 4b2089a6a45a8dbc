//go:build e2e

package e2e

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stackctl/stackctl/pkg/runner"
	"github.com/stackctl/stackctl/pkg/spec"
)

// An engine that does not answer is named, with what to do.
func TestEngineThatDoesNotAnswer(t *testing.T) {
	s := newStage(t)
	socket := "unix://" + filepath.Join(s.dir, "no.sock")
	for _, args := range [][]string{{"up"}, {"down"}, {"status"}, {"plan"}, {"logs"}} {
		got := s.run(4, append([]string{"-H", socket}, args...)...)
		if !strings.Contains(got.stderr, "the engine at "+socket+" (from -H) does not answer: no such file\nhint: ") {
			t.Errorf("%s does not say which engine", args[0])
		}
	}
	if _, err := os.Stat(filepath.Join(s.dir, ".env")); err == nil {
		t.Error("a password was made for an engine that does not answer")
	}
}

// A Docker context names the engine, as it does for the docker command.
func TestContext(t *testing.T) {
	s := newStage(t)
	config := filepath.Join(s.dir, "docker")
	host := cmpOr(os.Getenv("DOCKER_HOST"), "unix:///var/run/docker.sock")
	writeContext(t, config, "here", host)
	s.env = append(s.env, "DOCKER_CONFIG="+config, "DOCKER_HOST=")
	s.run(1, "--context", "here", "status", "--exit-code")
	s.run(4, "--context", "nowhere", "status")
}

// writeContext makes a Docker context, which lies in a folder that is named
// after the digest of its name.
func writeContext(t *testing.T, config, name, host string) {
	t.Helper()
	dir := filepath.Join(config, "contexts", "meta", fmt.Sprintf("%x", sha256.Sum256([]byte(name))))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(`{"Name":%q,"Metadata":{},"Endpoints":{"docker":{"Host":%q,"SkipTLSVerify":false}}}`, name, host)
	if err := os.WriteFile(filepath.Join(dir, "meta.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Logs are merged, can be followed over a restart, and end with Ctrl-C.
func TestLogs(t *testing.T) {
	s := newStage(t)
	web := shell("web", "echo web begins; sleep 600")
	db := shell("db", "echo db begins; sleep 600")
	if _, err := s.up(spec.New("x", db, web), runner.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	all := s.run(0, "logs").stdout
	if !strings.Contains(all, "db-1   | db begins\n") || !strings.Contains(all, "web-1  | web begins\n") {
		t.Errorf("logs: %q", all)
	}
	if one := s.run(0, "logs", "--no-prefix", "--tail", "1", "web").stdout; one != "web begins\n" {
		t.Errorf("logs of web: %q", one)
	}
	follow := s.start("logs", "-f") // db keeps it going while web does not run
	s.eventually("the log is shown", func() bool { return follow.stdout.contains("web begins") })
	id := s.containers()["web"].ID
	if err := s.engine.StopContainer(t.Context(), id, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.engine.StartContainer(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	s.eventually("the second run's log is shown", func() bool { return strings.Count(follow.stdout.String(), "web begins") == 2 })
	if got := follow.end(syscall.SIGINT); got.code != 130 || strings.Count(got.stdout, "web begins") != 2 {
		t.Errorf("exit code %d, log %q", got.code, got.stdout)
	}
}

// An attached up follows the logs, and Ctrl-C stops the services.
func TestAttach(t *testing.T) {
	s := newStage(t)
	up := s.start("up", "--attach", "cache")
	s.eventually("the cache's log is shown", func() bool { return up.stdout.contains("Ready to accept connections") })
	if got := up.end(syscall.SIGINT); got.code != 130 {
		t.Errorf("exit code %d", got.code)
	}
	if c := s.containers()["cache"]; c.State != "exited" {
		t.Errorf("the cache is %s", c.State)
	}
}

// The example of the library runs as it is, in less than 40 lines.
func TestExample(t *testing.T) {
	s := newStage(t)
	source, err := os.ReadFile("../../examples/library/main.go")
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(source, []byte("\n")); n >= 40 {
		t.Errorf("the example has %d lines", n)
	}
	// As it is, but for the project's name: somebody may have it running.
	const file = "examples/library/main.go"
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	renamed := filepath.Join(s.dir, "main.go")
	overlay := filepath.Join(s.dir, "overlay.json")
	text := bytes.ReplaceAll(source, []byte(`"library-example"`), []byte(strconv.Quote(s.project)))
	if bytes.Equal(text, source) {
		t.Fatal("the example has another project name")
	}
	for path, content := range map[string][]byte{
		renamed: text,
		overlay: fmt.Appendf(nil, `{"Replace": {%q: %q}}`, filepath.Join(root, file), renamed),
	} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	built := filepath.Join(s.dir, "example")
	build := exec.CommandContext(t.Context(), "go", "build", "-overlay", overlay, "-o", built, "./examples/library")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	got := s.exec(built)
	if got.code != 0 {
		t.Fatalf("exit code %d", got.code)
	}
	url := strings.TrimSpace(got.stdout)
	s.eventually("the page answers", func() bool {
		response, err := http.Get(url)
		if err != nil {
			return false
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		return err == nil && string(text) == "hello\n"
	})
}
