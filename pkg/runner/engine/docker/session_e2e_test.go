//go:build e2e

package docker

import (
	"archive/tar"
	"bufio"
	"bytes"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackctl/stackctl/pkg/runner/engine"
)

// built builds, and gives what a container of the image writes.
func (s *stand) built(name string, b engine.BuildRequest) string {
	s.t.Helper()
	b.Tags = []string{s.tag(name)}
	_, err := s.Build(s.ctx(), b, nil)
	s.must(err)
	spec := s.spec(name, "")
	spec.Config.Command = nil
	spec.Image = b.Tags[0]
	id := s.run(spec)
	s.ended(id)
	out := s.output(id)
	s.must(s.RemoveContainer(s.ctx(), id, true))
	return out
}

// asker writes a line to the agent that a build was given, and shows the answer.
const asker = `package main

import (
	"io"
	"net"
	"os"
)

func main() {
	conn, err := net.Dial("unix", os.Getenv("SSH_AUTH_SOCK"))
	if err != nil {
		panic(err)
	}
	conn.Write([]byte("who is there?\n"))
	conn.(*net.UnixConn).CloseWrite()
	io.Copy(os.Stdout, conn)
}
`

// A build asks for secrets and agents while it runs.
func TestBuildSession(t *testing.T) {
	noLeaks(t)
	s := newStand(t)
	dir := folder(t, map[string]string{
		"ask/main.go": asker,
		"ask/go.mod":  "module example.test/ask\n\ngo 1.21\n",
		"Dockerfile": `FROM alpine:latest
COPY ask/ask /ask
RUN --mount=type=secret,id=token cat /run/secrets/token > /answers
RUN --mount=type=secret,id=other,target=/other cat /other >> /answers
RUN --mount=type=ssh /ask >> /answers
RUN --mount=type=ssh,id=second /ask >> /answers
CMD ["cat", "/answers"]
`,
	})
	compiler := exec.CommandContext(s.ctx(), "go", "build", "-o", "ask", ".")
	compiler.Dir = filepath.Join(dir, "ask")
	compiler.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+s.platform.OS, "GOARCH="+s.platform.Arch)
	if out, err := compiler.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s.agent = agentOf(t, "the user's agent")
	got := s.built("session", engine.BuildRequest{
		Context: dir,
		Secrets: map[string][]byte{"token": []byte("first\n"), "other": []byte("second\n")},
		Agents:  map[string]string{"default": "", "second": agentOf(t, "another agent")},
	})
	want := "first\nsecond\nthe user's agent heard who is there?\nanother agent heard who is there?\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	_, err := s.Build(s.ctx(), engine.BuildRequest{
		Context: folder(t, map[string]string{"Dockerfile": "FROM alpine:latest\nRUN --mount=type=secret,id=missing,required=true true\n"}),
		Secrets: map[string][]byte{"token": []byte("x")},
	}, nil)
	if err == nil || !strings.Contains(err.Error(), "missing") {
		t.Errorf("a secret that is not there: error is %v", err)
	}
}

// agentOf listens as an ssh agent does, and answers lines.
func agentOf(t *testing.T, name string) string {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "agent")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if line, err := bufio.NewReader(conn).ReadString('\n'); err == nil {
				_, _ = conn.Write([]byte(name + " heard " + line))
			}
			conn.Close()
		}
	}()
	return socket
}

// The engine fetches a context that is not on this machine.
func TestBuildOfARemoteContext(t *testing.T) {
	s := newStand(t)
	if !s.info.Local {
		t.Skip("the engine does not reach a server of this machine")
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for name, text := range map[string]string{"app.Dockerfile": "FROM alpine:latest\nCOPY file /file\nCMD cat /file\n", "file": s.project} {
		s.must(w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))}))
		_, err := w.Write([]byte(text))
		s.must(err)
	}
	s.must(w.Close())
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(archive.Bytes())
	}))
	defer server.Close()
	got := s.built("remote", engine.BuildRequest{Context: server.URL + "/app.tar", Dockerfile: "app.Dockerfile"})
	if diff := cmp.Diff(s.project+"\n", got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	_, err := s.Build(s.ctx(), engine.BuildRequest{Context: server.URL + "/app.tar", Inline: "FROM alpine:latest"}, nil)
	if err == nil || !strings.Contains(err.Error(), "inline Dockerfile") {
		t.Errorf("an inline Dockerfile: error is %v", err)
	}
}

// What bounds the processes of a build reaches them on engines that know it; the
// table of fields has it refused on the others.
func TestBuildResources(t *testing.T) {
	s := newStand(t)
	dir := folder(t, map[string]string{
		"Dockerfile": "FROM alpine:latest\nRUN df -k /dev/shm | tail -1 | awk '{print $2}' > /out && ulimit -n >> /out\nCMD cat /out\n",
	})
	got := s.built("resources", engine.BuildRequest{
		Context: dir, NoCache: true, ShmSize: 8 << 20, Ulimits: []engine.Ulimit{{Name: "nofile", Soft: 100, Hard: 200}},
	})
	want := "8192\n100\n"
	if s.atLeast("1.42") != (got == want) {
		t.Errorf("API %s: shm and open files are %q, with the request for %q", s.info.APIVersion, got, want)
	}
}
