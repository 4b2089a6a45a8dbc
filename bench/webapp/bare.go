//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"

	"github.com/redis/go-redis/v9"
)

// saved is an answer of the app: what the bare handler answers, too.
type saved struct {
	Header http.Header `json:"header"`
	Body   []byte      `json:"body"`
}

// runBare is the process "bench-webapp bare FILE [REDIS KEY]": a server of net/http
// that answers with the same bytes as the app, and does nothing else. With an address
// and a key it asks Redis for the key first, once per request: the least that
// something does which takes what it answers from there.
func runBare(ctx context.Context, args []string) error {
	text, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	var answer saved
	if err := json.Unmarshal(text, &answer); err != nil {
		return err
	}
	var rdb *redis.Client
	if len(args) == 3 {
		rdb = redis.NewClient(&redis.Options{Addr: args[1]})
	}
	handler := func(w http.ResponseWriter, r *http.Request) {
		if rdb != nil {
			if err := rdb.Get(r.Context(), args[2]).Err(); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
		}
		header := w.Header()
		for name, values := range answer.Header {
			header[name] = values
		}
		_, _ = w.Write(answer.Body) // that the client left is nobody's fault
	}
	var listening net.ListenConfig
	listener, err := listening.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf(`{"msg":"listening","address":%q}`+"\n", listener.Addr())
	server := &http.Server{Handler: http.HandlerFunc(handler)}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	if err := server.Serve(listener); ctx.Err() == nil {
		return err
	}
	return nil
}
