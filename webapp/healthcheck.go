package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// healthcheckTimeout leaves the engine's usual 5 seconds some room.
const healthcheckTimeout = 4 * time.Second

// healthcheckCommand asks the webapp of this machine for its health: the image
// has neither a shell nor curl to do so. It says why in one line.
func healthcheckCommand(ctx context.Context, env lookupEnv, stdout, stderr io.Writer) int {
	if err := askHealth(ctx, env); err != nil {
		fmt.Fprintln(stderr, "unhealthy:", err)
		return 1
	}
	fmt.Fprintln(stdout, "healthy")
	return 0
}

func askHealth(ctx context.Context, env lookupEnv) error {
	listen, err := loadListen(env)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, healthcheckTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+dialAddress(listen)+"/health", http.NoBody)
	if err != nil {
		return err
	}
	// No proxy, whatever the environment says.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusOK {
		return nil
	}
	var report healthReport
	err = json.NewDecoder(io.LimitReader(response.Body, 64<<10)).Decode(&report)
	if err != nil || report.Services == (serviceStates{}) {
		return errors.New(response.Status) // not the webapp
	}
	return fmt.Errorf("%s: web %s, postgres %s, redis %s",
		response.Status, report.Services.Web, report.Services.Postgres, report.Services.Redis)
}

// dialAddress is where to reach what listens on listen.
func dialAddress(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}
