package main

import (
	"log/slog"
	"slices"
	"sync"
	"testing"
)

func TestConcurrentMigration(t *testing.T) {
	database := shared.newDatabase(t)
	stores := make([]*store, 8)
	for i := range stores {
		s, err := newStore(t.Context(), shared.config(database), slog.New(slog.DiscardHandler), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer s.close()
		stores[i] = s
	}
	var starting sync.WaitGroup
	errs := make([]error, len(stores))
	for i, s := range stores {
		starting.Go(func() { errs[i] = s.migrate(t.Context()) })
	}
	starting.Wait()
	for i, err := range errs {
		if err != nil {
			t.Errorf("instance %d: %v", i, err)
		}
	}
	if err := stores[0].migrate(t.Context()); err != nil {
		t.Errorf("again: %v", err)
	}

	conn := shared.open(t, database)
	var applied int
	if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM schema_migrations`).Scan(&applied); err != nil || applied != 1 {
		t.Errorf("applied %d migrations (%v), want 1", applied, err)
	}
	var columns []string
	if err := conn.QueryRow(t.Context(), `
		SELECT array_agg(concat_ws(' ', column_name, data_type, character_maximum_length, is_nullable) ORDER BY ordinal_position)
		FROM information_schema.columns WHERE table_name = 'users'`).Scan(&columns); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"id integer NO", "name character varying 100 NO", "email character varying 100 NO",
		"created_at timestamp with time zone NO",
	}
	if !slices.Equal(columns, want) {
		t.Errorf("columns are %q, want %q", columns, want)
	}
}

// A volume that an earlier version of the table lives on is taken as it is.
func TestMigrationKeepsTableThatIsThere(t *testing.T) {
	database := shared.newDatabase(t)
	conn := shared.open(t, database)
	if _, err := conn.Exec(t.Context(), `
		CREATE TABLE users (id serial PRIMARY KEY, name varchar(100) NOT NULL, email varchar(100) UNIQUE NOT NULL,
			created_at timestamp DEFAULT CURRENT_TIMESTAMP);
		INSERT INTO users (name, email) VALUES ('Ann', 'ann@example.org')`); err != nil {
		t.Fatal(err)
	}
	ta := newTestAppOn(t, shared, database, newRedisServer(t))
	ta.mustAdd(t, "Ben", "ben@example.org")
	if emails, _ := ta.list(t); !slices.Equal(emails, []string{"ann@example.org", "ben@example.org"}) {
		t.Errorf("users are %q", emails)
	}
}

func TestReplacedDatabaseIsMigratedAgain(t *testing.T) {
	ta := newTestApp(t)
	ta.mustAdd(t, "Ann", "ann@example.org")
	conn := ta.postgres.open(t, ta.database)
	if _, err := conn.Exec(t.Context(), `DROP TABLE users, schema_migrations`); err != nil {
		t.Fatal(err)
	}
	ta.mustAdd(t, "Ben", "ben@example.org")
	if emails, _ := ta.list(t); !slices.Equal(emails, []string{"ben@example.org"}) {
		t.Errorf("users are %q", emails)
	}
}

func TestHostileNamesOfDatabaseAndUser(t *testing.T) {
	if got, want := quoteDSN(`a'b\c d`), `'a\'b\\c d'`; got != want {
		t.Errorf("quoteDSN = %s, want %s", got, want)
	}
	cfg := shared.config(`x' host='evil`)
	s, err := newStore(t.Context(), cfg, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	connConfig := s.pool.Config().ConnConfig
	if connConfig.Host != "127.0.0.1" || connConfig.Database != cfg.postgres.database || connConfig.Password != testPassword {
		t.Errorf("host %q, database %q", connConfig.Host, connConfig.Database)
	}
}
