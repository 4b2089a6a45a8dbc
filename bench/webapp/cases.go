//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// Contestants, as the results name them.
const (
	theApp   = "app"
	theBare  = "bare"     // a handler that answers the same bytes
	theRelay = "relay"    // the same with one GET to Redis per request
	redisTop = "redis"    // redis-benchmark
	pgTop    = "postgres" // pgbench
)

const (
	// usualUsers are as many as the page shows.
	usualUsers = 100
	// manyUsers are more than a run asks for, so that no user is asked for twice.
	manyUsers = 100_000
)

// connectionCounts are what every case is measured at.
var connectionCounts = []int{1, 16, 128}

// one is a case.
type one struct {
	name  string
	users int
	// path is what the bare handler answers; "" for no bare handler.
	path string
	// key is what the relay and redis-benchmark ask Redis for.
	key string
	// statement is pgbench's script.
	statement string
	// traffic makes what the app is asked for.
	traffic func(ctx context.Context, b *bench, connections int) (traffic, func(), error)
	// dirty tells that the table has other rows afterwards.
	dirty bool
	// target is the least share of the bare handler.
	target float64
}

const selectUsers = "SELECT id, name, email, created_at FROM users"

// cases are in the order of the table. Each starts with a table of its own.
func cases() []one {
	return []one{
		{
			name: "GET /users, hit", users: usualUsers, path: "/users", key: usersKey, target: 0.5,
			traffic: func(context.Context, *bench, int) (traffic, func(), error) {
				request := get("/users", "")
				return traffic{
					request: func(int, int) []byte { return request },
					good:    isStatus(http.StatusOK), special: isMiss,
				}, nil, nil
			},
		},
		{
			name: "GET /users/{id}, hit", users: usualUsers, path: "/users/1", key: "users:1", target: 0.5,
			traffic: func(context.Context, *bench, int) (traffic, func(), error) {
				var requests [usualUsers][]byte
				for i := range requests {
					requests[i] = get(fmt.Sprintf("/users/%d", i+1), "")
				}
				return traffic{
					request: func(connection, n int) []byte { return requests[(connection*37+n)%usualUsers] },
					good:    isStatus(http.StatusOK), special: isMiss,
				}, nil, nil
			},
		},
		{
			name: "GET /", users: usualUsers, path: "/", key: usersKey,
			traffic: func(ctx context.Context, b *bench, _ int) (traffic, func(), error) {
				// A browser keeps its session.
				answer, err := b.answer(ctx, "/")
				if err != nil {
					return traffic{}, nil, err
				}
				cookies, err := http.ParseSetCookie(answer.Header.Get("Set-Cookie"))
				if err != nil {
					return traffic{}, nil, err
				}
				request := get("/", cookies.Name+"="+cookies.Value)
				return traffic{request: func(int, int) []byte { return request }, good: isStatus(http.StatusOK)}, nil, nil
			},
		},
		{
			name: "GET /users, miss", users: usualUsers, statement: selectUsers + " ORDER BY id;\n",
			traffic: func(ctx context.Context, b *bench, connections int) (traffic, func(), error) {
				droppers := make([]*dropper, connections)
				done := func() {
					for _, d := range droppers {
						if d != nil {
							_ = d.conn.Close()
						}
					}
				}
				for i := range droppers {
					var err error
					if droppers[i], err = newDropper(ctx, b.services.redisAddress(), usersKey); err != nil {
						done()
						return traffic{}, nil, err
					}
				}
				request := get("/users", "")
				return traffic{
					request: func(int, int) []byte { return request },
					before:  func(connection int) error { return droppers[connection].drop() },
					good:    isStatus(http.StatusOK), special: isHit,
				}, done, nil
			},
		},
		{
			name: "GET /users/{id}, miss", users: manyUsers,
			statement: fmt.Sprintf("\\set id random(1, %d)\n%s WHERE id = :id;\n", manyUsers, selectUsers),
			traffic: func(_ context.Context, _ *bench, connections int) (traffic, func(), error) {
				order := rand.Perm(manyUsers)
				return traffic{
					request: func(connection, n int) []byte {
						return get(fmt.Sprintf("/users/%d", 1+order[(connection+n*connections)%manyUsers]), "")
					},
					good: isStatus(http.StatusOK), special: isHit,
				}, nil, nil
			},
		},
		{
			name: "POST /users", users: usualUsers, dirty: true,
			statement: "\\set n random(1, 9000000000000000)\n" +
				"INSERT INTO users (name, email) VALUES ('User number ' || :n, 'user' || :n || '@example.org') RETURNING id, name, email, created_at;\n",
			traffic: func(context.Context, *bench, int) (traffic, func(), error) {
				prefix := fmt.Sprintf("%x", rand.Uint64())
				return traffic{
					request: func(connection, n int) []byte { return post(fmt.Sprintf("%s.%d.%d", prefix, connection, n)) },
					good:    isStatus(http.StatusCreated),
				}, nil, nil
			},
		},
	}
}

func get(path, cookie string) []byte {
	request := "GET " + path + " HTTP/1.1\r\nHost: webapp\r\n"
	if cookie != "" {
		request += "Cookie: " + cookie + "\r\n"
	}
	return []byte(request + "\r\n")
}

// post adds a user; who is part of the address, which has to be new.
func post(who string) []byte {
	body := fmt.Sprintf(`{"name":"User number %s","email":"%s@example.org"}`, who, who)
	return fmt.Appendf(nil, "POST /users HTTP/1.1\r\nHost: webapp\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

func isStatus(want int) func(int, []byte) bool {
	return func(status int, _ []byte) bool { return status == want }
}

func isHit(body []byte) bool  { return bytes.Contains(tail(body), []byte(`"cache_hit":true`)) }
func isMiss(body []byte) bool { return bytes.Contains(tail(body), []byte(`"cache_hit":false`)) }

// tail is where an answer says whether it is from the cache.
func tail(body []byte) []byte { return body[max(0, len(body)-40):] }

// answer asks the app with net/http, which tells the header, too.
func (b *bench) answer(ctx context.Context, path string) (saved, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+b.running.address+path, http.NoBody)
	if err != nil {
		return saved{}, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return saved{}, err
	}
	defer response.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(response.Body); err != nil {
		return saved{}, err
	}
	if response.StatusCode != http.StatusOK {
		return saved{}, fmt.Errorf("GET %s: %s", path, response.Status)
	}
	response.Header.Del("Date") // net/http's own, in both
	return saved{Header: response.Header, Body: body.Bytes()}, nil
}

// runCase measures one case; with a path, the bare handler and the relay answer what
// the app answers now.
func (b *bench) runCase(ctx context.Context, c one) error {
	if err := b.services.fill(ctx, c.users); err != nil {
		return err
	}
	if c.path == "" {
		return b.rounds(ctx, c, others{})
	}
	if _, err := b.answer(ctx, c.path); err != nil { // into the cache
		return err
	}
	answer, err := b.answer(ctx, c.path)
	if err != nil {
		return err
	}
	o := others{size: len(answer.Body)}
	if o.value, err = b.services.rdb.Get(ctx, c.key).Result(); err != nil {
		return fmt.Errorf("look at what the app cached: %w", err)
	}
	text, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	file := filepath.Join(b.dir, "answer.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return err
	}
	if o.bare, err = start(ctx, nil, b.self, "bare", file); err != nil {
		return err
	}
	defer o.bare.stop()
	if o.relay, err = start(ctx, nil, b.self, "bare", file, b.services.redisAddress(), copyKey); err != nil {
		return err
	}
	defer o.relay.stop()
	return b.rounds(ctx, c, o)
}

// others are those that the app is compared with in a case that has an answer.
type others struct {
	bare, relay *server
	size        int    // of the answer
	value       string // what Redis keeps of it
}

// rounds has the contestants take turns at all counts of connections.
func (b *bench) rounds(ctx context.Context, c one, o others) error {
	for _, connections := range b.connections {
		cell := b.results.cell(c.name, connections)
		*cell = measured{Name: c.name, Connections: connections, AnswerBytes: o.size, By: map[string]*row{}}
		for round := range b.roundCount {
			if err := b.services.fill(ctx, c.users); err != nil {
				return err
			}
			if o.value != "" { // a copy that does not expire
				if err := b.services.rdb.Set(ctx, copyKey, o.value, 0).Err(); err != nil {
					return err
				}
			}
			s, err := b.askApp(ctx, c, connections)
			if err != nil {
				return err
			}
			b.services.usersAreDirty = b.services.usersAreDirty || c.dirty
			cell.add(theApp, s)
			for who, server := range map[string]*server{theBare: o.bare, theRelay: o.relay} {
				if server == nil {
					continue
				}
				request := get(c.path, "")
				s, err := server.load(ctx, b, connections, traffic{
					request: func(int, int) []byte { return request }, good: isStatus(http.StatusOK),
				})
				if err != nil {
					return err
				}
				if s.Errors > 0 {
					return fmt.Errorf("the %s handler made %d errors", who, s.Errors)
				}
				cell.add(who, s)
			}
			if c.key != "" {
				s, err := b.redisCeiling(ctx, copyKey, connections, b.duration)
				if err != nil {
					return err
				}
				cell.add(redisTop, s)
			}
			if c.statement != "" {
				if err := b.services.fill(ctx, c.users); err != nil {
					return err
				}
				s, err := b.postgresCeiling(ctx, c.statement, connections, b.duration)
				if err != nil {
					return err
				}
				b.services.usersAreDirty = b.services.usersAreDirty || c.dirty
				cell.add(pgTop, s)
			}
			say("%s, %d connections, round %d: %s", c.name, connections, round+1, cell.last())
		}
		if err := b.save(); err != nil {
			return err
		}
	}
	return nil
}

// askApp is the app's turn.
func (b *bench) askApp(ctx context.Context, c one, connections int) (sample, error) {
	t, done, err := c.traffic(ctx, b, connections)
	if err != nil {
		return sample{}, err
	}
	if done != nil {
		defer done()
	}
	return b.running.load(ctx, b, connections, t)
}

func milliseconds(d time.Duration) float64 { return float64(d.Round(time.Microsecond)) / 1e6 }
