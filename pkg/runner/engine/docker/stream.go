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

// readMessages reads a stream to its end. A record that says what failed ends
// it: the status of the response was sent before that was known.
func readMessages(r io.Reader, each func(message) error) error {
	decoder := json.NewDecoder(r)
	for {
		var m message
		switch err := decoder.Decode(&m); {
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
