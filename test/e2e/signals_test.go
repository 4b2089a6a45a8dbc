//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackctl/stackctl/pkg/runner/engine"
)

// disturbedShop has what an up makes in several steps, and what a replacement has
// to keep: data in a volume, and an anonymous volume, which the label tells from
// those of others.
const disturbedShop = `
services:
  db:
    image: alpine
    command: [sh, -c, "test -s /data/id || cat /proc/sys/kernel/random/uuid >/data/id; exec sleep 600"]
    stop_signal: SIGKILL
    environment: {LEVEL: ONE}
    volumes: ["data:/data"]
    networks: [back]
    healthcheck: {test: test -s /data/id, interval: 1s, retries: 60}
  web:
    image: alpine
    command: [sleep, "600"]
    stop_signal: SIGKILL
    scale: 2
    environment: {LEVEL: ONE}
    volumes: [{type: volume, target: /scratch, volume: {labels: {stackctl.test: PROJECT}}}]
    networks: [back, front]
    depends_on: {db: {condition: service_healthy}}
networks:
  back: {labels: {level: ONE}}
  front: {}
volumes: {data: {}}
`

// disturbedVerbs are the commands that are disturbed, by their name.
var disturbedVerbs = map[string][]string{
	"up":             {"-f", "one.yaml", "up"},
	"up, changed":    {"-f", "two.yaml", "up"},
	"up, scaled":     {"-f", "one.yaml", "up", "--scale", "web=3"},
	"down":           {"-f", "one.yaml", "down"},
	"down, all data": {"-f", "one.yaml", "down", "-v"},
}

// disturbed is a stage whose commands are cut at random.
type disturbed struct {
	*stage
	random *rand.Rand
	// undisturbed are the states after each command, and took how long they take.
	undisturbed map[string]map[string]any
	took        map[string]time.Duration
	// data is what the volume holds, empty when it is not there.
	data string
	// mounted are the anonymous volumes of each container, left those that a down or a
	// smaller scale has left, as it has to.
	mounted map[string][]string
	left    []string
}

// number gives a whole number from the environment.
func number(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// However and whenever a command is ended, the same command once more brings about
// what it would have without: nothing is missing, nothing is left over, and the data
// is what it was. STACKCTL_TEST_ROUNDS says how often, STACKCTL_TEST_SEED how.
func TestSignalsAtRandomMoments(t *testing.T) {
	seed := number(t, "STACKCTL_TEST_SEED", rand.Uint64())
	rounds := number(t, "STACKCTL_TEST_ROUNDS", 6)
	s := &disturbed{
		stage: newStage(t), random: rand.New(rand.NewPCG(seed, 0)),
		undisturbed: map[string]map[string]any{}, took: map[string]time.Duration{},
	}
	t.Cleanup(s.sweep) // before the stage's own
	t.Logf("%d rounds with STACKCTL_TEST_SEED=%d", rounds, seed)
	text := strings.ReplaceAll(disturbedShop, "PROJECT", s.project)
	s.write("one.yaml", text)
	s.write("two.yaml", strings.ReplaceAll(text, "ONE", "TWO"))
	verbs := slices.Sorted(maps.Keys(disturbedVerbs))
	for _, verb := range []string{"up", "up, changed", "up, scaled", "down", "up, changed", "down, all data"} {
		began := time.Now()
		s.run(0, disturbedVerbs[verb]...)
		s.took[verb] = time.Since(began)
		s.undisturbed[verb] = s.snapshot()
		s.settle(verb)
	}
	signals := []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGKILL}
	ends, last := map[string]int{}, ""
	for round := range rounds {
		verb := verbs[s.random.IntN(len(verbs))]
		for verb == last { // which would have nothing to do
			verb = verbs[s.random.IntN(len(verbs))]
		}
		last = verb
		signal := signals[s.random.IntN(len(signals))]
		moment := time.Duration(s.random.Float64() * 1.1 * float64(s.took[verb]))
		t.Logf("round %d: %s, %s after %s", round, verb, signal, moment)
		ends[s.cut(verb, signal, moment)]++
		s.run(0, disturbedVerbs[verb]...)
		s.settle(verb)
		if t.Failed() {
			t.Fatalf("round %d of STACKCTL_TEST_SEED=%d: %s, %s after %s", round, seed, verb, signal, moment)
		}
	}
	t.Logf("ends: %v", ends)
}

// cut ends a command with a signal, and gives how it ended.
func (s *disturbed) cut(verb string, signal syscall.Signal, moment time.Duration) string {
	s.t.Helper()
	b := s.start(disturbedVerbs[verb]...)
	ended := make(chan struct{})
	go func() {
		_ = b.cmd.Wait() // the exit code says it
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(moment):
		_ = b.cmd.Process.Signal(signal) // of one that has just ended
		<-ended
	}
	code := b.cmd.ProcessState.ExitCode()
	status, _ := b.cmd.ProcessState.Sys().(syscall.WaitStatus)
	s.t.Logf("%s: exit code %d\n%s", b.cmd, code, b.stderr)
	switch {
	case code == 0:
		return "done before"
	case code == 128+int(signal), status.Signaled() && status.Signal() == signal:
		return signal.String()
	}
	s.t.Errorf("exit code %d after %s", code, signal)
	return "wrong"
}

// settle wants the state after a command to be what it is without a signal.
func (s *disturbed) settle(verb string) {
	s.t.Helper()
	now := s.snapshot()
	want := maps.Clone(s.undisturbed[verb])
	if verb == "down" && s.data == "" { // there was none before, and nothing makes one
		delete(want, "volume "+s.project+"_data")
	}
	if diff := cmp.Diff(want, now); diff != "" {
		s.t.Errorf("after %s and the same again (-without +with a signal):\n%s", verb, diff)
	}
	mounted, there := s.anonymous(s.t.Context())
	for name, before := range s.mounted {
		after, still := mounted[name]
		switch {
		case !still && verb == "down, all data": // they go with it
		case !still:
			s.left = append(s.left, before...) // nobody knows whose they are
		case !slices.Equal(before, after):
			s.t.Errorf("after %s, %s has the anonymous volumes %v, and had %v", verb, name, after, before)
		}
	}
	s.mounted = mounted
	all := slices.Concat(append(slices.Collect(maps.Values(mounted)), s.left)...)
	slices.Sort(all)
	slices.Sort(there)
	if diff := cmp.Diff(all, there); diff != "" {
		s.t.Errorf("after %s, the anonymous volumes (-of containers, or left by a down or a smaller scale; +there):\n%s", verb, diff)
	}
	switch verb {
	case "down":
	case "down, all data":
		s.data = ""
	default:
		r, err := s.engine.Exec(s.t.Context(), s.project+"-db-1", engine.Command{Args: []string{"cat", "/data/id"}})
		if err != nil || r.ExitCode != 0 || r.Output == "" || s.data != "" && s.data != r.Output {
			s.t.Errorf("the volume holds %q (%v), and held %q", r.Output, err, s.data)
		}
		s.data = r.Output
	}
}

// anonymous gives the project's anonymous volumes: those that each container has,
// and all that are there.
func (s *disturbed) anonymous(ctx context.Context) (mounted map[string][]string, there []string) {
	s.t.Helper()
	var all struct{ Volumes []struct{ Name string } }
	err := s.raw.do(ctx, http.MethodGet, "/volumes?filters="+url.QueryEscape(`{"label":["stackctl.test=`+s.project+`"]}`), nil, &all)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, v := range all.Volumes {
		there = append(there, v.Name)
	}
	containers, err := s.engine.Containers(ctx, s.project)
	if err != nil {
		s.t.Fatal(err)
	}
	mounted = map[string][]string{}
	for _, c := range containers {
		for _, m := range c.Mounts {
			if slices.Contains(there, m.Name) {
				mounted[c.Name] = append(mounted[c.Name], m.Name)
			}
		}
	}
	return mounted, there
}

// sweep removes the anonymous volumes that a down leaves.
func (s *disturbed) sweep() {
	s.t.Helper()
	s.clean()
	_, there := s.anonymous(withoutCancel(s.t))
	for _, name := range there {
		if err := s.engine.RemoveVolume(withoutCancel(s.t), name); err != nil {
			s.t.Errorf("clean up: %v", err)
		}
	}
}

// snapshot is what is on the engine of the project by kind and name, less what is
// another with each container, network and start.
func (s *disturbed) snapshot() map[string]any {
	s.t.Helper()
	names, err := s.raw.names(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	out := map[string]any{}
	for _, name := range names {
		if !strings.Contains(name, s.project) {
			continue
		}
		kind, id, _ := strings.Cut(name, " ")
		look := map[string]any{}
		switch kind {
		case "container":
			s.ask(http.MethodGet, "/containers/"+id+"/json", nil, &look)
			look = containerForm(look)
		case "network":
			s.ask(http.MethodGet, "/networks/"+id, nil, &look)
			look = fields(look, "Driver", "Internal", "Options", "Labels")
		case "volume":
			s.ask(http.MethodGet, "/volumes/"+id, nil, &look)
			look = fields(look, "Driver", "Options", "Labels")
		}
		out[name] = look
	}
	return out
}

func fields(of map[string]any, keys ...string) map[string]any {
	out := map[string]any{}
	for _, key := range keys {
		out[key] = of[key]
	}
	return out
}

// containerForm leaves out of an inspect document what differs with each container.
func containerForm(look map[string]any) map[string]any {
	id := look["Id"].(string)
	out := fields(look, "Name", "Image", "Path", "Args", "HostConfig", "Config", "RestartCount")
	out["State"] = look["State"].(map[string]any)["Status"]
	config := out["Config"].(map[string]any)
	delete(config, "Hostname")
	delete(config, "Volumes") // Mounts has them
	for _, label := range []string{"com.docker.compose.replace", "io.stackctl.carried-volumes"} {
		delete(config["Labels"].(map[string]any), label) // what it replaced
	}
	for _, key := range []string{"Mounts", "Binds"} {
		delete(out["HostConfig"].(map[string]any), key)
	}
	var mounts []string
	for _, m := range look["Mounts"].([]any) {
		m := m.(map[string]any)
		name := fmt.Sprint(m["Name"])
		if len(name) == 64 {
			name = "anonymous"
		}
		mounts = append(mounts, fmt.Sprint(m["Type"], " ", name, " ", m["Destination"], " ", m["RW"]))
	}
	slices.Sort(mounts)
	out["Mounts"] = mounts
	networks := map[string]any{}
	for name, n := range look["NetworkSettings"].(map[string]any)["Networks"].(map[string]any) {
		aliases := []string{}
		for _, key := range []string{"Aliases", "DNSNames"} {
			list, _ := n.(map[string]any)[key].([]any)
			for _, alias := range list {
				if alias != id[:12] && !slices.Contains(aliases, alias.(string)) {
					aliases = append(aliases, alias.(string))
				}
			}
		}
		slices.Sort(aliases)
		networks[name] = aliases
	}
	out["Networks"] = networks
	return out
}

// The second Ctrl-C ends the command at once, though the engine waits for a
// container that does not obey.
func TestSecondInterrupt(t *testing.T) {
	s := newStage(t)
	s.write("compose.yaml", `
services:
  web:
    image: alpine
    command: [sh, -c, "trap '' TERM; while :; do sleep 1; done"]
    stop_grace_period: 10m
`)
	s.run(0, "up")
	events, err := s.engine.Events(t.Context(), s.project)
	if err != nil {
		t.Fatal(err)
	}
	down := s.start("down")
	for e := range events { // the engine has begun with the stop
		if e.Err != nil {
			t.Fatal(e.Err)
		}
		if e.Action == "kill" {
			break
		}
	}
	ended := make(chan struct{})
	go func() {
		_ = down.cmd.Wait() // the exit code says it
		close(ended)
	}()
	// Two that come together are one for the kernel, so there are more.
	s.eventually("the command ends", func() bool {
		_ = down.cmd.Process.Signal(syscall.SIGINT) // of one that has just ended
		select {
		case <-ended:
			return true
		default:
			return false
		}
	})
	if code := down.cmd.ProcessState.ExitCode(); code != 130 {
		t.Errorf("exit code %d", code)
	}
	if c := s.containers()["web"]; c.State != "running" {
		t.Errorf("web is %s: the command waited for its end", c.State)
	}
}
