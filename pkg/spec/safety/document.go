package safety

import (
	"fmt"
	"strings"
)

// Document writes docs/safety-rules.md from the table.
func Document() string {
	var out strings.Builder
	out.WriteString(`# What validate warns of

Written by ` + "`go test ./pkg/spec/safety -args -update`" + `; do not edit.

` + "`stackctl validate`" + ` warns of what is unsafe in a stack that is valid, one line each, with
the id of the rule at the end:

` + "```" + `
compose.yml:7:9: warning: services.db.ports[0]: publishes port 5432 of a database on all addresses of the host — remove it, since services reach each other without; or publish it as "127.0.0.1:5432:5432" [exposed-database]
` + "```" + `

Where it is meant, say so in the file, with the reason: for one service, or at the top
for all. A list of ids does without reasons.

` + "```yaml" + `
services:
  proxy:
    image: traefik:v3.1
    volumes: ["/var/run/docker.sock:/var/run/docker.sock:ro"]
    x-stackctl:
      allow:
        docker-socket: it finds the services by their labels
` + "```" + `

In Go that is ` + "`Allow: spec.Allowed{safety.DockerSocket: \"…\"}`" + ` of a Service or of the Stack. An id
that no rule has is a fault. Other tools ignore the key, and a container is not replaced
for it.

` + "`--strict`" + ` makes warnings faults (exit code 3), for CI; what is allowed is none. With
` + "`--format json`" + ` they are a document. Values of variables are never shown.

| rule | finds | why it is unsafe | instead |
|---|---|---|---|
`)
	for _, r := range table() {
		fmt.Fprintf(&out, "| `%s` | %s | %s | %s. |\n", r.id, r.what, r.why, strings.ToUpper(r.instead[:1])+r.instead[1:])
	}
	return out.String()
}
