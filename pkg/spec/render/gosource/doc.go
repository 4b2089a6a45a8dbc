// Package gosource prints compose files as Go programs that build the same
// stack with package spec: what refers to another part of the stack does so by
// a Go variable, references to variables of the environment stay references,
// and what package spec has no field for is kept under Extra as it was written.
//
// It writes text and does not import package spec. What it relies on is that
// the program prints the compose file that it was made from, which its test
// runs programs to see.
package gosource
