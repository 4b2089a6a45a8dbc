//go:build e2e

package docker

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// comparison is a compose file for [engine.Observer.Compare], with changes to it.
type comparison struct {
	name string
	// service and rest are put into a file with one service, web.
	service, rest string
	// api is the oldest API that takes the file; empty for any.
	api string
	// changes are edits of the file, with the points that they differ in.
	changes []edit
	// created says that the container cannot be started here.
	created bool
	// dropped are the points that an older Compose does not carry out on some engine.
	dropped string
}

type edit struct {
	old, replaced string
	paths         string // separated by spaces
}

var comparisons = []comparison{
	{name: "command", service: `command: [sleep, "600"]`, changes: []edit{
		{`"600"`, `"601"`, "command"},
		{`command: [sleep, "600"]`, `entrypoint: [sleep, "600"]`, "command entrypoint"},
	}},
	{name: "entrypoint", service: "entrypoint: [sleep]\n    command: [\"600\"]", changes: []edit{
		{`[sleep]`, `[/bin/sleep]`, "entrypoint"},
		{`["600"]`, `["601"]`, "command"},
	}},
	{name: "environment", service: `environment: {A: "1", EMPTY: "", PATH: /bin, SECRET_KEY: x}`, changes: []edit{
		{`A: "1"`, `A: "2"`, "environment.A"},
		{`A: "1", `, ``, "environment.A"},
		{`EMPTY: ""`, `EMPTY: x`, "environment.EMPTY"},
		{`EMPTY: ""`, `MORE: ""`, "environment.EMPTY environment.MORE"},
		{`PATH: /bin, `, ``, "environment.PATH"},
		{`SECRET_KEY: x`, `SECRET_KEY: y`, "environment.SECRET_KEY"},
	}},
	{name: "process", service: `
    user: "1000:1000"
    working_dir: /tmp
    hostname: web
    domainname: example.org
    tty: true
    stdin_open: true
    init: true
    read_only: true
    stop_signal: SIGKILL
    stop_grace_period: 3s
    group_add: ["5", "6"]
    oom_score_adj: 100`, changes: []edit{
		{`"1000:1000"`, `"1000"`, "user"},
		{`/tmp`, `/var`, "working_dir"},
		{`hostname: web`, `hostname: app`, "hostname"},
		{"hostname: web\n", "expose: []\n", "hostname"},
		{`example.org`, `example.com`, "domainname"},
		{`tty: true`, `tty: false`, "tty"},
		{`stdin_open: true`, `stdin_open: false`, "stdin_open"},
		{`init: true`, `init: false`, "init"},
		{`read_only: true`, `read_only: false`, "read_only"},
		{`read_only: true`, `privileged: true`, "privileged read_only"},
		{`SIGKILL`, `SIGINT`, "stop_signal"},
		{`3s`, `13s`, "stop_grace_period"},
		{`, "6"`, ``, "group_add"},
		{`oom_score_adj: 100`, `oom_score_adj: 101`, "oom_score_adj"},
	}},
	{name: "default process", service: `command: [sleep, "600"]`, changes: []edit{
		{`command`, "stop_grace_period: 10s\n    command", ""},
		{`command`, "stop_signal: TERM\n    command", ""},
		{`command`, "working_dir: /\n    command", ""},
		{`command`, "restart: \"no\"\n    command", ""},
		{`command`, "ipc: private\n    command", ""},
		{`command`, "shm_size: 64m\n    command", ""},
		{`command`, "healthcheck: {disable: true}\n    command", ""},
		{`command`, "environment: [MISSING]\n    command", ""},
		{`command`, "pids_limit: -1\n    command", ""},
		{`command`, "user: root\n    command", "user"},
	}},
	{name: "capabilities", service: "cap_add: [CAP_NET_ADMIN, SYS_TIME]\n    cap_drop: [ALL]", changes: []edit{
		{`CAP_NET_ADMIN, SYS_TIME`, `CAP_SYS_TIME, NET_ADMIN`, ""},
		{`, SYS_TIME`, ``, "cap_add"},
		{`ALL`, `KILL`, "cap_drop"},
	}},
	{name: "security", service: `security_opt: ["no-new-privileges:true", "seccomp=unconfined"]`, changes: []edit{
		{`no-new-privileges:true`, `no-new-privileges=true`, ""},
		{`, "seccomp=unconfined"`, ``, "security_opt"},
		{`"seccomp=unconfined"`, `"systempaths=unconfined"`, "security_opt"},
	}},
	{name: "unconfined", service: `security_opt: ["systempaths=unconfined"]`, changes: []edit{
		{`["systempaths=unconfined"]`, `[]`, "security_opt"},
	}},
	{name: "privileged", created: true, service: `privileged: true`, changes: []edit{{`true`, `false`, "privileged"}}},
	{name: "namespaces", service: "ipc: host\n    pid: host\n    uts: host\n    userns_mode: host\n    cgroup: host", changes: []edit{
		{"ipc: host", "ipc: shareable", "ipc"},
		{"pid: host", `pid: ""`, "pid"},
		{"uts: host", `uts: ""`, "hostname? uts"},
		{"userns_mode: host", `userns_mode: ""`, "userns_mode"},
	}},
	{name: "shareable ipc", service: "ipc: shareable", changes: []edit{{"ipc: shareable", `shm_size: 32m`, "ipc shm_size"}}},
	{name: "memory", service: "mem_limit: 64m\n    mem_reservation: 32m\n    mem_swappiness: 10\n    shm_size: 32m", changes: []edit{
		{"mem_limit: 64m", "mem_limit: 65m", "mem_limit"},
		{"mem_reservation: 32m", "mem_reservation: 33m", "mem_reservation"},
		{"shm_size: 32m", "shm_size: 33m", "shm_size"},
	}},
	{name: "processors", service: "cpus: 0.1\n    cpu_shares: 512\n    cpuset: \"0\"\n    pids_limit: 50", changes: []edit{
		{"cpus: 0.1", "cpus: 0.2", "cpus"},
		{"cpu_shares: 512", "cpu_shares: 513", "cpu_shares"},
		{`cpuset: "0"`, `cpuset: "0-1"`, "cpuset"},
		{"pids_limit: 50", "pids_limit: 51", "pids_limit"},
	}},
	{name: "quota", service: "cpu_period: 100000\n    cpu_quota: 50000", changes: []edit{
		{"50000", "60000", "cpu_quota"},
		{"100000", "90000", "cpu_period"},
	}},
	{name: "deploy", service: "deploy: {resources: {limits: {memory: 64m, cpus: \"0.5\", pids: 50}, reservations: {memory: 32m}}, restart_policy: {condition: on-failure, max_attempts: 3}}", changes: []edit{
		{"memory: 64m", "memory: 65m", "deploy.resources.limits.memory memswap_limit?"},
		{`cpus: "0.5"`, `cpus: "0.6"`, "deploy.resources.limits.cpus"},
		{"pids: 50", "pids: 51", "deploy.resources.limits.pids"},
		{"memory: 32m", "memory: 33m", "deploy.resources.reservations.memory"},
		{"max_attempts: 3", "max_attempts: 4", "deploy.restart_policy"},
	}},
	{name: "ulimits", service: "ulimits: {nofile: {soft: 100, hard: 200}, nproc: 60}", changes: []edit{
		{"soft: 100", "soft: 101", "ulimits.nofile"},
		{", nproc: 60", "", "ulimits.nproc"},
		{"nproc: 60", "nproc: {soft: 60, hard: 60}", ""},
	}},
	{name: "sysctls", service: `sysctls: {net.core.somaxconn: "1024"}`, changes: []edit{
		{`"1024"`, `"1025"`, "sysctls.net.core.somaxconn"},
		{`{net.core.somaxconn: "1024"}`, `{}`, "sysctls.net.core.somaxconn"},
	}},
	{name: "devices", service: "devices: [\"/dev/null:/dev/mine\", \"/dev/zero:/dev/other:r\"]\n    device_cgroup_rules: [\"c 1:3 mr\"]", changes: []edit{
		{"/dev/mine", "/dev/mine:rwm", ""},
		{"/dev/other:r", "/dev/other:rw", "devices"},
		{"c 1:3 mr", "c 1:3 rm", "device_cgroup_rules"},
	}},
	{name: "names", service: "dns: [10.0.0.2, 10.0.0.3]\n    dns_opt: [\"ndots:2\"]\n    dns_search: [example.org]\n    extra_hosts: [\"other:10.0.0.1\", \"six=::1\"]", changes: []edit{
		{"10.0.0.2, 10.0.0.3", "10.0.0.3, 10.0.0.2", "dns"},
		{"ndots:2", "ndots:3", "dns_opt"},
		{"[example.org]", "[]", "dns_search"},
		{"other:10.0.0.1", "other=10.0.0.1", ""},
		{"other:10.0.0.1", "other:10.0.0.9", "extra_hosts.other"},
	}},
	{name: "ports", service: "ports: [\"80\", \"127.0.0.1:0:81\", \"53/udp\", \"20900-20999:90\"]\n    expose: [\"9000\", \"9001/udp\"]", changes: []edit{
		{`"80", `, `"80/tcp", `, ""},
		{`"80", `, ``, "expose ports"},
		{`127.0.0.1`, `127.0.0.2`, "ports"},
		{`53/udp`, `53/tcp`, "expose ports"},
		{`20900-20999`, `20901-20999`, "ports"},
		{`, "9001/udp"`, ``, "expose"},
	}},
	{name: "healthcheck", service: `healthcheck: {test: [CMD, "true"], interval: 7s, timeout: 3s, retries: 4, start_period: 9s}`, changes: []edit{
		{`[CMD, "true"]`, `"true"`, "healthcheck.test"},
		{`7s`, `7000ms`, ""},
		{`7s`, `8s`, "healthcheck.interval"},
		{`timeout: 3s`, `timeout: 4s`, "healthcheck.timeout"},
		{`timeout: 3s, `, ``, "healthcheck.timeout"},
		{`retries: 4`, `retries: 5`, "healthcheck.retries"},
		{`start_period: 9s`, `start_period: 10s`, "healthcheck.start_period"},
		{`test: [CMD, "true"]`, `disable: true`, "healthcheck.test"},
	}},
	{name: "start interval", api: api144, service: `healthcheck: {test: [CMD, "true"], start_period: 9s, start_interval: 2s}`, changes: []edit{
		{`start_interval: 2s`, `start_interval: 3s`, "healthcheck.start_interval"},
	}},
	{name: "no healthcheck", service: `healthcheck: {disable: true}`, changes: []edit{
		{`disable: true`, `test: "true", interval: 9s`, "healthcheck.test"},
	}},
	{name: "logging", service: `logging: {driver: local, options: {max-size: 1m, max-file: "2"}}`, changes: []edit{
		{`1m`, `2m`, "logging.options.max-size"},
		{`, max-file: "2"`, ``, "logging.options.max-file"},
		{`driver: local, options: {max-size: 1m, max-file: "2"}`, `driver: none`, "logging.driver logging.options.max-file logging.options.max-size"},
	}},
	{name: "default logging", service: `logging: {options: {max-size: 5m}}`, changes: []edit{
		{`{options`, `{driver: json-file, options`, ""},
		{`5m`, `6m`, "logging.options.max-size"},
		{`max-size: 5m`, `max-size: 5m, labels: a`, "logging.options.labels"},
	}},
	{name: "restart", service: `restart: on-failure:3`, changes: []edit{
		{`on-failure:3`, `on-failure:4`, "restart"},
		{`on-failure:3`, `always`, "restart"},
		{`on-failure:3`, `"no"`, "restart"},
	}},
	{name: "labels", service: `labels: {one: "1", two: "", com.docker.compose.mine: x}`, changes: []edit{
		{`one: "1"`, `one: "2"`, "labels.one"},
		{`two: ""`, `three: ""`, "labels.three labels.two"},
		{`mine: x`, `mine: y`, ""},
	}},
	{name: "annotations", api: "1.43", service: `annotations: {one: "1"}`, changes: []edit{
		{`"1"`, `"2"`, "annotations.one"},
		{`{one: "1"}`, `{}`, "annotations.one"},
	}},
	{name: "mounts", service: `
    volumes:
      - data:/data
      - other:/other:ro
      - /anonymous
      - ./made:/made
      - ./made:/fixed:ro
      - {type: bind, source: ./made, target: /shared, bind: {propagation: private}}
      - {type: bind, source: ./made, target: /there, bind: {create_host_path: false}}
      - {type: tmpfs, target: /scratch, tmpfs: {size: 1m, mode: 0700}}
      - {type: volume, source: data, target: /nocopy, volume: {nocopy: true}}
    tmpfs: ["/run:size=1m,mode=700", /quick]`, rest: "volumes: {data: {}, other: {}}", changes: []edit{
		{"data:/data", "data:/data/", ""},
		{"data:/data", "data:/data:ro", "volumes./data"},
		{"data:/data", "other:/data", "volumes./data"},
		{"data:/data", "./made:/data", "volumes./data"},
		{"data:/data", "/data", "volumes./data"},
		{"- other:/other:ro\n", "- other:/else:ro\n", "volumes./else volumes./other"},
		{"- /anonymous\n", "- other:/anonymous\n", "volumes./anonymous"},
		{"- /anonymous\n", "\n", "volumes./anonymous"},
		{"./made:/made", "./else:/made", "volumes./made"},
		{"./made:/fixed:ro", "./made:/fixed", "volumes./fixed"},
		{"./made:/made", "{type: bind, source: ./made, target: /made}", ""},
		{"propagation: private", "propagation: rshared", "volumes./shared"},
		{", bind: {create_host_path: false}", "", ""},
		{"size: 1m", "size: 2m", "volumes./scratch"},
		{"mode: 0700", "mode: 0755", "volumes./scratch"},
		{"nocopy: true", "nocopy: false", "volumes./nocopy"},
		{"size=1m,mode=700", "mode=700,size=1m", ""},
		{"size=1m,mode=700", "size=2m", "tmpfs./run"},
		{", /quick", "", "tmpfs./quick"},
	}},
	{name: "subpath", api: "1.45", created: true, service: "volumes: [{type: volume, source: data, target: /data, volume: {subpath: a}}]", rest: "volumes: {data: {}}", changes: []edit{
		{"subpath: a", "subpath: b", "volumes./data"},
	}},
	{name: "image's volume", service: "image: redis:7-alpine\n    entrypoint: []\n    command: [sleep, \"600\"]", changes: []edit{
		{"entrypoint: []", "volumes: [./made:/data]\n    entrypoint: []", "volumes./data"},
		{"entrypoint: []", "entrypoint: [/bin/true]", "entrypoint"},
		{"entrypoint: []", "user: redis", "entrypoint user"},
		{"entrypoint: []", "volumes: [/data]\n    entrypoint: []", ""},
		{"entrypoint: []", "expose: [\"6379\"]\n    entrypoint: []", ""},
	}},
	{
		name: "networks", service: `networks: {back: {aliases: [db, main], ipv4_address: 10.217.PART.9, driver_opts: {a: b}, mac_address: "02:42:0a:01:02:03"}, front: {}}`,
		dropped: "networks.back.driver_opts.a?",
		rest:    "networks: {back: {ipam: {config: [{subnet: 10.217.PART.0/24}]}}, front: {}}", changes: []edit{
			{"[db, main]", "[main, db]", ""},
			{"[db, main]", "[db]", "networks.back.aliases"},
			{"10.217.PART.9", "10.217.PART.8", "networks.back.ipv4_address"},
			{"ipv4_address: 10.217.PART.9, ", "", "networks.back.ipv4_address"},
			{"a: b", "a: c", "networks.back.driver_opts.a"},
			{"01:02:03", "01:02:04", "networks.back.mac_address"},
			{"front: {}}", "front: {aliases: [www]}}", "networks.front.aliases"},
		},
	},
	{name: "service's MAC address", dropped: "mac_address?", service: `mac_address: "02:42:0a:01:02:03"`, changes: []edit{
		{"01:02:03", "01:02:04", "mac_address"},
	}},
	{name: "no network", service: "network_mode: none", changes: []edit{
		{"network_mode: none", "network_mode: host", "hostname? network_mode"},
		{"network_mode: none", "network_mode: bridge", "network_mode"},
		{"network_mode: none", "networks: [default]", "network_mode"},
	}},
	{name: "host's network", service: "network_mode: host", changes: []edit{
		{"network_mode: host", "network_mode: none", "domainname? hostname network_mode"},
	}},
	{name: "bridge", service: "network_mode: bridge\n    links: []", changes: []edit{
		{"network_mode: bridge", "network_mode: default", ""},
	}},
	{
		name: "files", service: "configs: [{source: conf, target: /etc/conf}, {source: text, target: /etc/text}]",
		rest: "configs: {conf: {file: ./fixed}, text: {content: hello}}", changes: []edit{
			{"target: /etc/conf", "target: /etc/other", "volumes./etc/conf volumes./etc/other"},
			{"file: ./fixed", "file: ./made/fixed", "volumes./etc/conf"},
			{"content: hello", "content: other", "configs.text"},
			{"target: /etc/text", "target: /etc/new", "configs.text files./etc/text?"},
		},
	},
}

// loadIn loads compose text as a file in dir.
func (s *stand) loadIn(dir, text string) state.Desired {
	s.t.Helper()
	project, err := loader.LoadWithContext(s.ctx(), types.ConfigDetails{
		WorkingDir: dir, ConfigFiles: []types.ConfigFile{{Filename: filepath.Join(dir, "compose.yaml"), Content: []byte(text)}}, Environment: types.Mapping{},
	}, func(o *loader.Options) { o.SetProjectName(s.project, true) })
	s.must(err)
	d, err := state.Flatten(project)
	s.must(err)
	return d
}

// file gives the text of a comparison's file. PART is a part of an address that
// no other test has.
func (c comparison) file(part int) string {
	service := strings.TrimSpace(c.service)
	if !strings.Contains(service, "command:") {
		service += "\n    command: [sleep, \"600\"]"
	}
	if !strings.Contains(service, "image:") {
		service = "image: " + fixture + "\n    " + service
	}
	if !strings.Contains(service, "stop_signal:") && c.name != "default process" {
		service += "\n    stop_signal: SIGKILL"
	}
	return strings.ReplaceAll("services:\n  web:\n    "+service+"\n"+c.rest+"\n", "PART", fmt.Sprint(part))
}

// mounted are the files that the comparisons mount.
var mounted = map[string]string{"fixed": "fixed\n", "made/fixed": "fixed\n", "else/fixed": "fixed\n"}

func (s *stand) makeResources(d state.Desired) {
	s.t.Helper()
	for _, n := range d.Networks {
		s.must(s.CreateNetwork(s.ctx(), n))
	}
	for _, v := range d.Volumes {
		s.must(s.CreateVolume(s.ctx(), v))
	}
}

// differs gives the paths and the sentences of what differs.
func (s *stand) differs(container string, spec state.ContainerSpec) (paths, sentences []string) {
	s.t.Helper()
	all, err := s.Compare(s.ctx(), container, engine.CreateContainer{Spec: spec})
	s.must(err)
	for _, d := range all {
		paths, sentences = append(paths, d.Path), append(sentences, d.String())
	}
	return paths, sentences
}

// matches says whether paths are those that are wanted. "a?" may be there or not.
func matches(want string, paths []string) bool {
	left := slices.Clone(paths)
	for field := range strings.FieldsSeq(want) {
		name, optional := strings.CutSuffix(field, "?")
		i := slices.Index(left, name)
		switch {
		case i >= 0:
			left = slices.Delete(left, i, i+1)
		case !optional:
			return false
		}
	}
	return len(left) == 0
}

// What stackctl makes of a file is what it would make again, before its start and
// after; each edit of the file is found, under the name that the file has for it.
func TestCompare(t *testing.T) {
	base := os.Getpid() % 100
	for i, c := range comparisons {
		t.Run(c.name, func(t *testing.T) {
			s := newStand(t)
			if c.api != "" && !s.atLeast(c.api) {
				t.Skipf("needs API %s", c.api)
			}
			dir := folder(t, mounted)
			text := c.file(base + i)
			d := s.loadIn(dir, text)
			s.makeResources(d)
			spec := d.Services[0].Containers[0]
			id := s.create(spec)
			check := func(when string) {
				if _, differences := s.differs(id, spec); len(differences) > 0 {
					t.Errorf("%s: differs from itself: %q", when, differences)
				}
			}
			check("created")
			if !c.created {
				s.must(s.StartContainer(s.ctx(), id))
				check("running")
			}
			s.findsEdits(c, base+i, dir, text, id)
			if !c.created {
				at := time.Duration(0)
				s.must(s.StopContainer(s.ctx(), id, &at))
				check("stopped")
			}
		})
	}
}

// findsEdits compares a container with each edit of its file.
func (s *stand) findsEdits(c comparison, part int, dir, text, id string) {
	s.t.Helper()
	in := strings.NewReplacer("PART", fmt.Sprint(part))
	for _, change := range c.changes {
		old, replaced := in.Replace(change.old), in.Replace(change.replaced)
		if !strings.Contains(text, old) {
			s.t.Errorf("%q is not in the file", old)
		}
		edited := s.loadIn(dir, strings.Replace(text, old, replaced, 1))
		paths, sentences := s.differs(id, edited.Services[0].Containers[0])
		if !matches(change.paths, paths) {
			s.t.Errorf("%q in place of %q: %q, want %s", replaced, old, sentences, change.paths)
		}
	}
}

// turnout counts the comparisons that took place. Some are skipped, for what an
// engine or a release of Compose does not take; a test fails when many are.
type turnout struct{ due, done atomic.Int32 }

func newTurnout(t *testing.T) *turnout {
	t.Helper()
	n := &turnout{}
	t.Cleanup(func() { // after the subtests
		if due, done := n.due.Load(), n.done.Load(); 3*done < 2*due {
			t.Errorf("only %d of %d comparisons took place", done, due)
		}
	})
	return n
}

// What Docker Compose makes of a file is what stackctl would make of it.
func TestCompareWithDockerCompose(t *testing.T) {
	turnout := newTurnout(t)
	for _, variable := range []string{"COMPOSE", "COMPOSE_SAME"} {
		compose := os.Getenv(variable)
		if compose == "" {
			if variable == "COMPOSE" {
				t.Fatal("COMPOSE has to name a Docker Compose 2: test/engine/compose.sh gives one")
			}
			continue
		}
		base := os.Getpid() % 100
		for i, c := range comparisons {
			t.Run(variable+"/"+c.name, func(t *testing.T) {
				turnout.due.Add(1)
				s := newStand(t)
				if c.api != "" && !s.atLeast(c.api) {
					t.Skipf("needs API %s", c.api)
				}
				dir := folder(t, mounted)
				text := c.file(base + i + 60)
				file := filepath.Join(dir, "compose.yaml")
				write(t, file, []byte(text))
				verb := []string{"up", "-d"}
				if c.created {
					verb = []string{"create"}
				}
				out, err := exec.CommandContext(s.ctx(), compose, append([]string{"-p", s.project, "-f", file}, verb...)...).CombinedOutput()
				if err != nil {
					t.Skipf("%s does not take it: %s", filepath.Base(compose), out)
				}
				turnout.done.Add(1)
				spec := s.loadIn(dir, text).Services[0].Containers[0]
				dropped := c.dropped
				if variable == "COMPOSE_SAME" {
					dropped = ""
					if c.dropped != "" && !s.atLeast(api144) {
						// It gives addresses in a place where older engines do not look.
						dropped = "mac_address? networks.back.mac_address?"
					}
				}
				if paths, differences := s.differs(spec.Name, spec); !matches(dropped, paths) {
					t.Errorf("differs: %q", differences)
				}
				if dropped == "" {
					s.findsEdits(c, base+i+60, dir, text, spec.Name)
				}
			})
		}
	}
}

// meant are the points of files of the corpus in which what Docker Compose makes is
// another container than what stackctl makes.
var meant = map[string]string{
	"environment.yaml":       "environment.FIFTH",     // an older compose-go lets another env_file win
	"files-from-text.yaml":   "configs. secrets.",     // some release writes them at the start only
	"files-of-a-user.yaml":   "secrets.",              // the same
	"files-with-owners.yaml": "volumes./run/secrets/", // Compose mounts them, with their owner on the host
	"gpus.yaml":              "gpus",                  // an older Compose drops the options
	"networks-mac.yaml":      "mac_address networks.", // and addresses
	"networks-macs.yaml":     "networks.",             // the same
	"volumes-from.yaml":      "volumes_from",          // Compose loses the "ro" of a service's
}

// The corpus of compose files, if it is there: what stackctl makes of each is what
// it would make again, and so is what Docker Compose makes.
func TestCompareCorpus(t *testing.T) {
	turnout := newTurnout(t)
	files, err := filepath.Glob("../../../../test/compose/corpus/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for i, file := range files {
		path, err := filepath.Abs(file)
		if err != nil {
			t.Fatal(err)
		}
		for j, variable := range []string{"", "COMPOSE", "COMPOSE_SAME"} {
			if variable != "" && os.Getenv(variable) == "" {
				continue
			}
			t.Run(filepath.Base(file)+"/"+cmp.Or(variable, "stackctl"), func(t *testing.T) {
				turnout.due.Add(1)
				s := newStand(t)
				part := (os.Getpid() + 3*i + j) % 256
				env := types.Mapping{
					"PROJECT": s.project, "PORT": "2900", "FROM_SHELL": "shell",
					"SUBNET": fmt.Sprintf("10.216.%d", part), "PREFIX6": fmt.Sprintf("fd16:0:0:%x", part),
				}
				project, err := loader.LoadWithContext(s.ctx(), types.ConfigDetails{
					WorkingDir: filepath.Dir(path), ConfigFiles: []types.ConfigFile{{Filename: path}}, Environment: env,
				}, func(o *loader.Options) { o.SetProjectName(s.project, true) })
				if err != nil {
					t.Skipf("not a file for one engine: %v", err)
				}
				d, err := state.Flatten(project)
				if err != nil {
					t.Skipf("not a file for one engine: %v", err)
				}
				if variable == "" {
					s.createAll(d)
				} else {
					s.composeCreates(os.Getenv(variable), path, env)
				}
				known := ""
				if variable != "" {
					known = meant[filepath.Base(file)]
				}
				s.compareAll(d, known)
				turnout.done.Add(1) // not if it was skipped
			})
		}
	}
}

// createAll makes what the engine takes of a project.
func (s *stand) createAll(d state.Desired) {
	s.t.Helper()
	for _, n := range d.Networks {
		if err := s.CreateNetwork(s.ctx(), n); err != nil {
			s.t.Skipf("this engine does not take it: %v", err)
		}
	}
	for _, v := range d.Volumes {
		if err := s.CreateVolume(s.ctx(), v); err != nil {
			s.t.Skipf("this engine does not take it: %v", err)
		}
	}
	for _, service := range d.Services {
		for _, spec := range service.Containers {
			if _, err := s.CreateContainer(s.ctx(), engine.CreateContainer{Spec: spec}); err != nil {
				s.t.Logf("this engine does not take it: %v", err)
			}
		}
	}
}

func (s *stand) composeCreates(compose, file string, env types.Mapping) {
	s.t.Helper()
	cmd := exec.CommandContext(s.ctx(), compose, "-p", s.project, "-f", file, "create", "--no-build")
	cmd.Env = append(os.Environ(), env.Values()...)
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Skipf("%s does not take it: %s", filepath.Base(compose), out)
	}
}

// compareAll compares the containers of a project that there are, and lets pass
// what begins with one of the known paths.
func (s *stand) compareAll(d state.Desired, known string) {
	s.t.Helper()
	for _, service := range d.Services {
		for _, spec := range service.Containers {
			if _, err := s.Inspect(s.ctx(), spec.Name); err != nil {
				continue
			}
			if _, _, err := s.translate(s.ctx(), engine.CreateContainer{Spec: spec}); err != nil {
				s.t.Skipf("stackctl refuses it on this engine: %v", err)
			}
			paths, differences := s.differs(spec.Name, spec)
			// Where its kernel has no weights for block devices, the engine drops them
			// and does not tell in any other way.
			passes := append(strings.Fields(known), "blkio_config.weight")
			paths = slices.DeleteFunc(paths, func(path string) bool {
				return slices.ContainsFunc(passes, func(start string) bool { return strings.HasPrefix(path, start) })
			})
			if len(paths) > 0 {
				s.t.Errorf("%s differs: %q", spec.Name, differences)
			}
		}
	}
}
