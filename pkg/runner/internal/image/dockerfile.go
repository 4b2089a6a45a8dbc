package image

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/template"
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stackctl/stackctl/pkg/runner/engine"
)

// Bases gives the images that the build of a service starts from, as far as it is
// a Dockerfile that is built: those of FROM, of COPY --from and mounts, and the
// one that a syntax line names. Nil for a service that the Go toolchain builds.
func (b *Builder) Bases(ctx context.Context, service types.ServiceConfig) ([]string, error) {
	config := service.Build
	if config == nil || (engine.BuildRequest{Context: config.Context}).Remote() || b.takesGo(ctx, config) {
		return nil, nil
	}
	text := []byte(config.DockerfileInline)
	if len(text) == 0 {
		name := cmp.Or(config.Dockerfile, "Dockerfile")
		if !filepath.IsAbs(name) {
			name = filepath.Join(config.Context, name)
		}
		var err error
		if text, err = os.ReadFile(name); err != nil {
			return nil, fmt.Errorf("service %s: read the Dockerfile: %w", service.Name, err)
		}
	}
	args := map[string]string{
		"TARGETPLATFORM": b.OS + "/" + b.Arch, "TARGETOS": b.OS, "TARGETARCH": b.Arch, "TARGETVARIANT": "",
		"BUILDPLATFORM": b.OS + "/" + b.Arch, "BUILDOS": b.OS, "BUILDARCH": b.Arch, "BUILDVARIANT": "",
	}
	given := map[string]string{}
	for name, value := range config.Args {
		if value != nil {
			given[name] = *value
		}
	}
	var contexts []string
	for name := range config.AdditionalContexts {
		contexts = append(contexts, name)
	}
	return basesOf(string(text), config.Target, args, given, contexts), nil
}

// takesGo says that the Go toolchain builds the service.
func (b *Builder) takesGo(ctx context.Context, config *types.BuildConfig) bool {
	name, err := goPackage(config)
	if err != nil || name == "" || b.Mode == Engine {
		return false
	}
	if b.Mode == Go {
		return true
	}
	tool, err := b.toolchain(ctx, config.Context, name, b.targetOf(""))
	return err == nil && tool.usable()
}

// stage is one stage of a Dockerfile: its name, and the stages or images that it
// takes something from, the one that it starts from first.
type stage struct {
	name string
	from []string
}

var (
	directive = regexp.MustCompile(`^#\s*([a-zA-Z]+)\s*=\s*(\S+)\s*$`)
	heredoc   = regexp.MustCompile(`<<-?\s*["']?([a-zA-Z_][a-zA-Z0-9_]*)["']?`)
	mountFrom = regexp.MustCompile(`--mount=\S*\bfrom=([^,\s]+)`)
	copyFrom  = regexp.MustCompile(`--from=(\S+)`)
)

// basesOf reads a Dockerfile. args are what BuildKit defines, given what the user
// does; contexts are names that stand for no image.
func basesOf(text, target string, args, given map[string]string, contexts []string) []string {
	var (
		stages []stage
		syntax string
	)
	for _, line := range instructions(text, &syntax) {
		word, rest, _ := strings.Cut(line, " ")
		switch rest = strings.TrimSpace(rest); strings.ToUpper(word) {
		case "ARG":
			if len(stages) > 0 {
				break // it counts within its stage only, where no image is named by it
			}
			for field := range strings.FieldsSeq(rest) {
				name, value, _ := strings.Cut(field, "=")
				if set, there := given[name]; there {
					value = set
				} else if own, there := args[name]; there && !strings.Contains(field, "=") {
					value = own
				}
				args[name] = expand(strings.Trim(value, `"'`), args)
			}
		case "FROM":
			fields := slices.DeleteFunc(strings.Fields(rest), func(f string) bool { return strings.HasPrefix(f, "--") })
			if len(fields) == 0 {
				break // which the build will tell
			}
			s := stage{from: []string{expand(fields[0], args)}}
			if len(fields) == 3 {
				s.name = strings.ToLower(fields[2])
			}
			stages = append(stages, s)
		case "COPY", "ADD", "RUN":
			if len(stages) == 0 {
				break
			}
			pattern := copyFrom
			if strings.EqualFold(word, "RUN") {
				pattern = mountFrom
			}
			last := &stages[len(stages)-1]
			for _, found := range pattern.FindAllStringSubmatch(rest, -1) {
				last.from = append(last.from, expand(found[1], args))
			}
		}
	}
	var out []string
	add := func(image string) {
		if image != "" && !slices.Contains(out, image) {
			out = append(out, image)
		}
	}
	add(syntax)
	seen := map[int]bool{}
	var visit func(at int)
	visit = func(at int) {
		if at < 0 || seen[at] {
			return
		}
		seen[at] = true
		for i, name := range stages[at].from {
			earlier := find(stages[:at], name)
			if number, err := strconv.Atoi(name); err == nil && i > 0 && number < at {
				earlier = number
			}
			switch {
			case earlier >= 0:
				visit(earlier)
			case name == "scratch" || slices.Contains(contexts, name):
			default:
				add(name)
			}
		}
	}
	last := len(stages) - 1
	if target != "" {
		last = find(stages, target)
		if number, err := strconv.Atoi(target); err == nil && number < len(stages) {
			last = number
		}
	}
	visit(last)
	return out
}

// find gives the last stage of a name; -1 for none.
func find(stages []stage, name string) int {
	for i := len(stages) - 1; i >= 0; i-- {
		if stages[i].name != "" && stages[i].name == strings.ToLower(name) {
			return i
		}
	}
	return -1
}

// expand fills variables in; text that cannot be expanded stays as it is.
func expand(text string, args map[string]string) string {
	out, err := template.Substitute(text, func(name string) (string, bool) {
		value, there := args[name]
		return value, there
	})
	if err != nil {
		return text
	}
	return out
}

// instructions gives the instructions of a Dockerfile, each on one line: comments
// and the bodies of here-documents are left out. syntax gets the image that the
// line of that name asks for.
func instructions(text string, syntax *string) []string {
	var (
		out     []string
		open    strings.Builder
		escape  = `\`
		heading = true
		ends    []string // of the here-documents that are open
	)
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if len(ends) > 0 {
			if line == ends[0] {
				ends = ends[1:]
			}
			continue
		}
		if heading {
			found := directive.FindStringSubmatch(line)
			if heading = found != nil; heading {
				switch strings.ToLower(found[1]) {
				case "syntax":
					*syntax = found[2]
				case "escape":
					escape = found[2]
				}
				continue
			}
		}
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if more, continues := strings.CutSuffix(line, escape); continues {
			open.WriteString(more + " ")
			continue
		}
		open.WriteString(line)
		whole := open.String()
		open.Reset()
		out = append(out, whole)
		word, _, _ := strings.Cut(whole, " ")
		if slices.Contains([]string{"RUN", "COPY", "ADD"}, strings.ToUpper(word)) {
			for _, found := range heredoc.FindAllStringSubmatch(whole, -1) {
				ends = append(ends, found[1])
			}
		}
	}
	return out
}
