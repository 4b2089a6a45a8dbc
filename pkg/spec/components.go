package spec

import "strings"

var (
	_ Part       = (*Service)(nil)
	_ Part       = (*Network)(nil)
	_ Part       = (*Volume)(nil)
	_ Part       = (*Secret)(nil)
	_ Part       = (*Config)(nil)
	_ Part       = (*Postgres)(nil)
	_ Part       = (*Redis)(nil)
	_ Part       = (*GoApp)(nil)
	_ Dependable = (*Service)(nil)
	_ Dependable = (*Postgres)(nil)
	_ Dependable = (*Redis)(nil)
	_ Dependable = (*GoApp)(nil)
)

func orElse(v, def Value) Value {
	if v == "" {
		return def
	}
	return v
}

// envNames returns the function that puts a component's prefix before the name
// of a variable.
func envNames(def string, prefix []string) func(string) string {
	p := strings.Join(prefix, "_")
	if p == "" {
		p = def
	}
	return func(name string) string { return p + "_" + name }
}
