package support

import (
	"fmt"
	"strings"
)

// Document writes docs/compose-support.md from the table.
func Document() string {
	var out strings.Builder
	out.WriteString(`# Every field of the compose specification

Written by ` + "`go test ./pkg/runner/support -args -update`" + `; do not edit. The test reads the
list of fields from the schema of compose-go and fails when one has no class here.

- **mapped**: does what the specification says. The last column names the field of
  the Engine API that it becomes, or who reads it.
- **refused**: ` + "`up` and `plan`" + ` end before anything is changed, and name every such
  field with the reason. What is said of a build counts only when something is
  built: an image that is there, built by whatever tool, runs.
- **ignored, with a warning**: has no meaning on one engine, or changes nothing in
  what runs.

A release behind a field means that older engines do not know it: there it is
refused. Fields that begin with ` + "`x-`" + ` are for other tools; stackctl reads
` + "`build.x-stackctl`" + `. "And all below" stands for every field inside.
`)
	counts := map[Class]int{}
	for _, s := range sections() {
		fmt.Fprintf(&out, "\n## %s\n\n| field | class | what becomes of it |\n|---|---|---|\n", s.title)
		for _, f := range s.fields {
			counts[f.Class]++
			path := "`" + f.Path + "`"
			if f.Whole {
				path += " and all below"
			}
			fmt.Fprintf(&out, "| %s | %s | %s |\n", path, classText(f.Class, f.Since), f.Note)
			for _, c := range f.Cases {
				fmt.Fprintf(&out, "| … %s | %s | %s |\n", c.Value, classText(c.Class, c.Since), c.Note)
			}
		}
	}
	fmt.Fprintf(&out, "\n%d rows are mapped, %d refused, %d ignored with a warning.\n", counts[Mapped], counts[Refused], counts[Ignored])
	return out.String()
}

func classText(c Class, since string) string {
	if since != "" {
		return fmt.Sprintf("%s, %s", c, releases[since])
	}
	return c.String()
}
