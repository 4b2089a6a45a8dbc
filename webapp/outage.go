package main

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
)

// outage turns the errors of one service into two log lines, one when it goes
// and one when it is back, however many requests meet it in between.
type outage struct {
	service string
	log     *slog.Logger
	down    atomic.Bool
}

// note takes the outcome of every call to the service; nil means that it
// answered. A caller that left says nothing about the service.
func (o *outage) note(err error) {
	switch {
	case errors.Is(err, context.Canceled):
	case err == nil:
		if o.down.Swap(false) {
			o.log.Info("service is back", "service", o.service)
		}
	case o.down.Swap(true):
		o.log.Debug("service still unavailable", "service", o.service, "error", err)
	default:
		o.log.Warn("service unavailable", "service", o.service, "error", err)
	}
}
