// Package display shows what a run does: it reads the events of the library and
// writes them for a person or a program. Plans and tables are here, too.
//
// Nothing here can stop or slow a run. Events wait in the subscription's own
// queue, and an error in writing is dropped, for progress that nobody can read
// is no reason to fail.
package display
