package spec

// Stack is a set of services with the networks, volumes, secrets and configs
// that they use. What refers to another part of the stack does so by its Go value, so a
// misspelt name does not compile; Validate reports a value that was never
// added.
type Stack struct {
	// Name is the project's name: lower-case letters, digits, '-' and '_',
	// beginning with a letter or digit. The engine's containers, networks and
	// volumes carry it as a prefix. Empty: the name of the folder that the stack
	// is loaded in.
	Name string

	Services []*Service
	Networks []*Network
	Volumes  []*Volume
	Secrets  []*Secret
	Configs  []*Config

	// Allow says which findings of package safety are meant, in all services.
	Allow Allowed

	// Extra holds top-level compose keys that have no field here: "x-team",
	// "include"; see Service.Extra.
	Extra map[string]any
}

// Part is what a stack is made of: a service, network, volume, secret or config,
// or a component that brings several of them.
type Part interface {
	// AddTo appends the part to the stack.
	AddTo(*Stack)
}

// New returns a stack of the given parts, in that order.
func New(name string, parts ...Part) *Stack {
	s := &Stack{Name: name}
	s.Add(parts...)
	return s
}

// Add appends parts to the stack. A value that is in it already is not added
// again.
func (s *Stack) Add(parts ...Part) {
	for _, part := range parts {
		if part != nil {
			part.AddTo(s)
		}
	}
}

// Network is a network of the stack's own, which containers reach each other
// on by the names of their services.
type Network struct {
	// Name is the key in the compose file; the engine's name is
	// <project>_<Name>.
	Name string
	// Driver is the engine's network driver. Empty: the engine's default, bridge.
	Driver string
	// Internal cuts the network off from the outside.
	Internal bool
	// External says that the network exists already and is not created or
	// removed with the stack.
	External bool
	// EngineName replaces the engine's name. Empty: <project>_<Name>, or Name
	// for an external network.
	EngineName Value
	// Labels are put on the network.
	Labels map[string]Value
	// Extra holds compose keys that have no field here, such as "ipam"; see
	// Service.Extra.
	Extra map[string]any
}

// AddTo implements Part.
func (n *Network) AddTo(s *Stack) { s.Networks = appendOnce(s.Networks, n) }

// Volume is storage that outlives the containers that mount it.
type Volume struct {
	// Name is the key in the compose file; the engine's name is
	// <project>_<Name>.
	Name string
	// Driver is the engine's volume driver. Empty: local.
	Driver string
	// DriverOpts are the driver's own options.
	DriverOpts map[string]Value
	// External says that the volume exists already and is not created or
	// removed with the stack.
	External bool
	// EngineName replaces the engine's name. Empty: <project>_<Name>, or Name
	// for an external volume.
	EngineName Value
	// Labels are put on the volume.
	Labels map[string]Value
	// Extra holds compose keys that have no field here; see Service.Extra.
	Extra map[string]any
}

// AddTo implements Part.
func (v *Volume) AddTo(s *Stack) { s.Volumes = appendOnce(s.Volumes, v) }

// Secret is sensitive text that containers read from a file. Exactly one of
// File, Variable and External says where it comes from.
type Secret struct {
	// Name is the key in the compose file.
	Name string
	// File is the path of a file that holds the secret, relative to the
	// compose file.
	File Value
	// Variable is the name of a variable that holds the secret.
	Variable string
	// External says that the engine knows the secret already.
	External bool
	// Extra holds compose keys that have no field here, such as "name"; see
	// Service.Extra.
	Extra map[string]any
}

// AddTo implements Part.
func (s *Secret) AddTo(stack *Stack) { stack.Secrets = appendOnce(stack.Secrets, s) }

// Config is text that containers read from a file, like Secret, and that may be
// seen. Exactly one of File, Variable, Content and External says where it comes
// from.
type Config struct {
	// Name is the key in the compose file.
	Name string
	// File is the path of a file that holds the text, relative to the compose
	// file.
	File Value
	// Variable is the name of a variable that holds the text.
	Variable string
	// Content is the text itself.
	Content Value
	// External says that the engine knows the config already.
	External bool
	// Extra holds compose keys that have no field here, such as "name"; see
	// Service.Extra.
	Extra map[string]any
}

// AddTo implements Part.
func (c *Config) AddTo(stack *Stack) { stack.Configs = appendOnce(stack.Configs, c) }

// appendOnce lets a component bring its volume and a caller name it as well.
// A nil is kept, so that Validate can report it.
func appendOnce[T any](all []*T, part *T) []*T {
	for _, known := range all {
		if known == part && part != nil {
			return all
		}
	}
	return append(all, part)
}
