package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// runProcess starts the program as a process of its own, with only these
// variables, and ends it with the test.
func runProcess(t *testing.T, env map[string]string, args ...string) (process *exec.Cmd, stdout *logBuffer) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	stdout = &logBuffer{}
	cmd := exec.Command(program, args...)
	// A test binary built for coverage complains without the second.
	cmd.Env = []string{runAsWebapp + "=1", "GOCOVERDIR=" + t.TempDir()}
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	cmd.Stdout, cmd.Stderr = stdout, stdout
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	return cmd, stdout
}

func TestShutdownFinishesWhatRuns(t *testing.T) {
	database, rdb := shared.newDatabase(t), newRedisServer(t)
	redisHost, redisPort, _ := net.SplitHostPort(rdb.address())
	process, log := runProcess(t, completeEnv("LISTEN", "127.0.0.1:0",
		"POSTGRES_HOST", "127.0.0.1", "POSTGRES_PORT", fmt.Sprint(shared.port), "POSTGRES_DB", database,
		"REDIS_HOST", redisHost, "REDIS_PORT", redisPort))
	address, _ := log.line(t, "listening")["address"].(string)
	log.line(t, "database is ready")

	// A browser's connection in reserve must not hold the shutdown up.
	reserve, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer reserve.Close()

	// A request that waits for a lock in the database is surely under way.
	conn := shared.open(t, database)
	lock, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Rollback(context.WithoutCancel(t.Context())) }()
	if _, err := lock.Exec(t.Context(), `LOCK TABLE users`); err != nil {
		t.Fatal(err)
	}
	type outcome struct {
		answer
		err error
	}
	posted := make(chan outcome, 1)
	go func() {
		got, err := trySend(t.Context(), "http://"+address, nil, "POST", "/users", `{"name":"Ann","email":"ann@example.org"}`)
		posted <- outcome{got, err}
	}()
	watch := shared.open(t, "postgres")
	eventually(t, "insert waiting", func() error {
		var waiting int
		err := watch.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity
			WHERE datname = $1 AND wait_event_type = 'Lock' AND query LIKE 'INSERT%'`, database).Scan(&waiting)
		if err == nil && waiting != 1 {
			err = fmt.Errorf("%d inserts wait", waiting)
		}
		return err
	})

	if err := process.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "listener closed", func() error {
		if conn, err := net.Dial("tcp", address); err == nil {
			return errors.Join(errors.New("still listening"), conn.Close())
		}
		return nil
	})
	if err := lock.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := <-posted; got.err != nil || got.status != http.StatusCreated {
		t.Errorf("the request under way got %v, %d %s", got.err, got.status, got.body)
	}
	if err := process.Wait(); err != nil {
		t.Errorf("exit: %v", err)
	}
	log.line(t, "stopped")
	if text := log.String(); strings.Contains(text, "cut off") || strings.Contains(text, `p'w`) {
		t.Errorf("log:\n%s", text)
	}
}

func TestStartsWithoutServicesAndStops(t *testing.T) {
	// Nothing listens on port 1 of the loopback.
	process, log := runProcess(t, completeEnv("LISTEN", "127.0.0.1:0",
		"POSTGRES_HOST", "127.0.0.1", "POSTGRES_PORT", "1", "REDIS_HOST", "127.0.0.1", "REDIS_PORT", "1"))
	address, _ := log.line(t, "listening")["address"].(string)
	sendTo(t, "http://"+address, nil, "GET", "/health", "").wantJSON(t, 503,
		`{"status":"degraded","services":{"web":"running","postgres":"disconnected","redis":"disconnected"}}`)

	check, out := runProcess(t, map[string]string{"LISTEN": address}, "healthcheck")
	var exit *exec.ExitError
	if err := check.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("healthcheck: %v", err)
	}
	want := "unhealthy: 503 Service Unavailable: web running, postgres disconnected, redis disconnected\n"
	if out.String() != want {
		t.Errorf("healthcheck says %q, want %q", out, want)
	}

	if err := process.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := process.Wait(); err != nil {
		t.Errorf("exit: %v\n%s", err, log)
	}
}

// runInside calls run with an environment of its own.
func runInside(t *testing.T, env map[string]string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	code = run(t.Context(), args, envOf(env), &out, &errOut)
	return code, out.String(), errOut.String()
}

func TestHealthcheckCommand(t *testing.T) {
	ta := newTestApp(t)
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(ta.url, "http://"))
	for _, env := range []map[string]string{
		{"PORT": port},
		{"LISTEN": ":" + port},
		{"LISTEN": "0.0.0.0:" + port},
		{"LISTEN": "[::]:" + port},
		{"PORT": port, "HTTP_PROXY": "http://127.0.0.1:1"},
	} {
		if code, stdout, stderr := runInside(t, env, "healthcheck"); code != 0 || stdout != "healthy\n" || stderr != "" {
			t.Errorf("%v: code %d, %q, %q", env, code, stdout, stderr)
		}
	}
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	for name, tc := range map[string]struct {
		env  map[string]string
		want string
	}{
		"nobody listens":  {map[string]string{"PORT": "1"}, "connection refused"},
		"somebody else":   {map[string]string{"LISTEN": strings.TrimPrefix(other.URL, "http://")}, "unhealthy: 404 Not Found\n"},
		"faulty variable": {map[string]string{"PORT": "x"}, `PORT is "x"`},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := runInside(t, tc.env, "healthcheck")
			if code != 1 || stdout != "" || !strings.Contains(stderr, tc.want) || strings.Count(stderr, "\n") != 1 {
				t.Errorf("code %d, %q, %q", code, stdout, stderr)
			}
		})
	}
}

func TestUsageAndConfigurationErrors(t *testing.T) {
	for _, args := range [][]string{{"nonsense"}, {"healthcheck", "more"}, {"--help"}} {
		if code, stdout, stderr := runInside(t, nil, args...); code != 2 || stdout != "" || stderr != usage {
			t.Errorf("%q: code %d, %q, %q", args, code, stdout, stderr)
		}
	}
	code, stdout, stderr := runInside(t, map[string]string{"PORT": "x"})
	if code != 2 || stdout != "" || !strings.Contains(stderr, "POSTGRES_HOST is not set") || !strings.Contains(stderr, `PORT is "x"`) {
		t.Errorf("code %d, %q, %q", code, stdout, stderr)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	code, stdout, _ = runInside(t, completeEnv("LISTEN", taken.Addr().String()))
	if code != 1 || !strings.Contains(stdout, "address already in use") {
		t.Errorf("taken port: code %d, %q", code, stdout)
	}
}

// The source of this directory is built in other places, too: what it embeds
// must be here, and what it imports must not be ours.
func TestSourceStandsAlone(t *testing.T) {
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var sources []string
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name(), ".go") && !strings.HasSuffix(entry.Name(), "_test.go") {
			sources = append(sources, entry.Name())
		}
	}
	if !slices.Contains(sources, "main.go") {
		t.Fatalf("sources are %q", sources)
	}
	for _, name := range sources {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(text, []byte(`"github.com/stackctl/`)) || bytes.Contains(text, []byte(`"html/template"`)) {
			t.Errorf("%s imports a package of ours, or html/template and with it 9 MB", name)
		}
	}
}
