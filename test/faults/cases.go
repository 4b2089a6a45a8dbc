package main

import (
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"sync"

	"github.com/stackctl/stackctl/test/faults/proxy"
)

// faultCase is one case: a fault at the n-th call of an operation.
type faultCase struct {
	n     int
	fault proxy.Fault
}

// queue gives out the cases of one operation. How many calls a run makes varies, as
// it asks again and again while it waits: the n of a fault ends where a run had
// fewer calls than that, and not before the number of a run without a fault.
type queue struct {
	stack, op string

	mu       sync.Mutex
	calls    int // of a run without a fault; 0 until there was one
	faults   []proxy.Fault
	next     map[proxy.Fault]int
	from, to int // which calls; to is 0 for all
	// picked chooses a sample; nil for all.
	picked func() bool
	every  int
	turn   int
}

// selection says which cases of each queue are tried.
type selection struct {
	faults   []proxy.Fault
	from, to int
	// every takes one case of so many, chosen by the seed.
	every int
	seed  uint64
}

func newQueue(stack, op string, s selection) *queue {
	q := &queue{stack: stack, op: op, faults: append([]proxy.Fault{}, s.faults...), next: map[proxy.Fault]int{}, from: max(s.from, 1), to: s.to, every: s.every}
	for _, f := range s.faults {
		q.next[f] = q.from
	}
	if s.every > 1 {
		name := fnv.New64a()
		_, _ = io.WriteString(name, stack+" "+op) // a hash takes all
		random := rand.New(rand.NewPCG(s.seed, name.Sum64()))
		q.picked = func() bool { return random.IntN(s.every) == 0 }
	}
	return q
}

// learn notes how many calls a run without a fault makes.
func (q *queue) learn(calls int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.calls == 0 || calls < q.calls {
		q.calls = calls
	}
}

// take gives the next case; false when there is none. Faults take turns, so that
// those that wait and those that do not are under way side by side.
func (q *queue) take() (faultCase, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.faults) > 0 {
		i := q.turn % len(q.faults)
		c := faultCase{q.next[q.faults[i]], q.faults[i]}
		if q.to > 0 && c.n > q.to || q.picked != nil && c.n > q.calls {
			q.faults = append(q.faults[:i], q.faults[i+1:]...)
			continue
		}
		q.next[c.fault]++
		q.turn = i + 1
		if q.picked == nil || q.picked() {
			return c, true
		}
	}
	return faultCase{}, false
}

// missed notes that a run had fewer calls than the case was for.
func (q *queue) missed(c faultCase) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if c.n <= q.calls {
		return
	}
	for i, f := range q.faults {
		if f == c.fault {
			q.faults = append(q.faults[:i], q.faults[i+1:]...)
			return
		}
	}
}

// left estimates how many cases are still to come.
func (q *queue) left() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := 0
	for _, f := range q.faults {
		last := q.calls
		if q.to > 0 {
			last = min(last, q.to)
		}
		n += max(0, last-q.next[f]+1)
	}
	return n / max(q.every, 1)
}

// verdict is what became of a case.
type verdict struct {
	stack, op string
	faultCase
	// call is the one that the fault hit.
	call string
	// how it recovered: see the constants.
	how string
	// err is what the run said.
	err string
	// lost says what was lost; empty for nothing.
	lost string
}

// How a case recovered.
const (
	// inSpite says that the run reached its end all the same.
	inSpite = "succeeded all the same"
	// untouched says that the engine was as before, so that the next run is a first.
	untouched = "ended with nothing changed"
	// byNext says that the next run reached the end.
	byNext = "mended by the next run"
)

func (v verdict) again() string {
	return fmt.Sprintf("-stack %s -op %q -fault %s -calls %d-%d", v.stack, v.op, v.fault, v.n, v.n)
}
