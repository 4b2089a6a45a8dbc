package state_test

import (
	"strings"
	"testing"

	"github.com/stackctl/stackctl/pkg/runner/state"
)

func TestChanged(t *testing.T) {
	long := strings.Repeat("word ", 20)
	for _, test := range []struct{ path, old, wanted, want string }{
		{"environment.LOG_LEVEL", "info", "debug", "environment.LOG_LEVEL: info → debug"},
		{"environment.LOG_LEVEL", "", "debug", "environment.LOG_LEVEL: debug is new"},
		{"environment.LOG_LEVEL", "info", "", "environment.LOG_LEVEL: info is taken out"},
		{"environment.TEXT", long, "a\nb", "environment.TEXT: " + long[:59] + `… → a\nb`},
		{"environment.UMLAUT", strings.Repeat("ä", 60), "ö", "environment.UMLAUT: " + strings.Repeat("ä", 60) + " → ö"},
		{"environment.DATABASE_URL", "postgres://db/app", "postgres://db/shop", "environment.DATABASE_URL: postgres://db/app → postgres://db/shop"},
		{"volumes./data", "/home/somebody1234567890", "/src", "volumes./data: /home/somebody1234567890 → /src"},
		{"user", "1000:1000", "postgres", "user: 1000:1000 → postgres"},

		{"environment.POSTGRES_PASSWORD", "old", "new", "environment.POSTGRES_PASSWORD changed"},
		{"environment.PGPWD", "old", "new", "environment.PGPWD changed"},
		{"environment.ApiKey", "old", "new", "environment.ApiKey changed"},
		{"environment.SENTRY_DSN", "old", "new", "environment.SENTRY_DSN changed"},
		{"environment.DATABASE_URL", "", "postgres://app:pw@db/app", "environment.DATABASE_URL changed"},
		{"environment.DATABASE_URL", "redis://:pw@cache", "redis://cache", "environment.DATABASE_URL changed"},
		{"environment.CONNECT", "host=db password=pw", "", "environment.CONNECT changed"},
		{"command", "[redis-server, --requirepass, pw]", "[redis-server]", "command changed"},
		{"command", "[app]", "[app, --token=pw]", "command changed"},
		{"healthcheck.test", "redis-cli -a pw ping", "redis-cli ping", "healthcheck.test changed"},
		{"healthcheck.test", "[redis-cli, -a, pw]", "[redis-cli]", "healthcheck.test changed"},
		{"environment.ID", "", "AKIA1234567890abcdefghij", "environment.ID changed"},
		{"labels.proxy.basicauth", "a", "b", "labels.proxy.basicauth changed"},
	} {
		if got := state.Changed(test.path, test.old, test.wanted).String(); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}
