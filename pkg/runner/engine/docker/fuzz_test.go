package docker

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/stackctl/stackctl/pkg/runner/engine"
)

// pieces reads a text in pieces whose sizes the cuts tell, as a network does.
type pieces struct {
	text, cuts []byte
	at         int
}

func (p *pieces) Read(into []byte) (int, error) {
	if len(p.text) == 0 {
		return 0, io.EOF
	}
	size := len(p.text)
	if len(p.cuts) > 0 {
		size = 1 + int(p.cuts[p.at%len(p.cuts)])
		p.at++
	}
	n := copy(into, p.text[:min(size, len(p.text))])
	p.text = p.text[n:]
	return n, nil
}

// frame writes a frame of the engine's output.
func frame(kind byte, text []byte) []byte {
	head := make([]byte, 8, 8+len(text))
	head[0] = kind
	binary.BigEndian.PutUint32(head[4:], uint32(len(text)))
	return append(head, text...)
}

// FuzzDemultiplex reads any bytes as the output of a command: what comes out is the
// same however they are cut, and never more than went in. Bytes that are put into
// frames come out as they are.
func FuzzDemultiplex(f *testing.F) {
	f.Add(slices.Concat(frame(1, []byte("out\n")), frame(2, []byte("err\n"))), []byte{0})
	f.Add(frame(1, []byte("cut"))[:9], []byte{3, 7})
	f.Add([]byte{1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 'x'}, []byte{})
	f.Add([]byte{3, 0, 0, 0, 0, 0, 0, 1, 'x'}, []byte{})
	f.Fuzz(func(t *testing.T, stream, cuts []byte) {
		read := func(cuts []byte) (string, string, string) {
			var out, errs bytes.Buffer
			err := demultiplex(&out, &errs, &pieces{text: stream, cuts: cuts})
			return out.String(), errs.String(), fmt.Sprint(err)
		}
		out, errs, err := read(nil)
		againOut, againErrs, again := read(cuts)
		if out != againOut || errs != againErrs || err != again {
			t.Errorf("in pieces: %q, %q, %s; as a whole: %q, %q, %s", againOut, againErrs, again, out, errs, err)
		}
		if len(out)+len(errs) > len(stream) {
			t.Errorf("%d bytes of %d", len(out)+len(errs), len(stream))
		}
		var framed []byte
		var want [2][]byte
		for at, rest := 0, stream; len(rest) > 0; at++ {
			size, kind := 1, byte(1)
			if len(cuts) > 0 {
				size, kind = 1+int(cuts[at%len(cuts)]), 1+cuts[at%len(cuts)]%2
			}
			piece := rest[:min(size, len(rest))]
			rest = rest[len(piece):]
			framed = append(framed, frame(kind, piece)...)
			want[kind-1] = append(want[kind-1], piece...)
		}
		var got [2]bytes.Buffer
		if err := demultiplex(&got[0], &got[1], &pieces{text: framed, cuts: cuts}); err != nil {
			t.Error(err)
		}
		for i := range got {
			if !bytes.Equal(got[i].Bytes(), want[i]) {
				t.Errorf("output %d is %q, want %q", i+1, got[i].Bytes(), want[i])
			}
		}
	})
}

// FuzzLog reads any text as a log. Lines that an engine has written come out as they
// are, and one without frames does however it is cut.
func FuzzLog(f *testing.F) {
	f.Add("one\ntwo words\r\n\nopen", []byte{0})
	f.Add(stamp+" one\n"+stamp+" \n"+stamp, []byte{3, 7})
	f.Add("2026-03-04T05:06:09Z", []byte{30})
	f.Fuzz(func(t *testing.T, text string, cuts []byte) {
		read := func(r io.Reader, framed bool) []engine.LogLine {
			var got []engine.LogLine
			w := &lineWriter{unframed: !framed, each: func(l engine.LogLine) { got = append(got, l) }}
			var err error
			if framed {
				err = demultiplex(w, io.Discard, r)
			} else {
				_, err = io.Copy(w, r)
			}
			if err != nil {
				t.Fatal(err)
			}
			w.flush()
			return got
		}
		if diff := cmp.Diff(read(&pieces{text: []byte(text)}, false), read(&pieces{text: []byte(text), cuts: cuts}, false)); diff != "" {
			t.Errorf("a log without frames, as a whole and in pieces:\n%s", diff)
		}
		read(bytes.NewReader(frame(1, []byte(text))), true)

		var framed, plain []byte
		var want []engine.LogLine
		for line := range strings.Lines(text) {
			entry := []byte(stamp + " " + line)
			plain = append(plain, entry...)
			framed = append(framed, frame(1, entry)...)
			want = append(want, engine.LogLine{Time: stamped, Text: strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")})
		}
		if diff := cmp.Diff(want, read(&pieces{text: framed, cuts: cuts}, true)); diff != "" {
			t.Errorf("with frames (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(want, read(&pieces{text: plain, cuts: cuts}, false)); diff != "" {
			t.Errorf("without frames (-want +got):\n%s", diff)
		}
	})
}

// FuzzBuildProgress reads any bytes as the answer to a build, and any as a record of
// BuildKit in one. What is kept of it has a bound.
func FuzzBuildProgress(f *testing.F) {
	log := appendField(appendField(nil, 1, []byte("sha256:1")), 4, []byte("line\nopen"))
	vertex := appendField(appendField(appendField(nil, 1, []byte("sha256:1")), 3, []byte("RUN make")), 7, []byte("exit code: 2"))
	f.Add([]byte(`{"stream":"Step 1/2"}{"aux":{"ID":"sha256:1"}}`), appendField(appendField(nil, 3, log), 1, vertex))
	f.Add([]byte(`{"errorDetail":{"message":"no"}}`), protowire.AppendVarint(protowire.AppendTag(nil, 4, protowire.VarintType), 1))
	f.Add([]byte(`{"status":"Downloading","id":"layer","progressDetail":{"current":1,"total":2}}`), []byte{0xff})
	f.Add([]byte(`{"aux":`), []byte{})
	f.Fuzz(func(t *testing.T, stream, record []byte) {
		_, err := readBuild(bytes.NewReader(stream), func(engine.Progress) {})
		_, again := readBuild(&pieces{text: stream, cuts: []byte{0, 2}}, func(engine.Progress) {})
		if fmt.Sprint(err) != fmt.Sprint(again) {
			t.Errorf("in pieces %v, as a whole %v", again, err)
		}
		text, err := json.Marshal(map[string]any{"id": traceID, "aux": base64.StdEncoding.EncodeToString(record)})
		if err != nil {
			t.Fatal(err)
		}
		_, err = readBuild(bytes.NewReader(append(text, `{"error":"the end"}`...)), func(engine.Progress) {})
		if err == nil || len(err.Error()) > 3*len(record)+200 {
			t.Errorf("a build that failed ended with %v", err)
		}
		s := newSteps(func(engine.Progress) {})
		for range 100 {
			_ = s.trace(record)
		}
		for name, kept := range s.output {
			if len(kept.kept) > keptLines {
				t.Errorf("%d lines of %s are kept", len(kept.kept), name)
			}
			for _, line := range kept.kept {
				if len(line) > 2*keptBytes+len(record) {
					t.Errorf("%d bytes of a line are kept, of records of %d", len(line), len(record))
				}
			}
		}
	})
}

// FuzzSession calls a build's session with anything. Its answers are those of gRPC,
// and a secret is only in the answer to who names it.
func FuzzSession(f *testing.F) {
	message := func(field []byte) []byte {
		return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(field))), field...)
	}
	for _, call := range []string{callHealth, callSecret, callCredentials, callCheckAgent, callAgent, "/other"} {
		f.Add(call, message(appendField(nil, 1, []byte("key"))))
	}
	f.Add(callSecret, []byte{0, 0xff, 0xff, 0xff, 0xff})
	f.Add(callSecret, []byte{1, 0, 0, 0, 0})
	const secret = "the-value-of-it"
	f.Fuzz(func(t *testing.T, path string, body []byte) {
		s := services{
			secrets:     map[string][]byte{"key": []byte(secret)},
			agents:      map[string]string{},
			credentials: func(string) (string, string, error) { return "", "", errors.New("100% \n none") },
		}
		request := &http.Request{Method: http.MethodPost, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(body))}
		request.URL = httptest.NewRequest(http.MethodPost, "/", nil).URL
		request.URL.Path = path
		w := httptest.NewRecorder()
		s.ServeHTTP(w, request.WithContext(t.Context()))
		status := w.Header().Get(http.TrailerPrefix + "Grpc-Status")
		if status == "" || strings.ContainsAny(w.Header().Get(http.TrailerPrefix+"Grpc-Message"), "\r\n") {
			t.Errorf("answered with status %q, %q", status, w.Header())
		}
		answer := w.Body.Bytes()
		if len(answer) > 0 {
			if got, err := readMessage(bytes.NewReader(answer)); err != nil || len(got)+5 != len(answer) {
				t.Errorf("the answer %q is no message: %v", answer, err)
			}
		}
		asked, err := readMessage(bytes.NewReader(body))
		named := path == callSecret && err == nil && firstString(asked) == "key"
		if (status == "0" && bytes.Contains(answer, []byte(secret))) != named {
			t.Errorf("asked %s with %q: %q", path, body, answer)
		}
	})
}

// FuzzAnswers reads any JSON as the events and the containers of an engine.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte(`{"Type":"container","Action":"health_status: healthy","Actor":{"ID":"1","Attributes":{"name":"web"}},"timeNano":1}`))
	f.Add([]byte(`{"Type":"container","Action":"die","Actor":{"Attributes":{"exitCode":"x"}}}`))
	f.Add([]byte(`{"Id":"1","Names":["/web-1"],"State":"exited","Status":"Exited (3) ago","Labels":{"com.docker.compose.depends_on":"db:service_healthy:true,,x:","com.docker.compose.container-number":"-1"},"NetworkSettings":{"Networks":{"a":null}},"Mounts":[{"Type":"volume"}],"Ports":[{}]}`))
	f.Fuzz(func(_ *testing.T, answer []byte) {
		var m events.Message
		if json.Unmarshal(answer, &m) == nil {
			_, _ = eventFrom(m)
		}
		var c container.Summary
		if json.Unmarshal(answer, &c) == nil {
			_ = containerFromSummary(c)
		}
	})
}
