// Package runner brings a loaded compose project up on a container engine, and
// down again.
//
// It works in four stages: observe the engine once, reconcile what is there with
// what is wanted into a plan, execute the plan with everything in parallel that
// can be, and wait until each service is ready before what depends on it starts.
// The plan can be had without executing it; see [Runner.Plan].
//
// The package prints nothing and keeps no global state. What happens is told as
// events; see [WithEvents].
package runner
