package main

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
)

// api speaks to the engine straight, beside what is tested.
type api struct{ client http.Client }

func newAPI(socket string) *api {
	return &api{http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}}
}

// statusError is an answer that is none.
type statusError struct {
	call string
	code int
	said string
}

func (e *statusError) Error() string { return fmt.Sprintf("%s: %d: %s", e.call, e.code, e.said) }

func (a *api) do(ctx context.Context, method, path string, body io.Reader, into any) error {
	request, err := http.NewRequestWithContext(ctx, method, "http://engine/v1.41"+path, body)
	if err != nil {
		return err
	}
	if method == http.MethodPut {
		request.Header.Set("Content-Type", "application/x-tar")
	}
	response, err := a.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode >= http.StatusBadRequest {
		said, _ := io.ReadAll(response.Body) // an error is being told already
		return &statusError{method + " " + path, response.StatusCode, string(bytes.TrimSpace(said))}
	}
	switch into := into.(type) {
	case nil:
		_, err = io.Copy(io.Discard, response.Body)
		return err
	case io.Writer:
		_, err = io.Copy(into, response.Body)
		return err
	}
	return json.NewDecoder(response.Body).Decode(into)
}

// ofProject is the filter for what has a project's label.
func ofProject(project string) string {
	return "filters=" + url.QueryEscape(`{"label":["com.docker.compose.project=`+project+`"]}`)
}

// markerName is the file that is put into every volume.
const markerName = ".stackctl-faults-marker"

// mark writes the marker into a folder of a container.
func (a *api) mark(ctx context.Context, container, folder, text string) error {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	if err := w.WriteHeader(&tar.Header{Name: markerName, Mode: 0o644, Size: int64(len(text))}); err != nil {
		return err
	}
	if _, err := io.WriteString(w, text); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return a.do(ctx, http.MethodPut, "/containers/"+container+"/archive?path="+url.QueryEscape(folder), &archive, nil)
}

// file reads a file of a container; empty when there is none.
func (a *api) file(ctx context.Context, container, name string) string {
	var archive bytes.Buffer
	if err := a.do(ctx, http.MethodGet, "/containers/"+container+"/archive?path="+url.QueryEscape(name), nil, &archive); err != nil {
		return ""
	}
	r := tar.NewReader(&archive)
	if _, err := r.Next(); err != nil {
		return ""
	}
	text, _ := io.ReadAll(r) // half of it is another text
	return string(text)
}

// wipe removes all of a project, whatever state it is in.
func (a *api) wipe(ctx context.Context, project string) error {
	var containers []struct{ ID string }
	var networks []struct{ ID string }
	var volumes struct{ Volumes []struct{ Name string } }
	if err := a.do(ctx, http.MethodGet, "/containers/json?all=1&"+ofProject(project), nil, &containers); err != nil {
		return err
	}
	for _, c := range containers {
		if err := a.do(ctx, http.MethodDelete, "/containers/"+c.ID+"?force=1&v=1", nil, nil); err != nil {
			return err
		}
	}
	if err := a.do(ctx, http.MethodGet, "/networks?"+ofProject(project), nil, &networks); err != nil {
		return err
	}
	for _, n := range networks {
		if err := a.do(ctx, http.MethodDelete, "/networks/"+n.ID, nil, nil); err != nil {
			return err
		}
	}
	if err := a.do(ctx, http.MethodGet, "/volumes?"+ofProject(project), nil, &volumes); err != nil {
		return err
	}
	for _, v := range volumes.Volumes {
		if err := a.do(ctx, http.MethodDelete, "/volumes/"+v.Name, nil, nil); err != nil {
			return err
		}
	}
	return nil
}
