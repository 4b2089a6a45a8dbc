package main

import (
	"bytes"
	"encoding/json"
	"html"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// FuzzRequests sends anything to an app whose services are away. Bad input is told
// as such, good input is told that there is no database, and nothing is a fault of
// the app's own.
func FuzzRequests(f *testing.F) {
	nobody := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})) // who understands neither
	f.Cleanup(nobody.Close)
	cfg := shared.config("nowhere")
	cfg.redisAddress = nobody.Listener.Addr().String()
	cfg.postgres.host, cfg.postgres.port, _ = net.SplitHostPort(cfg.redisAddress)
	cfg.queryTimeout, cfg.redisTimeout = 100*time.Millisecond, 100*time.Millisecond
	a, err := newApp(f.Context(), cfg, slog.New(slog.NewTextHandler(io.Discard, nil)), nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(a.close)
	handler := a.handler()
	for _, body := range []string{
		"", "{}", `{"name":"Ann","email":"ann@example.org"}`, `{"name":"A\u0000","email":"a@b"}`, `{"name":1}`, "[", `{"name":"x","email":"<a@b>"}`,
		"name=Ann&email=ann%40example.org", "name=%zz&email=", "name=%00&email=a@b", `{"name":"\ud800","email":"a@b.c"}`, `{"Name":"Ann","EMAIL":"ann@example.org","name":"Bob"}`,
	} {
		f.Add("POST", "/users", "application/json", []byte(body))
		f.Add("POST", "/", "application/x-www-form-urlencoded", []byte(body))
	}
	for _, path := range []string{"/", "/users/1", "/users/-1", "/users/99999999999", "/users/1/2", "/users/%00", "/health", "/metrics", "/style.css", "/../x", "//", "/users?x=%zz", "/?added=1"} {
		f.Add("GET", path, "", []byte{})
	}
	f.Add("POST", "/", "multipart/form-data; boundary=x", []byte("--x\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\nAnn\r\n--x--"))
	f.Fuzz(func(t *testing.T, method, path, contentType string, body []byte) {
		target, err := url.ParseRequestURI(path)
		if err != nil || strings.ContainsAny(method, " \r\n") || method == "" {
			t.Skip("no request that a server would read")
		}
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		r.Method, r.URL, r.RequestURI = method, target, path
		r.Header.Set("Content-Type", contentType)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		switch w.Code {
		case http.StatusOK, http.StatusMovedPermanently, http.StatusPermanentRedirect, http.StatusTemporaryRedirect, http.StatusSeeOther, http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound,
			http.StatusMethodNotAllowed, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusServiceUnavailable:
		default:
			t.Errorf("%s %s with %q: %d %s", method, path, body, w.Code, w.Body)
		}
		if w.Header().Get("Content-Type") == "application/json" && !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s %s: no JSON: %s", method, path, w.Body)
		}
		if target.Path != "/users" || method != http.MethodPost {
			return
		}
		var input struct{ Name, Email string }
		good := json.Unmarshal(body, &input) == nil && checkUser(strings.TrimSpace(input.Name), strings.TrimSpace(input.Email)) == nil
		if good != (w.Code == http.StatusServiceUnavailable) {
			t.Errorf("%q: %d %s", body, w.Code, w.Body)
		}
	})
}

// FuzzUser keeps any user that is accepted in the cache's JSON and on the page, and
// finds the same in both.
func FuzzUser(f *testing.F) {
	for _, name := range []string{"Ann", "<b>", `"'&`, "é\u2028", "{{.}}", "a\ufeffb", "\ufffd"} {
		f.Add(name, "ann@example.org")
	}
	f.Add("x", `"a b"@example.org`)
	f.Add("x", "ü@example.org")
	page, err := parseTemplate("page", `<p title="{{.Name}}">{{.Name}}</p>`)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, name, email string) {
		if checkUser(name, email) != nil {
			t.Skip("is refused")
		}
		was := user{ID: 1, Name: name, Email: email}
		text, err := json.Marshal(was)
		if err != nil {
			t.Fatal(err)
		}
		var is user
		if err := json.Unmarshal(text, &is); err != nil || is != was {
			t.Errorf("%+v became %+v, %v", was, is, err)
		}
		var out bytes.Buffer
		if err := page.write(&out, fields{"Name": name}); err != nil {
			t.Fatal(err)
		}
		inside, found := strings.CutPrefix(out.String(), `<p title="`)
		attribute, rest, split := strings.Cut(inside, `">`)
		element, end := strings.CutSuffix(rest, "</p>")
		if !found || !split || !end || html.UnescapeString(attribute) != name || html.UnescapeString(element) != name {
			t.Errorf("%q is shown as %s", name, &out)
		}
		if strings.ContainsAny(attribute+element, `<>"'`) {
			t.Errorf("%q is shown as %s", name, &out)
		}
	})
}
