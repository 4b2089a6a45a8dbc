package spec

import "time"

// Healthcheck tells the engine how to find out whether a container works.
type Healthcheck struct {
	// Test is run in the container. Nil: the image's own test.
	Test HealthTest
	// Interval is the time from one test to the next. Zero: 30 s.
	Interval time.Duration
	// Timeout is what one test may take. Zero: 30 s.
	Timeout time.Duration
	// Retries is the number of failures in a row that make a container
	// unhealthy. Zero: 3.
	Retries int
	// StartPeriod is the time after the start in which failures do not count.
	StartPeriod time.Duration
	// StartInterval is the interval within StartPeriod, which must be set with
	// it. Zero: 5 s. Engines before API 1.44 ignore it.
	StartInterval time.Duration
}

// HealthTest is the command of a healthcheck as compose writes it: CMD,
// CMD-SHELL or NONE, then the arguments. Exit code 0 means healthy.
type HealthTest []Value

// CmdTest runs a program with its arguments, without a shell.
func CmdTest(program Value, args ...Value) HealthTest {
	return append(HealthTest{"CMD", program}, args...)
}

// ShellTest runs a command line with the image's shell, which sees the
// container's environment.
func ShellTest(command Value) HealthTest {
	return HealthTest{"CMD-SHELL", command}
}

// NewHealthcheck returns a healthcheck with the times that the components of
// this package use: every 10 s, 5 s at most, 5 retries, and for the first 30 s
// every 250 ms without counting failures, so that a service which is ready
// early is seen early.
func NewHealthcheck(test HealthTest) *Healthcheck {
	return &Healthcheck{
		Test:          test,
		Interval:      10 * time.Second,
		Timeout:       5 * time.Second,
		Retries:       5,
		StartPeriod:   30 * time.Second,
		StartInterval: 250 * time.Millisecond,
	}
}

// NoHealthcheck turns off the test that an image brings.
func NoHealthcheck() *Healthcheck {
	return &Healthcheck{Test: HealthTest{"NONE"}}
}
