package docker

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

// zeros never end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// boundless is an archive of more than any engine reads.
func boundless(t *testing.T) io.Reader {
	t.Helper()
	var header strings.Builder
	if err := tar.NewWriter(&header).WriteHeader(&tar.Header{Name: "./big", Mode: 0o600, Size: 1 << 40}); err != nil {
		t.Fatal(err)
	}
	return io.MultiReader(strings.NewReader(header.String()), zeros{})
}

// The client closes the archive in both cases, which is not why they ended.
func TestWritingAFolderEndsWithItsReason(t *testing.T) {
	t.Run("cut", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		cause := errors.New("enough")
		e := fake(t, speaking("1.44", func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.CopyN(io.Discard, r.Body, 1<<20)
			cancel(cause)
			_, _ = io.Copy(io.Discard, r.Body) // and no answer
		}))
		if err := e.WriteFolder(ctx, "web", "/data", boundless(t)); !errors.Is(err, cause) {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("answered before the end", func(t *testing.T) {
		e := fake(t, speaking("1.44", func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodPut {
				return
			}
			const answer = `{"message": "no space left on device"}`
			if err := http.NewResponseController(w).EnableFullDuplex(); err != nil {
				t.Error(err)
			}
			w.Header().Set("Content-Length", "38")
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, answer)
			_ = http.NewResponseController(w).Flush()
			_, _ = io.Copy(io.Discard, r.Body) // until the client has gone
		}))
		err := e.WriteFolder(t.Context(), "web", "/data", boundless(t))
		if err == nil || !strings.Contains(err.Error(), "no space left on device") {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("broken archive", func(t *testing.T) {
		e := fake(t, speaking("1.44", func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
		}))
		err := e.WriteFolder(t.Context(), "web", "/data", io.LimitReader(boundless(t), 1<<20))
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("error is %v", err)
		}
	})
}
