package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackctl/stackctl/pkg/runner/engine"
)

// sent gives what a build sends, by path; folders end with a slash.
func sent(t *testing.T, b engine.BuildRequest) (dockerfile string, names []string) {
	t.Helper()
	source, err := openContext(b)
	if err != nil {
		t.Fatal(err)
	}
	var first, second bytes.Buffer
	if err := errors.Join(source.pack(t.Context(), &first), source.pack(t.Context(), &second)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("two archives of one folder differ")
	}
	archive := tar.NewReader(&first)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return source.dockerfile, names
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Uid != 0 || header.Gid != 0 || header.Uname != "" {
			t.Errorf("%s has an owner: %+v", header.Name, header)
		}
		name := header.Name
		if header.Linkname != "" {
			name += " -> " + header.Linkname
		}
		names = append(names, name)
	}
}

func TestWhatABuildSends(t *testing.T) {
	for _, test := range []struct {
		name, ignore string
		request      engine.BuildRequest
		dockerfile   string
		want         []string
	}{
		{
			name: "all", dockerfile: "Dockerfile",
			want: []string{".dockerignore", "Dockerfile", "a/", "a/b/", "a/b/c.go", "a/d.log", "link -> a/d.log"},
		},
		{
			name: "ignored, and taken back", ignore: "a\n!a/b/*.go\nlink\n.dockerignore\n", dockerfile: "Dockerfile",
			want: []string{"Dockerfile", "a/b/c.go"},
		},
		{
			name: "all ignored but the Dockerfile", ignore: "*\n", dockerfile: "Dockerfile", want: []string{"Dockerfile"},
		},
		{
			name: "inline", ignore: "*\n", request: engine.BuildRequest{Inline: "FROM scratch"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			for _, name := range []string{"Dockerfile", "a/b/c.go", "a/d.log"} {
				write(t, filepath.Join(dir, name), []byte("FROM scratch\n"))
			}
			write(t, filepath.Join(dir, ".dockerignore"), []byte(test.ignore))
			if err := os.Symlink("a/d.log", filepath.Join(dir, "link")); err != nil {
				t.Fatal(err)
			}
			test.request.Context = dir
			dockerfile, names := sent(t, test.request)
			if test.request.Inline != "" {
				test.dockerfile, test.want = dockerfile, []string{dockerfile}
			}
			if diff := cmp.Diff(test.want, names); diff != "" || dockerfile != test.dockerfile {
				t.Errorf("Dockerfile %q; (-want +got):\n%s", dockerfile, diff)
			}
		})
	}
}

func TestDockerfileOfAnotherFolder(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	write(t, filepath.Join(other, "Dockerfile"), []byte("FROM scratch\n"))
	write(t, filepath.Join(other, "Dockerfile.dockerignore"), []byte("no\n"))
	write(t, filepath.Join(dir, "no"), nil)
	write(t, filepath.Join(dir, "yes"), nil)
	dockerfile, names := sent(t, engine.BuildRequest{Context: dir, Dockerfile: filepath.Join(other, "Dockerfile")})
	if diff := cmp.Diff([]string{"yes", dockerfile}, names); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestContextProblems(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	write(t, file, nil)
	for name, b := range map[string]engine.BuildRequest{
		"no folder":     {Context: filepath.Join(dir, "none")},
		"a file":        {Context: file},
		"no Dockerfile": {Context: dir},
	} {
		if _, err := openContext(b); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	write(t, filepath.Join(dir, "Dockerfile"), nil)
	source, err := openContext(engine.BuildRequest{Context: dir})
	if err != nil {
		t.Fatal(err)
	}
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if err := source.pack(ctx, io.Discard); !errors.Is(err, cause) {
		t.Errorf("error is %v", err)
	}
}
