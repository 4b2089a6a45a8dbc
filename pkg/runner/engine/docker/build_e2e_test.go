//go:build e2e

package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"

	"github.com/stackctl/stackctl/pkg/runner/engine"
)

// folder makes a build context.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// tag gives a reference that the test removes.
func (s *stand) tag(name string) string {
	s.t.Helper()
	ref := s.project + "-" + name + ":latest"
	s.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.RemoveImage(ctx, ref); err != nil {
			s.t.Error(err)
		}
	})
	return ref
}

func TestBuild(t *testing.T) {
	noLeaks(t)
	s := newStand(t)
	value := "told"
	for i, test := range []struct {
		name    string
		files   map[string]string
		request engine.BuildRequest
		want    string
	}{
		{
			name: "cache mount, argument, ignore file",
			files: map[string]string{
				"Dockerfile": `FROM alpine:latest
ARG WHO
RUN --mount=type=cache,target=/cache echo $WHO > /who && touch /cache/x
COPY . /src
CMD cat /who && find /src -type f | sort`,
				".dockerignore":   "*.log\nnode_modules\n!keep.log\n.dockerignore\nDockerfile",
				"a.log":           "no",
				"keep.log":        "yes",
				"node_modules/x":  "no",
				"deep/er/file.go": "yes",
			},
			request: engine.BuildRequest{Args: map[string]*string{"WHO": &value, "UNSET": nil}},
			want:    "told\n/src/Dockerfile\n/src/deep/er/file.go\n/src/keep.log\n",
		},
		{
			name:    "inline",
			files:   map[string]string{"file": "x", ".dockerignore": ".dockerignore"},
			request: engine.BuildRequest{Inline: "FROM alpine:latest\nCOPY . /src\nCMD find /src -type f ! -name '*.Dockerfile'\n"},
			want:    "/src/file\n",
		},
		{
			name: "target and Dockerfile of another name",
			files: map[string]string{
				"build/app.Dockerfile":              "FROM alpine:latest AS first\nCOPY . /src\nCMD find /src -type f | sort\nFROM first\nCMD false\n",
				"build/app.Dockerfile.dockerignore": "secret",
				"secret":                            "no",
				"file":                              "yes",
			},
			request: engine.BuildRequest{Dockerfile: "build/app.Dockerfile", Target: "first"},
			want:    "/src/build/app.Dockerfile\n/src/build/app.Dockerfile.dockerignore\n/src/file\n",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := test.request
			b.Context = folder(t, test.files)
			b.Tags = []string{s.tag(fmt.Sprintf("build-%d", i))}
			b.Labels = map[string]string{"made.by": "a test"}
			var seen []string
			id, err := s.Build(s.ctx(), b, func(p engine.Progress) { seen = append(seen, p.Text) })
			s.must(err)
			image, err := s.Image(s.ctx(), b.Tags[0])
			s.must(err)
			if image.ID != id || image.Labels["made.by"] != "a test" {
				t.Errorf("built %s, tagged %+v", id, image)
			}
			if !strings.Contains(strings.Join(seen, "\n"), "FROM") {
				t.Errorf("progress %q", seen)
			}
			spec := s.spec("run", "")
			spec.Config.Command = nil
			spec.Image = b.Tags[0]
			run := s.run(spec)
			s.ended(run)
			if diff := cmp.Diff(test.want, s.output(run)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			s.must(s.RemoveContainer(s.ctx(), run, true))
			again, err := s.Build(s.ctx(), b, nil)
			s.must(err)
			if again != id {
				t.Errorf("built again: %s, was %s", again, id)
			}
		})
	}
}

func TestBuildFailures(t *testing.T) {
	noLeaks(t)
	s := newStand(t)
	for _, test := range []struct {
		name, dockerfile string
		want             []string
	}{
		{"failing RUN", "FROM alpine:latest\nRUN echo first line && echo the reason >&2 && exit 5\n", []string{"RUN echo first line", "exit code: 5", "  | first line", "  | the reason"}},
		{"bad syntax", "FROM alpine:latest\nNONSENSE\n", []string{"NONSENSE"}},
		{"no such file", "FROM alpine:latest\nCOPY missing /\n", []string{"missing"}},
		{"no such base", "FROM localhost:1/no/such:image\n", []string{"localhost:1/no/such:image"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := s.Build(s.ctx(), engine.BuildRequest{
				Context: folder(t, map[string]string{"Dockerfile": test.dockerfile}), Tags: []string{s.project + "-broken"},
			}, nil)
			if err == nil {
				t.Fatal("no error")
			}
			t.Log(err)
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error is %v, without %q", err, want)
				}
			}
		})
	}
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(s.ctx())
		_, err := s.Build(ctx, engine.BuildRequest{
			Context: folder(t, map[string]string{"Dockerfile": "FROM alpine:latest\nRUN echo " + s.project + " && sleep 600\n"}),
		}, func(p engine.Progress) {
			if p.Text == s.project {
				cancel()
			}
		})
		cancel()
		if err == nil || ctx.Err() == nil {
			t.Errorf("error is %v", err)
		}
	})
}

func TestLoadImage(t *testing.T) {
	s := newStand(t)
	ref := s.tag("load")
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	add := func(name string, content []byte) {
		s.must(w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}))
		_, err := w.Write(content)
		s.must(err)
	}
	var layer bytes.Buffer
	s.must(tar.NewWriter(&layer).Close())
	config, err := json.Marshal(map[string]any{
		"architecture": s.platform.Arch, "os": s.platform.OS, "config": map[string]any{"Labels": map[string]string{"made.by": "a test"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{digestOf(layer.Bytes())}},
	})
	s.must(err)
	add("layer.tar", layer.Bytes())
	add("config.json", config)
	manifest, err := json.Marshal([]map[string]any{{"Config": "config.json", "RepoTags": []string{ref}, "Layers": []string{"layer.tar"}}})
	s.must(err)
	add("manifest.json", manifest)
	s.must(w.Close())

	id, err := s.LoadImage(s.ctx(), bytes.NewReader(archive.Bytes()))
	s.must(err)
	image, err := s.Image(s.ctx(), ref)
	s.must(err)
	if image.ID != id || image.Labels["made.by"] != "a test" {
		t.Errorf("loaded %s, tagged %+v", id, image)
	}
	if _, err := s.LoadImage(s.ctx(), strings.NewReader("no archive")); err == nil {
		t.Error("no error for rubbish")
	} else {
		t.Log(err)
	}
	s.must(s.RemoveImage(s.ctx(), ref))
	s.must(s.RemoveImage(s.ctx(), ref))
	if _, err := s.Image(s.ctx(), ref); !errdefs.IsNotFound(err) {
		t.Errorf("error is %v", err)
	}
}

func TestPullNamesTheImage(t *testing.T) {
	s := newStand(t)
	err := s.Pull(s.ctx(), "localhost:1/no/such:image", "", nil)
	if err == nil || !strings.Contains(err.Error(), `pull image "localhost:1/no/such:image"`) || strings.Contains(err.Error(), daemonPrefix) {
		t.Errorf("error is %v", err)
	}
	t.Log(err)
}

func digestOf(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}
