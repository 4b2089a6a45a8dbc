package state

import "fmt"

// Kind is the kind of an engine resource.
type Kind string

// The kinds of resources that a stack is made of.
const (
	KindContainer Kind = "container"
	KindNetwork   Kind = "network"
	KindVolume    Kind = "volume"
	KindImage     Kind = "image"
)

// Ref names one resource of the engine. The zero value names nothing.
type Ref struct {
	Kind Kind   `json:"kind"`
	Name string `json:"name"`
}

// String gives "container web-1".
func (r Ref) String() string {
	if r == (Ref{}) {
		return ""
	}
	return fmt.Sprintf("%s %s", r.Kind, r.Name)
}
