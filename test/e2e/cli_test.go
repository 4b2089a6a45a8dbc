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
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackctl/stackctl/pkg/runner"
	"github.com/stackctl/stackctl/pkg/spec"
)

// An engine that does not answer is named, with where its address is from and
// what to do, whatever the command; nothing is written.
func TestEngineThatDoesNotAnswer(t *testing.T) {
	s := newStage(t)
	socket := "unix://" + filepath.Join(s.dir, "no.sock")
	for _, args := range [][]string{{"up"}, {"up", "--dry-run"}, {"down"}, {"status"}, {"plan"}, {"logs"}} {
		got := s.run(4, append([]string{"-H", socket}, args...)...)
		want := "error: the engine at " + socket + " (from -H) does not answer: no such file\n" +
			"hint: check the address after -H, and that the engine listens there\n"
		if diff := cmp.Diff(result{stderr: want, code: 4}, got, cmp.AllowUnexported(result{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", strings.Join(args, " "), diff)
		}
	}
	s.env = append(s.env, "DOCKER_HOST="+socket)
	got := s.run(4, "up")
	want := "error: the engine at " + socket + " (from DOCKER_HOST) does not answer: no such file\n" +
		"hint: check DOCKER_HOST, or unset it to use the local engine\n"
	if diff := cmp.Diff(want, got.stderr); diff != "" {
		t.Errorf("up with a wrong DOCKER_HOST (-want +got):\n%s", diff)
	}
	if files, err := os.ReadDir(s.dir); err != nil || len(files) > 0 {
		t.Errorf("written for an engine that does not answer: %v, %v", files, err)
	}
}

// The engine can be named by flag and by Docker context, and both go before
// DOCKER_HOST.
func TestEngineByFlagAndByContext(t *testing.T) {
	s := newStage(t)
	if _, err := s.up(spec.New("x", shell("here", "sleep 600")), runner.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	info, err := s.engine.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(s.dir, "docker")
	writeContext(t, config, "here", info.Endpoint)
	writeContext(t, config, "gone", "unix://"+filepath.Join(s.dir, "no.sock"))
	s.env = append(s.env, "DOCKER_CONFIG="+config, "DOCKER_HOST=unix://"+filepath.Join(s.dir, "other.sock"))
	for _, args := range [][]string{{"-H", info.Endpoint}, {"--context", "here"}} {
		if got := s.run(0, append(args, "status")...); !strings.Contains(got.stdout, s.project+"-here-1") {
			t.Errorf("%v leads to another engine", args)
		}
	}
	s.env = append(s.env, "DOCKER_HOST=", "DOCKER_CONTEXT=here")
	if got := s.run(0, "status"); !strings.Contains(got.stdout, s.project+"-here-1") {
		t.Error("DOCKER_CONTEXT leads to another engine")
	}
	if got := s.run(4, "--context", "gone", "status"); !strings.Contains(got.stderr, "no.sock (from context gone) does not answer") {
		t.Error("the error does not name the context's socket")
	}
	if got := s.run(4, "--context", "nowhere", "status"); !strings.Contains(got.stderr, `no Docker context is called "nowhere"`) {
		t.Error("the error does not name the context")
	}
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
	s.eventually("both have written, and logs shows each with its name", func() bool {
		all := s.run(0, "logs").stdout
		return strings.Contains(all, "db-1   | db begins\n") && strings.Contains(all, "web-1  | web begins\n")
	})
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

// A follow ends by itself when nothing is left that could write.
func TestFollowEnds(t *testing.T) {
	s := newStage(t)
	job, web := shell("job", "echo job ends"), shell("web", "sleep 600")
	web.DependsOn = []spec.Dependency{spec.Completed(job)}
	if _, err := s.up(spec.New("x", job, web), runner.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := s.run(0, "logs", "-f", "--no-prefix", "job"); got.stdout != "job ends\n" {
		t.Errorf("log %q", got.stdout)
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
	s.waitState("cache", "exited")
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

// Docker Compose takes the file of the example that is printed only.
func TestCustomStackExample(t *testing.T) {
	s := newStage(t)
	file, err := filepath.Abs("../../examples/custom-stack/compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	s.env = append(s.env, "SHOP_RELEASE=1.4", "POSTGRES_PASSWORD=canary")
	got := s.compose("-f", file, "config", "--services")
	services := strings.Fields(got.stdout)
	slices.Sort(services)
	if diff := cmp.Diff([]string{"api", "db", "door", "migrate", "worker"}, services); diff != "" {
		t.Errorf("services (-want +got):\n%s", diff)
	}
}
