//go:build e2e

package e2e

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stackctl/stackctl/pkg/runner"
	"github.com/stackctl/stackctl/pkg/runner/event"
	"github.com/stackctl/stackctl/pkg/spec"
)

// registry is a registry of images on the loopback, where engines speak HTTP.
type registry struct {
	address string

	mu    sync.Mutex
	blobs map[string]blob // by digest, and manifests by tag too: "repository:tag"
}

type blob struct {
	kind    string
	content []byte
}

const manifestKind = "application/vnd.docker.distribution.manifest.v2+json"

func newRegistry(t *testing.T) *registry {
	t.Helper()
	r := &registry{blobs: map[string]blob{}}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	r.address = strings.TrimPrefix(server.URL, "http://")
	return r
}

// ServeHTTP implements what a pull needs of the registry's API.
func (r *registry) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	parts := strings.Split(strings.TrimPrefix(request.URL.Path, "/v2/"), "/")
	if len(parts) < 3 { // GET /v2/: the registry is there
		return
	}
	ref := parts[len(parts)-1]
	if !strings.HasPrefix(ref, "sha256:") {
		ref = path.Join(parts[:len(parts)-2]...) + ":" + ref
	}
	r.mu.Lock()
	b, known := r.blobs[ref]
	r.mu.Unlock()
	if !known {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}`)
		return
	}
	w.Header().Set("Content-Type", b.kind)
	w.Header().Set("Docker-Content-Digest", digest(b.content))
	w.Header().Set("Content-Length", fmt.Sprint(len(b.content)))
	_, _ = w.Write(b.content) // the engine tells when it got less
}

// add keeps a blob and gives its description for a manifest.
func (r *registry) add(kind string, content []byte) map[string]any {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.blobs[digest(content)] = blob{kind, content}
	return map[string]any{"mediaType": kind, "size": len(content), "digest": digest(content)}
}

func digest(content []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(content)) }

// publish makes the registry have the engine's small image, with a label so that
// it is another one, and gives its reference.
func (r *registry) publish(s *stage, label string) string {
	s.t.Helper()
	files := s.saved("alpine:latest")
	var saved []struct {
		Config string
		Layers []string
	}
	if err := json.Unmarshal(files["manifest.json"], &saved); err != nil {
		s.t.Fatal(err)
	}
	var config map[string]any
	if err := json.Unmarshal(files[saved[0].Config], &config); err != nil {
		s.t.Fatal(err)
	}
	config["config"].(map[string]any)["Labels"] = map[string]string{"label": label}
	text, err := json.Marshal(config)
	if err != nil {
		s.t.Fatal(err)
	}
	var layers []map[string]any
	for _, name := range saved[0].Layers {
		layers = append(layers, r.add("application/vnd.docker.image.rootfs.diff.tar", files[name]))
	}
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": manifestKind, "layers": layers,
		"config": r.add("application/vnd.docker.container.image.v1+json", text),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	r.add(manifestKind, manifest)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.blobs[s.project+":1"] = blob{manifestKind, manifest}
	return r.address + "/" + s.project + ":1"
}

// saved gives the files of an image's archive.
func (s *stage) saved(image string) map[string][]byte {
	s.t.Helper()
	archive, err := s.raw.open(s.t.Context(), http.MethodGet, "/images/"+image+"/get", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	defer archive.Close()
	files := map[string][]byte{}
	for r := tar.NewReader(archive); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			s.t.Fatal(err)
		}
		var content bytes.Buffer
		if _, err := io.Copy(&content, r); err != nil {
			s.t.Fatal(err)
		}
		files[path.Clean(header.Name)] = content.Bytes()
	}
}

// An image that the engine lacks is pulled; one that it has is pulled again with
// --pull always, and only then, and its container replaced when it is another.
func TestPull(t *testing.T) {
	s := newStage(t)
	r := newRegistry(t)
	ref := r.publish(s, "one")
	var pulled []string // ids: a tag leaves the image that it was on before
	t.Cleanup(func() {
		s.clean()
		for _, id := range pulled {
			if err := s.raw.do(withoutCancel(t), http.MethodDelete, "/images/"+id+"?force=true", nil, nil); err != nil {
				t.Errorf("clean up: %v", err)
			}
		}
	})
	web := shell("web", "sleep 600")
	web.Image = spec.Literal(ref)
	stack := spec.New("x", web)
	label := func() string {
		t.Helper()
		image, err := s.engine.Image(t.Context(), ref)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(pulled, image.ID) {
			pulled = append(pulled, image.ID)
		}
		return image.Labels["label"]
	}

	events := &kinds{}
	s.runner = runner.New(s.engine, runner.WithEvents(events))
	if _, err := s.up(stack, runner.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	first := s.runs()["web"]
	if label() != "one" || !events.saw("image "+ref) {
		t.Errorf("image %q, events %v", label(), events.seen)
	}

	r.publish(s, "two")
	for _, policy := range []runner.PullPolicy{"", runner.PullMissing, runner.PullNever} {
		if _, err := s.up(stack, runner.UpOptions{Pull: policy}); err != nil {
			t.Fatal(err)
		}
		if s.runs()["web"] != first || label() != "one" {
			t.Errorf("pull policy %q: image %q, container %v, was %v", policy, label(), s.runs()["web"], first)
		}
	}
	if _, err := s.up(stack, runner.UpOptions{Pull: runner.PullAlways}); err != nil {
		t.Fatal(err)
	}
	second := s.runs()["web"]
	if second.ID == first.ID || label() != "two" {
		t.Errorf("a new image is not taken: image %q, container %v, was %v", label(), second, first)
	}
	if _, err := s.up(stack, runner.UpOptions{Pull: runner.PullAlways}); err != nil {
		t.Fatal(err)
	}
	if third := s.runs()["web"]; third != second {
		t.Errorf("the same image replaced the container: %v, was %v", third, second)
	}
}

// kinds notes which resources events were about.
type kinds struct {
	mu   sync.Mutex
	seen map[string]bool
}

// Emit implements event.Sink.
func (k *kinds) Emit(e event.Event) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.seen == nil {
		k.seen = map[string]bool{}
	}
	k.seen[e.Resource] = true
}

func (k *kinds) saw(resource string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.seen[resource]
}

// An image that is nowhere to be had ends up before anything of the services is
// made: where no registry answers, where one says no, and where none may be asked.
func TestImageThatIsNowhere(t *testing.T) {
	s := newStage(t)
	r := newRegistry(t)
	for _, test := range []struct {
		name, image string
		pull        runner.PullPolicy
		want        []string
	}{
		{"no registry answers", "127.0.0.1:1/no/such:image", "", []string{`pull image "127.0.0.1:1/no/such:image"`, "connection refused"}},
		{"the registry does not have it", r.address + "/no/such:image", "", []string{`pull image "` + r.address + `/no/such:image"`, "manifest unknown"}},
		{"none may be asked", "no/such:image", runner.PullNever, []string{"image no/such:image is not on the engine and may not be pulled"}},
	} {
		gone := shell("gone", "sleep 600")
		gone.Image = spec.Literal(test.image)
		_, err := s.up(spec.New("x", shell("web", "sleep 600"), gone), runner.UpOptions{Pull: test.pull})
		if err == nil {
			t.Fatalf("%s: no error", test.name)
		}
		for _, words := range test.want {
			if !strings.Contains(err.Error(), words) {
				t.Errorf("%s: %v does not say %q", test.name, err, words)
			}
		}
		if made := s.resources(); len(made) > 0 {
			t.Errorf("%s: made all the same: %v", test.name, made)
		}
	}
}
