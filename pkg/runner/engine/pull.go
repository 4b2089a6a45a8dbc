package engine

import "fmt"

// Phase is where a layer of a pull stands. The empty phase is that of a message
// about something else.
type Phase string

// The phases of a layer, in their order.
const (
	PhaseWaiting     Phase = "waiting"
	PhaseDownloading Phase = "downloading"
	PhaseDownloaded  Phase = "downloaded"
	PhaseExtracting  Phase = "extracting"
	PhaseComplete    Phase = "complete"
)

// PullReason is the class of a [PullError].
type PullReason string

// The reasons.
const (
	// PullFailed is any reason that has no word of its own.
	PullFailed PullReason = ""
	// PullUnauthorized: the registry wants credentials, or others than it got.
	PullUnauthorized PullReason = "unauthorized"
	// PullNotFound: the registry has no such image, or does not show it to us.
	PullNotFound PullReason = "not found"
	// PullNoHost: no host has the registry's name.
	PullNoHost PullReason = "no such host"
	// PullNoAnswer: nothing answers at the registry's address.
	PullNoAnswer PullReason = "no answer"
	// PullPlainHTTP: the registry speaks HTTP, and the engine wants HTTPS of it.
	PullPlainHTTP PullReason = "plain http"
	// PullLimited: the registry gives no more for now.
	PullLimited PullReason = "rate limited"
	// PullCredentials: the stored credentials could not be read.
	PullCredentials PullReason = "credentials"
	// PullOffline: no registry may be asked.
	PullOffline PullReason = "offline"
)

// PullError says that an image could not be fetched.
type PullError struct {
	Image string
	// Registry is the host of the registry: "docker.io", "127.0.0.1:5000".
	Registry string
	Reason   PullReason
	Err      error
}

func (e *PullError) Error() string { return fmt.Sprintf("pull image %q: %v", e.Image, e.Err) }
func (e *PullError) Unwrap() error { return e.Err }
