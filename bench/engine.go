//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
)

// projectLabel is on everything that a contestant makes.
const projectLabel = "com.docker.compose.project"

// api speaks to an engine through its unix socket, with no client library
// between: what the floor is made of, and what the benchmark cleans up with.
type api struct {
	client http.Client
	// version is the API version of the paths, such as "1.41".
	version string
}

// socketOf gives the path of the socket that DOCKER_HOST names. Only a unix
// socket has an owner whose processor time can be read.
func socketOf(host string) (string, error) {
	if host == "" {
		return "/var/run/docker.sock", nil
	}
	path, ok := strings.CutPrefix(host, "unix://")
	if !ok {
		return "", fmt.Errorf("DOCKER_HOST is %s: the benchmark needs an engine on a unix socket", host)
	}
	return path, nil
}

func newAPI(socket, version string) *api {
	return &api{version: version, client: http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: 256,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}}
}

// statusError is an answer of the engine with a code of 400 or more.
type statusError struct {
	code       int
	call, said string
}

func (e *statusError) Error() string { return fmt.Sprintf("%s: %d: %s", e.call, e.code, e.said) }

func isStatus(err error, codes ...int) bool {
	var status *statusError
	return errors.As(err, &status) && slices.Contains(codes, status.code)
}

// open sends a request and gives the answer's body. A body that is an io.Reader
// is sent as it is, as a tar archive; any other as JSON.
func (a *api) open(ctx context.Context, method, path string, body any) (io.ReadCloser, error) {
	reader, isStream := body.(io.Reader)
	if !isStream && body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		reader = bytes.NewReader(text)
	}
	address := "http://engine" + path
	if a.version != "" {
		address = "http://engine/v" + a.version + path
	}
	request, err := http.NewRequestWithContext(ctx, method, address, reader)
	if err != nil {
		return nil, err
	}
	if isStream {
		request.Header.Set("Content-Type", "application/x-tar")
	} else {
		request.Header.Set("Content-Type", "application/json")
	}
	if method == http.MethodPost && strings.HasPrefix(path, "/exec/") {
		// What the command writes takes over the connection.
		request.Header.Set("Connection", "Upgrade")
		request.Header.Set("Upgrade", "tcp")
	}
	// An engine takes a push without this for one with the old form of it.
	request.Header.Set("X-Registry-Auth", "e30=")
	response, err := a.client.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode >= http.StatusBadRequest {
		defer response.Body.Close()
		said, _ := io.ReadAll(response.Body) // an error is being told already
		return nil, &statusError{response.StatusCode, method + " " + path, string(bytes.TrimSpace(said))}
	}
	return response.Body, nil
}

// do sends a request and reads the answer into a value; nil reads and leaves it.
func (a *api) do(ctx context.Context, method, path string, body, into any) error {
	answer, err := a.open(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer answer.Close()
	if into != nil {
		if err := json.NewDecoder(answer).Decode(into); err != nil {
			return fmt.Errorf("%s %s: read the answer: %w", method, path, err)
		}
	}
	// To the end, so that the connection can be used again.
	if _, err = io.Copy(io.Discard, answer); err != nil {
		return fmt.Errorf("%s %s: read the answer: %w", method, path, err)
	}
	return nil
}

// stream posts a request whose answer is a sequence of JSON progress records, any
// of which may be the error.
func (a *api) stream(ctx context.Context, path string, body any) error {
	answer, err := a.open(ctx, http.MethodPost, path, body)
	if err != nil {
		return err
	}
	defer answer.Close()
	for decoder := json.NewDecoder(answer); ; {
		var record struct{ Error string }
		if err := decoder.Decode(&record); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("POST %s: read the answer: %w", path, err)
		}
		if record.Error != "" {
			return fmt.Errorf("POST %s: %s", path, record.Error)
		}
	}
}

// ofProject is the query that lists what one project has.
func ofProject(project string) string {
	filters, _ := json.Marshal(map[string][]string{"label": {projectLabel + "=" + project}}) // strings always can
	return "filters=" + url.QueryEscape(string(filters))
}

// listed is a container in a list.
type listed struct {
	ID            string `json:"Id"`
	Names         []string
	Image         string
	State, Status string
	Labels        map[string]string
}

// service is the name of the container's service.
func (l listed) service() string { return l.Labels["com.docker.compose.service"] }

func (a *api) containers(ctx context.Context, project string) ([]listed, error) {
	var out []listed
	err := a.do(ctx, http.MethodGet, "/containers/json?all=true&"+ofProject(project), nil, &out)
	return out, err
}

func (a *api) networks(ctx context.Context, project string) ([]string, error) {
	var list []struct{ Name string }
	err := a.do(ctx, http.MethodGet, "/networks?"+ofProject(project), nil, &list)
	var out []string
	for _, n := range list {
		out = append(out, n.Name)
	}
	return out, err
}

func (a *api) volumes(ctx context.Context, project string) ([]string, error) {
	var list struct{ Volumes []struct{ Name string } }
	err := a.do(ctx, http.MethodGet, "/volumes?"+ofProject(project), nil, &list)
	var out []string
	for _, v := range list.Volumes {
		out = append(out, v.Name)
	}
	return out, err
}

// wipe removes all that a project has, running or not.
func (a *api) wipe(ctx context.Context, project string) error {
	containers, err := a.containers(ctx, project)
	if err != nil {
		return err
	}
	// One after the other: 20.10 can lose track of the network's endpoints where many
	// running containers are removed at a time.
	for _, c := range containers {
		err := a.do(ctx, http.MethodDelete, "/containers/"+c.ID+"?force=true&v=true", nil, nil)
		if err != nil && !isStatus(err, http.StatusNotFound) {
			return err
		}
	}
	networks, err := a.networks(ctx, project)
	if err != nil {
		return err
	}
	for _, name := range networks {
		if err := a.do(ctx, http.MethodDelete, "/networks/"+name, nil, nil); err != nil {
			return err
		}
	}
	volumes, err := a.volumes(ctx, project)
	if err != nil {
		return err
	}
	for _, name := range volumes {
		if err := a.do(ctx, http.MethodDelete, "/volumes/"+name, nil, nil); err != nil {
			return err
		}
	}
	return nil
}

// removeImage removes a reference; one that is not there is no error.
func (a *api) removeImage(ctx context.Context, ref string) error {
	err := a.do(ctx, http.MethodDelete, "/images/"+ref+"?force=true", nil, nil)
	if isStatus(err, http.StatusNotFound) {
		return nil
	}
	return err
}

// dangling lists the images without a name that have a label.
func (a *api) dangling(ctx context.Context, label string) ([]string, error) {
	filters, err := json.Marshal(map[string][]string{"dangling": {"true"}, "label": {label}})
	if err != nil {
		return nil, err
	}
	var list []struct {
		ID string `json:"Id"`
	}
	err = a.do(ctx, http.MethodGet, "/images/json?filters="+url.QueryEscape(string(filters)), nil, &list)
	var out []string
	for _, image := range list {
		out = append(out, image.ID)
	}
	return out, err
}

// engineInfo is what the report says of an engine.
type engineInfo struct {
	Version string `json:"version"`
	API     string `json:"api"`
	Storage string `json:"storage"`
	Kernel  string `json:"kernel"`
	OS      string `json:"os"`
	CPUs    int    `json:"cpus"`
	Memory  int64  `json:"memory_bytes"`
}

// look asks an engine what it is, and takes its newest API version from then on.
func (a *api) look(ctx context.Context) (engineInfo, error) {
	var version struct{ Version, APIVersion string }
	if err := a.do(ctx, http.MethodGet, "/version", nil, &version); err != nil {
		return engineInfo{}, fmt.Errorf("ask the engine for its version: %w", err)
	}
	a.version = version.APIVersion
	var info struct {
		Driver, KernelVersion, OperatingSystem string
		NCPU                                   int
		MemTotal                               int64
	}
	if err := a.do(ctx, http.MethodGet, "/info", nil, &info); err != nil {
		return engineInfo{}, fmt.Errorf("ask the engine for its facts: %w", err)
	}
	return engineInfo{version.Version, version.APIVersion, info.Driver, info.KernelVersion, info.OperatingSystem, info.NCPU, info.MemTotal}, nil
}

// knowsStartInterval says that the engine probes at start_interval.
func (e engineInfo) knowsStartInterval() bool {
	var major, minor int
	_, err := fmt.Sscanf(e.API, "%d.%d", &major, &minor)
	return err == nil && (major > 1 || minor >= 44)
}

// short is the release without its last number: "26.1" of "26.1.5+dfsg1".
func (e engineInfo) short() string {
	parts := strings.SplitN(e.Version, ".", 3)
	return strings.Join(parts[:min(2, len(parts))], ".")
}

// environ is what a contestant's process gets: the environment, without what
// would change what it does, and with the values of the stack.
func environ(host string) []string {
	out := slices.DeleteFunc(os.Environ(), func(e string) bool {
		return strings.HasPrefix(e, "COMPOSE") || strings.HasPrefix(e, "DOCKER_HOST=") || strings.HasPrefix(e, "DOCKER_CONTEXT=")
	})
	return append(out, "DOCKER_HOST=unix://"+host, "POSTGRES_PASSWORD=bench",
		"POSTGRES_PORT=25432", "REDIS_PORT=26379", "WEBAPP_PORT=25003")
}
