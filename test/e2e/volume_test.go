//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackctl/stackctl/pkg/spec"
)

// Backup, down -v, restore and up bring the same rows back. STACKCTL_TEST_MB says
// how much the database holds.
func TestDatabaseComesBack(t *testing.T) {
	d := newDatabase(t)
	text, err := d.stack.Compose()
	if err != nil {
		t.Fatal(err)
	}
	d.write("compose.yaml", string(text))
	d.env = append(d.env, "POSTGRES_PASSWORD=secret")
	d.start()
	// A row takes about 1 KiB, and half of it is noise, as in data that is not made up.
	d.query(fmt.Sprintf(`CREATE TABLE facts AS SELECT i AS id, repeat(md5(i::text), 16) || repeat('x', 480) AS body
		FROM generate_series(1, %d) i`, 1000*number(t, "STACKCTL_TEST_MB", 10)), nil)
	const look = "SELECT count(*) || ' ' || sum(hashtext(body)::bigint) || ' ' || pg_size_pretty(pg_database_size('postgres')) FROM facts"
	var before, after string
	d.query(look, &before)
	began := time.Now()
	d.run(0, "down", "-v", "--backup", "backups")
	saved := time.Now()
	if left := d.resources(); len(left) > 0 {
		t.Errorf("left %q", left)
	}
	d.run(0, "volume", "restore", "backups")
	restored := time.Now()
	d.run(0, "up")
	d.query(look, &after)
	if before != after {
		t.Errorf("the rows before are %s, and after %s", before, after)
	}
	if n := d.recoveries(); n > 0 {
		t.Errorf("%d recoveries", n)
	}
	archive, err := os.Stat(filepath.Join(d.dir, "backups", d.project+"_database-storage.tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: down -v --backup %s, restore %s, archive %d MB", after, saved.Sub(began), restored.Sub(saved), archive.Size()>>20)
	d.run(5, "volume", "restore", "backups") // it holds data
	if n := d.recoveries(); n > 0 {
		t.Error("the refused restore has stopped the database")
	}
}

// listing describes all that is in a volume, the volume itself included.
const listing = `cd /data && find . -exec stat -c '%n %F %a %u:%g %s %h %Y' {} + | sed 's/^\(\S* directory .*\) [0-9]* [0-9]* \([0-9]*\)$/\1 \2/' | sort; readlink link dangling; md5sum big sparse`

// What is in a volume comes back as it was.
func TestVolumeComesBackAsItWas(t *testing.T) {
	s := newStage(t)
	data := &spec.Volume{Name: "data"}
	web := shell("web", "exec sleep 1000")
	web.Mounts = []spec.Mount{spec.Mounted(data, "/data")}
	text, err := spec.New("", web, data).Compose()
	if err != nil {
		t.Fatal(err)
	}
	s.write("compose.yaml", string(text))
	s.run(0, "up")
	s.run(0, "exec", "-T", "web", "sh", "-ec", `cd /data
		echo one > file; ln file hard; ln -s file link; ln -s /no/such dangling; mkfifo pipe; mkdir -p deep/er
		echo x > 'a name with spaces'; echo x > $(printf 'n%.0s' $(seq 1 200)); : > empty
		mkdir -p $(printf 'folder%.0s/' $(seq 1 40)); echo x > .hidden
		head -c 3000000 /dev/urandom > big; dd if=/dev/zero of=sparse bs=1 count=0 seek=5000000 2>/dev/null
		chown 70:71 file deep; chmod 4711 empty; chmod 1777 deep/er; chmod 600 big; chown 12345:54321 .; chmod 2750 .
		touch -d '2001-02-03 04:05:06' big file deep . `)
	before := s.run(0, "exec", "-T", "web", "sh", "-c", listing).stdout
	if !strings.Contains(before, ". directory 2750 12345:54321") {
		t.Fatalf("the volume is not as it was meant to be:\n%s", before)
	}
	s.run(0, "down", "-v", "--backup", "backups")
	s.run(0, "volume", "restore", "backups")
	s.run(0, "up")
	after := s.run(0, "exec", "-T", "web", "sh", "-c", listing).stdout
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("what is in the volume (-before +after):\n%s", diff)
	}
	if r := s.exec("sh", "-c", "cd backups && sha256sum -c *.sha256 && tar tzf *.tar.gz >/dev/null"); r.code != 0 {
		t.Error("sha256sum and tar do not take the backup for one")
	}
}

// A process that is killed in the middle leaves no volume that looks whole, and what
// it has left is cleared by the next run.
func TestCutBackupAndRestore(t *testing.T) {
	s := newStage(t)
	data := &spec.Volume{Name: "data"}
	web := shell("web", "exec sleep 1000")
	web.Mounts = []spec.Mount{spec.Mounted(data, "/data")}
	text, err := spec.New("", web, data).Compose()
	if err != nil {
		t.Fatal(err)
	}
	s.write("compose.yaml", string(text))
	s.run(0, "up")
	s.run(0, "exec", "-T", "web", "sh", "-c", "head -c 60000000 /dev/urandom > /data/big")

	seen := map[string]bool{} // helpers that a run before has left
	helper := func(kind string) func() bool {
		return func() bool {
			all, err := s.engine.Containers(t.Context(), s.project)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range all {
				if c.Helper == kind && !seen[c.ID] {
					seen[c.ID] = true
					return true
				}
			}
			return false
		}
	}
	b := s.start("volume", "backup", "cut")
	s.eventually("the backup has begun", helper("backup"))
	b.end(syscall.SIGKILL)
	s.waitState("web", "exited")
	if _, err := os.Stat(filepath.Join(s.dir, "cut", s.project+"_data.sha256")); err == nil {
		t.Fatal("the backup was done before it was killed")
	}
	s.run(0, "start")
	b = s.start("volume", "backup", "cut")
	s.eventually("another backup has begun", helper("backup"))
	if r := b.end(syscall.SIGINT); r.code != 130 {
		t.Errorf("interrupted: exit code %d", r.code)
	}
	s.waitState("web", "running")
	s.run(0, "volume", "backup", "whole")
	if got := len(s.containers()); got != 1 {
		t.Errorf("%d containers, and one is the service's: a helper of a backup is left", got)
	}
	s.run(0, "down", "-v")

	b = s.start("volume", "restore", "whole")
	s.eventually("the restore has begun", helper("restore"))
	b.end(syscall.SIGKILL)
	if r := s.run(1, "up"); !strings.Contains(r.stderr, "holds a part of a backup only") {
		t.Error("up does not say why it refuses")
	}
	s.run(0, "down")
	s.run(0, "volume", "restore", "whole")
	s.run(0, "up")
	if r := s.run(0, "exec", "-T", "web", "wc", "-c", "/data/big"); !strings.Contains(r.stdout, "60000000 ") {
		t.Errorf("restored %s", r.stdout)
	}
	s.run(0, "down", "-v")

	b = s.start("volume", "restore", "whole")
	s.eventually("another restore has begun", helper("restore"))
	if r := b.end(syscall.SIGINT); r.code != 130 {
		t.Errorf("interrupted: exit code %d", r.code)
	}
	if left := s.resources(); len(left) > 0 {
		t.Errorf("left %q", left)
	}
}
