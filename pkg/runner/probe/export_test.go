package probe

// Open waits until the stream is open.
var Open = (*Watch).open
