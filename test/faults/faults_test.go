package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackctl/stackctl/test/faults/proxy"
)

// The test's own program is the worker, too.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == workerArgument {
		main()
		return
	}
	os.Exit(m.Run())
}

// A queue gives each fault at each call, faults in turn, and a fault ends where a
// run has fewer calls than that.
func TestQueue(t *testing.T) {
	q := newQueue("ten", "up", selection{faults: []proxy.Fault{proxy.Error500, proxy.Delay}})
	q.learn(2)
	var got []faultCase
	for {
		c, found := q.take()
		if !found {
			break
		}
		got = append(got, c)
		if c.n == 3 { // there are two calls
			q.missed(c)
		}
	}
	want := []faultCase{
		{1, proxy.Error500}, {1, proxy.Delay}, {2, proxy.Error500}, {2, proxy.Delay}, {3, proxy.Error500}, {3, proxy.Delay},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(faultCase{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A run that is short by chance does not end a fault: others have more calls.
func TestQueueGoesOnAfterAShortRun(t *testing.T) {
	q := newQueue("ten", "up", selection{faults: []proxy.Fault{proxy.Stall}})
	q.learn(5)
	c, _ := q.take()
	q.missed(c)
	if c, found := q.take(); !found || c.n != 2 {
		t.Errorf("got %+v, %t", c, found)
	}
}

func TestQueueOfSomeCalls(t *testing.T) {
	q := newQueue("ten", "up", selection{faults: []proxy.Fault{proxy.Stall}, from: 7, to: 8})
	q.learn(40)
	var got []int
	for c, found := q.take(); found; c, found = q.take() {
		got = append(got, c.n)
	}
	if diff := cmp.Diff([]int{7, 8}, got); diff != "" {
		t.Error(diff)
	}
}

// A sample is another one with another seed, and the same with the same.
func TestSample(t *testing.T) {
	take := func(seed uint64) []faultCase {
		q := newQueue("ten", "up", selection{faults: proxy.Faults, every: 4, seed: seed})
		q.learn(40)
		var out []faultCase
		for c, found := q.take(); found; c, found = q.take() {
			out = append(out, c)
		}
		return out
	}
	one, again, other := take(1), take(1), take(2)
	if !cmp.Equal(one, again, cmp.AllowUnexported(faultCase{})) || cmp.Equal(one, other, cmp.AllowUnexported(faultCase{})) {
		t.Error("a seed does not make a sample")
	}
	if n := len(one); n < 40 || n > 100 { // of 280
		t.Errorf("%d cases", n)
	}
}

func TestTable(t *testing.T) {
	at := func(op string, fault proxy.Fault, how, lost string) verdict {
		return verdict{stack: "ten", op: op, faultCase: faultCase{3, fault}, call: "GET /networks", how: how, lost: lost, err: "it failed"}
	}
	all := []verdict{
		at("up", proxy.Error500, inSpite, ""), at("up", proxy.Error500, untouched, ""), at("up", proxy.Stall, byNext, "a volume"),
		at("rollback", proxy.Stall, byNext, ""),
	}
	var out bytes.Buffer
	writeTable(&out, all, []proxy.Fault{proxy.Error500, proxy.Stall})
	writeCalls(&out, all)
	if n := writeLost(&out, all); n != 1 {
		t.Errorf("%d lost", n)
	}
	want := `| tried, recovered, lost | 500 | stall | all |
|---|---|---|---|
| ten: up | 2, 2, 0 | 1, 0, 1 | 3, 2, 1 |
| ten: rollback | 0, 0, 0 | 1, 1, 0 | 1, 1, 0 |

4 faults injected, 1 lost. Of the others 1 runs succeeded all the same, 1 ended with nothing changed, 1 were mended by the next run.
The calls that they hit: GET /networks 4.

LOST up: stall of GET /networks (call 3)
  again with: -stack ten -op "up" -fault stall -calls 3-3
  the run said: it failed
  a volume
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDifference(t *testing.T) {
	want := map[string]string{"network a": "x\ny", "network b": "x", "volume c": "same"}
	got := map[string]string{"network a": "x\nz", "container d": "x", "volume c": "same"}
	text := "container d: should not be there\nnetwork a:\n  - y\n  + z\nnetwork b: is missing\n"
	if diff := cmp.Diff(text, difference(want, got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Two containers that differ in what is another with each run are the same; one on
// an old network of the same name is not.
func TestContainerState(t *testing.T) {
	id := strings.Repeat("ab", 32)
	container := func(id, network string) map[string]any {
		return map[string]any{
			"Id": id, "Name": "/shop-web-1",
			"State":      map[string]any{"Status": "running", "StartedAt": id},
			"Config":     map[string]any{"Hostname": id[:12], "Labels": map[string]any{"a": "b", "com.docker.compose.replace": id}},
			"HostConfig": map[string]any{"NetworkMode": "back", "Mounts": id},
			"Mounts":     []any{map[string]any{"Type": "volume", "Name": id, "Destination": "/data", "RW": true}},
			"NetworkSettings": map[string]any{"Networks": map[string]any{
				"back": map[string]any{"NetworkID": network, "IPAddress": id, "Aliases": []any{"web", id[:12]}},
			}},
		}
	}
	networks := map[string]string{"back": "n1"}
	one, exactOne := containerState(container(id, "n1"), networks)
	other, exactOther := containerState(container(strings.Repeat("cd", 32), "n1"), networks)
	if diff := cmp.Diff(one, other); diff != "" || exactOne == exactOther {
		t.Errorf("%s\n%s\n%s", diff, exactOne, exactOther)
	}
	if elsewhere, _ := containerState(container(id, "n0"), networks); cmp.Equal(one, elsewhere) {
		t.Error("it is on an old network, and that is not seen")
	}
}

func TestFlags(t *testing.T) {
	for _, args := range [][]string{
		{"-stack", "eleven"}, {"-op", "upp"}, {"-fault", "501"}, {"-calls", "x"}, {"-calls", "0"}, {"more"},
	} {
		if _, err := parse(args, new(bytes.Buffer)); err == nil {
			t.Errorf("%v is taken", args)
		}
	}
	t.Setenv("DOCKER_HOST", "unix:///run/engine.sock")
	o, err := parse([]string{"-stack", "ten", "-op", "up,down -v", "-fault", "stall", "-calls", "7-12"}, new(bytes.Buffer))
	if err != nil || o.socket != "/run/engine.sock" || o.selection.from != 7 || o.selection.to != 12 || len(o.ops) != 2 {
		t.Errorf("got %+v, %v", o, err)
	}
}
