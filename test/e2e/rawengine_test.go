//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
)

// rawEngine speaks to the engine's API through its unix socket, for what package
// engine has no words for.
type rawEngine struct{ client http.Client }

func newRawEngine(endpoint string) (*rawEngine, error) {
	socket, ok := strings.CutPrefix(endpoint, "unix://")
	if !ok {
		return nil, fmt.Errorf("these tests look at the engine through a unix socket, and got %s", endpoint)
	}
	return &rawEngine{http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}}, nil
}

// open sends a request and gives the answer's body.
func (e *rawEngine) open(ctx context.Context, method, path string, body any) (io.ReadCloser, error) {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://engine/v1.41"+path, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := e.client.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode >= http.StatusBadRequest {
		defer response.Body.Close()
		said, _ := io.ReadAll(response.Body) // an error is being told already
		return nil, fmt.Errorf("%s %s: %s: %s", method, path, response.Status, bytes.TrimSpace(said))
	}
	return response.Body, nil
}

// do sends a request and reads the answer into a value; nil leaves it.
func (e *rawEngine) do(ctx context.Context, method, path string, body, into any) error {
	answer, err := e.open(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer answer.Close()
	if into == nil {
		return nil
	}
	return json.NewDecoder(answer).Decode(into)
}

// names lists all containers, networks, volumes and tagged images of the engine,
// whoever they belong to: "container shop-web-1".
func (e *rawEngine) names(ctx context.Context) ([]string, error) {
	var (
		containers []struct{ Names []string }
		networks   []struct{ Name string }
		volumes    struct{ Volumes []struct{ Name string } }
		images     []struct{ RepoTags []string }
	)
	for path, into := range map[string]any{
		"/containers/json?all=true": &containers, "/networks": &networks, "/volumes": &volumes, "/images/json": &images,
	} {
		if err := e.do(ctx, http.MethodGet, path, nil, into); err != nil {
			return nil, err
		}
	}
	var out []string
	for _, c := range containers {
		for _, name := range c.Names {
			out = append(out, "container "+strings.TrimPrefix(name, "/"))
		}
	}
	for _, n := range networks {
		out = append(out, "network "+n.Name)
	}
	for _, v := range volumes.Volumes {
		out = append(out, "volume "+v.Name)
	}
	for _, i := range images {
		for _, tag := range i.RepoTags {
			out = append(out, "image "+tag)
		}
	}
	return out, nil
}
