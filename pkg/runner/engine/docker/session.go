package docker

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"
)

// The calls of BuildKit that a session answers (moby/buildkit, package session).
const (
	callHealth      = "/grpc.health.v1.Health/Check"
	callSecret      = "/moby.buildkit.secrets.v1.Secrets/GetSecret" //nolint:gosec // a name
	callCredentials = "/moby.filesync.v1.Auth/Credentials"
	callCheckAgent  = "/moby.sshforward.v1.SSH/CheckAgent"
	callAgent       = "/moby.sshforward.v1.SSH/ForwardAgent"
)

// The status codes of gRPC that answers have.
const (
	grpcUnknown       = 2
	grpcNotFound      = 5
	grpcUnimplemented = 12
)

// agentHeader names the agent that a call of [callAgent] wants.
const agentHeader = "buildkit.ssh.id"

// messageLimit bounds a request of BuildKit.
const messageLimit = 1 << 20

// session answers what BuildKit asks its client while it builds. It is an HTTP/2
// server on a connection that the engine was asked to take over: gRPC turned
// round. The few calls are written by hand, for a gRPC library and BuildKit's
// client would be larger than all of stackctl.
type session struct {
	id     string
	server *http.Server
	ended  chan struct{}
}

// services are what a session gives.
type services struct {
	// secrets are by id.
	secrets map[string][]byte
	// agents are the sockets of ssh agents, by id.
	agents map[string]string
	// credentials gives the user and password for a registry; empty for none.
	credentials func(host string) (user, secret string, err error)
}

// openSession begins a session. It has to be closed when the build has ended.
func (e *Engine) openSession(ctx context.Context, s services) (*session, error) {
	id := make([]byte, 16)
	_, _ = rand.Read(id) // never fails
	out := &session{id: hex.EncodeToString(id), ended: make(chan struct{})}
	conn, err := e.api.DialHijack(ctx, "/session", "h2c", map[string][]string{
		"X-Docker-Expose-Session-Uuid":        {out.id},
		"X-Docker-Expose-Session-Name":        {"stackctl"},
		"X-Docker-Expose-Session-Sharedkey":   {""},
		"X-Docker-Expose-Session-Grpc-Method": {callHealth, callSecret, callCredentials, callCheckAgent, callAgent},
	})
	if err != nil {
		return nil, fmt.Errorf("open a build session: %w", trimmed(err))
	}
	protocols := &http.Protocols{}
	protocols.SetUnencryptedHTTP2(true)
	out.server = &http.Server{Handler: s, Protocols: protocols}
	listener := &single{conn: conn, closed: make(chan struct{})}
	go func() {
		defer close(out.ended)
		_ = out.server.Serve(listener) // it ends with the build, which tells more
	}()
	return out, nil
}

// close ends the session.
func (s *session) close() {
	_ = s.server.Close()
	<-s.ended
}

// single is a listener with one connection.
type single struct {
	conn   net.Conn
	taken  bool
	closed chan struct{}
	once   sync.Once
}

func (l *single) Accept() (net.Conn, error) {
	if !l.taken {
		l.taken = true
		return l.conn, nil
	}
	<-l.closed
	return nil, net.ErrClosed
}

func (l *single) Close() error {
	var err error
	l.once.Do(func() {
		close(l.closed)
		err = l.conn.Close()
	})
	return err
}

func (l *single) Addr() net.Addr { return l.conn.LocalAddr() }

// grpcError is an answer that says no.
type grpcError struct {
	code int
	text string
}

func (e *grpcError) Error() string { return e.text }

// ServeHTTP answers a call.
func (s services) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/grpc")
	// The state of a call follows its answer.
	var err error
	if r.URL.Path == callAgent {
		err = s.forwardAgent(w, r)
	} else {
		err = s.answer(w, r)
	}
	code, text := 0, ""
	var known *grpcError
	switch {
	case errors.As(err, &known):
		code, text = known.code, known.text
	case err != nil:
		code, text = grpcUnknown, err.Error()
	}
	w.Header().Set(http.TrailerPrefix+"Grpc-Status", strconv.Itoa(code))
	if text != "" {
		w.Header().Set(http.TrailerPrefix+"Grpc-Message", escaped(text))
	}
}

// answer answers a call that has one request.
func (s services) answer(w http.ResponseWriter, r *http.Request) error {
	request, err := readMessage(r.Body)
	if err != nil {
		return err
	}
	var response []byte
	switch r.URL.Path {
	case callHealth:
		response = protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 1) // serving
	case callSecret:
		id := firstString(request)
		secret, known := s.secrets[id]
		if !known {
			return &grpcError{grpcNotFound, fmt.Sprintf("build.secrets has no %q", id)}
		}
		response = appendField(nil, 1, secret)
	case callCredentials:
		user, secret, err := s.credentials(firstString(request))
		if err != nil {
			return err
		}
		response = appendField(appendField(nil, 1, []byte(user)), 2, []byte(secret))
	case callCheckAgent:
		if _, err := s.agent(firstString(request)); err != nil {
			return err
		}
	default:
		return &grpcError{grpcUnimplemented, r.URL.Path + " is nothing that stackctl answers"}
	}
	return writeMessage(w, response)
}

// agent gives the socket of an ssh agent.
func (s services) agent(id string) (string, error) {
	if id == "" {
		id = "default"
	}
	socket, known := s.agents[id]
	if !known {
		return "", &grpcError{grpcNotFound, fmt.Sprintf("build.ssh has no %q", id)}
	}
	return socket, nil
}

// forwardAgent carries bytes between BuildKit and an ssh agent.
func (s services) forwardAgent(w http.ResponseWriter, r *http.Request) error {
	socket, err := s.agent(r.Header.Get(agentHeader))
	if err != nil {
		return err
	}
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		return fmt.Errorf("ssh agent: %w", err)
	}
	defer conn.Close()
	// A build that ends takes its streams with it.
	defer context.AfterFunc(r.Context(), func() { conn.Close() })()
	control := http.NewResponseController(w)
	if err := control.Flush(); err != nil { // BuildKit waits for the headers
		return err
	}
	go func() {
		for {
			request, err := readMessage(r.Body)
			if err == nil {
				_, err = conn.Write(firstBytes(request))
			}
			if err != nil {
				_ = conn.CloseWrite() // what it answers still comes
				return
			}
		}
	}()
	buffer := make([]byte, 16<<10)
	for {
		n, err := conn.Read(buffer)
		if n > 0 {
			if err := writeMessage(w, appendField(nil, 1, buffer[:n])); err != nil {
				return err
			}
			if err := control.Flush(); err != nil {
				return err
			}
		}
		if err != nil {
			return nil //nolint:nilerr // either side has ended, which is how a stream ends
		}
	}
}

// readMessage reads one message of gRPC: a flag, the length, the bytes.
func readMessage(r io.Reader) ([]byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head[1:])
	if head[0] != 0 || size > messageLimit {
		return nil, &grpcError{grpcUnimplemented, "a message is compressed or too large"}
	}
	out := make([]byte, size)
	_, err := io.ReadFull(r, out)
	return out, err
}

func writeMessage(w io.Writer, message []byte) error {
	head := make([]byte, 5, 5+len(message))
	binary.BigEndian.PutUint32(head[1:], uint32(len(message)))
	_, err := w.Write(append(head, message...))
	return err
}

func appendField(out []byte, number protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(out, number, protowire.BytesType), value)
}

// firstBytes gives the first field of a message; all requests have what matters
// there. What cannot be read is empty.
func firstBytes(message []byte) []byte {
	var out []byte
	_ = fields(message, func(number protowire.Number, value []byte, _ uint64) error {
		if number == 1 {
			out = value
		}
		return nil
	})
	return out
}

func firstString(message []byte) string { return string(firstBytes(message)) }

// escaped writes a text as gRPC has it in a header.
func escaped(text string) string {
	var out strings.Builder
	for _, b := range []byte(text) {
		if b < ' ' || b > '~' || b == '%' {
			fmt.Fprintf(&out, "%%%02X", b)
			continue
		}
		out.WriteByte(b)
	}
	return out.String()
}
