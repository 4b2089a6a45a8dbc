package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzAppendLine adds a variable to any .env: what was there stays to the byte, and
// where the file could be read before, it can be read after, with all that it said
// and the new one.
func FuzzAppendLine(f *testing.F) {
	for _, before := range []string{"", "A=b", "A=b\r\n", "A='x\ny'\n", "# only", "A=\"open", "\ufeffA=b\n", "A=$B\nB=c", "export A=b", "A='", "\r", "A: b\n", "A=b # c", "A\n"} {
		f.Add(before)
	}
	f.Fuzz(func(t *testing.T, before string) {
		dir := t.TempDir()
		path := filepath.Join(dir, dotenvName)
		if err := os.WriteFile(path, []byte(before), 0o600); err != nil {
			t.Fatal(err)
		}
		had, brokenBefore := readVariablesIn(dir, nil, nil)
		if err := appendLine(path, "# new\n", "NEW_VARIABLE=x1Y", true); err != nil {
			t.Fatal(err)
		}
		after, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(after), before) || !strings.HasSuffix(strings.TrimRight(string(after), "\r\n"), "NEW_VARIABLE=x1Y") {
			t.Errorf("%q became %q", before, after)
		}
		has, err := readVariablesIn(dir, nil, nil)
		switch {
		case brokenBefore != nil:
			return
		case err != nil:
			t.Fatalf("%q can be read, %q cannot: %v", before, after, err)
		}
		had["NEW_VARIABLE"] = "x1Y"
		if diff := cmp.Diff(had, has); diff != "" {
			t.Errorf("%q became %q (-want +got):\n%s", before, after, diff)
		}
	})
}

// FuzzFlags gives any text to the flags that take more than a word.
func FuzzFlags(f *testing.F) {
	for _, text := range []string{"", "all", "-1", "3", "web=3", "=1", "web=-1", "1m30s", "9999999999h", "2026-03-04T05:06:07Z", "1.5", "80/tcp", "\x00"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		numbers := scale{}
		if err := numbers.Set(text); err == nil {
			for service, n := range numbers {
				if service == "" || n < 0 || !strings.HasPrefix(text, service+"=") {
					t.Errorf("%q is %d of %q", text, n, service)
				}
			}
		}
		var lines *int
		if err := newTail(&lines).Set(text); err == nil && lines != nil && *lines < 0 {
			t.Errorf("%q is %d lines", text, *lines)
		}
	})
}
