package state

// Difference is one point in which what there is differs from what is wanted.
type Difference struct {
	// Path is where a compose file says it: "environment.LOG_LEVEL",
	// "ports[0]", "healthcheck.interval".
	Path string
	// Old is what there is, New what is wanted, as a compose file writes them;
	// empty for nothing. Both are empty when the values may not be shown.
	Old, New string
}

// String gives "environment.LOG_LEVEL: info → debug".
func (d Difference) String() string {
	switch {
	case d.Old == "" && d.New == "":
		return d.Path + " changed"
	case d.Old == "":
		return d.Path + ": " + d.New + " is new"
	case d.New == "":
		return d.Path + ": " + d.Old + " is taken out"
	}
	return d.Path + ": " + d.Old + " → " + d.New
}
