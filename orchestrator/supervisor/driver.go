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

// sketchSize is how much of the beginning and of the end of a frame that is too long is looked at.
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
// without being kept: a result becomes a note about itself, an error loses its middle, and any other is a fault.
type driverStream struct {
	line []byte // of a frame whose end has not come: all bytes, or the newest of one that is passed over
	head []byte // the beginning of one that is passed over
	long int    // bytes of that; 0: none is
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
	if d.line = append(d.line, chunk...); d.long == 0 && len(d.line) < kernel.MaxFrame {
		return
	}
	if d.long == 0 {
		d.head = bytes.Clone(d.line[:sketchSize])
		d.long = len(d.line) - len(chunk)
	}
	d.long += len(chunk)
	if excess := len(d.line) - sketchSize; excess > sketchSize {
		d.line = bytes.Clone(d.line[excess:])
	}
}

// take returns the frame that is complete.
func (d *driverStream) take() (frame driverFrame, err error) {
	line, head, size := d.line, d.head, d.long
	d.head, d.long = nil, 0
	if d.line = d.line[:0]; cap(d.line) > sketchSize {
		d.line = nil
	}
	if size > 0 {
		return longFrame(head, line[len(line)-sketchSize:], size)
	}
	if err := json.Unmarshal(line, &frame); err != nil {
		return frame, fmt.Errorf("kernel sent no frame but %.80q: %w", line, err)
	}
	frame.size = len(line)
	return frame, nil
}

// longFrame returns what stands for a frame of which only the beginning and the end were kept.
func longFrame(beginning, end []byte, size int) (driverFrame, error) {
	frame, types := sketch(beginning)
	switch frame.Type {
	case driverResult:
		frame.Data = noteOf(types, int64(size))
	case driverError:
		frame = shortError(frame, beginning, end, size)
	default:
		return frame, fmt.Errorf("kernel sent a frame of %d bytes that is no result: %.80q", size, beginning)
	}
	frame.size = len(beginning)
	return frame, nil
}
