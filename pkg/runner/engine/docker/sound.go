package docker

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/docker/docker/api/types/system"

	"github.com/stackctl/stackctl/pkg/runner/engine"
)

// Bounds of what is read of an answer before anything is made of it. Those that
// are streams, such as logs and images, have none.
const (
	maxAnswer  = 64 << 20
	maxMessage = 4 << 10
)

// whole matches the paths of answers that are one JSON document, and come at once.
var whole = regexp.MustCompile(`^(?:/v[0-9.]+)?/(?:info|version|containers/json|containers/create|containers/[^/]+/(?:json|exec)|` +
	`images/.+/json|networks(?:/[^/]+)?|volumes(?:/[^/]+)?|exec/[^/]+/json)$`)

// sound looks at what comes back before the client does: what stands between, or
// is no Docker Engine, may answer with anything. The client would take a redirect
// for success, and a page of a proxy for an engine's message.
type sound struct {
	next     http.RoundTripper
	endpoint string
}

// RoundTrip implements http.RoundTripper.
func (a *sound) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := a.next.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	odd := func(reason string) (*http.Response, error) {
		_ = response.Body.Close()
		return nil, &engine.AnswerError{Endpoint: a.endpoint, Call: request.Method + " " + request.URL.Path, Reason: reason}
	}
	switch {
	case response.StatusCode >= http.StatusBadRequest:
		return plainMessage(response), nil
	case response.StatusCode >= http.StatusMultipleChoices && response.StatusCode != http.StatusNotModified:
		return odd(fmt.Sprintf("%s to %q", response.Status, response.Header.Get("Location")))
	case request.Method == http.MethodHead, response.StatusCode == http.StatusNoContent, response.StatusCode == http.StatusSwitchingProtocols,
		!whole.MatchString(request.URL.Path):
		return response, nil
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch text := bytes.TrimSpace(body); {
	case err != nil: // no odd answer, but a connection that was lost
		_ = response.Body.Close()
		return nil, err
	case len(body) > maxAnswer:
		return odd(fmt.Sprintf("it is longer than %d MB", maxAnswer>>20))
	case len(text) == 0:
		return odd("it is empty")
	case !json.Valid(text):
		return odd("it is " + contentType(response) + " and no JSON")
	}
	if strings.HasSuffix(request.URL.Path, "/info") {
		// The client makes a text of what is wrong with this one.
		if text, wrong := unreadable(json.Unmarshal(body, new(system.Info))); wrong {
			return odd(text)
		}
	}
	_ = response.Body.Close()
	response.Body = io.NopCloser(bytes.NewReader(body))
	return response, nil
}

// plainMessage makes an engine's message of an error that is none: a page of a
// proxy, or a text without end.
func plainMessage(response *http.Response) *http.Response {
	body, _ := io.ReadAll(io.LimitReader(response.Body, maxMessage+1)) // what has come will do
	_ = response.Body.Close()
	message := strings.TrimSpace(string(body))
	var said struct{ Message string }
	switch {
	case json.Unmarshal(body, &said) == nil:
		message = said.Message
	case strings.HasPrefix(message, "<") || contentType(response) == "text/html":
		message = "a page came in place of an engine's answer; does a proxy stand between?"
	case len(message) > maxMessage:
		message = message[:maxMessage] + " ..."
	}
	if message == "" {
		message = "no reason is given"
	}
	if !strings.HasPrefix(response.Header.Get("Content-Type"), "application/json") || said.Message == "" {
		message = response.Status + ": " + message
	}
	text, _ := json.Marshal(map[string]string{"message": strings.ToValidUTF8(message, "?")}) // a map of texts has no error
	response.Header.Set("Content-Type", "application/json")
	response.Body = io.NopCloser(bytes.NewReader(text))
	response.ContentLength = int64(len(text))
	return response
}

func contentType(response *http.Response) string {
	kind, _, err := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if err != nil {
		return "of no known type"
	}
	return kind
}

// unreadable says in words what the client could not make a value of; false for any
// other error.
func unreadable(err error) (string, bool) {
	var (
		kind   *json.UnmarshalTypeError
		syntax *json.SyntaxError
		moment *time.ParseError
	)
	switch {
	case errors.As(err, &kind):
		return fmt.Sprintf("the engine's answer cannot be read: %s is a %s", kind.Field, kind.Value), true
	case errors.As(err, &syntax):
		return "the engine's answer cannot be read: it is no JSON", true
	case errors.As(err, &moment):
		return fmt.Sprintf("the engine's answer cannot be read: %q is not a time", moment.Value), true
	}
	return "", false
}
