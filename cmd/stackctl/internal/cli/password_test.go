package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackctl/stackctl/templates"
)

func TestAppendLine(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		before string
		mode   os.FileMode // of the file before; 0 for no file
		secret bool
		want   string
		become os.FileMode
	}{
		{name: "no file, a secret", secret: true, want: "# new\nX=1\n", become: 0o600},
		{name: "no file", want: "# new\nX=1\n", become: 0o644},
		{name: "content is kept", before: "# mine\nA=b\n", mode: 0o600, secret: true, want: "# mine\nA=b\nX=1\n", become: 0o600},
		{name: "the last line has no end", before: "A=b", mode: 0o640, want: "A=b\nX=1\n", become: 0o640},
		{name: "others could read it", before: "A=b\n", mode: 0o644, secret: true, want: "A=b\nX=1\n", become: 0o600},
		{name: "never wider than it was", before: "A=b\n", mode: 0o400, secret: true, want: "A=b\nX=1\n", become: 0o400},
		{name: "line ends are kept", before: "A=b\r\n", mode: 0o600, secret: true, want: "A=b\r\nX=1\r\n", become: 0o600},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := filepath.Join(dir, ".env")
			if c.mode != 0 {
				if err := os.WriteFile(path, []byte(c.before), c.mode); err != nil {
					t.Fatal(err)
				}
			}
			if err := appendLine(path, "# new\n", "X=1", c.secret); err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(path)
			if err != nil || string(got) != c.want {
				t.Errorf("got %q, %v; want %q", got, err, c.want)
			}
			if info, err := os.Stat(path); runtime.GOOS != "windows" && (err != nil || info.Mode().Perm() != c.become) {
				t.Errorf("mode %v, %v; want %v", info.Mode(), err, c.become)
			}
			if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
				t.Errorf("the folder has %v, %v", entries, err)
			}
		})
	}
}

// A link stays a link: the line goes to where it points.
func TestAppendLineFollowsLinks(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{"real/shared.env": "A=b\n"})
	link := filepath.Join(dir, ".env")
	if err := os.Symlink(filepath.Join("real", "shared.env"), link); err != nil {
		t.Skip(err)
	}
	if err := appendLine(link, "# new\n", "X=1", true); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link became %v, %v", info.Mode(), err)
	}
	if got, _ := os.ReadFile(filepath.Join(dir, "real", "shared.env")); string(got) != "A=b\nX=1\n" {
		t.Errorf("got %q", got)
	}
}

// A new .env shows every variable that the stack has a default for, with it.
func TestEnvTemplate(t *testing.T) {
	t.Parallel()
	text, err := builtIn("").Compose()
	if err != nil {
		t.Fatal(err)
	}
	defaults := map[string]string{}
	for _, m := range regexp.MustCompile(`\$\{(\w+):-([^}]*)\}`).FindAllStringSubmatch(string(text), -1) {
		defaults[m[1]] = m[2]
	}
	shown := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^# ([A-Z_]+)=(.*)$`).FindAllStringSubmatch(templates.Env(), -1) {
		shown[m[1]] = m[2]
	}
	if diff := cmp.Diff(defaults, shown); diff != "" || len(defaults) == 0 {
		t.Errorf("variables (-stack +template):\n%s", diff)
	}
}
