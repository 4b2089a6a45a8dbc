//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stackctl/stackctl/pkg/runner"
	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/spec"
)

// database is the database component of the built-in stack with nothing around it.
type database struct {
	*stage
	port  string
	stack *spec.Stack
}

func newDatabase(t *testing.T) *database {
	t.Helper()
	s := newStage(t)
	port := freePorts(t, 1)[0]
	db := spec.NewPostgres("database", spec.PostgresOptions{Password: "secret", Port: spec.Literal(port)})
	return &database{s, port, spec.New("", db)}
}

func (d *database) start() {
	d.t.Helper()
	if _, err := d.up(d.stack, runner.UpOptions{}); err != nil {
		d.t.Fatal(err)
	}
}

func (d *database) connect(ctx context.Context) (*pgx.Conn, error) {
	return pgx.Connect(ctx, "postgres://postgres:secret@127.0.0.1:"+d.port+"/postgres?sslmode=disable")
}

func (d *database) query(sql string, into any) {
	d.t.Helper()
	conn, err := d.connect(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	defer conn.Close(d.t.Context())
	if into == nil {
		_, err = conn.Exec(d.t.Context(), sql)
	} else {
		err = conn.QueryRow(d.t.Context(), sql).Scan(into)
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

// log gives what the database's container has written.
func (d *database) log() string {
	d.t.Helper()
	var lines []engine.LogLine
	err := d.engine.Logs(d.t.Context(), d.containers()["database"].ID, engine.LogOptions{}, func(l engine.LogLine) { lines = append(lines, l) })
	if err != nil {
		d.t.Fatal(err)
	}
	return logText(lines)
}

// recoveries counts the starts after which the server had to recover.
func (d *database) recoveries() int {
	return strings.Count(d.log(), "automatic recovery in progress")
}

// writers insert rows until the server goes away, and remember those whose commit
// the server has acknowledged.
type writers struct {
	wait sync.WaitGroup
	mu   sync.Mutex
	acks []string
	more chan struct{} // with every acknowledgement, while somebody listens
}

const writerCount = 4

func (d *database) load(round int) *writers {
	w := &writers{more: make(chan struct{})}
	for n := range writerCount {
		w.wait.Go(func() {
			conn, err := d.connect(d.t.Context())
			if err != nil {
				d.t.Errorf("round %d: connect: %v", round, err)
				return
			}
			defer conn.Close(d.t.Context())
			for i := 0; ; i++ {
				id := fmt.Sprintf("%d-%d-%d", round, n, i)
				if _, err := conn.Exec(d.t.Context(), "INSERT INTO events (id, padding) VALUES ($1, repeat('x', 2000))", id); err != nil {
					return // the server has gone, which is what this waits for
				}
				w.mu.Lock()
				w.acks = append(w.acks, id)
				w.mu.Unlock()
				select {
				case w.more <- struct{}{}:
				default:
				}
			}
		})
	}
	return w
}

// reach waits until so many rows are acknowledged.
func (w *writers) reach(t *testing.T, n int) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		w.mu.Lock()
		got := len(w.acks)
		w.mu.Unlock()
		if got >= n {
			return
		}
		select {
		case <-w.more:
		case <-deadline.C:
			t.Fatalf("only %d of %d rows were acknowledged", got, n)
		}
	}
}

// missing gives those rows that the database does not have.
func (d *database) missing(ids []string) []string {
	d.t.Helper()
	conn, err := d.connect(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	defer conn.Close(d.t.Context())
	rows, err := conn.Query(d.t.Context(), "SELECT id FROM unnest($1::text[]) AS id EXCEPT SELECT id FROM events", ids)
	if err != nil {
		d.t.Fatal(err)
	}
	lost, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		d.t.Fatal(err)
	}
	return lost
}

// A database under load that goes down and comes up again has nothing to recover
// and has lost nothing. One that is killed recovers, and what it had acknowledged is
// there. STACKCTL_TEST_ROUNDS says how often, and a fifth of it how often it is killed.
func TestDatabaseLosesNothing(t *testing.T) {
	d := newDatabase(t)
	d.start()
	d.query("CREATE TABLE events (id text PRIMARY KEY, padding text)", nil)
	rounds := int(number(t, "STACKCTL_TEST_ROUNDS", 2))
	const rowsInARound = 50
	var acks []string
	var longest time.Duration
	recovered := 0
	for round := range rounds {
		w := d.load(round)
		w.reach(t, rowsInARound)
		began := time.Now()
		if _, err := d.runner.Down(t.Context(), d.project, runner.DownOptions{}); err != nil {
			t.Fatal(err)
		}
		longest = max(longest, time.Since(began))
		w.wait.Wait()
		acks = append(acks, w.acks...)
		d.start()
		if log := d.log(); !strings.Contains(log, "database system was shut down at") {
			t.Errorf("round %d: the server does not say that it was shut down:\n%s", round, log)
		}
		recovered += d.recoveries()
		t.Logf("round %d: %d rows so far, %d recoveries", round, len(acks), recovered)
	}
	if recovered != 0 {
		t.Errorf("%d recoveries in %d rounds", recovered, rounds)
	}
	if lost := d.missing(acks); len(lost) > 0 {
		t.Errorf("lost %d of %d rows that were acknowledged: %q", len(lost), len(acks), lost[:min(len(lost), 5)])
	}
	t.Logf("%d rounds: %d recoveries, %d rows acknowledged, the longest down took %s", rounds, recovered, len(acks), longest)

	kills := max(1, rounds/5)
	for round := range kills {
		w := d.load(rounds + round)
		w.reach(t, rowsInARound)
		if err := d.engine.SignalContainer(t.Context(), d.containers()["database"].ID, "SIGKILL"); err != nil {
			t.Fatal(err)
		}
		w.wait.Wait()
		acks = append(acks, w.acks...)
		d.waitState("database", "exited")
		d.start()
	}
	if got := d.recoveries(); got != kills {
		t.Errorf("%d recoveries after %d kills", got, kills)
	}
	if lost := d.missing(acks); len(lost) > 0 {
		t.Errorf("killed: lost %d of %d rows that were acknowledged: %q", len(lost), len(acks), lost[:min(len(lost), 5)])
	}
	t.Logf("%d kills: %d rows acknowledged in all", kills, len(acks))
}
