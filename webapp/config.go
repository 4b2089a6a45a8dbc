package main

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

const (
	// defaultPort is what the app listens on unless told otherwise.
	defaultPort = "5000"
	// defaultQueryTimeout leaves a request time to say that it failed, and a
	// shutdown time to wait for it.
	defaultQueryTimeout = 3 * time.Second
	// defaultRedisTimeout is short: Redis makes pages fast, and is not waited
	// for when it does not.
	defaultRedisTimeout = 500 * time.Millisecond
	// defaultWrites are more than people and their programs make, and few enough
	// that one client does not fill the table or keep the others out.
	defaultWrites = 300
)

// redacted is what a secret shows of itself.
const redacted = "[redacted]"

// lookupEnv is [os.LookupEnv] or a stand-in.
type lookupEnv func(name string) (string, bool)

// secret is a string that neither fmt, slog nor JSON writes out. It is behind a
// pointer because fmt asks no method of a field that is not exported.
type secret struct{ text *string }

func newSecret(text string) secret { return secret{text: &text} }

// reveal is for the one place that needs the text.
func (s secret) reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

func (secret) String() string               { return redacted }
func (secret) GoString() string             { return redacted }
func (secret) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// config is everything that the environment decides.
type config struct {
	listen       string // host:port
	postgres     postgresConfig
	redisAddress string // host:port
	logLevel     slog.Level

	writesPerMinute int            // of one client; 0 is no limit
	trustedProxies  []netip.Prefix // whose X-Forwarded-For counts

	queryTimeout time.Duration // for one use of the database, waiting for a connection included
	redisTimeout time.Duration // for one call to Redis, dialling included
}

// postgresConfig is where the database is and who asks.
type postgresConfig struct {
	host     string
	port     string
	database string
	user     string
	password secret
}

func (p postgresConfig) address() string { return net.JoinHostPort(p.host, p.port) }

// loadConfig reads the environment and reports every fault at once, each with
// the variable's name and never with a secret's value.
func loadConfig(env lookupEnv, readFile func(string) ([]byte, error)) (config, error) {
	r := envReader{env: env, readFile: readFile}
	cfg := config{
		postgres: postgresConfig{
			host:     r.required("POSTGRES_HOST"),
			port:     r.port("POSTGRES_PORT", "5432"),
			database: r.required("POSTGRES_DB"),
			user:     r.required("POSTGRES_USER"),
			password: r.secret("POSTGRES_PASSWORD"),
		},
		queryTimeout: defaultQueryTimeout,
		redisTimeout: defaultRedisTimeout,
		redisAddress: net.JoinHostPort(r.required("REDIS_HOST"), r.port("REDIS_PORT", "6379")),

		writesPerMinute: r.number("WRITES_PER_MINUTE", defaultWrites),
		trustedProxies:  r.networks("TRUSTED_PROXIES"),
	}
	listen, err := loadListen(env)
	r.note(err)
	cfg.listen = listen
	if level := r.get("LOG_LEVEL"); level != "" {
		if err := cfg.logLevel.UnmarshalText([]byte(level)); err != nil {
			r.note(fmt.Errorf("LOG_LEVEL is %q: want debug, info, warn or error", level))
		}
	}
	if err := errors.Join(r.faults...); err != nil {
		return config{}, err
	}
	return cfg, nil
}

// loadListen reads LISTEN (host:port) or PORT. It stands alone because the
// healthcheck needs nothing else.
func loadListen(env lookupEnv) (string, error) {
	r := envReader{env: env}
	listen := r.get("LISTEN")
	if listen == "" {
		return ":" + r.port("PORT", defaultPort), errors.Join(r.faults...)
	}
	_, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", fmt.Errorf("LISTEN is %q: want host:port or :port", listen)
	}
	// Port 0, any free one, is allowed here: the log line says which it became.
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", fmt.Errorf("LISTEN is %q: %q is not a port number", listen, port)
	}
	return listen, nil
}

// envReader reads variables and collects what is wrong with them.
type envReader struct {
	env      lookupEnv
	readFile func(path string) ([]byte, error) // its errors name the path, as os.ReadFile's do
	faults   []error
}

func (r *envReader) note(err error) {
	if err != nil {
		r.faults = append(r.faults, err)
	}
}

// get treats a variable that is set to nothing as not set, which is what
// `NAME: ${NAME:-}` in a compose file leaves behind.
func (r *envReader) get(name string) string {
	value, _ := r.env(name)
	return strings.TrimSpace(value)
}

func (r *envReader) required(name string) string {
	value := r.get(name)
	if value == "" {
		r.note(fmt.Errorf("%s is not set", name))
	}
	return value
}

func (r *envReader) port(name, byDefault string) string {
	value := cmp.Or(r.get(name), byDefault)
	if n, err := strconv.ParseUint(value, 10, 16); err != nil || n == 0 {
		r.note(fmt.Errorf("%s is %q: want a port number from 1 to 65535", name, value))
	}
	return value
}

// number reads a number that is not negative.
func (r *envReader) number(name string, byDefault int) int {
	value := r.get(name)
	if value == "" {
		return byDefault
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 || n > 1_000_000 {
		r.note(fmt.Errorf("%s is %q: want a number from 0 to 1000000", name, value))
	}
	return n
}

// networks reads addresses and networks, with commas between them.
func (r *envReader) networks(name string) []netip.Prefix {
	var all []netip.Prefix
	for _, text := range strings.FieldsFunc(r.get(name), func(c rune) bool { return c == ',' || c == ' ' }) {
		network, err := netip.ParsePrefix(text)
		if address, notOne := netip.ParseAddr(text); notOne == nil {
			network, err = address.Prefix(address.BitLen())
		}
		if err != nil {
			r.note(fmt.Errorf("%s has %q: want addresses or networks such as 10.0.0.0/8", name, text))
			continue
		}
		all = append(all, network)
	}
	return all
}

// secret reads NAME or the file that NAME_FILE names, as the database's own
// image does. A value may have spaces at its ends, a file's last line end is
// not part of it.
func (r *envReader) secret(name string) secret {
	value, _ := r.env(name)
	path := r.get(name + "_FILE")
	switch {
	case value != "" && path != "":
		r.note(fmt.Errorf("%s and %s_FILE are both set: keep one", name, name))
	case value == "" && path == "":
		r.note(fmt.Errorf("neither %s nor %s_FILE is set", name, name))
	case path != "":
		content, err := r.readFile(path)
		if err != nil {
			r.note(fmt.Errorf("%s_FILE: %w", name, err))
			break
		}
		value = strings.TrimRight(string(content), "\r\n")
		if value == "" {
			r.note(fmt.Errorf("%s_FILE: %s is empty", name, path))
		}
	}
	return newSecret(value)
}
