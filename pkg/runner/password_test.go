package runner_test

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/google/go-cmp/cmp"

	"github.com/stackctl/stackctl/pkg/runner"
	"github.com/stackctl/stackctl/pkg/runner/engine/enginetest"
	"github.com/stackctl/stackctl/pkg/runner/internal/projecttest"
)

// guarded is a database with an app that has its password, and a cache that has not.
const guarded = `
services:
  app:
    image: web
    environment: {URL: "postgres://u:${PW}@db/x", RELEASE: "${APP-}"}
    depends_on: {db: {condition: service_healthy}}
  cache:
    image: web
    environment: {RELEASE: "${CACHE-}"}
  db:
    image: db
    environment: {POSTGRES_USER: u, POSTGRES_PASSWORD: "${PW}"}
    volumes: [data:/var/lib/postgresql/data]
    healthcheck: {test: [CMD, ready], start_period: 1s, start_interval: 1ms}
volumes: {data: {}}
`

// server is a PostgreSQL that says of every password that it is right, or is not.
type server struct {
	*enginetest.Engine
	wrong bool
	// input and args are what the last question was asked with.
	input string
	args  []string
}

func newServer() *server {
	s := &server{Engine: newEngine()}
	s.Behave("db", enginetest.Behaviour{EngineHealth: []string{"healthy"}, Program: func(_ context.Context, p enginetest.Process) int {
		text, err := io.ReadAll(p.In)
		if err != nil {
			return 1
		}
		s.input, s.args = string(text), p.Args
		if s.wrong {
			return 3
		}
		return 0
	}})
	return s
}

// up gives the calls that it took, and the error when the password is the reason.
func (s *server) up(t *testing.T, text string, env types.Mapping) ([]string, *runner.PasswordError) {
	t.Helper()
	s.ForgetCalls()
	_, err := runner.New(s).Up(t.Context(), projecttest.Load(t, t.TempDir(), text, env), runner.UpOptions{})
	var refused *runner.PasswordError
	if err != nil && !errors.As(err, &refused) {
		t.Fatal(err)
	}
	return sortedCalls(s.Engine), refused
}

const asked = "ExecAttached shop-db-1"

func TestPasswordIsRefusedBeforeAnythingChanges(t *testing.T) {
	s := newServer()
	s.wrong = true
	if calls, refused := s.up(t, guarded, types.Mapping{"PW": "first"}); refused != nil || slices.Contains(calls, asked) {
		t.Fatalf("a server with a new volume: %v, %v", refused, calls)
	}
	before := s.Dump()
	calls, refused := s.up(t, guarded, types.Mapping{"PW": "second"})
	want := &runner.PasswordError{Service: "db", Container: "shop-db-1", Volume: "shop_data", User: "u"}
	if diff := cmp.Diff(want, refused); diff != "" {
		t.Errorf("error (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{asked}, calls); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(before, s.Dump()); diff != "" {
		t.Errorf("the engine (-before +after):\n%s", diff)
	}
	if s.input != "second\n" || strings.Contains(strings.Join(s.args, " "), "second") {
		t.Errorf("asked with input %q and arguments %q", s.input, s.args)
	}
	if refused != nil && strings.Contains(refused.Error(), "second") {
		t.Errorf("the error has the password: %v", refused)
	}
}

// Only a server that says so has another password: one that takes nobody without a
// certificate, or from that address, may have the right one.
func TestWhatAServerSaysOfAPassword(t *testing.T) {
	s := newServer()
	s.up(t, guarded, types.Mapping{"PW": "first"})
	s.up(t, guarded, types.Mapping{"PW": "second"}) // which asks
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip(err)
	}
	const fatal = `psql: error: connection to server at "10.0.0.2", port 5432 failed: FATAL:  `
	for said, want := range map[string]int{
		"": 0, // it is let in
		fatal + `password authentication failed for user "u"`:                                            3,
		fatal + `connection requires a valid client certificate`:                                         0,
		fatal + `no pg_hba.conf entry for host "10.0.0.2", user "u", database "postgres", no encryption`: 0,
		fatal + `sorry, too many clients already`:                                                        0,
	} {
		dir := t.TempDir()
		for name, text := range map[string]string{
			"hostname": "echo 10.0.0.2", "pg_isready": "exit 0",
			// Over its socket everybody is let in.
			"psql": `case "$1" in -h) [ "$SAID" ] || exit 0; echo "$SAID" >&2; exit 2 ;; esac`,
		} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.CommandContext(t.Context(), s.args[0], s.args[1:]...)
		cmd.Env = []string{"PATH=" + dir + ":" + os.Getenv("PATH"), "SAID=" + said}
		cmd.Stdin = strings.NewReader("second\n")
		out, _ := cmd.CombinedOutput() // the exit code tells
		if code := cmd.ProcessState.ExitCode(); code != want {
			t.Errorf("%q: exit code %d, want %d\n%s", said, code, want, out)
		}
	}
}

func TestPasswordThatTheServerHas(t *testing.T) {
	s := newServer()
	s.up(t, guarded, types.Mapping{"PW": "first"})
	calls, refused := s.up(t, guarded, types.Mapping{"PW": "second"})
	if refused != nil {
		t.Fatal(refused)
	}
	for _, want := range []string{asked, "RenameContainer shop-db-1", "RenameContainer shop-app-1"} {
		if !slices.Contains(calls, want) {
			t.Errorf("no %s in %v", want, calls)
		}
	}
}

// A server that had to be started first runs on, and still has another password at the
// next attempt.
func TestPasswordOfAServerThatIsStarted(t *testing.T) {
	s := newServer()
	s.up(t, guarded, types.Mapping{"PW": "first"})
	if _, err := runner.New(s).Down(t.Context(), "shop", runner.DownOptions{}); err != nil {
		t.Fatal(err)
	}
	s.wrong = true
	for _, attempt := range []string{"first", "second"} {
		calls, refused := s.up(t, guarded, types.Mapping{"PW": "second"})
		if refused == nil {
			t.Errorf("%s attempt: not refused", attempt)
		}
		if slices.Contains(calls, "StartContainer shop-app-1") {
			t.Errorf("%s attempt: the app was started: %v", attempt, calls)
		}
	}
}

// A question costs a command in a container, so it is asked only when something starts
// that is given the password.
func TestWhoIsAskedForItsPassword(t *testing.T) {
	const file = `
    environment: {POSTGRES_PASSWORD_FILE: /run/secrets/pw, RELEASE: "${DB-}"}
    secrets: [pw]`
	variable := `
    environment: {POSTGRES_USER: u, POSTGRES_PASSWORD: "${PW}"}`
	password := filepath.Join(t.TempDir(), "pw")
	if err := os.WriteFile(password, []byte("first\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const volume = "\n    volumes: [data:/var/lib/postgresql/data]"
	for _, test := range []struct {
		name   string
		text   string
		change types.Mapping
		want   bool
	}{
		{"nothing changes", guarded, nil, false},
		{"the password changes", guarded, types.Mapping{"PW": "second"}, true},
		{"the app changes, which has it", guarded, types.Mapping{"APP": "2"}, true},
		{"the cache changes, which has it not", guarded, types.Mapping{"CACHE": "2"}, false},
		{"no volume", strings.Replace(guarded, volume, "", 1), types.Mapping{"PW": "second"}, false},
		{"no PostgreSQL", strings.ReplaceAll(guarded, "POSTGRES_", "MYSQL_"), types.Mapping{"PW": "second"}, false},
		{"the password is a variable's file", strings.Replace(guarded, variable, file, 1) + "secrets: {pw: {environment: PW}}\n", types.Mapping{"PW": "second"}, true},
		{"the password is in a file", strings.Replace(guarded, variable, file, 1) + "secrets: {pw: {file: " + password + "}}\n", types.Mapping{"DB": "2"}, true},
		{"the password is empty", strings.Replace(guarded, variable, file, 1) + "secrets: {pw: {environment: EMPTY}}\n", types.Mapping{"DB": "2"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newServer()
			env := types.Mapping{"PW": "first", "EMPTY": ""}
			s.up(t, test.text, env)
			for name, value := range test.change {
				env[name] = value
			}
			calls, refused := s.up(t, test.text, env)
			if refused != nil {
				t.Fatal(refused)
			}
			if got := slices.Contains(calls, asked); got != test.want {
				t.Errorf("asked: %v, calls: %v", got, calls)
			}
		})
	}
}
