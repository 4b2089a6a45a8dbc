// Package support says what becomes of every field of the compose specification:
// it is mapped, refused, or ignored with a warning. The tables are compared with
// the specification's own schema by a test, which also writes
// docs/compose-support.md from them.
package support
