package cli

import (
	"regexp"
	"strings"
)

// command finds, in what we tell, the commands about a stack that can be typed as
// they are.
var command = regexp.MustCompile("`stackctl (up|down|start|stop|logs|status|exec|pull|volume [a-z]+)( [^`]*)?`")

// addressed puts the flags that this command was given to find its stack and its
// engine into the commands of a hint, which would be about another stack without.
func (g *globalOptions) addressed(hint string) string {
	return command.ReplaceAllStringFunc(hint, func(text string) string {
		if strings.Contains(text, " --help") || strings.Contains(text, " --bundle") {
			return text
		}
		verb := strings.TrimSuffix(strings.Fields(text)[1], "`")
		flags := g.address(verb != "up")
		return strings.Join(append([]string{"`stackctl"}, flags...), " ") + strings.TrimPrefix(text, "`stackctl")
	})
}

// address gives the flags that name the stack and the engine. What was read from
// the standard input is gone: the project's name stands for it where that will do.
func (g *globalOptions) address(byName bool) []string {
	var flags []string
	add := func(flag, value string) {
		if value != "" {
			flags = append(flags, flag, quotedWord(value))
		}
	}
	project := g.projectName
	for _, file := range g.files {
		if file == "-" && byName && g.current != nil {
			project = g.current.name
			continue
		}
		add("-f", file)
	}
	if g.builtin {
		flags = append(flags, "--builtin")
	}
	add("--bundle", g.bundle)
	add("--project-directory", g.projectDirectory)
	for _, profile := range g.profiles {
		add("--profile", profile)
	}
	add("-p", project)
	for _, file := range g.envFiles {
		add("--env-file", file)
	}
	add("-H", g.host)
	add("--context", g.context)
	return flags
}

// quotedWord writes a word for a shell, in quotes if it needs them.
func quotedWord(word string) string {
	if !strings.ContainsAny(word, " \t*?$'\"\\;&|<>()[]{}!#~`") {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
