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
` + "`build.x-stackctl`" + `, ` + "`x-stackctl.allow`" + ` and a service's ` + "`x-stackctl.read_only`" + `. "And all below" stands for every field inside.
`)
	out.WriteString(differences)
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

// differences is what a user of Docker Compose has to know.
const differences = `
## Where this differs from Docker Compose

| | Docker Compose | stackctl |
|---|---|---|
| uid, gid, mode of a config or secret from a file | are ignored: the file is mounted | the file is copied, with that owner and mode |
| a config or secret from content or environment, with read_only | is refused | its folder gets a volume, which the next container takes over |
| the same, in a folder below a tmpfs | is hidden by the tmpfs | its folder gets a volume |
| ":ro" of a service in volumes_from | is dropped | counts |
| healthcheck.start_interval on engines before Docker 25 | is refused | stackctl probes by itself |
| what has no meaning on one engine | is dropped in silence | a warning names it |
| credential_spec, umask | are dropped in silence | mapped, and refused |
| build.no_cache_filter | the named stages | all stages |
| build.provenance, build.sbom | the build fails where the engine cannot | a warning; the same image |
| build.cache_to of other types | the build fails where the engine cannot | a warning; the same image |
| build.additional_contexts, entitlements, privileged | are done by buildx | refused: build with Compose, and stackctl runs the image |
| pre_start, provider, models | are done by Compose 5, with plugins | refused |
`
