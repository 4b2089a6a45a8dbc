package docker

import (
	"errors"
	"net"
	"net/url"
	"strings"
	"syscall"

	"github.com/docker/docker/client"

	"github.com/stackctl/stackctl/pkg/runner/engine"
)

// classified gives an error of a call the class that callers ask for.
func classified(err error) error {
	var dial *net.OpError // of a call that takes the connection over
	switch {
	case client.IsErrConnectionFailed(err), errors.As(err, &dial):
		return lost(err)
	case strings.Contains(err.Error(), syscall.ENOSPC.Error()):
		// The API has no code for it, so the words of the engine's system have to do.
		return &engine.NoSpaceError{Err: err}
	}
	return err
}

// lost says that the connection has ended, without the request's address, which
// tells nobody anything.
func lost(err error) error {
	var request *url.Error
	if errors.As(err, &request) {
		err = request.Err
	}
	return &engine.LostError{Err: plainly(err)}
}
