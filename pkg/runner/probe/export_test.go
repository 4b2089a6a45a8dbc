package probe

// Open waits until the stream is open.
var Open = (*Watch).open

// PauseAfter is the pause between two probes.
var PauseAfter = pauseAfter
