package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func envOf(values map[string]string) lookupEnv {
	return func(name string) (string, bool) {
		value, ok := values[name]
		return value, ok
	}
}

// completeEnv is the least that the app needs, with changes.
func completeEnv(changes ...string) map[string]string {
	env := map[string]string{
		"POSTGRES_HOST": "database", "POSTGRES_DB": "myapp", "POSTGRES_USER": "postgres",
		"POSTGRES_PASSWORD": testPassword, "REDIS_HOST": "cache",
	}
	for i := 0; i < len(changes); i += 2 {
		env[changes[i]] = changes[i+1]
	}
	return env
}

func TestLoadConfig(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(" from file \r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	defaults := config{
		listen: ":5000", redisAddress: "cache:6379", logLevel: slog.LevelInfo,
		queryTimeout: defaultQueryTimeout, redisTimeout: defaultRedisTimeout, writesPerMinute: 300,
		postgres: postgresConfig{host: "database", port: "5432", database: "myapp", user: "postgres", password: newSecret(testPassword)},
	}
	for name, tc := range map[string]struct {
		env  map[string]string
		want func(*config)
	}{
		"defaults":       {completeEnv(), func(*config) {}},
		"set to nothing": {completeEnv("PORT", "", "LISTEN", "", "REDIS_PORT", "", "LOG_LEVEL", "", "POSTGRES_PASSWORD_FILE", ""), func(*config) {}},
		"ports":          {completeEnv("PORT", "8080", "POSTGRES_PORT", "5433", "REDIS_PORT", "6380"), func(c *config) { c.listen, c.postgres.port, c.redisAddress = ":8080", "5433", "cache:6380" }},
		"listen wins":    {completeEnv("PORT", "8080", "LISTEN", "127.0.0.1:0"), func(c *config) { c.listen = "127.0.0.1:0" }},
		"IPv6":           {completeEnv("REDIS_HOST", "::1"), func(c *config) { c.redisAddress = "[::1]:6379" }},
		"log level":      {completeEnv("LOG_LEVEL", "debug"), func(c *config) { c.logLevel = slog.LevelDebug }},
		"no limit":       {completeEnv("WRITES_PER_MINUTE", "0"), func(c *config) { c.writesPerMinute = 0 }},
		"proxies": {completeEnv("TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.7,::1"), func(c *config) {
			c.trustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.7/32"), netip.MustParsePrefix("::1/128")}
		}},
		"password's file": {completeEnv("POSTGRES_PASSWORD", "", "POSTGRES_PASSWORD_FILE", file), func(c *config) { c.postgres.password = newSecret(" from file ") }},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := loadConfig(envOf(tc.env), os.ReadFile)
			if err != nil {
				t.Fatal(err)
			}
			want := defaults
			tc.want(&want)
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(config{}, postgresConfig{}, secret{}), cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestLoadConfigReportsEveryFault(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		env  map[string]string
		want []string
	}{
		"nothing set": {nil, []string{
			"POSTGRES_HOST is not set", "POSTGRES_DB is not set", "POSTGRES_USER is not set",
			"neither POSTGRES_PASSWORD nor POSTGRES_PASSWORD_FILE is set", "REDIS_HOST is not set",
		}},
		"ports":          {completeEnv("PORT", "http", "POSTGRES_PORT", "0", "REDIS_PORT", "70000"), []string{`POSTGRES_PORT is "0"`, `REDIS_PORT is "70000"`, `PORT is "http"`}},
		"listen":         {completeEnv("LISTEN", "5000"), []string{`LISTEN is "5000": want host:port`}},
		"listen's port":  {completeEnv("LISTEN", ":http"), []string{`LISTEN is ":http": "http" is not a port number`}},
		"log level":      {completeEnv("LOG_LEVEL", "loud"), []string{`LOG_LEVEL is "loud"`}},
		"limit":          {completeEnv("WRITES_PER_MINUTE", "-1"), []string{`WRITES_PER_MINUTE is "-1"`}},
		"proxies":        {completeEnv("TRUSTED_PROXIES", "10.0.0.0/8,proxy"), []string{`TRUSTED_PROXIES has "proxy"`}},
		"both passwords": {completeEnv("POSTGRES_PASSWORD_FILE", empty), []string{"both set"}},
		"empty file":     {completeEnv("POSTGRES_PASSWORD", "", "POSTGRES_PASSWORD_FILE", empty), []string{"POSTGRES_PASSWORD_FILE: " + empty + " is empty"}},
		"no file":        {completeEnv("POSTGRES_PASSWORD", "", "POSTGRES_PASSWORD_FILE", "/nowhere"), []string{"POSTGRES_PASSWORD_FILE: open /nowhere"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := loadConfig(envOf(tc.env), os.ReadFile)
			if err == nil {
				t.Fatal("no error")
			}
			lines := strings.Split(err.Error(), "\n")
			if len(lines) != len(tc.want) {
				t.Errorf("%d faults, want %d", len(lines), len(tc.want))
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("no %q in:\n%v", want, err)
				}
			}
			if strings.Contains(err.Error(), testPassword) {
				t.Error("the password is in the error")
			}
		})
	}
}

func TestSecretIsNotWritten(t *testing.T) {
	password := newSecret("hunter2")
	var log logBuffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "plain", password, "inside", struct{ P secret }{password})
	encoded, err := json.Marshal(map[string]secret{"p": password})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		fmt.Sprint(password), fmt.Sprintf("%v %s %q %+v %#v", password, password, password, password, password),
		fmt.Sprintf("%+v %#v", config{postgres: postgresConfig{password: password}}, postgresConfig{password: password}), string(encoded), log.String(),
	} {
		if strings.Contains(text, "hunter2") {
			t.Errorf("written out: %s", text)
		}
	}
}
