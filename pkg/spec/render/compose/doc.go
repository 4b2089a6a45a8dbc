// Package compose prints compose files the way a person writes them: sections
// and keys in the order that people use, services after those they depend on,
// the short syntax wherever it says the same, and no line that a loader would
// add by itself.
//
// Files that say the same are printed as the same text: merges are resolved,
// maps whose order means nothing are sorted, and text, times, permissions and
// command lines have one form.
//
// The input of Format is a tree of YAML nodes in any form that the compose
// specification allows; its text is taken as it is, with references to
// variables and doubled dollar signs. Project prints a model that is loaded
// already, in which variables have their values.
package compose
