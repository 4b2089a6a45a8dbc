package docker

import (
	"encoding/json"
	"errors"
	"io"
)

// message is one record of the streams that pulls, builds and loads answer with.
type message struct {
	ID       string `json:"id"`
	Status   string `json:"status"`
	Stream   string `json:"stream"`
	Progress struct {
		Current int64 `json:"current"`
		Total   int64 `json:"total"`
	} `json:"progressDetail"`
	// Error is what engines give that know no detail.
	Error       string `json:"error"`
	ErrorDetail struct {
		Message string `json:"message"`
	} `json:"errorDetail"`
	Aux json.RawMessage `json:"aux"`
}

func (m message) err() error {
	switch {
	case m.ErrorDetail.Message != "":
		return errors.New(m.ErrorDetail.Message)
	case m.Error != "":
		return errors.New(m.Error)
	}
	return nil
}

// recordLimit bounds one record, so that a stream which is none fills no memory.
const recordLimit = 16 << 20

// readMessages reads a stream to its end. A record that says what failed ends
// it: the status of the response was sent before that was known.
func readMessages(r io.Reader, each func(message) error) error {
	bound := &io.LimitedReader{R: r}
	decoder := json.NewDecoder(bound)
	for {
		var m message
		bound.N = recordLimit
		switch err := decoder.Decode(&m); {
		case err != nil && bound.N == 0:
			return errors.New("the engine's answer has no end to a record")
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if err := m.err(); err != nil {
			return err
		}
		if err := each(m); err != nil {
			return err
		}
	}
}
