package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	osuser "os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"
)

// The tests run against real servers, which are children of the test process:
// one PostgreSQL for all, with a database for each test, and a Redis for each
// test that wants one.

const (
	// runAsWebapp makes the test binary behave as the program.
	runAsWebapp = "WEBAPP_TEST_RUN"
	// patience is how long a state may take to come about on a busy machine.
	patience = 30 * time.Second
	// testPassword has what goes wrong where a password is put into a text.
	testPassword = `p'w \ "x" %41 @:/?#=`
)

// shared is the PostgreSQL that most tests use.
var shared *postgresServer

func TestMain(m *testing.M) {
	if os.Getenv(runAsWebapp) != "" {
		main()
	}
	os.Exit(testMain(m))
}

func testMain(m *testing.M) (code int) {
	dir, err := os.MkdirTemp("", "webapp-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := requireRedis(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	shared, err = newPostgres(dir)
	if err == nil {
		defer shared.stop()
		err = shared.start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code = m.Run()
	shared.stop()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return code
}

// child is a server process that dies with the test process.
type child struct {
	cmd     *exec.Cmd
	logPath string
	exited  chan struct{}
}

func startChild(cmd *exec.Cmd, logPath string) (*child, error) {
	log, err := os.Create(logPath)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGQUIT // "immediate" to PostgreSQL, the end of others
	// Ctrl-C is for the test process, which then stops its children in order.
	cmd.SysProcAttr.Setpgid = true
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &child{cmd: cmd, logPath: logPath, exited: make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		close(c.exited)
	}()
	return c, nil
}

func (c *child) signal(sig os.Signal) { _ = c.cmd.Process.Signal(sig) }

// stop asks with sig, then kills, and returns when the process is gone.
func (c *child) stop(sig os.Signal) {
	c.signal(sig)
	select {
	case <-c.exited:
	case <-time.After(patience):
		c.signal(syscall.SIGKILL)
		<-c.exited
	}
}

// await polls until ready returns nil, the process ends or patience does.
func (c *child) await(ready func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-c.exited:
			return c.explain("ended", err)
		case <-ctx.Done():
			return c.explain("did not get ready", err)
		}
	}
}

func (c *child) explain(what string, err error) error {
	log, _ := os.ReadFile(c.logPath)
	return fmt.Errorf("%s %s: %w\n%s", filepath.Base(c.cmd.Path), what, err, log)
}

// freePort is below the range that outgoing connections use, so that it stays
// free while its server is stopped.
func freePort() (int, error) {
	for range 100 {
		port := 20000 + rand.IntN(12000)
		if l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			return port, l.Close()
		}
	}
	return 0, errors.New("no free port between 20000 and 32000")
}

// postgresServer is a cluster of its own in a temporary directory.
type postgresServer struct {
	bin, dir string
	port     int
	account  *syscall.Credential // PostgreSQL refuses to run as root
	process  *child
}

// newPostgres makes the cluster without starting it.
func newPostgres(parent string) (*postgresServer, error) {
	bin, err := findPostgres()
	if err != nil {
		return nil, err
	}
	account, err := unprivileged()
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	// The account has to get through parent to its own directory.
	if err := os.Chmod(parent, 0o755); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(parent, "pg")
	if err != nil {
		return nil, err
	}
	passwordFile := filepath.Join(dir, "password")
	if err := os.WriteFile(passwordFile, []byte(testPassword), 0o644); err != nil {
		return nil, err
	}
	if account != nil {
		if err := os.Chown(dir, int(account.Uid), int(account.Gid)); err != nil {
			return nil, err
		}
	}
	p := &postgresServer{bin: bin, dir: dir, port: port, account: account}
	initdb := p.command("initdb", "--pgdata", p.data(), "--no-sync", "--username=postgres",
		"--pwfile", passwordFile, "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C")
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return p, nil
}

func findPostgres() (string, error) {
	if path, err := exec.LookPath("postgres"); err == nil {
		if _, err := exec.LookPath(filepath.Join(filepath.Dir(path), "initdb")); err == nil {
			return filepath.Dir(path), nil
		}
	}
	dirs, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	for _, dir := range slices.Backward(dirs) {
		if _, err := exec.LookPath(filepath.Join(dir, "initdb")); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("no PostgreSQL server to test with: install it (apt-get install postgresql-15)")
}

// unprivileged is whom to run PostgreSQL as, nil for nobody else than now.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		account, err := osuser.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(account.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(account.Gid, 10, 32)
		if err := errors.Join(uidErr, gidErr); err != nil {
			return nil, err
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("PostgreSQL refuses to run as root, and there is no account postgres or nobody")
}

func (p *postgresServer) data() string { return filepath.Join(p.dir, "data") }

func (p *postgresServer) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(p.bin, name), args...)
	cmd.Dir = p.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.account}
	return cmd
}

func (p *postgresServer) start() error {
	cmd := p.command("postgres", "-D", p.data(), "-p", strconv.Itoa(p.port), "-k", p.dir,
		"-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "max_connections=100")
	process, err := startChild(cmd, p.dir+".log")
	if err != nil {
		return fmt.Errorf("start postgres: %w", err)
	}
	p.process = process
	return process.await(func(ctx context.Context) error {
		conn, err := p.connect(ctx, "postgres")
		if err != nil {
			return err
		}
		return conn.Close(ctx)
	})
}

// stop is a fast shutdown: connections are ended, not waited for.
func (p *postgresServer) stop() {
	if p.process != nil {
		p.process.stop(syscall.SIGINT)
		p.process = nil
	}
}

// config is for an app on this server that is as patient as the tests.
func (p *postgresServer) config(database string) config {
	return config{
		postgres: postgresConfig{
			host: "127.0.0.1", port: strconv.Itoa(p.port), database: database, user: "postgres", password: newSecret(testPassword),
		},
		queryTimeout: patience,
		redisTimeout: patience,
	}
}

func (p *postgresServer) connect(ctx context.Context, database string) (*pgx.Conn, error) {
	cfg, err := pgx.ParseConfig(fmt.Sprintf("host=127.0.0.1 port=%d user=postgres dbname=%s sslmode=disable", p.port, database))
	if err != nil {
		return nil, err
	}
	cfg.Password = testPassword
	return pgx.ConnectConfig(ctx, cfg)
}

// open connects for the length of a test.
func (p *postgresServer) open(t *testing.T, database string) *pgx.Conn {
	t.Helper()
	conn, err := p.connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

// newDatabase creates an empty database for one test. It goes with the cluster:
// dropping it would cost a checkpoint.
func (p *postgresServer) newDatabase(t *testing.T) string {
	t.Helper()
	name := fmt.Sprintf("test_%x", rand.Uint64())
	conn := p.open(t, "postgres")
	if _, err := conn.Exec(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	return name
}

// redisServer keeps its data over a restart.
type redisServer struct {
	dir     string
	port    int
	process *child
}

func requireRedis() error {
	if _, err := exec.LookPath("redis-server"); err != nil {
		return errors.New("no Redis server to test with: install it (apt-get install redis-server)")
	}
	return nil
}

// newRedisServer starts a Redis for one test.
func newRedisServer(t *testing.T) *redisServer {
	t.Helper()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	r := &redisServer{dir: t.TempDir(), port: port}
	t.Cleanup(r.stop)
	r.start(t)
	return r
}

func (r *redisServer) address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(r.port)) }

func (r *redisServer) start(t *testing.T) {
	t.Helper()
	cmd := exec.Command("redis-server", "--port", strconv.Itoa(r.port), "--bind", "127.0.0.1", "--dir", r.dir,
		"--appendonly", "yes", "--appendfsync", "no", "--save", "")
	process, err := startChild(cmd, filepath.Join(r.dir, "redis.log"))
	if err != nil {
		t.Fatal(err)
	}
	r.process = process
	client := redis.NewClient(&redis.Options{Addr: r.address()})
	defer client.Close()
	if err := process.await(func(ctx context.Context) error { return client.Ping(ctx).Err() }); err != nil {
		t.Fatal(err)
	}
}

// stop kills: what a client was told is in the file already.
func (r *redisServer) stop() {
	if r.process != nil {
		r.process.stop(syscall.SIGKILL)
		r.process = nil
	}
}

// client is for a test's own look into Redis.
func (r *redisServer) client(t *testing.T) *redis.Client {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: r.address()})
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// eventually polls until check returns nil, and fails with its last error.
func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: not after %s: %v", what, patience, err)
		}
	}
}

func TestServersAreNamedWhenMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if err := requireRedis(); err == nil || !strings.Contains(err.Error(), "apt-get install redis-server") {
		t.Errorf("requireRedis() = %v, want the package's name", err)
	}
	if _, err := os.Stat("/usr/lib/postgresql"); errors.Is(err, fs.ErrNotExist) {
		if _, err := findPostgres(); err == nil || !strings.Contains(err.Error(), "apt-get install postgresql-15") {
			t.Errorf("findPostgres() = %v, want the package's name", err)
		}
	}
}
