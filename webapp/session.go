package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"
	"regexp"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	sessionCookie = "session"
	// sessionTTL counts from the last visit, in the browser and in Redis.
	sessionTTL = 24 * time.Hour
	// visitsKey counts the visits of everybody.
	visitsKey = "page_visits"
)

// visit is what the counters say after a page was asked for.
type visit struct {
	session string // the visitor's id, maybe a new one
	total   int64
	own     int64
}

// sessions knows visitors again. A session is its counter in Redis: when Redis
// forgets it, by time, eviction or flush, the visitor gets a new one.
type sessions struct {
	redis  *redis.Client
	count  *redis.Script
	wellID *regexp.Regexp
}

func newSessions(rdb *redis.Client) *sessions {
	return &sessions{
		redis: rdb,
		// Only ids that Redis knows are carried on; an id that somebody made
		// up never becomes a session.
		count: redis.NewScript(`
			local total = redis.call('INCR', KEYS[1])
			local id = 2
			if redis.call('EXISTS', KEYS[2]) == 0 then id = 3 end
			local own = redis.call('INCR', KEYS[id])
			redis.call('EXPIRE', KEYS[id], ARGV[1])
			return {total, own, id}`),
		wellID: regexp.MustCompile(`^[0-9a-f]{32}$`),
	}
}

// visit counts one for everybody and one for the visitor, in one step.
func (s *sessions) visit(ctx context.Context, r *http.Request) (visit, error) {
	fresh := newSessionID()
	known, ok := s.claimed(r)
	if !ok {
		known = fresh
	}
	keys := []string{visitsKey, "session:" + known, "session:" + fresh}
	counts, err := s.count.Run(ctx, s.redis, keys, int(sessionTTL.Seconds())).Int64Slice()
	if err != nil {
		return visit{}, fmt.Errorf("count visit: %w", err)
	}
	if len(counts) != 3 {
		return visit{}, fmt.Errorf("count visit: %d numbers instead of 3", len(counts))
	}
	v := visit{session: known, total: counts[0], own: counts[1]}
	if counts[2] == 3 {
		v.session = fresh
	}
	return v, nil
}

// claimed is the id that the visitor's cookie has, whether Redis knows it or not; false
// for none.
func (s *sessions) claimed(r *http.Request) (id string, ok bool) {
	cookie, err := r.Cookie(sessionCookie)
	if err != nil || !s.wellID.MatchString(cookie.Value) {
		return "", false
	}
	return cookie.Value, true
}

// uncounted is the session of a visitor while Redis cannot be asked: the page's form needs
// one.
func (s *sessions) uncounted(r *http.Request) string {
	if id, ok := s.claimed(r); ok {
		return id
	}
	return newSessionID()
}

// newSessionID is 128 random bits; crypto/rand.Read never fails.
func newSessionID() string {
	var id [16]byte
	_, _ = rand.Read(id[:])
	return hex.EncodeToString(id[:])
}

// setSessionCookie hands the session to the browser, and to it alone.
func setSessionCookie(w http.ResponseWriter, r *http.Request, id string) {
	http.SetCookie(w, &http.Cookie{
		Name:     sessionCookie,
		Value:    id,
		Path:     "/",
		MaxAge:   int(sessionTTL.Seconds()),
		HttpOnly: true,
		SameSite: http.SameSiteLaxMode,
		Secure:   r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https",
	})
}
