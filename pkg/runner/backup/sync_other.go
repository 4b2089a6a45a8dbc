//go:build !unix

package backup

// syncFolder does nothing: a folder cannot be opened to be written to the disk.
func syncFolder(string) error { return nil }
