//go:build linux

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

const (
	soakConnections = 16
	// soakPoints are how often the memory is looked at.
	soakPoints = 40
)

// soak asks for everything at once for a long time, and looks at the app's memory
// meanwhile. Users that are added are removed again from behind: a list that grows
// would be memory that has to grow.
func (b *bench) soak(ctx context.Context, duration time.Duration) error {
	say("soak: %s with %d connections", duration, soakConnections)
	if err := b.services.fill(ctx, usualUsers); err != nil {
		return err
	}
	answer, err := b.answer(ctx, "/")
	if err != nil {
		return err
	}
	cookie, err := http.ParseSetCookie(answer.Header.Get("Set-Cookie"))
	if err != nil {
		return err
	}
	page, list := get("/", cookie.Name+"="+cookie.Value), get("/users", "")
	prefix := fmt.Sprintf("%x", rand.Uint64())
	t := traffic{
		request: func(connection, n int) []byte {
			switch {
			case n%32 == 31:
				return post(fmt.Sprintf("%s.%d.%d", prefix, connection, n))
			case n%8 == 3:
				return page
			case n%2 == 0:
				return list
			default:
				return get(fmt.Sprintf("/users/%d", 1+(connection+n)%usualUsers), "")
			}
		},
		good:    func(status int, _ []byte) bool { return status == http.StatusOK || status == http.StatusCreated },
		special: isMiss,
	}
	b.services.usersAreDirty = true

	watching, stop := context.WithCancel(ctx)
	var points []point
	var watchErr error
	var watch sync.WaitGroup
	watch.Go(func() { points, watchErr = b.watchMemory(watching, duration/soakPoints) })
	l, err := generate(ctx, b.running.address, soakConnections, 0, duration, t)
	stop()
	watch.Wait()
	if err != nil {
		return err
	}
	if watchErr != nil {
		return watchErr
	}
	b.results.Soak = &soak{
		Minutes: duration.Minutes(), Connections: soakConnections, Requests: l.Requests, Errors: l.Errors,
		Rate: l.PerSecond, P99: milliseconds(l.percentile(0.99)), Points: points,
	}
	if l.First != nil {
		say("soak: %d errors, the first: %v", l.Errors, l.First)
	}
	return b.save()
}

// watchMemory looks at the app every so often until ctx ends, and removes the users
// that were added every second.
func (b *bench) watchMemory(ctx context.Context, every time.Duration) ([]point, error) {
	began := time.Now()
	look, clean := time.NewTicker(every), time.NewTicker(time.Second)
	defer look.Stop()
	defer clean.Stop()
	var points []point
	for n := 1; ; {
		select {
		case <-ctx.Done():
			return points, nil
		case <-look.C:
			mb, err := b.running.memory()
			if err != nil {
				return points, err
			}
			points = append(points, point{Seconds: time.Since(began).Round(time.Second).Seconds(), MB: mb})
		case <-clean.C:
			statements := []string{fmt.Sprintf(`DELETE FROM users WHERE id > %d`, usualUsers)}
			if n%10 == 0 { // or the list would be read past ever more of what is gone
				statements = append(statements, `VACUUM users`)
			}
			n++
			for _, sql := range statements {
				if _, err := b.services.conn.Exec(context.WithoutCancel(ctx), sql); err != nil {
					return points, fmt.Errorf("remove users: %w", err)
				}
			}
		}
	}
}
