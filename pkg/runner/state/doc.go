// Package state describes both sides that a plan compares: [Desired], a project
// flattened to the resources that an engine is to have, and [Observed], one
// snapshot of what the engine has. It also owns what ties the two together:
// names, labels and hashes.
package state
