package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"
)

// What compose-go logs becomes a warning, and nothing else of it is seen.
func TestRedirectLogs(t *testing.T) {
	before := logrus.StandardLogger().ReplaceHooks(logrus.LevelHooks{})
	t.Cleanup(func() {
		logrus.StandardLogger().ReplaceHooks(before)
		logrus.SetOutput(os.Stderr)
	})
	var got []string
	redirectLogs(func(text string) { got = append(got, text) })
	logrus.Debug("a detail")
	logrus.Info("a note")
	logrus.Warn("The \"A\" variable is not set.\n")
	logrus.WithField("file", "x").Error("an oddity")
	if diff := cmp.Diff([]string{`The "A" variable is not set.`, "an oddity"}, got); diff != "" {
		t.Error(diff)
	}
}

// validate counts what is logged among its warnings, in either form.
func TestValidateCountsWhatIsLogged(t *testing.T) {
	before := logrus.StandardLogger().ReplaceHooks(logrus.LevelHooks{})
	t.Cleanup(func() {
		logrus.StandardLogger().ReplaceHooks(before)
		logrus.SetOutput(os.Stderr)
	})
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte("services: {web: {image: 'web:1', command: '${NOBODY}'}}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"validate", exitDone, "warning: The \"NOBODY\" variable is not set. Defaulting to a blank string.\nvalid: project shop with 1 service, 1 warning\n"},
		{"validate --strict", exitInvalid, "error: 1 warning, and --strict takes a warning for a fault\n"},
		{"validate --format json", exitDone, `"message": "The \"NOBODY\" variable is not set. Defaulting to a blank string."`},
		{"validate --strict --format json", exitInvalid, `"valid": false`},
	} {
		var out bytes.Buffer
		app := &App{Streams: Streams{Out: &out, Err: &out}, Dir: dir, CacheDir: noCache}
		logrus.StandardLogger().ReplaceHooks(logrus.LevelHooks{})
		code := app.run(t.Context(), append([]string{"-p", "shop"}, strings.Fields(c.args)...), redirectLogs)
		if code != c.code || !strings.Contains(out.String(), c.want) || strings.Count(out.String(), "NOBODY") != 1 {
			t.Errorf("%s: code %d, got\n%s", c.args, code, out.String())
		}
	}
}

func TestColor(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		terminal bool
		flag     bool
		environ  string
		want     bool
	}{
		{name: "a terminal", terminal: true, want: true},
		{name: "no terminal"},
		{name: "--no-color", terminal: true, flag: true},
		{name: "NO_COLOR", terminal: true, environ: "NO_COLOR=1"},
		{name: "an empty NO_COLOR says nothing", terminal: true, environ: "NO_COLOR=", want: true},
		{name: "a dumb terminal", terminal: true, environ: "TERM=dumb"},
	} {
		g := &globalOptions{app: &App{Environ: []string{c.environ}}, noColor: c.flag}
		if got := g.color(c.terminal); got != c.want {
			t.Errorf("%s: got %v", c.name, got)
		}
	}
}

// Every command explains itself, with examples that it would take.
func TestEveryCommandHasAnExample(t *testing.T) {
	t.Parallel()
	root := newRootCommand(&globalOptions{app: &App{}})
	for _, cmd := range root.Commands() {
		if cmd.Name() == "help" {
			continue
		}
		if cmd.Short == "" || !strings.Contains(cmd.Example, "stackctl "+cmd.Name()) {
			t.Errorf("%s: short %q, example %q", cmd.Name(), cmd.Short, cmd.Example)
		}
		for line := range strings.Lines(cmd.Example) {
			_, words, found := strings.Cut(strings.TrimSpace(line), "stackctl "+cmd.Name()+" ")
			if !found {
				continue
			}
			words, _, _ = strings.Cut(words, "|")
			words, _, _ = strings.Cut(words, ">")
			words = strings.TrimSuffix(strings.TrimSpace(words), ")")
			if err := cmd.ParseFlags(strings.Fields(words)); err != nil {
				t.Errorf("%s: %q: %v", cmd.Name(), strings.TrimSpace(line), err)
			}
		}
	}
}

// Every old file has a version: only the command that looks for faults tells of it.
// What else compose-go logs is a warning of each command.
func TestWhatComposeGoLogs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "compose.yaml")
	if err := os.WriteFile(file, []byte("services: {web: {image: 'nginx:1'}}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for command, want := range map[string]string{
		"validate": "warning: something else\nstack shop from compose.yaml\ncompose.yaml: warning: version means nothing any more, and can be left out\n",
		"config":   "warning: something else\n",
	} {
		var out, errs bytes.Buffer
		app := &App{Streams: Streams{Out: &out, Err: &errs}, Dir: dir, CacheDir: noCache}
		code := app.run(t.Context(), []string{"-p", "shop", command}, func(warn func(string)) {
			warn(file + obsoleteVersion)
			warn("something else")
		})
		if diff := cmp.Diff(want, errs.String()); diff != "" || code != exitDone {
			t.Errorf("%s: code %d (-want +got):\n%s", command, code, diff)
		}
	}
}

// noCache is for an App that remembers nothing.
func noCache() (string, error) { return "", os.ErrNotExist }
