package cli

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// folder makes a folder with files in it.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// readVariablesIn reads as a command does that is run in the folder.
func readVariablesIn(dir string, environ, files []string, needed ...string) (map[string]string, error) {
	g := &globalOptions{app: &App{Environ: environ, Dir: dir}, keepsLogged: true}
	return g.readVariables(dir, files, needed...)
}

func TestReadVariables(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		environ []string
		files   map[string]string
		use     []string
		want    map[string]string
	}{
		{name: "nothing", want: map[string]string{}},
		{
			name: "the environment wins over .env", environ: []string{"A=env", "EMPTY="},
			files: map[string]string{".env": "A=file\nB=file\nEMPTY=file\n"},
			want:  map[string]string{"A": "env", "B": "file", "EMPTY": ""},
		},
		{
			name: "later files win", files: map[string]string{"one": "A=1\nB=1\n", "two": "B=2\nC=2\n", ".env": "D=not read\n"}, use: []string{"one", "two"},
			want: map[string]string{"A": "1", "B": "2", "C": "2"},
		},
		{
			name: "files refer to the environment and to what came before", environ: []string{"HOST=db"},
			files: map[string]string{"one": "PORT=5432\n", "two": "URL=$HOST:${PORT}\n"}, use: []string{"one", "two"},
			want: map[string]string{"HOST": "db", "PORT": "5432", "URL": "db:5432"},
		},
		{
			name: "an empty password does not hide one", environ: []string{"POSTGRES_PASSWORD="},
			files: map[string]string{".env": "POSTGRES_PASSWORD=\"se cret\"\n"},
			want:  map[string]string{"POSTGRES_PASSWORD": "se cret"},
		},
		{
			name:  "an empty password in a later file does not hide one either",
			files: map[string]string{"one": "POSTGRES_PASSWORD=x\n", "two": "POSTGRES_PASSWORD=\n"}, use: []string{"one", "two"},
			want: map[string]string{"POSTGRES_PASSWORD": "x"},
		},
		{
			name: "an empty password is none", environ: []string{"POSTGRES_PASSWORD="}, files: map[string]string{".env": "POSTGRES_PASSWORD=\n"},
			want: map[string]string{},
		},
		{
			name: "the last one of the environment counts", environ: []string{"A=1", "A=2", "=C:=C:\\x"},
			want: map[string]string{"A": "2"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := readVariablesIn(folder(t, c.files), c.environ, c.use, "POSTGRES_PASSWORD")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestReadVariablesFails(t *testing.T) {
	t.Parallel()
	var fault *envFileError
	_, err := readVariablesIn(folder(t, nil), nil, []string{"nope.env"})
	if !errors.Is(err, fs.ErrNotExist) || !errors.As(err, &fault) || fault.file != "nope.env" {
		t.Errorf("a file that is not there: %v", err)
	}
	_, err = readVariablesIn(folder(t, map[string]string{".env": "B=c\nA=\"open hunter2\n"}), nil, nil)
	if !errors.As(err, &fault) || fault.file != ".env" || fault.line == 0 || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a file that is broken: %v", err)
	}
	_, err = readVariablesIn(folder(t, map[string]string{".env/x": ""}), nil, nil)
	if !errors.As(err, &fault) || fault.file != ".env" {
		t.Errorf("a folder: %v", err)
	}
}
