package docker

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// frameLimit bounds one frame. Engines write at most 32 KiB of output into one, and
// log lines in pieces of 16 KiB.
const frameLimit = 16 << 20

// demultiplex takes the two outputs of a command apart, which come as frames: one
// byte says which it is, three are nothing, four are the length. Each frame is one
// Write. It is stdcopy.StdCopy of the engine's own library, but for two things: the
// memory that it takes depends on what comes and not on the length that a frame
// claims, and of a frame that is cut short nothing is lost.
func demultiplex(stdout, stderr io.Writer, r io.Reader) error {
	var head [8]byte
	var frame bytes.Buffer
	for {
		switch _, err := io.ReadFull(r, head[:]); {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return err
		}
		size := binary.BigEndian.Uint32(head[4:])
		if head[0] > 3 || size > frameLimit {
			return fmt.Errorf("the engine's answer is no stream of output: it has a frame of kind %d with %d bytes", head[0], size)
		}
		frame.Reset()
		_, err := io.CopyN(&frame, r, int64(size))
		to := stdout
		switch head[0] {
		case 2:
			to = stderr
		case 3:
			return fmt.Errorf("the engine stopped reading the output: %s", frame.Bytes())
		}
		if _, writeErr := to.Write(frame.Bytes()); writeErr != nil {
			return writeErr
		}
		switch {
		case errors.Is(err, io.EOF): // cut in a frame
			return nil
		case err != nil:
			return err
		}
	}
}
