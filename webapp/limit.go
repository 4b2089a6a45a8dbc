package main

import (
	"context"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// limitWindow is what a limit counts over: who was silent for so long may use all of it
// at once.
const limitWindow = time.Minute

// limiter bounds the writes of one client. All instances share the count in Redis; while
// Redis does not answer each counts for itself, so a client gets a little more, and
// neither everything nor nothing.
type limiter struct {
	perWindow int // 0 is no limit
	proxies   []netip.Prefix
	redis     *redis.Client
	take      *redis.Script

	mu    sync.Mutex
	until map[netip.Prefix]time.Time // as in Redis
}

// The count is one moment: until when the client's writes so far would last at the
// steady rate. A write moves it on by its share of the window, and is refused if it
// would come to lie more than a window ahead: after a pause a whole window's writes at once,
// then at the steady rate.
func newLimiter(cfg config, rdb *redis.Client) *limiter {
	return &limiter{
		perWindow: cfg.writesPerMinute, proxies: cfg.trustedProxies, redis: rdb,
		// In microseconds, which are exact in Lua's numbers. The key goes with the moment.
		take: redis.NewScript(`
			local share, window = tonumber(ARGV[1]), tonumber(ARGV[2])
			local time = redis.call('TIME')
			local now = time[1] * 1000000 + time[2]
			local ahead = math.min(math.max(tonumber(redis.call('GET', KEYS[1]) or 0) - now, 0), window) + share
			if ahead > window then return ahead - window end
			redis.call('SET', KEYS[1], string.format('%.0f', now + ahead), 'PX', math.ceil(ahead / 1000))
			return 0`),
		until: map[netip.Prefix]time.Time{},
	}
}

// tooManyError says that a client has to wait.
type tooManyError struct{ seconds int }

func (e *tooManyError) Error() string {
	return fmt.Sprintf("Too many requests, try again in %d s", e.seconds)
}

// limit counts a write of the client; a *tooManyError says that it is one too many, and
// the answer's header then says so, too.
func (l *limiter) limit(w http.ResponseWriter, r *http.Request) error {
	if l.perWindow == 0 {
		return nil
	}
	client := l.client(r)
	share := limitWindow / time.Duration(l.perWindow)
	wait, err := l.askRedis(r.Context(), client, share)
	if err != nil { // the guard has noted it
		wait = l.count(client, share, time.Now())
	}
	if wait <= 0 {
		return nil
	}
	e := &tooManyError{seconds: int(math.Ceil(wait.Seconds()))}
	w.Header().Set("Retry-After", strconv.Itoa(e.seconds))
	return e
}

func (l *limiter) askRedis(ctx context.Context, client netip.Prefix, share time.Duration) (time.Duration, error) {
	wait, err := l.take.Run(ctx, l.redis, []string{"writes:" + client.String()},
		share.Microseconds(), limitWindow.Microseconds()).Int64()
	return time.Duration(wait) * time.Microsecond, err
}

// maxCounted bounds the memory that addresses can take.
const maxCounted = 10_000

// count is the script of newLimiter, for this instance alone.
func (l *limiter) count(client netip.Prefix, share time.Duration, now time.Time) (wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.until) >= maxCounted {
		maps.DeleteFunc(l.until, func(_ netip.Prefix, until time.Time) bool { return !until.After(now) })
	}
	if len(l.until) >= maxCounted { // so many at once are one attack
		client = netip.Prefix{}
	}
	ahead := max(l.until[client].Sub(now), 0) + share
	if ahead > limitWindow {
		return ahead - limitWindow
	}
	l.until[client] = now.Add(ahead)
	return 0
}

// client is who asks: the address of the connection or, behind trusted proxies, the last
// one in X-Forwarded-For that is none of them; what stands before that anybody can
// write. Of IPv6 it is the network, of which everybody has plenty of addresses.
func (l *limiter) client(r *http.Request) netip.Prefix {
	var address netip.Addr
	if remote, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		address = remote.Addr().Unmap()
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && l.isProxy(address); i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		address = hop.Unmap()
	}
	bits := 32
	if address.Is6() {
		bits = 64
	}
	network, err := address.WithZone("").Prefix(bits)
	if err != nil {
		return netip.Prefix{} // a connection without an address
	}
	return network
}

func (l *limiter) isProxy(address netip.Addr) bool {
	for _, proxy := range l.proxies {
		if proxy.Contains(address) {
			return true
		}
	}
	return false
}
