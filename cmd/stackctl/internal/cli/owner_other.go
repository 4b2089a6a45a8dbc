//go:build !unix

package cli

// giveTo has nothing to do where files follow their folder's rules.
func giveTo(string, string) {}
