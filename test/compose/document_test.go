package compose

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write docs/compose-differences.md anew")

const document = "../../docs/compose-differences.md"

// The document says what the table and the corpus say.
func TestDocument(t *testing.T) {
	want := writeDocument(corpusFiles(t))
	if *update {
		if err := os.WriteFile(document, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("%s is not what the table says; go test ./test/compose -update writes it anew (-want +got):\n%s", document, diff)
	}
}

func writeDocument(files []corpusFile) string {
	var b strings.Builder
	write := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	write("# Where stackctl and Docker Compose differ")
	write("")
	write("<!-- Written by go test ./test/compose -update. Change the table in")
	write("test/compose/differences_test.go or what a file of the corpus says of itself. -->")
	write("")
	write("`test/compose` brings %d compose files up with Docker Compose 2.26.1 and with", len(files))
	write("stackctl on a real engine, and compares what the engine then says of every container,")
	write("network, volume and image, and what is seen from inside. Ids, times and what the")
	write("engine chose by itself (addresses, ports) do not count. All is equal but for the")
	write("following; the test fails for a difference that is not listed here, and for one that")
	write("is listed and gone.")
	write("")
	write("## What is made otherwise")
	write("")
	write("| why | file | where |")
	write("|---|---|---|")
	for _, d := range differences {
		file := "all"
		if d.File != "" {
			file = fileLink(d.File)
		}
		var places []string
		for _, p := range d.At {
			places = append(places, "`"+p.Path+"`")
		}
		write("| %s | %s | %s |", d.Reason+since("From API %s on.", d.API), file, strings.Join(places, "<br>"))
	}
	section(write, "What only one of them refuses", "| what | refused by | why |", files,
		func(f corpusFile) (string, bool) {
			return fmt.Sprintf("| %s (%s) | %s | %s |", f.about, fileLink(f.name), f.Refused+since("before API %s", f.API), f.Why),
				f.Refused == refusedByCompose || f.Refused == refusedByStackctl
		})
	section(write, "What Docker Compose 2.26.1 does not know", "| what |", files,
		func(f corpusFile) (string, bool) {
			return fmt.Sprintf("| %s (%s) |", f.about, fileLink(f.name)), f.OnlyStackctl
		})
	return b.String()
}

// section writes a table of the files that have a row; none without any.
func section(write func(string, ...any), title, head string, files []corpusFile, row func(corpusFile) (string, bool)) {
	begun := false
	for _, f := range files {
		line, some := row(f)
		if !some {
			continue
		}
		if !begun {
			write("")
			write("## %s", title)
			write("")
			write("%s", head)
			write("%s", strings.Repeat("|---", strings.Count(head, "|")-1)+"|")
			begun = true
		}
		write("%s", line)
	}
}

func fileLink(name string) string {
	return fmt.Sprintf("[%s](../test/compose/corpus/%[1]s.yaml)", name)
}

// since says of which engines something holds; nothing when it is all.
func since(format, api string) string {
	if api == "" {
		return ""
	}
	return " " + fmt.Sprintf(format, api)
}

// What the table names is there.
func TestTable(t *testing.T) {
	files := map[string]bool{"": true}
	for _, f := range corpusFiles(t) {
		files[f.name] = true
	}
	for _, d := range differences {
		if !files[d.File] {
			t.Errorf("%s: no file %s in the corpus", d.Reason, d.File)
		}
		if d.Reason == "" || len(d.At) == 0 {
			t.Errorf("a difference without a reason or a place: %+v", d)
		}
	}
}

// A listed difference is struck out of both sides; one that is other than listed,
// and one that is not listed, stay and are told.
func TestStrike(t *testing.T) {
	listed := place{Path: "/containers/*/Config/Labels/io.stackctl.*", Compose: absent, Stackctl: `"v1:.+"`}
	side := func(labels map[string]any, user string) any {
		return map[string]any{"containers": map[string]any{"web": map[string]any{
			"Config": map[string]any{"Labels": labels, "User": user},
		}}}
	}
	for name, c := range map[string]struct {
		theirs, ours any
		used         bool
		err          string
		left         []string
	}{
		"equal": {side(map[string]any{"a": "b"}, ""), side(map[string]any{"a": "b"}, ""), false, "", nil},
		"listed": {
			side(map[string]any{"a": "b"}, ""), side(map[string]any{"a": "b", "io.stackctl.hash": "v1:x"}, ""),
			true, "", nil,
		},
		"otherwise than listed": {
			side(map[string]any{"a": "b"}, ""), side(map[string]any{"a": "b", "io.stackctl.hash": "v2:x"}, ""),
			false, `/containers/web/Config/Labels/io.stackctl.hash differs otherwise than listed: stackctl has "v2:x", the list "v1:.+"`,
			[]string{"/containers/web/Config/Labels/io.stackctl.hash\n\tdocker-compose absent\n\tstackctl       \"v2:x\""},
		},
		"not listed": {
			side(map[string]any{"a": "b"}, "root"), side(map[string]any{"a": "c"}, "root"),
			false, "",
			[]string{"/containers/web/Config/Labels/a\n\tdocker-compose \"b\"\n\tstackctl       \"c\""},
		},
	} {
		t.Run(name, func(t *testing.T) {
			used, err := listed.strike(c.theirs, c.ours)
			said := ""
			if err != nil {
				said = err.Error()
			}
			if used != c.used || said != c.err {
				t.Errorf("used %v, error %q; want %v, %q", used, said, c.used, c.err)
			}
			if diff := cmp.Diff(c.left, unlisted("", c.theirs, c.ours)); diff != "" {
				t.Errorf("what is left (-want +got):\n%s", diff)
			}
		})
	}
}

// What two runs of one tool have otherwise is made equal, and nothing else is.
func TestNormalise(t *testing.T) {
	id := strings.Repeat("0a1b2c3d", 8)
	n := newNormaliser("corpus-x-web")
	n.knows(id, "container corpus-x-web-app-1")
	got := n.normalise(map[string]any{
		"containers": map[string]any{"corpus-x-web-app-1": map[string]any{
			"Id":      id,
			"Created": "2026-01-01T00:00:00Z",
			"Config":  map[string]any{"Hostname": id[:12], "User": "", "Env": []any{"B=2", "A=1"}, "Cmd": []any{"b", "a"}},
			"HostConfig": map[string]any{"Dns": []any{}, "Init": nil, "PortBindings": map[string]any{
				"80/tcp": []any{map[string]any{"HostPort": ""}}, "81/tcp": []any{map[string]any{"HostPort": "8081"}},
			}},
			"NetworkSettings": map[string]any{
				"Ports": map[string]any{
					"80/tcp": []any{map[string]any{"HostPort": "32768"}}, "81/tcp": []any{map[string]any{"HostPort": "8081"}},
				},
				"Networks": map[string]any{
					"pool":  map[string]any{"IPAddress": "172.18.0.2", "IPPrefixLen": 16, "MacAddress": "02:42:ac:12:00:02"},
					"fixed": map[string]any{"IPAddress": "198.18.7.20", "IPPrefixLen": 24, "MacAddress": "92:d0:c6:0a:29:33"},
				},
			},
		}},
	})
	want := map[string]any{"containers": map[string]any{"PROJECT-app-1": map[string]any{
		"Id":     "<container PROJECT-app-1>",
		"Config": map[string]any{"Hostname": "<short container PROJECT-app-1>", "Env": []any{"A=1", "B=2"}, "Cmd": []any{"b", "a"}},
		"HostConfig": map[string]any{"PortBindings": map[string]any{
			// Said to be nothing is not said.
			"80/tcp": []any{map[string]any{}}, "81/tcp": []any{map[string]any{"HostPort": "8081"}},
		}},
		"NetworkSettings": map[string]any{
			"Ports": map[string]any{
				"80/tcp": []any{map[string]any{"HostPort": "<chosen>"}}, "81/tcp": []any{map[string]any{"HostPort": "8081"}},
			},
			"Networks": map[string]any{
				"pool":  map[string]any{"IPAddress": "<address>", "IPPrefixLen": "<of the pool>", "MacAddress": "<hardware address>"},
				"fixed": map[string]any{"IPAddress": "198.18.7.20", "IPPrefixLen": 24, "MacAddress": "92:d0:c6:0a:29:33"},
			},
		},
	}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
