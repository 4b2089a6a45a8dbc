package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/mail"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
)

const (
	maxBody = 1 << 20 // bytes of a request's body
	maxText = 100     // characters of a name or an e-mail address, as in the table
)

// The two places that a user can come from, as answers name them.
const (
	sourceDatabase = "PostgreSQL database"
	sourceCache    = "Redis cache"
)

// app is the web application: handlers on two services, of which it needs
// neither to start.
type app struct {
	log        *slog.Logger
	store      *store
	redis      *redis.Client
	cache      *cache
	sessions   *sessions
	writes     *limiter
	metrics    *metrics
	page       nodes
	lists      decoded[[]user] // just one
	users      decoded[user]
	lastRows   rowsMemory
	stop       context.CancelFunc
	background sync.WaitGroup
}

// newApp wires the parts and starts to migrate in the background. It connects
// to nothing itself. The app lives until it is closed, also when ctx ends
// before. tracer, which may be nil, sees every SQL query.
func newApp(ctx context.Context, cfg config, log *slog.Logger, tracer pgx.QueryTracer) (*app, error) {
	page, err := parsePage()
	if err != nil {
		return nil, err
	}
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	store, err := newStore(life, cfg, log, tracer)
	if err != nil {
		stop()
		return nil, err
	}
	redis.SetLogger(redisLog{log: log})
	rdb := newRedis(cfg.redisAddress, cfg.redisTimeout, log)
	metrics := newMetrics()
	metrics.watchPools(store.pool, rdb)
	a := &app{
		log:      log,
		store:    store,
		redis:    rdb,
		cache:    newCache(life, rdb, log, metrics.lookup),
		sessions: newSessions(rdb),
		writes:   newLimiter(cfg, rdb),
		metrics:  metrics,
		page:     page,
		stop:     stop,
	}
	a.background.Go(func() { store.migrateInBackground(life) })
	return a, nil
}

// close ends the background work and the pools. Requests are over by now.
func (a *app) close() {
	a.stop()
	a.background.Wait()
	a.store.close()
	if err := a.redis.Close(); err != nil {
		a.log.Warn("close redis", "error", err)
	}
}

// handler is everything that is served.
func (a *app) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", a.showPage)
	mux.HandleFunc("POST /{$}", a.submitPage)
	mux.HandleFunc("GET /style.css", a.showStyle)
	mux.HandleFunc("GET /health", a.showHealth)
	mux.HandleFunc("GET /users", a.listUsers)
	mux.HandleFunc("POST /users", a.createUser)
	mux.HandleFunc("GET /users/{id}", a.showUser)
	mux.HandleFunc("GET /cache-stats", a.showCacheStats)
	mux.Handle("GET /metrics", a.metrics.handler())

	// Browsers say where a request comes from; programs do not, and pass.
	origin := http.NewCrossOriginProtection()
	origin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeError(w, http.StatusForbidden, "Cross-origin request refused")
	}))
	return a.observe(secure(a.recoverPanics(origin.Handler(errorsAsJSON(mux)))))
}

// healthReport is the answer of GET /health.
type healthReport struct {
	Status   string        `json:"status"`
	Services serviceStates `json:"services"`
}

type serviceStates struct {
	Web      string `json:"web"`
	Postgres string `json:"postgres"`
	Redis    string `json:"redis"`
}

func (a *app) showHealth(w http.ResponseWriter, r *http.Request) {
	var postgresErr, redisErr error
	var checks sync.WaitGroup
	checks.Go(func() { postgresErr = a.store.ping(r.Context()) })
	checks.Go(func() { redisErr = a.redis.Ping(r.Context()).Err() })
	checks.Wait()

	status, code := "healthy", http.StatusOK
	if postgresErr != nil || redisErr != nil {
		status, code = "degraded", http.StatusServiceUnavailable
	}
	writeJSON(w, code, healthReport{Status: status, Services: serviceStates{
		Web:      "running",
		Postgres: connection(postgresErr),
		Redis:    connection(redisErr),
	}})
}

func connection(err error) string {
	if err != nil {
		return "disconnected"
	}
	return "connected"
}

// createdAnswer is the answer of POST /users.
type createdAnswer struct {
	Message string `json:"message"`
	UserID  int32  `json:"user_id"`
	Name    string `json:"name"`
	Email   string `json:"email"`
}

func source(hit bool) string {
	if hit {
		return sourceCache
	}
	return sourceDatabase
}

// writeCached sends a value under a name, and where it came from. raw is its JSON as
// the cache has it: what came out of one encoder needs no other.
func writeCached(w http.ResponseWriter, name, raw string, hit bool) {
	answer := make([]byte, 0, len(raw)+96)
	answer = append(answer, `{"`+name+`":`...)
	answer = append(answer, raw...)
	answer = append(answer, `,"source":"`+source(hit)+`","cache_hit":`...)
	answer = strconv.AppendBool(answer, hit)
	answer = append(answer, "}\n"...)
	header := w.Header()
	header["Content-Type"] = jsonType
	header["Content-Length"] = []string{strconv.Itoa(len(answer))}
	_, _ = w.Write(answer) // that the client left is nobody's fault
}

// allUsers is the list that the page and the API share.
func (a *app) allUsers(ctx context.Context) (cached[[]user], error) {
	return through(ctx, a.cache, listKey, kind[[]user]{ttl: listTTL, decode: a.lists.decoder(0)}, a.store.list)
}

func (a *app) listUsers(w http.ResponseWriter, r *http.Request) {
	users, err := a.allUsers(r.Context())
	if err != nil {
		a.fail(w, r, err)
		return
	}
	writeCached(w, "users", users.raw, users.hit)
}

func (a *app) showUser(w http.ResponseWriter, r *http.Request) {
	// Without a sign, and within a serial's range.
	number, err := strconv.ParseUint(r.PathValue("id"), 10, 31)
	switch {
	case errors.Is(err, strconv.ErrRange):
		a.fail(w, r, errUserNotFound)
		return
	case err != nil:
		a.fail(w, r, inputError("User id must be a number"))
		return
	}
	id := int32(number)
	found, err := through(r.Context(), a.cache, userKey(id), kind[user]{ttl: userTTL, decode: a.users.decoder(id)}, func(ctx context.Context) (user, error) {
		return a.store.get(ctx, id)
	})
	if err != nil {
		a.fail(w, r, err)
		return
	}
	writeCached(w, "user", found.raw, found.hit)
}

func (a *app) createUser(w http.ResponseWriter, r *http.Request) {
	if err := a.writes.limit(w, r); err != nil {
		a.fail(w, r, err)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		a.fail(w, r, bodyError(err))
		return
	}
	var input struct {
		Name  string `json:"name"`
		Email string `json:"email"`
	}
	if err := json.Unmarshal(body, &input); err != nil {
		a.fail(w, r, inputError("Malformed JSON"))
		return
	}
	created, err := a.addUser(r.Context(), input.Name, input.Email)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	writeJSON(w, http.StatusCreated, createdAnswer{
		Message: "User created", UserID: created.ID, Name: created.Name, Email: created.Email,
	})
}

// addUser checks, stores and drops the list from the cache. A client that
// leaves meanwhile stops none of it half-way.
func (a *app) addUser(ctx context.Context, name, email string) (user, error) {
	name, email = strings.TrimSpace(name), strings.TrimSpace(email)
	if err := checkUser(name, email); err != nil {
		return user{}, err
	}
	ctx = context.WithoutCancel(ctx)
	created, err := a.store.create(ctx, name, email)
	// Dropped on a failure too: a commit whose confirmation got lost is one.
	if !errors.Is(err, errEmailTaken) {
		a.cache.drop(ctx, listKey)
	}
	return created, err
}

// inputError is a client's mistake; its text is the answer.
type inputError string

func (e inputError) Error() string { return string(e) }

// bodyError keeps a body that is too large apart from one that did not arrive.
func bodyError(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return tooLarge
	}
	return inputError("Request body could not be read")
}

// checkUser takes trimmed values and returns an inputError or nil.
func checkUser(name, email string) error {
	address, err := mail.ParseAddress(email)
	switch {
	case name == "" || email == "":
		return inputError("Name and email required")
	case !isText(name) || !isText(email):
		return inputError("Name and email must be plain text")
	case utf8.RuneCountInString(name) > maxText:
		return inputError("Name is longer than 100 characters")
	case utf8.RuneCountInString(email) > maxText:
		return inputError("Email is longer than 100 characters")
	case err != nil || address.Address != email: // else "Ann <ann@example.org>" would do
		return inputError("Email is not a valid address")
	}
	return nil
}

// isText keeps out what the database would refuse or a page could not show.
func isText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

func (a *app) showCacheStats(w http.ResponseWriter, r *http.Request) {
	stats, err := readCacheStats(r.Context(), a.redis)
	if err != nil {
		writeError(w, http.StatusServiceUnavailable, "Cache unavailable")
		return
	}
	writeJSON(w, http.StatusOK, stats)
}

// fail answers in JSON.
func (a *app) fail(w http.ResponseWriter, r *http.Request, err error) {
	code, text := a.explain(r, err)
	writeError(w, code, text)
}

// statusClientGone is nginx's code for a client that did not wait; only logs
// and metrics see it.
const statusClientGone = 499

// explain turns an error into a status and a text that tells nothing of what
// is behind it. What the client is not told, the log is.
func (a *app) explain(r *http.Request, err error) (code int, text string) {
	var input inputError
	var tooLarge *http.MaxBytesError
	var tooMany *tooManyError
	switch {
	case errors.Is(err, errFormToken):
		return http.StatusForbidden, "The form has expired, send it again"
	case errors.As(err, &tooMany):
		return http.StatusTooManyRequests, tooMany.Error()
	case errors.As(err, &input):
		return http.StatusBadRequest, string(input)
	case errors.As(err, &tooLarge):
		return http.StatusRequestEntityTooLarge, "Request body is larger than 1 MiB"
	case errors.Is(err, errUserNotFound):
		return http.StatusNotFound, "User not found"
	case errors.Is(err, errEmailTaken):
		return http.StatusConflict, "Email already exists"
	case r.Context().Err() != nil:
		return statusClientGone, "Client closed request"
	}
	a.log.Error("request failed", "method", r.Method, "route", routeOf(r), "error", err)
	return http.StatusServiceUnavailable, "Database unavailable"
}
