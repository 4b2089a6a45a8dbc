package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestManyMissesAreOneQuery(t *testing.T) {
	ta := newTestApp(t)
	ta.mustAdd(t, "Ann", "ann@example.org")
	for path, query := range map[string]string{
		"/users":   selectList,
		"/users/1": "SELECT id, name, email, created_at FROM users WHERE",
	} {
		var callers sync.WaitGroup
		answers := make([]answer, 100)
		errs := make([]error, len(answers))
		for i := range answers {
			callers.Go(func() { answers[i], errs[i] = trySend(t.Context(), ta.url, nil, "GET", path, "") })
		}
		callers.Wait()
		for i, got := range answers {
			if errs[i] != nil || got.status != 200 || !strings.Contains(got.body, "ann@example.org") {
				t.Fatalf("GET %s: %v, %d %s", path, errs[i], got.status, got.body)
			}
		}
		if n := ta.queries.count(query); n != 1 {
			t.Errorf("%d callers of GET %s made %d queries, want 1", len(answers), path, n)
		}
	}
}

// holdList makes queries for the list wait, before they are sent, until release is
// called; held gets one value for each that arrives.
func (q *queryTrace) holdList() (held <-chan struct{}, release func()) {
	arrived, gate := make(chan struct{}, 100), make(chan struct{})
	q.hook(func(ctx context.Context, sql string) {
		if strings.HasPrefix(sql, selectList) {
			arrived <- struct{}{}
			select {
			case <-gate:
			case <-ctx.Done():
			}
		}
	}, nil)
	return arrived, sync.OnceFunc(func() { close(gate) })
}

func TestCallerThatLeavesTakesNothingFromOthers(t *testing.T) {
	ta := newTestApp(t)
	held, release := ta.queries.holdList()
	defer release()

	leaving, leave := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() {
		_, err := ta.allUsers(leaving)
		left <- err
	}()
	<-held
	stayed := make(chan error, 1)
	go func() {
		_, err := ta.allUsers(t.Context())
		stayed <- err
	}()
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("the one that left got %v", err)
	}
	release()
	if err := <-stayed; err != nil {
		t.Errorf("the one that stayed got %v", err)
	}
	if n := ta.queries.count(selectList); n != 1 {
		t.Errorf("%d queries, want the one that both asked for", n)
	}
}

// The order that leaves a stale list in a naive cache: a reader queries, a
// writer commits and drops, the reader stores what it had read.
func TestWriteDuringQueryLeavesNoStaleList(t *testing.T) {
	ta := newTestApp(t)
	ta.mustAdd(t, "Ann", "ann@example.org")

	read, proceed := make(chan struct{}), make(chan struct{})
	var taken atomic.Bool
	ta.queries.hook(nil, func(sql string) {
		if strings.HasPrefix(sql, selectList) && taken.CompareAndSwap(false, true) {
			close(read)
			<-proceed
		}
	})
	release := sync.OnceFunc(func() { close(proceed) })
	defer release()

	slow := make(chan answer, 1)
	go func() {
		got, err := trySend(t.Context(), ta.url, nil, "GET", "/users", "")
		if err != nil {
			t.Error(err)
		}
		slow <- got
	}()
	<-read // the slow reader has the list without Ben, and has not stored it
	ta.mustAdd(t, "Ben", "ben@example.org")
	both := []string{"ann@example.org", "ben@example.org"}
	// Whoever asks after the answer to the writer is not put into the old flight.
	if emails, hit := ta.list(t); hit || !slices.Equal(emails, both) {
		t.Errorf("after the write: %q, hit %t", emails, hit)
	}
	// Nothing in the cache now but what the slow reader is about to store.
	ta.redis.client(t).Del(t.Context(), listKey)
	release()
	if emails, _ := emailsOf(t, (<-slow).body); !slices.Equal(emails, both[:1]) {
		t.Errorf("the slow reader got %q, want what it had read", emails)
	}
	if emails, hit := ta.list(t); hit || !slices.Equal(emails, both) {
		t.Errorf("after the slow reader: %q, hit %t", emails, hit)
	}
}

// Two instances share Redis and PostgreSQL, not the flights.
func TestWriteByAnotherInstanceIsSeen(t *testing.T) {
	one := newTestApp(t)
	other := newTestAppOn(t, one.postgres, one.database, one.redis)
	one.list(t)
	other.mustAdd(t, "Ann", "ann@example.org")
	if emails, hit := one.list(t); hit || len(emails) != 1 {
		t.Errorf("after the other's write: %q, hit %t", emails, hit)
	}
	if _, hit := other.list(t); !hit {
		t.Error("the other does not use what the first cached")
	}
}

// A reader that comes after another instance's write is not content with a query from
// before it, though it waits for the same flight.
func TestLateReaderOfAnOldFlight(t *testing.T) {
	one := newTestApp(t)
	other := newTestAppOn(t, one.postgres, one.database, one.redis)
	one.mustAdd(t, "Ann", "ann@example.org")

	read, proceed := make(chan struct{}), make(chan struct{})
	var taken atomic.Bool
	one.queries.hook(nil, func(sql string) {
		if strings.HasPrefix(sql, selectList) && taken.CompareAndSwap(false, true) {
			close(read)
			<-proceed
		}
	})
	release := sync.OnceFunc(func() { close(proceed) })
	defer release()
	ask := func() <-chan answer {
		asked := make(chan answer, 1)
		go func() {
			got, err := trySend(t.Context(), one.url, nil, "GET", "/users", "")
			if err != nil {
				t.Error(err)
			}
			asked <- got
		}()
		return asked
	}
	misses := func() int64 {
		stats, err := readCacheStats(t.Context(), one.redis.client(t))
		if err != nil {
			t.Fatal(err)
		}
		return stats.KeyspaceMisses
	}

	early := ask()
	<-read // it has the list without Ben
	other.mustAdd(t, "Ben", "ben@example.org")
	before := misses()
	late := ask()
	eventually(t, "late reader looks", func() error {
		if misses() == before {
			return errors.New("not yet")
		}
		return nil
	})
	release()
	if emails, _ := emailsOf(t, (<-early).body); len(emails) != 1 {
		t.Errorf("the early reader got %q, want what it had read", emails)
	}
	if emails, _ := emailsOf(t, (<-late).body); len(emails) != 2 {
		t.Errorf("the late reader got %q, want both users", emails)
	}
}

func TestForeignCacheEntryIsReplaced(t *testing.T) {
	ta := newTestApp(t)
	rdb := ta.redis.client(t)
	rdb.Set(t.Context(), listKey, "not JSON", time.Minute)
	if emails, hit := ta.list(t); hit || len(emails) != 0 {
		t.Errorf("first: %q, hit %t", emails, hit)
	}
	if _, hit := ta.list(t); !hit {
		t.Error("the entry was not replaced")
	}
	// Of the wrong type it cannot be read at all; nothing breaks.
	rdb.Del(t.Context(), listKey)
	rdb.LPush(t.Context(), listKey, "x")
	if emails, hit := ta.list(t); hit || len(emails) != 0 {
		t.Errorf("wrong type: %q, hit %t", emails, hit)
	}
}

// What is remembered is never taken for another value, also not in the same place.
func TestDecodedIsOfItsText(t *testing.T) {
	var d decoded[user]
	for _, test := range []struct {
		number int32
		raw    string
		want   string // the name; "" for text that is not a user
	}{
		{1, `{"id":1,"name":"Ann"}`, "Ann"},
		{1, `{"id":1,"name":"Ann"}`, "Ann"},
		{257, `{"id":257,"name":"Ben"}`, "Ben"},
		{1, `{"id":1,"name":"Anna"}`, "Anna"},
		{1, `not JSON`, ""},
		{1, `{"id":1,"name":"Anna"}`, "Anna"},
	} {
		got, err := d.decoder(test.number)(test.raw)
		if got.Name != test.want || (err == nil) != (test.want != "") {
			t.Errorf("%s is %+v, %v", test.raw, got, err)
		}
	}
}

func TestFlushedRedis(t *testing.T) {
	ta := newTestApp(t)
	ta.mustAdd(t, "Ann", "ann@example.org")
	ta.list(t)
	ta.send(t, "GET", "/", "")
	rdb := ta.redis.client(t)
	rdb.FlushAll(t.Context())
	rdb.ScriptFlush(t.Context())
	if emails, hit := ta.list(t); hit || len(emails) != 1 {
		t.Errorf("after a flush: %q, hit %t", emails, hit)
	}
	if _, hit := ta.list(t); !hit {
		t.Error("nothing is cached after a flush")
	}
	if got := ta.send(t, "GET", "/", ""); got.status != 200 || !strings.Contains(got.body, `<strong id="visits">1</strong>`) {
		t.Errorf("page after a flush: %d %s", got.status, got.body)
	}
}

func TestKnownEmailKeepsTheCache(t *testing.T) {
	ta := newTestApp(t)
	ta.mustAdd(t, "Ann", "ann@example.org")
	ta.list(t)
	ta.send(t, "POST", "/users", `{"name":"Ann","email":"ann@example.org"}`)
	if _, hit := ta.list(t); !hit {
		t.Error("a refused user dropped the list")
	}
}
