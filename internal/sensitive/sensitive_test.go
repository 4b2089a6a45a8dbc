package sensitive_test

import (
	"strings"
	"testing"

	"github.com/stackctl/stackctl/internal/sensitive"
)

var secretNames = strings.Fields(`
	POSTGRES_PASSWORD PGPASSWORD MYSQL_ROOT_PASSWORD MARIADB_PASSWORD DB_PASS REDIS_PASSWORD REDISCLI_AUTH
	MONGO_INITDB_ROOT_PASSWORD RABBITMQ_DEFAULT_PASS ELASTIC_PASSWORD KC_BOOTSTRAP_ADMIN_PASSWORD
	SECRET SECRET_KEY SECRET_KEY_BASE DJANGO_SECRET_KEY JWT_SECRET CLIENT_SECRET JWT_SIGNING_KEY SESSION_SECRET
	API_KEY apiKey ApiKey OPENAI_API_KEY STRIPE_SECRET_KEY APIKEY APP_KEY ENCRYPTION_KEY MASTER_KEY
	AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AZURE_STORAGE_KEY GITHUB_TOKEN TOKEN NPM_TOKEN SLACK_BOT_TOKEN
	PRIVATE_KEY SSH_PRIVATE_KEY SSH_KEY_PASSPHRASE DB_PWD dbPassword DBPassword spring.datasource.password
	SENTRY_DSN PASSWORD_SALT WORDPRESS_AUTH_SALT GOOGLE_CREDENTIALS DB_CREDS DB_PW dbPw REDIS_AUTH PASSWORD2 NEO4J_AUTH`)

var otherNames = strings.Fields(`
	LOG_LEVEL PORT DATABASE_URL POSTGRES_USER POSTGRES_DB PGDATA HOME PATH TZ
	POSTGRES_PASSWORD_FILE DB_PASSWORD_FILE SECRET_PATH AWS_ACCESS_KEY_ID CLIENT_ID KEY_NAME
	POSTGRES_HOST_AUTH_METHOD AUTH AUTH_ENABLED AUTHOR AUTHOR_NAME OAUTH_URL TOKEN_TTL TOKEN_URL JWT_TOKEN_EXPIRY
	PASSWORD_MIN_LENGTH PASSWORD_ENCRYPTION PUBLIC_KEY JWT_PUBLIC_KEY STRIPE_PUBLIC_TOKEN PASSENGER_PORT COMPASS_HOST
	KEYBOARD MONKEY KEYCLOAK_URL KEY CACHE_KEY_PREFIX SORT_KEY PARTITION_KEY TOKENIZER BYPASS COMPOSE_PASSTHROUGH PASSIVE
	MAX_TOKENS LLM_MAX_TOKENS ACCESS_TOKEN_EXPIRES_IN SALTSTACK SECRETARY ACCESS_LOG TURNKEY _ 1`)

func TestNamed(t *testing.T) {
	for _, name := range secretNames {
		if !sensitive.Named(name) {
			t.Errorf("%s holds a secret", name)
		}
		if !sensitive.Mentions(name) {
			t.Errorf("%s is named as a secret, and would be shown", name)
		}
	}
	for _, name := range otherNames {
		if sensitive.Named(name) {
			t.Errorf("%s holds no secret", name)
		}
	}
	if sensitive.Named("") {
		t.Error("nothing is no secret")
	}
}

func TestHolds(t *testing.T) {
	for _, test := range []struct {
		name, value string
		want        bool
	}{
		{"POSTGRES_PASSWORD", "word", true},
		{"POSTGRES_PASSWORD", "123456", true},
		{"POSTGRES_PASSWORD", "", false},
		{"POSTGRES_PASSWORD", " ", false},
		{"POSTGRES_PASSWORD", "/run/secrets/password", false},
		{"POSTGRES_PASSWORD_FILE", "/run/secrets/password", false},
		{"MYSQL_RANDOM_ROOT_PASSWORD", "yes", false},
		{"ALLOW_EMPTY_PASSWORD", "True", false},
		{"LOG_LEVEL", "info", false},
		{"DATABASE_URL", "postgres://app@db/app", false},
		{"DATABASE_URL", "postgres://app:word@db/app", true},
		{"CACHE", "redis://:word@cache", true},
		{"CONNECT", "host=db user=app password=word", true},
		{"CONNECT", "jdbc:postgresql://db/app?user=app&password=word", true},
		{"CONNECT", "host=db user=app password=", false},
		{"BOTH", "Server=db;Pwd=word;", true},
		{"IMAGE", "registry:5000/app@sha256:0123", false},
	} {
		got := sensitive.Holds(test.name, test.value)
		if got != test.want {
			t.Errorf("%s=%s: got %v", test.name, test.value, got)
		}
		if got && !sensitive.Mentions(test.name) && !sensitive.Mentions(test.value) {
			t.Errorf("%s=%s holds a secret, and would be shown", test.name, test.value)
		}
	}
}

// Whatever is blamed for holding a secret is never shown, whatever it is called.
func FuzzHoldsIsMentioned(f *testing.F) {
	for _, name := range secretNames {
		f.Add(name, "word")
	}
	f.Add("CONNECT", "host=db password=word")
	f.Fuzz(func(t *testing.T, name, value string) {
		if sensitive.Holds(name, value) && !sensitive.Mentions(name) && !sensitive.Mentions(value) {
			t.Errorf("%q=%q holds a secret, and would be shown", name, value)
		}
	})
}
