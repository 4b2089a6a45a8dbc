package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// migrateTimeout is longer than a query's, since another instance may hold the lock.
	migrateTimeout = 30 * time.Second
	// migrateLock is the advisory lock that instances which start together
	// queue on: "webapp" in ASCII.
	migrateLock = 0x776562617070
)

// Answers of the store that are no failures of the database.
var (
	errUserNotFound = errors.New("user not found")
	errEmailTaken   = errors.New("e-mail address is taken")
)

//go:embed migrations/*.sql
var migrations embed.FS

// user is a row of the table and its JSON form, in answers and in the cache.
type user struct {
	ID        int32     `json:"id"`
	Name      string    `json:"name"`
	Email     string    `json:"email"`
	CreatedAt time.Time `json:"created_at"`
}

// store is the users table. It connects when first used, so it can be made
// before the database is there, and creates the table before the first query.
type store struct {
	pool     *pgxpool.Pool
	log      *slog.Logger
	outage   *outage
	timeout  time.Duration
	flights  flights
	migrated atomic.Bool
}

// newStore makes the pool without connecting. tracer may be nil.
func newStore(life context.Context, cfg config, log *slog.Logger, tracer pgx.QueryTracer) (*store, error) {
	// The password stays out of the text, so that no error can quote it.
	poolConfig, err := pgxpool.ParseConfig(fmt.Sprintf("host=%s port=%s dbname=%s user=%s sslmode=prefer",
		quoteDSN(cfg.postgres.host), quoteDSN(cfg.postgres.port), quoteDSN(cfg.postgres.database), quoteDSN(cfg.postgres.user)))
	if err != nil {
		return nil, fmt.Errorf("configure postgres: %w", err)
	}
	poolConfig.ConnConfig.Password = cfg.postgres.password.reveal()
	poolConfig.ConnConfig.ConnectTimeout = cfg.queryTimeout
	poolConfig.ConnConfig.Tracer = tracer
	poolConfig.ConnConfig.RuntimeParams["application_name"] = "webapp"
	poolConfig.MaxConns = 10
	poolConfig.PingTimeout = cfg.queryTimeout / 2 // then there is time for another connection
	pool, err := pgxpool.NewWithConfig(life, poolConfig)
	if err != nil {
		return nil, fmt.Errorf("create postgres pool: %w", err)
	}
	return &store{
		pool:    pool,
		log:     log,
		outage:  &outage{service: "postgres", log: log},
		timeout: cfg.queryTimeout,
		flights: flights{life: life},
	}, nil
}

// quoteDSN quotes a value for a libpq connection string.
func quoteDSN(value string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value) + "'"
}

func (s *store) close() { s.pool.Close() }

// ping tells whether the database answers and has its table.
func (s *store) ping(ctx context.Context) error {
	return s.use(ctx, s.pool.Ping)
}

// list returns all users by id, an empty slice when there are none.
func (s *store) list(ctx context.Context) ([]user, error) {
	var users []user
	err := s.use(ctx, func(ctx context.Context) error {
		rows, err := s.pool.Query(ctx, `SELECT id, name, email, created_at FROM users ORDER BY id`)
		if err != nil {
			return err
		}
		users, err = pgx.CollectRows(rows, scanUser)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list users: %w", err)
	}
	return users, nil
}

// get returns one user or errUserNotFound.
func (s *store) get(ctx context.Context, id int32) (user, error) {
	var found user
	err := s.use(ctx, func(ctx context.Context) error {
		rows, err := s.pool.Query(ctx, `SELECT id, name, email, created_at FROM users WHERE id = $1`, id)
		if err != nil {
			return err
		}
		found, err = pgx.CollectExactlyOneRow(rows, scanUser)
		if errors.Is(err, pgx.ErrNoRows) {
			return errUserNotFound
		}
		return err
	})
	if err != nil {
		return user{}, fmt.Errorf("get user %d: %w", id, err)
	}
	return found, nil
}

// create adds a user; a known e-mail address is errEmailTaken.
func (s *store) create(ctx context.Context, name, email string) (user, error) {
	var created user
	err := s.use(ctx, func(ctx context.Context) error {
		rows, err := s.pool.Query(ctx,
			`INSERT INTO users (name, email) VALUES ($1, $2) RETURNING id, name, email, created_at`, name, email)
		if err != nil {
			return err
		}
		created, err = pgx.CollectExactlyOneRow(rows, scanUser)
		if hasCode(err, "23505") { // unique_violation
			return errEmailTaken
		}
		return err
	})
	if err != nil {
		return user{}, fmt.Errorf("create user: %w", err)
	}
	return created, nil
}

func scanUser(row pgx.CollectableRow) (user, error) {
	var u user
	err := row.Scan(&u.ID, &u.Name, &u.Email, &u.CreatedAt)
	u.CreatedAt = u.CreatedAt.UTC()
	return u, err
}

// use runs query with a deadline once the table is there. When it turns out
// that the database was replaced by an empty one, the table is made again.
func (s *store) use(ctx context.Context, query func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	if err := s.ready(ctx); err != nil {
		return err
	}
	err := query(ctx)
	if hasCode(err, "42P01") { // undefined_table
		s.migrated.Store(false)
		if err := s.ready(ctx); err != nil {
			return err
		}
		err = query(ctx)
	}
	switch {
	case errors.Is(err, errUserNotFound), errors.Is(err, errEmailTaken):
		s.outage.note(nil)
	default:
		s.outage.note(err)
	}
	return err
}

// ready returns nil at once when the migrations have run, or else runs them,
// once for all callers that wait.
func (s *store) ready(ctx context.Context) error {
	if s.migrated.Load() {
		return nil
	}
	_, err := s.flights.do(ctx, "migrate", func(ctx context.Context) (any, error) {
		ctx, cancel := context.WithTimeout(ctx, migrateTimeout)
		defer cancel()
		err := s.migrate(ctx)
		s.outage.note(err)
		s.migrated.Store(err == nil)
		return nil, err
	})
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

// migrateInBackground tries until the migrations have run or ctx ends, so that
// an app which started before its database needs no request to get ready.
func (s *store) migrateInBackground(ctx context.Context) {
	const longest = 2 * time.Second
	for wait := 50 * time.Millisecond; s.ready(ctx) != nil; wait = min(2*wait, longest) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
	s.log.Info("database is ready")
}

// migrate applies the embedded files that the database has not seen, in the
// order of their names, in one transaction that holds the lock to its end.
func (s *store) migrate(ctx context.Context) error {
	entries, err := migrations.ReadDir("migrations") // sorted by name
	if err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(migrateLock)); err != nil {
			return fmt.Errorf("lock: %w", err)
		}
		const ledger = `CREATE TABLE IF NOT EXISTS schema_migrations (
			name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())`
		if _, err := tx.Exec(ctx, ledger); err != nil {
			return fmt.Errorf("create schema_migrations: %w", err)
		}
		rows, err := tx.Query(ctx, `SELECT name FROM schema_migrations`)
		if err != nil {
			return fmt.Errorf("read schema_migrations: %w", err)
		}
		applied, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return fmt.Errorf("read schema_migrations: %w", err)
		}
		for _, entry := range entries {
			if slices.Contains(applied, entry.Name()) {
				continue
			}
			if err := apply(ctx, tx, entry.Name()); err != nil {
				return fmt.Errorf("apply %s: %w", entry.Name(), err)
			}
		}
		return nil
	})
}

// apply runs one file, which may hold several statements, and records it.
func apply(ctx context.Context, tx pgx.Tx, name string) error {
	sql, err := migrations.ReadFile("migrations/" + name)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, string(sql), pgx.QueryExecModeSimpleProtocol); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO schema_migrations (name) VALUES ($1)`, name)
	return err
}

// hasCode tells whether the database answered with this SQLSTATE.
func hasCode(err error, code string) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && pgErr.Code == code
}
