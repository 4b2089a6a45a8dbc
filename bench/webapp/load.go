//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"
)

// caller is one connection that is kept alive. It reads only what it has to know of
// an answer: the less the generator takes of the machine, the more is left for those
// that it measures.
type caller struct {
	conn net.Conn
	in   *bufio.Reader
	body []byte
}

func dial(ctx context.Context, address string) (*caller, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &caller{conn: conn, in: bufio.NewReaderSize(conn, 64<<10)}, nil
}

// answerTimeout is longer than the app takes to say that a service is away.
const answerTimeout = 10 * time.Second

// call sends a whole request and reads the whole answer. The body is there until the
// next call.
func (c *caller) call(request []byte) (status int, body []byte, err error) {
	if err := c.conn.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return 0, nil, err
	}
	if _, err := c.conn.Write(request); err != nil {
		return 0, nil, err
	}
	status, c.body, err = readAnswer(c.in, c.body[:0])
	return status, c.body, err
}

// readAnswer reads an answer in the form that net/http gives it, and appends its
// body to body.
func readAnswer(in *bufio.Reader, body []byte) (status int, _ []byte, err error) {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return 0, body, fmt.Errorf("read the status: %w", err)
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return 0, body, fmt.Errorf("no status line: %q", line)
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, body, fmt.Errorf("no status line: %q", line)
	}
	length, chunked := 0, false
	for {
		if line, err = in.ReadSlice('\n'); err != nil {
			return 0, body, fmt.Errorf("read the header: %w", err)
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(value)); err != nil {
				return 0, body, err
			}
		}
		chunked = chunked || string(line) == "Transfer-Encoding: chunked"
	}
	if !chunked {
		body, err = readBytes(in, body, length)
		return status, body, err
	}
	for {
		if line, err = in.ReadSlice('\n'); err != nil {
			return 0, body, fmt.Errorf("read a chunk: %w", err)
		}
		size, err := strconv.ParseUint(string(bytes.TrimRight(line, "\r\n")), 16, 31)
		if err != nil {
			return 0, body, err
		}
		if body, err = readBytes(in, body, int(size)); err != nil {
			return 0, body, err
		}
		if _, err := in.Discard(2); err != nil {
			return 0, body, err
		}
		if size == 0 {
			return status, body, nil
		}
	}
}

// readBytes appends n bytes.
func readBytes(in *bufio.Reader, body []byte, n int) ([]byte, error) {
	body = slices.Grow(body, n)
	for n > 0 {
		part, err := in.Peek(min(n, in.Size()))
		if err != nil {
			return body, fmt.Errorf("read the body: %w", err)
		}
		body = append(body, part...)
		n -= len(part)
		if _, err := in.Discard(len(part)); err != nil {
			return body, err
		}
	}
	return body, nil
}

// traffic is what the connections of a run ask for.
type traffic struct {
	// request gives the n-th request of a connection.
	request func(connection, n int) []byte
	// before, which may be nil, runs ahead of each request and is not timed.
	before func(connection int) error
	// good tells whether an answer is what it should be.
	good func(status int, body []byte) bool
	// special counts the answers that are of another kind than the case is about, such
	// as a miss where hits are measured; nil for none.
	special func(body []byte) bool
}

// load is what a run of requests came to.
type load struct {
	Requests int
	// All counts those outside the timed part, too.
	All     int
	Errors  int
	Special int
	// PerSecond is counted over the timed part.
	PerSecond float64
	// Times are sorted.
	Times []time.Duration
	// First is the first error that happened.
	First error
}

// percentile gives the time that share of all requests did not exceed.
func (l load) percentile(share float64) time.Duration {
	if len(l.Times) == 0 {
		return 0
	}
	return l.Times[min(len(l.Times)-1, int(share*float64(len(l.Times))))]
}

// generate has each connection ask, wait for the answer, and ask again. What falls
// into warm is not counted, except errors.
func generate(ctx context.Context, address string, connections int, warm, duration time.Duration, t traffic) (load, error) {
	callers := make([]*caller, connections)
	for i := range callers {
		c, err := dial(ctx, address)
		if err != nil {
			return load{}, err
		}
		defer c.conn.Close()
		callers[i] = c
	}
	parts := make([]load, connections)
	begin := time.Now().Add(warm)
	end := begin.Add(duration)
	var asking sync.WaitGroup
	for i, c := range callers {
		asking.Go(func() { c.ask(ctx, address, i, begin, end, t, &parts[i]) })
	}
	asking.Wait()
	var sum load
	for _, part := range parts {
		sum.Requests += part.Requests
		sum.All += part.All
		sum.Errors += part.Errors
		sum.Special += part.Special
		sum.Times = append(sum.Times, part.Times...)
		if sum.First == nil {
			sum.First = part.First
		}
	}
	slices.Sort(sum.Times)
	sum.PerSecond = float64(len(sum.Times)) / duration.Seconds()
	return sum, ctx.Err()
}

// ask is one connection's part of a run.
func (c *caller) ask(ctx context.Context, address string, connection int, begin, end time.Time, t traffic, into *load) {
	fail := func(err error) {
		into.Errors++
		if into.First == nil {
			into.First = err
		}
	}
	for n := 0; ctx.Err() == nil; n++ {
		if t.before != nil {
			if err := t.before(connection); err != nil {
				fail(err)
				return
			}
		}
		from := time.Now()
		if from.After(end) {
			return
		}
		status, body, err := c.call(t.request(connection, n))
		to := time.Now()
		into.All++
		switch {
		case err != nil:
			fail(err)
			again, err := dial(ctx, address)
			if err != nil {
				fail(err)
				return
			}
			_ = c.conn.Close()
			c.conn, c.in = again.conn, again.in
			continue
		case !t.good(status, body):
			fail(fmt.Errorf("status %d, body %.200q", status, body))
			continue
		}
		if from.Before(begin) || to.After(end) {
			continue
		}
		into.Requests++
		into.Times = append(into.Times, to.Sub(from))
		if t.special != nil && t.special(body) {
			into.Special++
		}
	}
}

// dropper removes a key from Redis, with no client library between.
type dropper struct {
	conn net.Conn
	in   *bufio.Reader
	line []byte
}

func newDropper(ctx context.Context, address, key string) (*dropper, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &dropper{conn: conn, in: bufio.NewReader(conn), line: fmt.Appendf(nil, "*2\r\n$3\r\nDEL\r\n$%d\r\n%s\r\n", len(key), key)}, nil
}

// drop returns when the key is gone.
func (d *dropper) drop() error {
	if _, err := d.conn.Write(d.line); err != nil {
		return err
	}
	line, err := d.in.ReadSlice('\n')
	if err != nil {
		return err
	}
	if line[0] != ':' {
		return errors.New("redis: " + string(line))
	}
	return nil
}
