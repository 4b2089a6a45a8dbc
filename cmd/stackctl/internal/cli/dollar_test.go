package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"
)

// A $ in a password is taken for a reference. That is told, and the piece of the
// password behind it is not, whichever file it is in; what a compose file refers to
// is no secret.
func TestDollarInAFileWithVariables(t *testing.T) {
	before := logrus.StandardLogger().ReplaceHooks(logrus.LevelHooks{})
	t.Cleanup(func() {
		logrus.StandardLogger().ReplaceHooks(before)
		logrus.SetOutput(os.Stderr)
	})
	const anywhere = "warning: a $ in a file with variables refers to a variable that is not set, so nothing stands in its place"
	for _, c := range []struct {
		name, compose string
		files         map[string]string
		want          string
	}{
		{
			"the project's own", "services: {web: {image: 'web:1', command: '${NOBODY}'}}",
			map[string]string{".env": "A=b\nDB_PASSWORD=pa$hunter2\n"},
			"warning: .env:2: a $ in DB_PASSWORD refers to a variable that is not set, so nothing stands in its place: single quotes around the value keep it\n",
		},
		{"in braces", "services: {web: {image: 'web:1', command: '${NOBODY}'}}", map[string]string{".env": "X=a${hunter2}b\n"}, "warning: .env:1: a $ in X "},
		{"of a service", "services: {web: {image: 'web:1', command: '${NOBODY}', env_file: web.env}}", map[string]string{"web.env": "DB_PASSWORD=pa$hunter2\n"}, anywhere},
		{"of an included file", "include: [part/compose.yaml]\nservices: {web: {image: 'web:1'}}", map[string]string{
			"part/compose.yaml": "services: {more: {image: 'web:1', command: '${NOBODY}'}}", "part/.env": "DB_PASSWORD=pa$hunter2\n",
		}, anywhere},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			c.files["compose.yaml"] = c.compose
			for name, text := range c.files {
				path := filepath.Join(dir, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			var out bytes.Buffer
			app := &App{Streams: Streams{Out: &out, Err: &out}, Dir: dir, CacheDir: noCache}
			logrus.StandardLogger().ReplaceHooks(logrus.LevelHooks{})
			code := app.run(t.Context(), []string{"-p", "shop", "validate"}, redirectLogs)
			got := out.String()
			if code != exitDone || strings.Contains(got, "hunter2") || strings.Count(got, c.want) != 1 || !strings.Contains(got, `"NOBODY"`) {
				t.Errorf("code %d, got\n%s\nwant\n%s", code, got, c.want)
			}
		})
	}
}
