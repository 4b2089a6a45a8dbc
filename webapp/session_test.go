package main

import (
	"net/http/cookiejar"
	"regexp"
	"strings"
	"testing"
	"time"
)

// counts are the numbers that a page shows.
func counts(t *testing.T, page answer) (total, own string) {
	t.Helper()
	found := regexp.MustCompile(`(?s)id="visits">([^<]*)<.*id="own-visits">([^<]*)<`).FindStringSubmatch(page.body)
	if page.status != 200 || found == nil {
		t.Fatalf("page: %d %s", page.status, page.body)
	}
	return found[1], found[2]
}

func TestVisitorsHaveCountsOfTheirOwn(t *testing.T) {
	ta := newTestApp(t)
	visitor := func() *cookiejar.Jar {
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		return jar
	}
	ann, ben := visitor(), visitor()
	for i, step := range []struct {
		jar        *cookiejar.Jar
		total, own string
	}{{ann, "1", "1"}, {ann, "2", "2"}, {ben, "3", "1"}, {ann, "4", "3"}, {ben, "5", "2"}, {nil, "6", "1"}} {
		total, own := counts(t, sendTo(t, ta.url, step.jar, "GET", "/", ""))
		if total != step.total || own != step.own {
			t.Errorf("step %d: %s visits, %s own, want %s and %s", i, total, own, step.total, step.own)
		}
	}
	if visits := ta.redis.client(t).Get(t.Context(), "page_visits").Val(); visits != "6" {
		t.Errorf("page_visits is %q", visits)
	}
}

func TestSessionCookie(t *testing.T) {
	ta := newTestApp(t)
	plain := ta.send(t, "GET", "/", "").header.Get("Set-Cookie")
	if !regexp.MustCompile(`^session=[0-9a-f]{32}; Path=/; Max-Age=86400; HttpOnly; SameSite=Lax$`).MatchString(plain) {
		t.Errorf("cookie %q", plain)
	}
	secure := ta.send(t, "GET", "/", "", "X-Forwarded-Proto", "https").header.Get("Set-Cookie")
	if !strings.Contains(secure, "; Secure") {
		t.Errorf("cookie over TLS %q", secure)
	}
	if ttl := ta.redis.client(t).TTL(t.Context(), "session:"+plain[len("session="):][:32]).Val(); ttl <= sessionTTL-time.Hour || ttl > sessionTTL {
		t.Errorf("session lives for %s", ttl)
	}
}

// An id that Redis does not know, made up or forgotten, is never taken over.
func TestUnknownSessionIsReplaced(t *testing.T) {
	ta := newTestApp(t)
	for name, id := range map[string]string{
		"made up":   strings.Repeat("a", 32),
		"malformed": "x:y",
		"huge":      strings.Repeat("a", 4000),
	} {
		t.Run(name, func(t *testing.T) {
			page := ta.send(t, "GET", "/", "", "Cookie", "session="+id)
			if _, own := counts(t, page); own != "1" {
				t.Errorf("own count %s, want 1", own)
			}
			if cookie := page.header.Get("Set-Cookie"); cookie == "" || strings.HasPrefix(cookie, "session="+id) {
				t.Errorf("cookie %q", cookie)
			}
		})
	}
	if keys := ta.redis.client(t).Keys(t.Context(), "session:aaaa*").Val(); len(keys) != 0 {
		t.Errorf("foreign sessions %q", keys)
	}
}
