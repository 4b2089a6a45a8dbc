package state

// Condition is what is waited for of a container.
type Condition string

// The conditions.
const (
	// Running is met by a container that runs, or has ended with exit code 0.
	Running Condition = "running"
	// Healthy is met when the healthcheck succeeds; without one, by Running.
	Healthy Condition = "healthy"
	// Stable is met by a container that still runs a moment after its start, or
	// that has ended with exit code 0.
	Stable Condition = "stable"
	// Completed is met by exit code 0.
	Completed Condition = "completed"
)
