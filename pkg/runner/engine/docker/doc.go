// Package docker is the [engine.Engine] that speaks to a Docker Engine, from
// API 1.41 (Docker 20.10) on. It is the only package that knows the types of
// the Docker API.
//
// It reads no environment of its own: [Options] brings all that it may look at.
package docker
