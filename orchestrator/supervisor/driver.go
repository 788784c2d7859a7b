package supervisor

import (
	"bytes"
	"encoding/json"
	"fmt"

	"cubby/orchestrator/kernel"
)

// The types of a driver's frames; see the package comment.
const (
	driverBoot    = "boot"
	driverReady   = "ready"
	driverFailed  = "failed"
	driverPong    = "pong"
	driverStarted = "started"
	driverResult  = "result"
	driverError   = "error"
	driverDone    = "done"
	driverDying   = "dying"
)

// sketchSize is how much of a frame that is too long is looked at.
const sketchSize = 64 << 10

// driverRequest is a frame to a driver.
type driverRequest struct {
	Op   string            `json:"op"`
	ID   string            `json:"id,omitempty"`
	Code string            `json:"code,omitempty"`
	Cwd  string            `json:"cwd,omitempty"`
	Env  map[string]string `json:"env,omitempty"`
}

// driverFrame is a frame from a driver.
type driverFrame struct {
	Type      string     `json:"type"`
	Version   string     `json:"version"`
	Count     int        `json:"count"`
	Data      mimeBundle `json:"data"`
	Main      bool       `json:"main"`
	Name      string     `json:"name"`
	Value     string     `json:"value"`
	Traceback string     `json:"traceback"`

	size int // of the frame in bytes
}

// driverStream splits what a driver writes into frames. A frame that is longer than kernel.MaxFrame is passed over
// without being kept: a result becomes a note about itself, an error loses its texts, and any other is a fault.
type driverStream struct {
	line []byte // the beginning of a frame whose end has not come
	long int    // bytes of a frame that is passed over; 0: none is
}

// feed takes bytes and calls handle for each frame that they complete. An error means that the driver does not speak
// the protocol.
func (d *driverStream) feed(chunk []byte, handle func(driverFrame)) error {
	for {
		end := bytes.IndexByte(chunk, '\n')
		if end < 0 {
			d.keep(chunk)
			return nil
		}
		d.keep(chunk[:end])
		chunk = chunk[end+1:]
		frame, err := d.take()
		if err != nil {
			return err
		}
		handle(frame)
	}
}

// keep appends to the frame that is coming in, of which it keeps no more than a sketch if it gets too long.
func (d *driverStream) keep(chunk []byte) {
	switch {
	case d.long > 0:
		d.long += len(chunk)
	case len(d.line)+len(chunk) >= kernel.MaxFrame:
		d.long = len(d.line) + len(chunk)
		d.line = append(d.line, chunk[:min(len(chunk), sketchSize)]...)
		d.line = bytes.Clone(d.line[:min(len(d.line), sketchSize)])
	default:
		d.line = append(d.line, chunk...)
	}
}

// take returns the frame that is complete.
func (d *driverStream) take() (frame driverFrame, err error) {
	line, size := d.line, d.long
	d.long = 0
	if d.line = d.line[:0]; cap(d.line) > sketchSize {
		d.line = nil
	}
	if size > 0 {
		return longFrame(line, size)
	}
	if err := json.Unmarshal(line, &frame); err != nil {
		return frame, fmt.Errorf("kernel sent no frame but %.80q: %w", line, err)
	}
	frame.size = len(line)
	return frame, nil
}

// longFrame returns what stands for a frame of which only the beginning was kept.
func longFrame(beginning []byte, size int) (driverFrame, error) {
	frame, types := sketch(beginning)
	frame.size = len(beginning)
	switch frame.Type {
	case driverResult:
		frame.Data = noteOf(types, int64(size))
	case driverError:
		frame.Value = fmt.Sprintf("[error of %d bytes left out]", size)
	default:
		return frame, fmt.Errorf("kernel sent a frame of %d bytes that is no result: %.80q", size, beginning)
	}
	return frame, nil
}
