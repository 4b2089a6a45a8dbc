package gosource

import (
	"go/token"
	"slices"
	"strconv"
	"strings"
)

// names are the variables of a program.
type names struct {
	all   map[string]string // by section.name
	stack string            // of the stack itself
}

func (n names) of(section, name string) string { return n.all[section+"."+name] }

// nameAll gives everything that is declared a variable of its own. Services
// choose first; what shares a service's name says what it is.
func (p *writer) nameAll() {
	p.names.all = map[string]string{}
	// Identifiers that the program uses for something else.
	taken := []string{"spec", "time", "nil", "true", "false", "string", "any", "uint64"}
	choose := func(name, kind string) string {
		variable := identifier(name)
		if variable == "" || token.IsKeyword(variable) || slices.Contains(taken, variable) {
			variable = identifier(name + "-" + kind)
		}
		if !token.IsIdentifier(variable) { // it begins with a digit
			variable = identifier(kind + "-" + name)
		}
		base := variable
		for i := 2; slices.Contains(taken, variable); i++ {
			variable = base + strconv.Itoa(i)
		}
		taken = append(taken, variable)
		return variable
	}
	all := sections()
	for _, s := range append(all[len(all)-1:], all[:len(all)-1]...) {
		for _, name := range p.root.object(s.key).keys() {
			p.names.all[s.key+"."+name] = choose(name, strings.ToLower(s.goType))
		}
	}
	p.names.stack = choose("stack", "whole")
}

// identifier writes a name as Go does: db-storage is dbStorage.
func identifier(name string) string {
	words := strings.FieldsFunc(name, func(r rune) bool { return r == '-' || r == '_' || r == '.' })
	for i, word := range words {
		switch {
		case i > 0:
			words[i] = strings.ToUpper(word[:1]) + word[1:]
		case word == strings.ToUpper(word):
			words[i] = strings.ToLower(word)
		default:
			words[i] = strings.ToLower(word[:1]) + word[1:]
		}
	}
	return strings.Join(words, "")
}
